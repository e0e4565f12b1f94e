//! The estimated noise level against the true one.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis, s};
use tweedie::image::{Format, Limits, Picture, WriteOptions};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::noise_level::{Error, Found, estimate, look};
use tweedie::problem::Noise;
use tweedie::{Dims, Image, image};

/// The example photographs, with what earlier processing left in them.
fn photos() -> Vec<(&'static str, Image)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/photos");
    let read = |name| {
        let path = folder.join(name).with_extension("png");
        (name, image::read(path).unwrap().pixels)
    };
    ["astronaut", "chelsea", "coffee", "rocket"]
        .map(read)
        .into()
}

fn grey(x: &Image) -> Image {
    x.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1))
}

/// With noise of `sigma` steps of 1/255, and rounded to 8 bits if `clipped`.
fn noisy(x: &Image, sigma: f64, seed: u64, clipped: bool) -> Image {
    let noise = Seeded::new(seed, "test").normal(x.dim().0, Dims::of(x));
    let y = x + &(noise * (sigma / 255.0) as f32);
    if clipped {
        y.mapv(|v| (v.clamp(0.0, 1.0) * 255.0).round() / 255.0)
    } else {
        y
    }
}

/// A 7x7 box blur, where it fits.
fn blurred(x: &Image) -> Image {
    let (n, c, h, w) = x.dim();
    let mut out = Image::zeros((n, c, h - 6, w - 6));
    for i in 0..7 {
        for j in 0..7 {
            out += &x.slice(s![.., .., i..h - 6 + i, j..w - 6 + j]);
        }
    }
    out / 49.0
}

fn in_steps(x: &Image) -> f64 {
    255.0 * estimate(x, None).unwrap()
}

#[test]
fn noise_on_photographs_is_found() {
    for (name, photo) in photos() {
        for (x, kind) in [(grey(&photo), "grey"), (photo, "colour")] {
            for (sigma, clipped, tolerance) in [
                (5.0, true, 0.1),
                (15.0, false, 0.1),
                (25.0, true, 0.1),
                (50.0, true, 0.15),
            ] {
                let found = in_steps(&noisy(&x, sigma, 1, clipped));
                let error = found / sigma - 1.0;
                assert!(
                    error.abs() < tolerance,
                    "{name} {kind}: {found:.2}, not {sigma}"
                );
            }
        }
    }
}

#[test]
fn clean_and_blurred_photographs_have_little() {
    for (name, photo) in photos() {
        for x in [grey(&photo), photo] {
            let found = in_steps(&x);
            assert!(found < 2.0, "{name}: {found:.2}");
            let found = in_steps(&blurred(&x));
            assert!(found < 0.3, "{name} blurred: {found:.2}");
        }
    }
}

#[test]
fn a_flat_or_linear_picture_has_none() {
    assert_eq!(
        estimate(&Image::from_elem((1, 3, 40, 40), 0.3), None),
        Ok(0.0)
    );
    assert_eq!(estimate(&Image::zeros((2, 1, 40, 40)), None), Ok(0.0));
    let ramp = Image::from_shape_fn((1, 1, 64, 64), |(_, _, i, j)| (i + 2 * j) as f32 / 256.0);
    assert!(estimate(&ramp, None).unwrap() < 1e-4);
}

#[test]
fn pure_noise_is_found_in_pictures_of_any_size() {
    for (c, h, w, tolerance) in [
        (3, 128, 128, 0.03),
        (1, 64, 64, 0.06),
        (3, 32, 48, 0.08),
        (1, 24, 24, 0.15),
        (3, 12, 12, 0.3),
        (1, 200, 2, 0.3),
    ] {
        let x = Image::from_elem((1, c, h, w), 0.5);
        let found = in_steps(&noisy(&x, 20.0, 3, false));
        let error = found / 20.0 - 1.0;
        assert!(error.abs() < tolerance, "{c}x{h}x{w}: {found:.2}, not 20");
    }
}

#[test]
fn only_known_pixels_count() {
    let (_, photo) = photos().remove(0);
    let mut x = noisy(&photo, 10.0, 4, false);
    let known = Array2::from_shape_fn((256, 256), |(i, j)| i > 128 || j % 32 != 0);
    // Whatever is in the holes, be it NaN, changes nothing.
    for ((_, _, i, j), v) in x.indexed_iter_mut() {
        if !known[(i, j)] {
            *v = if i % 2 == 0 { f32::NAN } else { 1e6 };
        }
    }
    let found = 255.0 * estimate(&x, Some(known.view())).unwrap();
    assert!((found / 10.0 - 1.0).abs() < 0.1, "{found:.2}");
    assert_eq!(estimate(&x, None), Err(Error::NotFinite));
}

#[test]
fn too_little_is_said() {
    let tiny = Image::from_elem((1, 1, 6, 6), 0.5);
    assert_eq!(estimate(&tiny, None), Err(Error::TooSmall { blocks: 9 }));
    let line = Image::from_elem((1, 1, 1, 500), 0.5);
    assert_eq!(estimate(&line, None), Err(Error::TooSmall { blocks: 0 }));
    assert_eq!(
        estimate(&Image::zeros((0, 3, 9, 9)), None),
        Err(Error::TooSmall { blocks: 0 })
    );
    let mask = Array2::from_elem((5, 5), true);
    assert!(matches!(
        estimate(&tiny, Some(mask.view())),
        Err(Error::Mask { .. })
    ));
    let none = Array2::from_elem((6, 6), false);
    assert_eq!(
        estimate(&tiny, Some(none.view())),
        Err(Error::TooSmall { blocks: 0 })
    );
}

/// Prints the table of the estimator's accuracy on a folder of photographs.
#[test]
#[ignore = "needs TWEEDIE_PHOTOS, a folder of clean photographs such as CBSD68; prints a table"]
fn table() {
    let folder = PathBuf::from(std::env::var("TWEEDIE_PHOTOS").unwrap());
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    let photos: Vec<_> = paths.iter().filter_map(|p| image::read(p).ok()).collect();
    assert!(!photos.is_empty());
    let started = std::time::Instant::now();
    let mut runs = 0;
    println!("| kind | sigma | clipped | mean | std | least | most | within 15 % |");
    println!("|---|---|---|---|---|---|---|---|");
    for kind in ["colour", "grey", "grey 64x64"] {
        for (sigma, clipped) in [
            (-1.0, true),
            (0.0, true),
            (2.0, true),
            (5.0, true),
            (10.0, true),
            (15.0, true),
            (25.0, true),
            (50.0, true),
            (25.0, false),
            (50.0, false),
        ] {
            let found: Vec<f64> = photos
                .iter()
                .enumerate()
                .map(|(i, p)| {
                    let x = match kind {
                        "colour" => p.pixels.clone(),
                        "grey" => grey(&p.pixels),
                        _ => grey(&p.pixels)
                            .slice(s![.., .., 100..164, 100..164])
                            .to_owned(),
                    };
                    let x = if sigma < 0.0 { blurred(&x) } else { x };
                    in_steps(&noisy(&x, f64::max(sigma, 0.0), i as u64, clipped))
                })
                .collect();
            runs += found.len();
            let n = found.len() as f64;
            let mean = found.iter().sum::<f64>() / n;
            let std = (found.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            let least = found.iter().copied().fold(f64::INFINITY, f64::min);
            let most = found.iter().copied().fold(0.0, f64::max);
            let within = found
                .iter()
                .filter(|v| (*v / sigma - 1.0).abs() < 0.15)
                .count();
            let name = if sigma < 0.0 {
                "blurred".into()
            } else {
                sigma.to_string()
            };
            println!(
                "| {kind} | {name} | {clipped} | {mean:.2} | {std:.2} | {least:.2} | {most:.2} | {within}/{} |",
                found.len()
            );
        }
    }
    println!(
        "{:.0} ms each, making the noise included",
        started.elapsed().as_millis() as f64 / f64::from(runs as u32)
    );
}

/// What the look at a picture says, in steps of 1/255.
fn seen(x: &Image) -> (f64, Found) {
    let found = look(x, None).unwrap();
    (255.0 * found.sigma, found)
}

/// Saved as a JPEG without subsampling, and read again.
fn through_jpeg(x: &Image, quality: u8) -> Image {
    let options = WriteOptions {
        quality,
        ..WriteOptions::default()
    };
    let bytes = image::encode(&Picture::new(x.clone()), Format::Jpeg, &options).unwrap();
    image::decode(&bytes, &Limits::default()).unwrap().pixels
}

/// Each pixel the mean of those around it, by weights `[1, 2, 1]/4` both ways, of those that `kept` keeps of a channel.
fn smoothed(x: &Image, kept: impl Fn(usize, usize, usize) -> bool) -> Image {
    let (_, _, h, w) = x.dim();
    Image::from_shape_fn(x.dim(), |(n, c, i, j)| {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (di, wi) in [(0, 1.0), (1, 2.0), (2, 1.0)] {
            for (dj, wj) in [(0, 1.0), (1, 2.0), (2, 1.0)] {
                let (r, s) = ((i + di).wrapping_sub(1), (j + dj).wrapping_sub(1));
                if r < h && s < w && kept(c, r, s) {
                    sum += wi * wj * x[[n, c, r, s]];
                    weight += wi * wj;
                }
            }
        }
        sum / weight
    })
}

/// Bilinearly demosaiced from the Bayer pattern RGGB.
fn demosaiced(x: &Image) -> Image {
    smoothed(x, |c, i, j| {
        (i % 2) + (j % 2) == c && (c != 1 || (i + j) % 2 == 1)
    })
}

/// Twice as large, bilinearly.
fn enlarged(x: &Image) -> Image {
    let (n, c, h, w) = x.dim();
    let zeros = Image::from_shape_fn((n, c, 2 * h, 2 * w), |(n, c, i, j)| x[[n, c, i / 2, j / 2]]);
    smoothed(&zeros, |_, i, j| i % 2 == 0 && j % 2 == 0)
}

/// Noise that is not white any more is found at about the level that removes it best, which a search over levels told for such
/// pictures: after demosaicing and JPEG it is 0.9 to 1.2 times what the sensor had, after enlarging to twice the size 1.2 to 1.4 times. The white part of it alone is
/// several times less.
#[test]
fn noise_that_is_not_white_is_found() {
    for (name, photo) in photos() {
        let noisy = noisy(&photo, 25.0, 3, true);
        for (kind, y, least, most) in [
            ("demosaiced", demosaiced(&noisy), 22.0, 34.0),
            ("enlarged", enlarged(&noisy), 24.0, 36.0),
            ("jpeg 90", through_jpeg(&noisy, 90), 22.0, 29.0),
            ("jpeg 75", through_jpeg(&noisy, 75), 20.0, 31.0),
        ] {
            let (sigma, _) = seen(&y);
            assert!((least..most).contains(&sigma), "{name} {kind}: {sigma:.1}");
        }
        let (_, found) = seen(&enlarged(&noisy));
        assert!(found.grain > 1.5, "{name}: {}", found.grain);
    }
}

/// White noise stays what it was, grey or in colour.
#[test]
fn white_noise_is_seen_as_white() {
    for (name, photo) in photos() {
        for x in [grey(&photo), photo] {
            for sigma in [10.0, 25.0] {
                let (found, what) = seen(&noisy(&x, sigma, 1, true));
                assert!((found / sigma - 1.0).abs() < 0.1, "{name}: {found:.2}");
                assert_eq!(what.noise, Noise::White(what.sigma), "{name}");
            }
        }
    }
}

/// Noise that grows with brightness is told from noise that does not, with its law.
#[test]
fn noise_that_grows_with_brightness_is_found() {
    let (a, b) = (0.0005, 0.01);
    for (name, photo) in photos() {
        let noise = Seeded::new(2, "test").normal(1, Dims::of(&photo));
        let mut y = photo.clone();
        y.zip_mut_with(&noise, |v, n| {
            *v += (a + b * f64::from(*v)).sqrt() as f32 * n;
            *v = (v.clamp(0.0, 1.0) * 255.0).round() / 255.0;
        });
        let (_, found) = seen(&y);
        let Noise::Poisson { a: dark, b: grows } = found.noise else {
            panic!("{name}: {found:?}");
        };
        assert!((grows / b - 1.0).abs() < 0.25, "{name}: {found:?}");
        assert!((dark - a).abs() < 0.001, "{name}: {found:?}");
    }
}

/// What has no noise is seen to have little, or none at all where nothing looks like it.
#[test]
fn clean_pictures_are_seen_as_clean() {
    for (name, photo) in photos() {
        let (sigma, _) = seen(&blurred(&photo));
        assert!(sigma < 0.7, "{name} blurred: {sigma:.2}");
        let (sigma, _) = seen(&photo);
        assert!(sigma < 4.0, "{name}: {sigma:.2}");
    }
    // Drawn pictures of which every block holds edges, of black and white or of other colours.
    for [a, b] in [[0.0, 1.0], [0.2, 0.7]] {
        let stripes = Image::from_shape_fn((1, 3, 96, 96), |(_, _, i, j)| {
            if (i / 8 + j / 24) % 2 == 0 { a } else { b }
        });
        let (sigma, _) = seen(&stripes);
        assert!(sigma < 1e-3, "{a}, {b}: {sigma}");
    }
}

/// Noise where nothing is known does not count.
#[test]
fn only_known_pixels_are_looked_at() {
    let (_, photo) = photos().swap_remove(1);
    let (_, _, h, w) = photo.dim();
    let mut y = noisy(&photo, 40.0, 1, true);
    let known = Array2::from_shape_fn((h, w), |(i, _)| i >= h / 2);
    let quiet = s![.., .., h / 2.., ..];
    y.slice_mut(quiet)
        .assign(&noisy(&photo, 8.0, 2, true).slice(quiet));
    let found = look(&y, Some(known.view())).unwrap();
    assert!((255.0 * found.sigma / 8.0 - 1.0).abs() < 0.15, "{found:?}");
}
