//! JPEG: the numbers that files hold, the operator, and that what is made of a file is what the file says.

use std::path::Path;
use std::sync::Arc;

use tweedie::image::{Depth, Format, Limits, Picture, WriteOptions, decode, encode, read};
use tweedie::level::Range;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Jpeg, Operator, Quantised, Spec, Subsampling};
use tweedie::prior::{Card, Gaussian};
use tweedie::restore::Job;
use tweedie::{Dims, Image};

/// A file that another program wrote: tests/good/make.py says how.
fn good(name: &str) -> Picture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    read(folder.join(name)).unwrap()
}

fn operator(picture: &Picture) -> Jpeg {
    let file = Arc::new(picture.jpeg.clone().unwrap());
    Jpeg::of_file(picture.dims(), &file).unwrap()
}

fn noisy(x: &Image, sigma: f32) -> Image {
    x + &(sigma * Seeded::new(3, "test").normal(1, Dims::of(x)))
}

/// Rounded to 8 bits, as a file of them has it.
fn rounded(x: &Image) -> Image {
    x.mapv(|v| (v.clamp(0.0, 1.0) * 255.0).round() / 255.0)
}

/// Of one picture, coded in one scan with restarts and in ten that refine each other. Wrong: a bit that is refined twice, a run
/// that ends a block too late, blocks in the order of the scan.
#[test]
fn both_ways_of_coding_hold_the_same_numbers() {
    for sampling in ["444", "420"] {
        let baseline = good(&format!("rough-{sampling}.jpg")).jpeg.unwrap();
        let progressive = good(&format!("rough-{sampling}-progressive.jpg"))
            .jpeg
            .unwrap();
        let numbers = baseline.coefficients().unwrap();
        assert_eq!(numbers, progressive.coefficients().unwrap());
        assert_eq!(numbers.size, (37, 45));
        let blocks: Vec<_> = numbers.planes.iter().map(|p| p.blocks).collect();
        let colours = if sampling == "444" { (5, 6) } else { (3, 3) };
        assert_eq!(blocks, [(5, 6), colours, colours]);
    }
}

/// The DCT of the pixels that another decoder makes of the numbers, rounded, are the numbers. Wrong: rows for columns, a sign,
/// other tables.
#[test]
fn the_numbers_are_those_of_the_pixels() {
    for name in ["waves-grey.jpg", "waves-444-progressive.jpg"] {
        let picture = good(name);
        let jpeg = operator(&picture);
        let all = jpeg.intervals(&picture.pixels);
        assert_eq!(all.outside(&picture.pixels, 0.0), 0, "{name}");
        assert!(all.outside(&noisy(&picture.pixels, 0.1), 0.0) > 300);
    }
}

/// libjpeg's own coding: of a picture its numbers are those in its file, but where rounding to whole colours has moved one
/// across the middle between two steps. Wrong: other tables, samples of colours half a pixel off.
#[test]
fn the_operator_codes_as_libjpeg() {
    let clean = good("rough.png");
    for name in ["rough-444.jpg", "rough-420.jpg"] {
        let file = good(name);
        let outside = operator(&file)
            .intervals(&file.pixels)
            .outside(&clean.pixels, 0.0);
        assert!(outside < 60, "{name}: {outside}");
    }
    let (steps, of) = (
        Jpeg::new(clean.dims(), 30, Subsampling::Quarter),
        good("rough-420.jpg"),
    );
    assert_eq!(steps.unwrap().coarseness(), operator(&of).coarseness());
}

/// And decodes nearly so. Wrong: colours that are not interpolated, which are 6/255 off, or half a pixel off.
#[test]
fn the_operator_decodes_as_libjpeg() {
    let clean = good("waves.png");
    let jpeg = Jpeg::new(clean.dims(), 90, Subsampling::Quarter).unwrap();
    let off = rounded(&jpeg.apply(&clean.pixels)) - good("waves-420.jpg").pixels;
    let mean = off.mapv(f32::abs).mean().unwrap() * 255.0;
    assert!(mean < 1.5, "{mean}");
}

/// From what it makes of a picture its numbers are found again, where blocks are whole; else it is said.
#[test]
fn what_was_compressed_explains_itself() {
    let clean = good("waves.png");
    for subsampling in [Subsampling::Full, Subsampling::Half, Subsampling::Quarter] {
        for quality in [10, 50] {
            let jpeg = Jpeg::new(clean.dims(), quality, subsampling).unwrap();
            let y = jpeg.apply(&clean.pixels);
            assert_eq!(jpeg.intervals(&y).outside(&clean.pixels, 0.0), 0);
        }
    }
    let said = |picture: &Picture| {
        let spec: Spec = toml::from_str("kind = 'jpeg'\nquality = 50").unwrap();
        let mut notes = Vec::new();
        spec.build_for(picture, &mut notes).unwrap();
        notes.len()
    };
    assert_eq!((said(&clean), said(&good("rough.png"))), (0, 1));
}

/// Coded anew by another encoder with the same tables, a picture near a file gives the numbers in the file, also if it was
/// rounded to 8 bits in between. Wrong: without the margin, without the edges. (This encoder truncates colours, by more than any
/// margin; grey it codes well.)
#[test]
fn the_nearest_picture_gives_the_numbers_in_the_file() {
    for quality in [5, 10, 20, 40, 60] {
        let options = WriteOptions {
            quality,
            ..WriteOptions::default()
        };
        let coded = |x: &Image| {
            let bytes = encode(&Picture::new(x.clone()), Format::Jpeg, &options).unwrap();
            decode(&bytes, &Limits::default()).unwrap()
        };
        let file = coded(&good("rough-grey.jpg").pixels);
        let jpeg = operator(&file);
        let z = noisy(&file.pixels, 0.1);
        let (x, outside) = jpeg.intervals(&file.pixels).nearest(&z);
        assert_eq!(outside, 0, "quality {quality}");
        let numbers = |p: &Picture| p.jpeg.as_ref().unwrap().coefficients().unwrap();
        assert!(numbers(&coded(&z)) != numbers(&file));
        assert!(
            numbers(&coded(&rounded(&x))) == numbers(&file),
            "quality {quality}"
        );
    }
}

/// The same for colours in fewer samples, and for a picture that EXIF turns, with our own coding.
#[test]
fn subsampled_and_turned_files_are_kept_to() {
    for name in [
        "rough-420.jpg",
        "rough-420-progressive.jpg",
        "libjpeg-q75-422-turned.jpg",
    ] {
        let file = good(name);
        let jpeg = operator(&file);
        let all = jpeg.intervals(&file.pixels);
        let (x, outside) = all.nearest(&noisy(&file.pixels, 0.05));
        assert_eq!(outside, 0, "{name}");
        let off = (&x - &file.pixels).mapv(f32::abs).mean().unwrap();
        assert!(off < 0.06, "{name}: {off}");
        if name.starts_with("rough") {
            assert_eq!(all.outside(&rounded(&x), 0.0), 0, "{name}");
        }
        let expected = all.expected(&noisy(&file.pixels, 0.05), 0.03, 0.0);
        assert!(all.outside(&expected, 0.0) * 20 < 3 * 37 * 45, "{name}");
    }
}

/// All the way, with a prior that knows nothing but the mean. Wrong: an answer that contradicts the file.
#[test]
fn a_restored_file_is_what_the_file_says() {
    let file = good("rough-420.jpg");
    let dims = file.dims();
    let prior = Flat;
    let job = Job::new(toml::from_str("kind = 'jpeg'").unwrap());
    let ready = job
        .prepare(&file, tweedie::prior::Prior::card(&prior))
        .unwrap();
    assert_eq!(ready.settings().name(), "dequantise");
    let (x, report) = ready.run(&prior, ()).unwrap();
    assert_eq!((report.sigma, report.sigma_estimated), (0.0, false));
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("quality about 30"))
    );
    assert_eq!((x.dims(), x.depth), (dims, Depth::Eight));
    let all = operator(&file);
    assert_eq!(
        all.intervals(&file.pixels)
            .outside(&rounded(&x.pixels), 0.0),
        0
    );
}

/// Pictures around grey, each pixel for itself.
struct Flat;

impl tweedie::prior::Prior for Flat {
    fn card(&self) -> &Card {
        static CARD: std::sync::LazyLock<Card> = std::sync::LazyLock::new(Card::any);
        &CARD
    }

    fn estimate(
        &self,
        x: &Image,
        level: tweedie::level::Level,
    ) -> Result<tweedie::prior::Estimate, tweedie::prior::Error> {
        let flat =
            Gaussian::new(Dims::new(1, 1, 1), &[0.5], &nalgebra_one(), Range::IMAGE).unwrap();
        let ones = x.to_shape((x.len(), 1, 1, 1)).unwrap().to_owned();
        let estimate = flat.estimate(&ones, level)?;
        Ok(tweedie::prior::Estimate {
            x0: estimate.x0.into_shape_with_order(x.dim()).unwrap(),
            ..estimate
        })
    }
}

fn nalgebra_one() -> ndarray::Array2<f64> {
    ndarray::Array2::from_elem((1, 1), 0.04)
}

/// What cannot be undone is told in a line that says what to do.
#[test]
fn what_is_no_such_file_is_refused() {
    let refusal = |picture: &Picture, toml: &str| {
        let job = Job::new(toml::from_str(toml).unwrap());
        job.prepare(picture, &Card::any()).unwrap_err().to_string()
    };
    let clean = good("rough.png");
    let unknown = refusal(&clean, "kind = 'jpeg'");
    assert!(unknown.contains("--jpeg-quality"), "{unknown}");
    let inks = refusal(&good("adobe-cmyk.jpg"), "kind = 'jpeg'");
    assert!(inks.contains("convert it to RGB"), "{inks}");
    let quality = refusal(&clean, "kind = 'jpeg'\nquality = 101");
    assert!(quality.contains("from 1 to 100"), "{quality}");
}

/// Damaged files are refused or read; nothing panics, in debug builds either.
#[test]
fn damaged_numbers_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let mut read = 0;
    for name in ["rough-420.jpg", "rough-420-progressive.jpg"] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        for k in 0..1500usize {
            let mut bytes = whole.clone();
            let at = 2 + (k * 7919) % (bytes.len() - 4);
            bytes[at] ^= 1 << (k % 8);
            if let Ok(picture) = decode(&bytes, &Limits::default())
                && let Some(jpeg) = picture.jpeg
            {
                read += usize::from(jpeg.coefficients().is_ok());
            }
        }
    }
    assert!(read > 100, "{read}");
}
