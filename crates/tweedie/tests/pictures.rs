//! Picture files: round trips, what travels with them, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array4};
use proptest::prelude::*;
use tweedie::Image;
use tweedie::image::{
    Depth, Fault, Format, Limits, Overwrite, Picture, Resolution, Transform, WriteOptions,
    check_write, check_write_bytes, decode, encode, format_of, grid, losses, read, read_with,
    result_name, write,
};

const EXTENSIONS: [(Format, &str); 5] = [
    (Format::Png, "png"),
    (Format::Jpeg, "jpg"),
    (Format::Tiff, "tif"),
    (Format::WebP, "webp"),
    (Format::Bmp, "bmp"),
];

/// A smooth picture whose values lie on the steps of a depth; no two rows, columns or channels agree.
fn pixels(c: usize, h: usize, w: usize, depth: Depth) -> Image {
    let steps = match depth {
        Depth::Eight => 255.0,
        Depth::Sixteen => 65535.0,
        Depth::Float => unreachable!("it has no steps"),
    };
    Array4::from_shape_fn((1, c, h, w), |(_, k, i, j)| {
        let v = (1.0 + i as f32 * 2.0 + j as f32 + 3.0 * k as f32) / (2 * h + w + 12) as f32;
        (v * steps).round() / steps
    })
}

fn alpha(h: usize, w: usize) -> Array2<f32> {
    Array2::from_shape_fn((h, w), |(i, j)| ((i * 40 + j * 9) % 256) as f32 / 255.0)
}

fn roundtrip(picture: &Picture, format: Format) -> Picture {
    let bytes = encode(picture, format, &WriteOptions::default()).unwrap();
    decode(&bytes, &Limits::default()).unwrap()
}

fn largest_difference(a: &Image, b: &Image) -> f32 {
    assert_eq!(a.dim(), b.dim());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

/// A made-up ICC profile of a colour space.
fn profile(space: &[u8; 4]) -> Vec<u8> {
    let mut profile = vec![0; 200];
    profile[3] = 200;
    profile[16..20].copy_from_slice(space);
    profile[36..40].copy_from_slice(b"acsp");
    profile
}

const THUMBNAIL: &[u8] = b"thumbnail of the old picture";

/// An EXIF block with an orientation, the picture's size, and a thumbnail in a second directory.
fn exif(orientation: u16, big_endian: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let short = |v: u16| {
        if big_endian {
            v.to_be_bytes()
        } else {
            v.to_le_bytes()
        }
    };
    let long = |v: u32| {
        if big_endian {
            v.to_be_bytes()
        } else {
            v.to_le_bytes()
        }
    };
    out.extend(if big_endian { b"MM" } else { b"II" });
    out.extend(short(42));
    out.extend(long(8));
    let mut directory = |entries: &[(u16, u16, u32)], next: u32| {
        out.extend(short(entries.len() as u16));
        for &(tag, form, value) in entries {
            out.extend(short(tag));
            out.extend(short(form));
            out.extend(long(1));
            if form == 3 {
                out.extend(short(value as u16));
                out.extend(short(0));
            } else {
                out.extend(long(value));
            }
        }
        out.extend(long(next));
    };
    // At 8, 38 and 68; the thumbnail at 98.
    let thumbnail = THUMBNAIL.len() as u32;
    directory(&[(0x0112, 3, orientation.into()), (0x8769, 4, 38)], 68);
    directory(&[(0xA002, 3, 999), (0xA003, 4, 999)], 0);
    directory(&[(0x0201, 4, 98), (0x0202, 4, thumbnail)], 0);
    out.extend(THUMBNAIL);
    out
}

#[test]
fn lossless_formats_give_back_every_sample() {
    for format in [Format::Png, Format::Tiff, Format::WebP, Format::Bmp] {
        for depth in [Depth::Eight, Depth::Sixteen] {
            if depth == Depth::Sixteen && !format.has_16_bits() {
                continue;
            }
            for c in [1, 3] {
                for with_alpha in [false, true] {
                    let mut picture = Picture::new(pixels(c, 9, 14, depth));
                    picture.depth = depth;
                    picture.alpha = with_alpha.then(|| alpha(9, 14));
                    let back = roundtrip(&picture, format);
                    let what = format!("{format} {depth:?} {c} channels, alpha {with_alpha}");
                    assert_eq!(back.pixels, picture.pixels, "{what}");
                    assert_eq!(back.alpha, picture.alpha, "{what}");
                    assert_eq!(back.depth, depth, "{what}");
                }
            }
        }
    }
}

#[test]
fn jpeg_is_close_and_without_chroma_subsampling() {
    for c in [1, 3] {
        let picture = Picture::new(pixels(c, 24, 32, Depth::Eight));
        let bytes = encode(&picture, Format::Jpeg, &WriteOptions::default()).unwrap();
        let back = decode(&bytes, &Limits::default()).unwrap();
        assert!(largest_difference(&back.pixels, &picture.pixels) < 6.0 / 255.0);
        let frame = bytes.windows(2).position(|b| b == [0xFF, 0xC0]).unwrap();
        let components = usize::from(bytes[frame + 9]);
        assert_eq!(components, c);
        for k in 0..components {
            assert_eq!(
                bytes[frame + 11 + 3 * k],
                0x11,
                "component {k} is subsampled"
            );
        }
    }
}

#[test]
fn a_jpeg_shows_transparency_over_white() {
    let mut picture = Picture::new(Image::zeros((1, 3, 16, 16)));
    picture.alpha = Some(Array2::from_elem((16, 16), 0.25));
    let back = roundtrip(&picture, Format::Jpeg);
    assert_eq!(back.alpha, None);
    assert!(back.pixels.iter().all(|v| (v - 0.75).abs() < 0.01));
}

#[test]
fn pictures_one_pixel_wide_or_high_survive() {
    for (format, _) in EXTENSIONS {
        for (h, w) in [(1, 1), (1, 7), (7, 1)] {
            for c in [1, 3] {
                let picture = Picture::new(pixels(c, h, w, Depth::Eight));
                let back = roundtrip(&picture, format);
                let difference = largest_difference(&back.pixels, &picture.pixels);
                assert!(
                    difference < 8.0 / 255.0,
                    "{format} {c}x{h}x{w}: {difference}"
                );
            }
        }
    }
}

#[test]
fn values_are_clamped_and_rounded_to_the_nearest() {
    let values = vec![-0.5, 1.5, 100.4 / 255.0, 100.6 / 255.0];
    let picture = Picture::new(Array4::from_shape_vec((1, 1, 1, 4), values).unwrap());
    let back = roundtrip(&picture, Format::Png).pixels.mapv(|v| v * 255.0);
    let expected = [0.0, 255.0, 100.0, 101.0];
    assert!(
        back.iter().zip(expected).all(|(b, e)| (b - e).abs() < 1e-3),
        "{back}"
    );
}

/// Where the pixel at `(i, j)` of a file of `h` by `w` is seen: EXIF 2.32, table "Orientation", which says on which
/// side row 0 and column 0 are.
fn seen(orientation: u16, (i, j): (usize, usize), (h, w): (usize, usize)) -> (usize, usize) {
    match orientation {
        1 => (i, j),
        2 => (i, w - 1 - j),
        3 => (h - 1 - i, w - 1 - j),
        4 => (h - 1 - i, j),
        5 => (j, i),
        6 => (j, h - 1 - i),
        7 => (w - 1 - j, h - 1 - i),
        _ => (w - 1 - j, i),
    }
}

fn assert_upright(back: &Picture, stored: &Picture, orientation: u16, tolerance: f32, what: &str) {
    let (_, _, h, w) = stored.pixels.dim();
    for ((_, c, i, j), &v) in stored.pixels.indexed_iter() {
        let (y, x) = seen(orientation, (i, j), (h, w));
        let difference = (back.pixels[(0, c, y, x)] - v).abs();
        assert!(
            difference <= tolerance,
            "{what} at {c} {i} {j}: {difference}"
        );
    }
    if let Some(alpha) = &stored.alpha {
        let back = back.alpha.as_ref().expect("alpha is kept");
        for ((i, j), &v) in alpha.indexed_iter() {
            assert_eq!(back[seen(orientation, (i, j), (h, w))], v, "{what}: alpha");
        }
    }
}

#[test]
fn orientation_is_applied_once() {
    for (format, tolerance) in [
        (Format::Png, 0.0),
        (Format::Jpeg, 0.03),
        (Format::WebP, 0.0),
    ] {
        for orientation in 1..=8 {
            for big_endian in [false, true] {
                let what = format!("{format}, orientation {orientation}");
                let mut stored = Picture::new(pixels(3, 16, 24, Depth::Eight));
                stored.exif = Some(exif(orientation, big_endian));
                stored.alpha = (format != Format::Jpeg).then(|| alpha(16, 24));
                let back = roundtrip(&stored, format);
                assert_upright(&back, &stored, orientation, tolerance, &what);
                // Written and read again it stays as it is.
                let again = roundtrip(&back, format);
                let difference = largest_difference(&again.pixels, &back.pixels);
                assert!(difference <= tolerance, "{what}: turned twice");
                assert_eq!(again.exif.unwrap().len(), stored.exif.unwrap().len());
            }
        }
    }
}

#[test]
fn the_orientation_tag_of_a_tiff_is_applied() {
    let stored = Picture::new(pixels(1, 5, 8, Depth::Eight));
    let samples: Vec<u8> = stored
        .pixels
        .iter()
        .map(|v| (v * 255.0).round() as u8)
        .collect();
    for orientation in 1..=8 {
        let mut file = std::io::Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
        let mut image = encoder
            .new_image::<tiff::encoder::colortype::Gray8>(8, 5)
            .unwrap();
        let tag = tiff::tags::Tag::Orientation;
        image.encoder().write_tag(tag, orientation).unwrap();
        image.write_data(&samples).unwrap();
        let back = decode(file.get_ref(), &Limits::default()).unwrap();
        assert_upright(
            &back,
            &stored,
            orientation,
            0.0,
            &format!("TIFF, {orientation}"),
        );
    }
}

#[test]
fn exif_is_kept_without_thumbnail_and_with_the_new_size() {
    for big_endian in [false, true] {
        let mut picture = Picture::new(pixels(3, 16, 24, Depth::Eight));
        picture.exif = Some(exif(6, big_endian));
        let back = roundtrip(&roundtrip(&picture, Format::Jpeg), Format::Png);
        let block = back.exif.unwrap();
        assert!(!block.windows(9).any(|w| w == &THUMBNAIL[..9]));
        // The values of the second directory, which starts at 38: width as SHORT, height as LONG.
        let (width, height) = (&block[48..50], &block[60..64]);
        let expected: ([u8; 2], [u8; 4]) = if big_endian {
            (16u16.to_be_bytes(), 24u32.to_be_bytes())
        } else {
            (16u16.to_le_bytes(), 24u32.to_le_bytes())
        };
        assert_eq!((width, height), (&expected.0[..], &expected.1[..]));
    }
}

#[test]
fn broken_exif_blocks_do_no_harm() {
    let whole = exif(6, false);
    for end in 0..whole.len() {
        let mut picture = Picture::new(pixels(3, 4, 6, Depth::Eight));
        picture.exif = Some(whole[..end].to_vec());
        let back = roundtrip(&picture, Format::Png);
        let turned = back.pixels.dim().2 == 6;
        // The orientation is the first entry, bytes 10 to 22.
        assert_eq!(turned, end >= 22, "cut to {end} bytes");
    }
}

#[test]
fn icc_profiles_are_kept_where_they_fit() {
    for (format, _) in EXTENSIONS {
        let mut picture = Picture::new(pixels(3, 8, 8, Depth::Eight));
        picture.icc = Some(profile(b"RGB "));
        let kept = roundtrip(&picture, format).icc;
        let expected = (format != Format::Bmp).then(|| profile(b"RGB "));
        assert_eq!(kept, expected, "{format}");

        picture.icc = Some(profile(b"GRAY"));
        assert_eq!(roundtrip(&picture, format).icc, None, "{format}");
    }
}

#[test]
fn text_travels_in_png() {
    let mut picture = Picture::new(pixels(1, 3, 3, Depth::Eight));
    picture.set_text("method", "gone");
    picture.set_text("tweedie", "{\"seed\": 7}");
    picture.set_text("method", "DiffPIR, ρ = 0.1\nsecond line");
    let back = roundtrip(&picture, Format::Png);
    assert_eq!(back.text.len(), 2);
    assert_eq!(back.text_of("tweedie"), Some("{\"seed\": 7}"));
    assert_eq!(
        back.text_of("method"),
        Some("DiffPIR, ρ = 0.1\nsecond line")
    );

    for key in ["", " padded ", "line\nbreak", &"long".repeat(20), "ключ"] {
        picture.text = vec![(key.to_owned(), "value".to_owned())];
        let result = encode(&picture, Format::Png, &WriteOptions::default());
        assert!(
            matches!(result, Err(Fault::TextKey(_))),
            "{key:?}: {result:?}"
        );
    }
}

#[test]
fn with_pixels_keeps_what_travels_and_resizes_alpha() {
    let mut picture = Picture::new(pixels(3, 4, 6, Depth::Sixteen));
    picture.depth = Depth::Sixteen;
    picture.icc = Some(profile(b"RGB "));
    picture.alpha = Some(Array2::from_shape_fn(
        (4, 6),
        |(_, j)| if j < 3 { 0.0 } else { 1.0 },
    ));
    let larger = picture.with_pixels(pixels(3, 8, 12, Depth::Sixteen));
    let alpha = larger.alpha.unwrap();
    assert_eq!(alpha.dim(), (8, 12));
    assert_eq!((alpha[(3, 0)], alpha[(3, 11)]), (0.0, 1.0));
    // Bilinear: the two columns at the edge are a quarter of the way from either side.
    assert!((alpha[(3, 5)] - 0.25).abs() < 1e-6 && (alpha[(3, 6)] - 0.75).abs() < 1e-6);
    assert_eq!((larger.depth, larger.icc), (picture.depth, picture.icc));
}

#[test]
fn formats_are_told_by_content_not_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let picture = Picture::new(pixels(3, 8, 8, Depth::Eight));
    let bytes = encode(&picture, Format::WebP, &WriteOptions::default()).unwrap();
    let path = folder.path().join("photo.jpg");
    fs::write(&path, bytes).unwrap();
    assert_eq!(read(&path).unwrap().pixels, picture.pixels);
}

#[test]
fn the_size_limit_is_ours_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let picture = Picture::new(pixels(1, 10, 10, Depth::Eight));
    write(&path, &picture, &WriteOptions::default(), Overwrite::Refuse).unwrap();
    assert!(
        read_with(
            &path,
            &Limits {
                pixels: 100,
                ..Limits::default()
            }
        )
        .is_ok()
    );
    let error = read_with(
        &path,
        &Limits {
            pixels: 99,
            ..Limits::default()
        },
    )
    .unwrap_err();
    assert!(matches!(
        error.fault,
        Fault::TooLarge {
            width: 10,
            height: 10,
            limit: 99
        }
    ));
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_is_overwritten_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let (old, new) = (
        Picture::new(pixels(1, 5, 5, Depth::Eight)),
        Picture::new(pixels(3, 6, 6, Depth::Eight)),
    );
    let options = WriteOptions::default();
    write(&path, &old, &options, Overwrite::Refuse).unwrap();
    let error = write(&path, &new, &options, Overwrite::Refuse).unwrap_err();
    assert!(matches!(error.fault, Fault::Exists), "{error}");
    assert_eq!(read(&path).unwrap().pixels, old.pixels);
    write(&path, &new, &options, Overwrite::Allow).unwrap();
    assert_eq!(read(&path).unwrap().pixels, new.pixels);
    assert_eq!(names_in(folder.path()), ["a.png"]);
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder.png")).unwrap();
    let before = names_in(folder.path());

    let good = Picture::new(pixels(3, 5, 5, Depth::Eight));
    let mut nan = good.clone();
    nan.pixels[(0, 1, 2, 3)] = f32::NAN;
    let mut ragged = good.clone();
    ragged.alpha = Some(alpha(4, 5));
    let two = Picture::new(Image::zeros((1, 2, 5, 5)));
    let none = Picture::new(Image::zeros((1, 3, 0, 5)));
    let long = Picture::new(Image::zeros((1, 1, 1, 16_385)));
    let plain = WriteOptions::default();
    let deep = WriteOptions {
        depth: Some(Depth::Sixteen),
        ..plain
    };
    let poor = WriteOptions {
        quality: 0,
        ..plain
    };
    type Case<'a> = (&'a str, &'a Picture, WriteOptions, fn(&Fault) -> bool);
    let cases: Vec<Case<'_>> = vec![
        (
            "a.gif",
            &good,
            plain,
            |f| matches!(f, Fault::Extension { extension: Some(e) } if e == "gif"),
        ),
        ("a", &good, plain, |f| {
            matches!(f, Fault::Extension { extension: None })
        }),
        ("none/a.png", &good, plain, |f| {
            matches!(f, Fault::NoFolder(_))
        }),
        ("folder.png", &good, plain, |f| matches!(f, Fault::Folder)),
        ("a.png", &nan, plain, |f| matches!(f, Fault::NotFinite(1))),
        ("a.png", &ragged, plain, |f| {
            matches!(f, Fault::Alpha { .. })
        }),
        ("a.png", &two, plain, |f| matches!(f, Fault::Shape(_))),
        ("a.png", &none, plain, |f| {
            matches!(f, Fault::NoPixels { .. })
        }),
        ("a.webp", &long, plain, |f| {
            matches!(f, Fault::TooLargeFor { most: 16_384, .. })
        }),
        ("a.jpg", &good, deep, |f| {
            matches!(f, Fault::TooDeep(Format::Jpeg))
        }),
        ("a.jpg", &good, poor, |f| matches!(f, Fault::Quality(0))),
    ];
    for (name, picture, options, expected) in cases {
        let error = write(at(name), picture, &options, Overwrite::Allow).unwrap_err();
        assert!(expected(&error.fault), "{name}: {error}");
        assert_one_line(&error.to_string(), &at(name));
        assert_eq!(names_in(folder.path()), before, "{name}");
    }
}

/// What stands in the way of a file is known before there is a picture, and asking leaves nothing behind.
#[test]
fn outputs_are_checked_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder.png")).unwrap();
    fs::write(at("old.png"), b"old").unwrap();
    let before = names_in(folder.path());
    let plain = WriteOptions::default();
    let deep = WriteOptions {
        depth: Some(Depth::Sixteen),
        ..plain
    };
    let check = |name: &str, options: &WriteOptions, overwrite| {
        let result = check_write(at(name), options, overwrite);
        assert_eq!(names_in(folder.path()), before, "{name}");
        result.map_err(|e| e.fault)
    };
    use Overwrite::{Allow, Refuse};
    assert_eq!(check("new.tif", &deep, Refuse).unwrap(), Format::Tiff);
    assert_eq!(check("old.png", &plain, Allow).unwrap(), Format::Png);
    assert!(matches!(
        check("old.png", &plain, Refuse),
        Err(Fault::Exists)
    ));
    assert!(matches!(
        check("a.bmp", &deep, Allow),
        Err(Fault::TooDeep(Format::Bmp))
    ));
    assert!(matches!(
        check("a.gif", &plain, Allow),
        Err(Fault::Extension { .. })
    ));
    assert!(matches!(
        check("folder.png", &plain, Refuse),
        Err(Fault::Folder)
    ));
    assert!(matches!(
        check("none/a.png", &plain, Allow),
        Err(Fault::NoFolder(_))
    ));

    let wide = tweedie::Dims::new(3, 1, 16_385);
    let fault = Format::WebP.check_size(wide).unwrap_err();
    assert!(
        matches!(fault, Fault::TooLargeFor { width: 16_385, .. }),
        "{fault}"
    );
    assert!(Format::Jpeg.check_size(wide).is_ok());
}

#[cfg(unix)]
#[test]
fn names_of_dead_links_and_closed_folders_are_found_taken() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.png");
    symlink("nothing", &link).unwrap();
    let fault = check_write_bytes(&link, Overwrite::Refuse)
        .unwrap_err()
        .fault;
    assert!(matches!(fault, Fault::Exists), "{fault}");

    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let path = folder.path().join("a.png");
    let checked = check_write_bytes(&path, Overwrite::Refuse);
    // The superuser may write all the same.
    match fs::write(&path, b"") {
        Err(_) => {
            let fault = checked.unwrap_err().fault;
            assert!(matches!(fault, Fault::Permission("write")), "{fault}");
        }
        Ok(()) => checked.unwrap(),
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_new_file_has_usual_permissions_and_links_are_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    let picture = Picture::new(pixels(1, 5, 5, Depth::Eight));
    let options = WriteOptions::default();

    fs::write(at("plain"), b"").unwrap();
    write(at("new.png"), &picture, &options, Overwrite::Refuse).unwrap();
    assert_eq!(mode("new.png"), mode("plain"));

    fs::set_permissions(at("new.png"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink(at("new.png"), at("link.png")).unwrap();
    let other = Picture::new(pixels(3, 5, 5, Depth::Eight));
    write(at("link.png"), &other, &options, Overwrite::Allow).unwrap();
    assert!(at("link.png").is_symlink());
    assert_eq!(mode("new.png"), 0o640);
    assert_eq!(read(at("new.png")).unwrap().pixels, other.pixels);
}

/// An error is one line that names the file.
fn assert_one_line(message: &str, path: &Path) {
    assert!(
        message.starts_with(&path.display().to_string()),
        "{message}"
    );
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn hostile_files_are_refused_as_their_folder_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files = 0;
    for folder in fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()) {
        if !folder.is_dir() {
            continue;
        }
        let kind = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for path in fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
            let error = match read(&path) {
                Ok(picture) => panic!("{} was read: {}", path.display(), picture.dims()),
                Err(error) => error,
            };
            let as_expected = match kind.as_str() {
                "no-bytes" => matches!(error.fault, Fault::NoBytes),
                "unknown" => matches!(error.fault, Fault::Unknown { .. }),
                "damaged" => matches!(error.fault, Fault::Damaged { .. }),
                "too-large" => matches!(error.fault, Fault::TooLarge { .. }),
                "unsupported" => matches!(error.fault, Fault::Unsupported { .. }),
                "camera-raw" => matches!(error.fault, Fault::CameraRaw),
                "range" => matches!(error.fault, Fault::Range { .. }),
                "not-finite" => matches!(error.fault, Fault::NotFinite(_)),
                _ => panic!("no fault is called {kind}"),
            };
            assert!(as_expected, "{error} ({:?})", error.fault);
            assert_one_line(&error.to_string(), &path);
            println!("{}", error.to_string().replace(root.to_str().unwrap(), ""));
            files += 1;
        }
    }
    assert!(files >= 44, "only {files} files in {}", root.display());
}

#[test]
fn missing_files_and_folders_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no.png");
    let error = read(&missing).unwrap_err();
    assert!(matches!(error.fault, Fault::Missing), "{error}");
    assert_one_line(&error.to_string(), &missing);
    let error = read(folder.path()).unwrap_err();
    assert!(matches!(error.fault, Fault::Folder), "{error}");
}

#[cfg(unix)]
#[test]
fn files_without_permission_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    fs::write(&path, b"\x89PNG").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let fault = read(&path).unwrap_err().fault;
    // The superuser may read it all the same, and finds it cut short.
    match fs::File::open(&path) {
        Err(_) => assert!(matches!(fault, Fault::Permission("read")), "{fault}"),
        Ok(_) => assert!(matches!(fault, Fault::Unknown { .. }), "{fault}"),
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_still_whole() {
    for (format, _) in EXTENSIONS {
        let mut picture = Picture::new(pixels(3, 9, 11, Depth::Eight));
        picture.exif = Some(exif(1, true));
        let bytes = encode(&picture, format, &WriteOptions::default()).unwrap();
        let whole = decode(&bytes, &Limits::default()).unwrap();
        for end in 0..bytes.len() {
            if let Ok(cut) = decode(&bytes[..end], &Limits::default()) {
                assert_eq!(
                    cut.pixels,
                    whole.pixels,
                    "{format} cut to {end} of {}",
                    bytes.len()
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn flipped_bytes_give_a_picture_or_an_error(
        format in prop::sample::select(Format::ALL.to_vec()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut picture = Picture::new(pixels(3, 9, 11, Depth::Eight));
        picture.exif = Some(exif(6, true));
        picture.icc = Some(profile(b"RGB "));
        let mut bytes = encode(&picture, format, &WriteOptions::default()).unwrap();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(back) = decode(&bytes, &Limits { pixels: 10_000, ..Limits::default() }) {
            prop_assert!(back.pixels.iter().all(|v| (0.0..=1.0).contains(v)));
            // What was read can be written.
            prop_assert!(encode(&back, Format::Png, &WriteOptions::default()).is_ok());
        }
    }
}

/// Tables K.1 and K.2 of ITU T.81, as far as two rows.
const ANNEX_K: [[u16; 16]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    ],
];

/// The file that another program wrote: tests/good says by its name how.
fn good(name: &str) -> Picture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    read(folder.join(name)).unwrap()
}

#[test]
fn a_jpeg_tells_how_coarsely_it_is_stored() {
    for (quality, percent) in [(50, 100), (75, 50)] {
        let options = WriteOptions {
            quality,
            ..WriteOptions::default()
        };
        for c in [1, 3] {
            let picture = Picture::new(pixels(c, 16, 24, Depth::Eight));
            let bytes = encode(&picture, Format::Jpeg, &options).unwrap();
            let back = decode(&bytes, &Limits::default()).unwrap();
            assert_eq!(back.with_pixels(back.pixels.clone()).jpeg, None);
            let jpeg = back.jpeg.unwrap();
            assert_eq!(jpeg.components.len(), c);
            for (k, component) in jpeg.components.iter().enumerate() {
                // How libjpeg scales them.
                let expected = ANNEX_K[k.min(1)].map(|q| (q * percent + 50) / 100);
                assert_eq!(component.steps[..16], expected, "quality {quality}, {k}");
                assert_eq!(component.sampling, (1, 1));
            }
            let expected = [Transform::Grey, Transform::YCbCr][c / 2];
            assert_eq!(jpeg.transform, expected);
            // As closely as whole steps tell.
            let told = jpeg.quality().unwrap();
            assert!((told - f64::from(quality)).abs() < 2.0, "{told}");
        }
    }
    assert_eq!(
        roundtrip(&good("libjpeg-q75-420.jpg"), Format::Png).jpeg,
        None
    );
}

#[test]
fn tables_and_sampling_turn_with_the_picture() {
    let upright = good("libjpeg-q75-420.jpg").jpeg.unwrap();
    let turned = good("libjpeg-q75-422-turned.jpg").jpeg.unwrap();
    let sampling = |jpeg: &tweedie::image::Jpeg| -> Vec<_> {
        jpeg.components.iter().map(|c| c.sampling).collect()
    };
    assert_eq!(sampling(&upright), [(2, 2), (1, 1), (1, 1)]);
    assert_eq!(sampling(&turned), [(1, 2), (1, 1), (1, 1)]);
    for (a, b) in upright.components.iter().zip(&turned.components) {
        for (i, step) in a.steps.iter().enumerate() {
            assert_eq!(b.steps[8 * (i % 8) + i / 8], *step);
        }
    }
    // Table K.1 is not symmetric.
    assert_eq!(upright.components[0].steps[..3], [8, 6, 5]);
    assert_eq!(turned.components[0].steps[..3], [8, 6, 7]);
}

/// A file with nothing missing but its end marker is read, and that is said; one with less is refused.
#[test]
fn a_jpeg_without_an_end_marker_is_read() {
    for name in ["libjpeg-q75-420.jpg", "libjpeg-progressive.jpg"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
        let bytes = fs::read(folder.join(name)).unwrap();
        let whole = decode(&bytes, &Limits::default()).unwrap();
        assert_eq!(whole.notes, [""; 0]);
        for missing in 1..=2 {
            let cut = &bytes[..bytes.len() - missing];
            let picture = decode(cut, &Limits::default()).unwrap();
            assert_eq!(picture.pixels, whole.pixels, "{name}");
            assert!(picture.notes[0].contains("end marker"), "{picture:?}");
        }
        for end in 0..bytes.len() - 2 {
            if let Ok(cut) = decode(&bytes[..end], &Limits::default()) {
                assert_eq!(cut.pixels, whole.pixels, "{name} cut to {end}");
            }
        }
    }
}

#[test]
fn inks_are_converted_with_a_note() {
    // Cyan; magenta with a fifth of black; yellow; four fifths of black.
    let inks: [[u8; 4]; 4] = [
        [255, 0, 0, 0],
        [0, 255, 0, 51],
        [0, 0, 255, 0],
        [0, 0, 0, 204],
    ];
    let expected = [
        [0.0, 1.0, 1.0],
        [0.8, 0.0, 0.8],
        [1.0, 1.0, 0.0],
        [0.2, 0.2, 0.2],
    ];
    let mut file = std::io::Cursor::new(Vec::new());
    tiff::encoder::TiffEncoder::new(&mut file)
        .unwrap()
        .write_image::<tiff::encoder::colortype::CMYK8>(2, 2, inks.as_flattened())
        .unwrap();
    let tiff = decode(file.get_ref(), &Limits::default()).unwrap();
    let jpeg = good("adobe-cmyk.jpg");
    assert_eq!(jpeg.jpeg.as_ref().unwrap().transform, Transform::Cmyk);
    for (picture, step, tolerance) in [(tiff, 1, 1e-6), (jpeg, 8, 0.01)] {
        for (k, expected) in expected.iter().enumerate() {
            for (c, v) in expected.iter().enumerate() {
                let found = picture.pixels[(0, c, k / 2 * step, k % 2 * step)];
                assert!((found - v).abs() <= tolerance, "patch {k}, {c}: {found}");
            }
        }
        assert!(picture.notes[0].contains("approximate"), "{picture:?}");
    }
}

fn tiff_of<C: tiff::encoder::colortype::ColorType>(samples: &[C::Inner]) -> Result<Picture, Fault>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut file = std::io::Cursor::new(Vec::new());
    tiff::encoder::TiffEncoder::new(&mut file)
        .unwrap()
        .write_image::<C>(2, 1, samples)
        .unwrap();
    decode(file.get_ref(), &Limits::default())
}

#[test]
fn tiff_numbers_of_all_kinds_are_read() {
    use tiff::encoder::colortype::{
        Gray32, Gray32Float, Gray64Float, GrayI8, GrayI16, GrayI32, RGB32Float, RGB64Float,
    };
    let pictures = [
        tiff_of::<Gray32Float>(&[0.25, 1.0]),
        tiff_of::<Gray64Float>(&[0.25, 1.0]),
        tiff_of::<RGB32Float>(&[0.25, 0.5, 0.75, 1.0, 0.0, 0.5]),
        tiff_of::<RGB64Float>(&[0.25, 0.5, 0.75, 1.0, 0.0, 0.5]),
        tiff_of::<Gray32>(&[1 << 30, u32::MAX]),
        tiff_of::<GrayI32>(&[1 << 29, i32::MAX]),
        tiff_of::<GrayI16>(&[8192, i16::MAX]),
        tiff_of::<GrayI8>(&[32, i8::MAX]),
    ];
    for (i, picture) in pictures.into_iter().enumerate() {
        let picture = picture.unwrap();
        let (first, last) = (picture.pixels[(0, 0, 0, 0)], picture.pixels[(0, 0, 0, 1)]);
        // Of 7 bits a quarter is not quite one.
        let tolerance = if i == 7 { 0.003 } else { 1e-4 };
        assert!(
            (first - 0.25).abs() < tolerance && last == 1.0,
            "{picture:?}"
        );
        assert_eq!(picture.notes.len(), 1, "{picture:?}");
        assert_eq!(picture.depth == Depth::Eight, i == 7);
    }
    let refused = [
        (tiff_of::<Gray32>(&[0, 4095]), "end at 4095"),
        (tiff_of::<GrayI16>(&[0, 255]), "end at 255"),
        (tiff_of::<GrayI16>(&[-1, 255]), "down to -1"),
        (tiff_of::<Gray32Float>(&[0.0, 1.5]), "scale them"),
    ];
    for (result, words) in refused {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

/// A little-endian TIFF of one strip of 8-byte-aligned `data`, with these entries `(tag, values)`, SHORTs but for the strip.
fn raw_tiff(data: &[u8; 8], entries: &[(u16, &[u16])], next: u32) -> Vec<u8> {
    let mut all = entries.to_vec();
    all.extend([(273, &[8, 0][..]), (279, &[8, 0][..])]);
    all.sort_by_key(|e| e.0);
    let (mut table, mut values) = (Vec::new(), Vec::new());
    let values_at = 16 + 2 + 12 * all.len() + 4;
    for (tag, numbers) in all {
        let is_long = tag == 273 || tag == 279;
        table.extend(
            [tag, if is_long { 4 } else { 3 }]
                .map(u16::to_le_bytes)
                .as_flattened(),
        );
        let count = if is_long { 1 } else { numbers.len() as u32 };
        table.extend(count.to_le_bytes());
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        if bytes.len() > 4 {
            table.extend(((values_at + values.len()) as u32).to_le_bytes());
            values.extend(bytes);
        } else {
            table.extend([&bytes[..], &[0; 4]].concat()[..4].iter());
        }
    }
    let count = (table.len() as u16 / 12).to_le_bytes();
    let head = b"II*\0\x10\0\0\0";
    [
        head,
        &data[..],
        &count,
        &table,
        &next.to_le_bytes(),
        &values,
    ]
    .concat()
}

#[test]
fn palettes_and_few_bits_are_read() {
    let read = |data, bits, kind, more: &[(u16, &[u16])]| {
        let size = [(256, &[3][..]), (257, &[2]), (258, bits), (262, kind)];
        let picture = decode(
            &raw_tiff(data, &[&size[..], more].concat(), 0),
            &Limits::default(),
        );
        let pixels = picture.unwrap().pixels.mapv(|v| (v * 255.0).round());
        pixels.into_raw_vec_and_offset().0
    };
    // Rows of 3 begin with a byte.
    let one = [0b1010_0000, 0b0110_0000, 0, 0, 0, 0, 0, 0];
    let black_and_white = [255.0, 0.0, 255.0, 0.0, 255.0, 255.0];
    assert_eq!(read(&one, &[1], &[1], &[]), black_and_white);
    let inverted = black_and_white.map(|v| 255.0 - v);
    assert_eq!(read(&one, &[1], &[0], &[]), inverted);
    let four = [0x0F, 0x50, 0xA1, 0x20, 0, 0, 0, 0];
    let expected = [0.0, 255.0, 85.0, 170.0, 17.0, 34.0];
    assert_eq!(read(&four, &[4], &[1], &[]), expected);
    // A palette of 4 colours, 16 bits each: reds, greens, blues.
    let two = [0b0001_1000, 0b1101_0000, 0, 0, 0, 0, 0, 0];
    let map = [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11].map(|v| v * 257);
    let expected = [0, 1, 2, 3, 1, 0, 0, 5, 6, 7, 5, 0, 0, 9, 10, 11, 9, 0];
    // Indices 0 1 2, 3 1 0.
    let expected = expected.map(|v| v as f32);
    assert_eq!(read(&two, &[2], &[3], &[(320, &map)]), expected);
    // One that took 8 bits.
    let map = map.map(|v| v / 257);
    assert_eq!(read(&two, &[2], &[3], &[(320, &map)]), expected);
}

#[test]
fn colours_that_were_multiplied_by_alpha_are_divided_again() {
    let rgba = |associated| {
        let entries: [(u16, &[u16]); 6] = [
            (256, &[2]),
            (257, &[1]),
            (258, &[8, 8, 8, 8]),
            (262, &[2]),
            (277, &[4]),
            (338, associated),
        ];
        let data = [60, 30, 0, 128, 0, 0, 0, 0];
        decode(&raw_tiff(&data, &entries, 0), &Limits::default()).unwrap()
    };
    let (plain, divided) = (rgba(&[2]), rgba(&[1]));
    assert_eq!(plain.pixels[(0, 0, 0, 0)], 60.0 / 255.0);
    assert!((divided.pixels[(0, 0, 0, 0)] - 60.0 / 128.0).abs() < 1e-6);
    assert!((divided.pixels[(0, 1, 0, 0)] - 30.0 / 128.0).abs() < 1e-6);
    assert_eq!(divided.pixels[(0, 0, 0, 1)], 0.0);
    assert_eq!(divided.alpha, plain.alpha);
}

#[test]
fn further_pages_and_frames_are_told_of() {
    let pages = |kinds: &[u32]| {
        let mut file = std::io::Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
        for (i, &kind) in kinds.iter().enumerate() {
            let mut image = encoder
                .new_image::<tiff::encoder::colortype::Gray8>(1, 1)
                .unwrap();
            let tag = tiff::tags::Tag::NewSubfileType;
            image.encoder().write_tag(tag, kind).unwrap();
            image.write_data(&[i as u8]).unwrap();
        }
        decode(file.get_ref(), &Limits::default()).unwrap()
    };
    let book = pages(&[2, 2, 2]);
    assert_eq!(book.notes, ["1 of 3 pages is read, the first"]);
    assert_eq!(book.pixels[(0, 0, 0, 0)], 0.0);
    // A smaller copy and a mask are no pages.
    assert_eq!(pages(&[0, 1, 4]).notes, [""; 0]);

    let frames = "an animation: 1 of 3 frames is read, the first";
    let webp = good("three-frames.webp");
    assert_eq!(webp.notes, [frames]);
    assert_eq!(webp.pixels[(0, 0, 0, 0)], 50.0 / 255.0);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1, 1);
    encoder.set_animated(3, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for frame in 0..3 {
        writer.write_image_data(&[frame]).unwrap();
    }
    writer.finish().unwrap();
    let png = decode(&file, &Limits::default()).unwrap();
    assert_eq!(png.notes, [frames]);
}

/// A PNG of one grey pixel with further chunks.
fn png_with(chunks: &[(&[u8; 4], &[u8])]) -> Picture {
    let mut file = Vec::new();
    let encoder = png::Encoder::new(&mut file, 1, 1);
    let mut writer = encoder.write_header().unwrap();
    for (name, data) in chunks {
        writer
            .write_chunk(png::chunk::ChunkType(**name), data)
            .unwrap();
    }
    writer.write_image_data(&[7]).unwrap();
    writer.finish().unwrap();
    decode(&file, &Limits::default()).unwrap()
}

#[test]
fn what_a_png_says_of_its_colours_is_kept_or_told_of() {
    let chromaticities = |numbers: [u32; 8]| numbers.map(u32::to_be_bytes).concat();
    let srgb = chromaticities([31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000]);
    let adobe = chromaticities([31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000]);
    let (linear, usual) = (100_000u32.to_be_bytes(), 45_455u32.to_be_bytes());
    let kinds: [(&[u8; 4], &[u8], bool); 8] = [
        (b"gAMA", &linear, true),
        (b"gAMA", &usual, false),
        (b"cHRM", &adobe, true),
        (b"cHRM", &srgb, false),
        (b"sRGB", &[1], false),
        (b"cICP", &[9, 16, 0, 1], true),
        (b"mDCV", &[1; 24], false),
        (b"cLLI", &[2; 8], false),
    ];
    for (name, data, told) in kinds {
        let picture = png_with(&[(name, data)]);
        let bytes = encode(&picture, Format::Png, &WriteOptions::default()).unwrap();
        let at = bytes.windows(4).position(|w| w == name).unwrap();
        assert_eq!(&bytes[at + 4..at + 4 + data.len()], data);
        let end = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
        assert!(at < end);
        let back = decode(&bytes, &Limits::default()).unwrap();
        assert_eq!(back.png_color, picture.png_color);
        let lost = losses(&picture, Format::Tiff, &WriteOptions::default());
        assert_eq!(lost.len(), usize::from(told), "{name:?}: {lost:?}");
        assert_eq!(losses(&picture, Format::Png, &Default::default()), [""; 0]);
    }
}

#[test]
fn resolution_is_kept_in_all_formats_but_webp() {
    let of = |across, down, absolute| {
        let mut picture = Picture::new(pixels(1, 3, 3, Depth::Eight));
        picture.resolution = Some(Resolution {
            across,
            down,
            absolute,
        });
        picture
    };
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-4;
    for format in [Format::Png, Format::Jpeg, Format::Tiff, Format::Bmp] {
        let back = roundtrip(&of(300.0, 200.0, true), format);
        let back = roundtrip(&back.with_pixels(pixels(1, 6, 6, Depth::Eight)), format);
        let found = back.resolution.unwrap();
        let same = close(found.across, 300.0) && close(found.down, 200.0);
        assert!(same && found.absolute, "{format}: {found:?}");
        assert_eq!(losses(&back, format, &Default::default()), [""; 0]);
        // Pixels that are not square.
        let back = roundtrip(&of(16.0, 15.0, false), format).resolution;
        match back {
            Some(found) => assert!(close(found.across / found.down, 16.0 / 15.0)),
            None => assert_eq!(format, Format::Bmp),
        }
    }
    let lost = losses(&of(300.0, 200.0, true), Format::WebP, &Default::default());
    assert!(
        lost.len() == 1 && lost[0].contains("resolution"),
        "{lost:?}"
    );
    let fine = roundtrip(&of(72.5, 1200.25, true), Format::Tiff);
    assert_eq!(fine.resolution, of(72.5, 1200.25, true).resolution);
    assert_eq!(
        roundtrip(&of(1.0, 1.0, false), Format::Png).resolution,
        None
    );
}

#[test]
fn a_description_is_kept_by_png_and_tiff() {
    let mut picture = Picture::new(pixels(1, 3, 3, Depth::Eight));
    picture.set_text("Description", "a cat");
    picture.set_text("Author", "its owner");
    let back = roundtrip(&roundtrip(&picture, Format::Tiff), Format::Png);
    assert_eq!(back.text, picture.text);
    picture.set_text("Copyright", "© nobody");
    picture.set_text("tweedie", "{}");
    let lost = losses(&picture, Format::Tiff, &Default::default());
    assert_eq!(
        lost,
        ["text is left out: TIFF has no place for Copyright, tweedie"]
    );
    assert_eq!(roundtrip(&picture, Format::Tiff).text, back.text);
    // Those of arrays would not fit another picture.
    picture.set_text("Description", "{\"shape\": [3, 3]}");
    assert_eq!(
        roundtrip(&picture, Format::Tiff).text_of("Description"),
        None
    );
}

/// What is not kept is told, of a PNG and of a JPEG.
#[test]
fn that_xmp_is_left_out_is_said() {
    let png = png_with(&[(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>")]);
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>";
    let mut jpeg = fs::read("tests/good/rough-444.jpg").unwrap();
    let length = (xmp.len() as u16 + 2).to_be_bytes();
    let segment = [&[0xFF, 0xE1], &length[..], xmp].concat();
    jpeg.splice(2..2, segment);
    let jpeg = decode(&jpeg, &Limits::default()).unwrap();
    for picture in [png, jpeg] {
        assert_eq!(picture.notes.len(), 1, "{:?}", picture.notes);
        assert!(picture.notes[0].contains("XMP"), "{:?}", picture.notes);
    }
}

#[test]
fn odd_keys_of_a_png_are_no_reason_to_fail() {
    let picture = png_with(&[
        (b"tEXt", b"Comment \0a note"),
        (b"tEXt", b"\x01\0lost"),
        (b"tEXt", b"Title\0kept"),
    ]);
    assert_eq!(picture.notes.len(), 2, "{:?}", picture.notes);
    let back = roundtrip(&picture, Format::Png);
    assert_eq!(back.notes, [""; 0]);
    assert_eq!(back.text_of("Comment"), Some("a note"));
    assert_eq!(back.text_of("Title"), Some("kept"));
    assert_eq!(back.text.len(), 2);
}

#[test]
fn names_follow_the_format() {
    for (input, format, expected) in [
        ("a/photo.jpg", Format::Jpeg, "photo.x.jpg"),
        ("photo.JPEG", Format::Jpeg, "photo.x.JPEG"),
        ("photo.jfif", Format::Jpeg, "photo.x.jfif"),
        ("photo.jpe", Format::Jpeg, "photo.x.jpe"),
        ("photo.dib", Format::Bmp, "photo.x.dib"),
        ("photo.tiff", Format::Tiff, "photo.x.tiff"),
        ("really_png.jpg", Format::Png, "really_png.x.png"),
        ("scan.2024.05", Format::Tiff, "scan.2024.05.x.tif"),
        ("noname", Format::WebP, "noname.x.webp"),
        ("photo.gif", Format::Png, "photo.gif.x.png"),
    ] {
        let name = result_name(Path::new(input), Some("x"), format);
        assert_eq!(name, expected);
        assert_eq!(Format::from_path(Path::new(&name)).unwrap(), format);
        let plain = result_name(Path::new(input), None, format);
        assert_eq!(plain, *expected.replace(".x.", "."));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9.png"));
        let name = result_name(odd, Some("x"), Format::Png);
        assert_eq!(name.as_bytes(), b"caf\xe9.x.png");
    }
}

#[test]
fn a_name_that_lies_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut picture = Picture::new(pixels(3, 4, 4, Depth::Sixteen));
    picture.alpha = Some(alpha(4, 4));
    picture.depth = Depth::Sixteen;
    let bytes = encode(&picture, Format::Png, &WriteOptions::default()).unwrap();
    for (name, notes) in [("a.jpg", 1), ("a.png", 0), ("a.1", 0)] {
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(format_of(&path).unwrap(), Format::Png);
        let read = read(&path).unwrap();
        assert_eq!((read.format, read.notes.len()), (Some(Format::Png), notes));
    }
    let lost = losses(&picture, Format::Jpeg, &WriteOptions::default());
    let [over_white, bits] = lost.as_slice() else {
        panic!("{lost:?}");
    };
    assert!(
        over_white.contains("white") && bits.contains("8 bits"),
        "{lost:?}"
    );
}

#[test]
fn what_a_format_does_not_hold_is_told_of() {
    let mut picture = Picture::new(pixels(3, 4, 4, Depth::Eight));
    picture.exif = Some(exif(1, false));
    picture.icc = Some(profile(b"RGB "));
    let lost = |format| losses(&picture, format, &WriteOptions::default()).join("; ");
    for format in [Format::Png, Format::Jpeg, Format::WebP] {
        assert_eq!(lost(format), "");
    }
    assert!(lost(Format::Tiff).contains("EXIF") && !lost(Format::Tiff).contains("profile"));
    assert!(lost(Format::Bmp).contains("EXIF") && lost(Format::Bmp).contains("profile"));
    picture.icc = Some(profile(b"GRAY"));
    let lost = losses(&picture, Format::Png, &WriteOptions::default());
    assert!(lost[0].contains("number of channels"), "{lost:?}");
    // A transparency that hides nothing is none.
    picture.alpha = Some(Array2::ones((4, 4)));
    picture.icc = None;
    assert_eq!(losses(&picture, Format::Jpeg, &Default::default()), [""; 0]);
}

/// The picture in three channels.
fn in_three(picture: &Picture) -> Picture {
    let Picture { pixels, .. } = picture;
    let (_, _, h, w) = pixels.dim();
    picture.with_pixels(pixels.broadcast((1, 3, h, w)).unwrap().to_owned())
}

#[test]
fn three_equal_channels_are_one_and_become_three_again() {
    let grey = Picture::new(pixels(1, 9, 14, Depth::Eight));
    let mut three = in_three(&grey);
    three.icc = Some(profile(b"RGB "));
    for (format, _) in EXTENSIONS {
        let back = roundtrip(&three, format);
        assert!(back.grey_as_rgb, "{format}");
        assert_eq!(back.dims().c, 1, "{format}");
        // The file is one of three channels again, with the profile for them.
        let bytes = encode(&back, Format::Png, &WriteOptions::default()).unwrap();
        assert_eq!(bytes[25], 2, "{format}: the colour type is RGB");
        let kept = decode(&bytes, &Limits::default()).unwrap();
        assert_eq!((&kept.pixels, kept.grey_as_rgb), (&back.pixels, true));
        assert_eq!(kept.icc.is_some(), format != Format::Bmp);
        assert_eq!(back.with_file_channels().dims().c, 3);
    }
    assert_eq!(roundtrip(&three, Format::Png).pixels, grey.pixels);
    let mut tinted = three.clone();
    tinted.pixels[(0, 1, 4, 4)] += 1.0 / 255.0;
    assert_eq!(roundtrip(&tinted, Format::Png).pixels, tinted.pixels);
    // Unless the tint cannot be seen.
    tinted.alpha = Some(Array2::from_shape_fn((9, 14), |at| {
        if at == (4, 4) { 0.0 } else { 1.0 }
    }));
    assert_eq!(roundtrip(&tinted, Format::Png).pixels, grey.pixels);
    let deep = in_three(&Picture::new(pixels(1, 4, 4, Depth::Sixteen)));
    let deep = Picture {
        depth: Depth::Sixteen,
        ..deep
    };
    assert_eq!(roundtrip(&deep, Format::Tiff).dims().c, 1);
}

#[test]
fn a_jpeg_whose_colours_are_rounding_is_grey() {
    let mut nearly = in_three(&Picture::new(pixels(1, 16, 16, Depth::Eight)));
    // A blue that JPEG keeps as a difference of one step.
    nearly
        .pixels
        .slice_mut(ndarray::s![0, 2, .., ..])
        .mapv_inplace(|v| v + 2.0 / 255.0);
    let fine = WriteOptions {
        quality: 100,
        ..WriteOptions::default()
    };
    let bytes = encode(&nearly, Format::Jpeg, &fine).unwrap();
    let back = decode(&bytes, &Limits::default()).unwrap();
    assert!(
        back.grey_as_rgb && back.notes.len() == 1,
        "{:?}",
        back.notes
    );
    let grey = nearly.pixels.slice(ndarray::s![.., ..1, .., ..]).to_owned();
    assert!(largest_difference(&back.pixels, &grey) < 1.6 / 255.0);
    // Lossy WebP is alike.
    let webp = good("grey-lossy.webp");
    assert!(webp.grey_as_rgb && webp.dims().c == 1);
    // The same in a PNG is a tint that someone meant.
    assert_eq!(roundtrip(&nearly, Format::Png).dims().c, 3);
    nearly
        .pixels
        .slice_mut(ndarray::s![0, 2, .., ..])
        .mapv_inplace(|v| v + 8.0 / 255.0);
    let bytes = encode(&nearly, Format::Jpeg, &fine).unwrap();
    assert_eq!(decode(&bytes, &Limits::default()).unwrap().dims().c, 3);
}

#[test]
fn hidden_colours_come_from_visible_neighbours() {
    // A disc of a slow gradient, half transparent at its rim, on black or on white that is hidden.
    let (h, w) = (21, 30);
    let radius = |i: usize, j: usize| (i as f32 - 10.0).hypot(j as f32 - 12.0);
    let alpha = Array2::from_shape_fn((h, w), |(i, j)| match radius(i, j) {
        r if r < 6.0 => 1.0,
        r if r < 7.0 => 0.5,
        _ => 0.0,
    });
    let on = |hidden: f32| {
        let mut picture = Picture::new(Array4::from_shape_fn((1, 3, h, w), |(_, c, i, j)| {
            let visible = 0.3 + 0.1 * c as f32 + 0.005 * (i + j) as f32;
            if radius(i, j) < 7.0 { visible } else { hidden }
        }));
        picture.alpha = Some(alpha.clone());
        picture
    };
    let (black, white) = (on(0.0), on(1.0));
    let filled = black.hidden_filled();
    assert_eq!(filled.pixels, white.hidden_filled().pixels);
    assert_eq!(filled.alpha, black.alpha);
    for ((_, c, i, j), &v) in filled.pixels.indexed_iter() {
        if alpha[(i, j)] > 0.0 {
            assert_eq!(v, black.pixels[(0, c, i, j)]);
            continue;
        }
        // Within what is visible, and next to it close to it.
        let low = 0.3 + 0.1 * c as f32;
        assert!(v > low + 0.04 && v < low + 0.2, "{c} {i} {j}: {v}");
        let expected = low + 0.005 * (i + j) as f32;
        assert!(radius(i, j) > 8.0 || (v - expected).abs() < 0.03, "{v}");
    }
    let mut nothing = white.clone();
    nothing.alpha = Some(Array2::zeros((h, w)));
    assert_eq!(nothing.hidden_filled().pixels, white.pixels);
    nothing.alpha = None;
    assert_eq!(nothing.hidden_filled().pixels, white.pixels);
}

#[test]
fn a_grid_places_every_picture() {
    let a = Image::from_elem((2, 1, 3, 4), 0.25);
    let b = Image::from_elem((1, 3, 5, 2), 0.5);
    let sheet = grid(&[a, b], 2).unwrap();
    // Cells of 5 by 4, a gap of 2.
    assert_eq!(sheet.dim(), (1, 3, 12, 10));
    assert_eq!(sheet[(0, 2, 1, 0)], 0.25);
    assert_eq!(sheet[(0, 0, 3, 9)], 0.25);
    assert_eq!(sheet[(0, 0, 0, 0)], 1.0, "above the first, smaller picture");
    assert_eq!(sheet[(0, 1, 2, 5)], 1.0, "in the gap");
    assert_eq!((sheet[(0, 1, 7, 1)], sheet[(0, 1, 11, 2)]), (0.5, 0.5));
    assert_eq!(sheet[(0, 1, 9, 8)], 1.0, "the empty cell");
    let ones = sheet.iter().filter(|&&v| v == 1.0).count();
    assert_eq!(ones, 3 * (12 * 10 - 2 * 12 - 10));

    assert!(matches!(grid(&[], 2), Err(Fault::EmptyGrid)));
    assert!(matches!(
        grid(&[Image::zeros((1, 2, 3, 3))], 1),
        Err(Fault::Shape(_))
    ));
}

#[test]
fn the_example_photographs_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/photos");
    for name in ["astronaut", "chelsea", "coffee", "rocket"] {
        let path: PathBuf = folder.join(name).with_extension("png");
        let picture = read(&path).unwrap();
        assert_eq!(picture.pixels.dim(), (1, 3, 256, 256));
        assert!(fs::metadata(&path).unwrap().len() < 200_000);
    }
}
