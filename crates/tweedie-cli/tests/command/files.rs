//! The built command and what its files hold beside pixels: greys, transparency, names, warnings.

use ndarray::{Array2, s};
use tweedie::Image;
use tweedie::image::{self, Depth, Format, Picture, WriteOptions};

use crate::place::{Place, photo};

/// A 40x48 part of a photograph.
fn part() -> Image {
    photo(60..100, 120..168)
}

/// A grey picture in a file of three channels is restored as one channel, and written as three.
#[test]
fn greys_in_three_channels_stay_grey() {
    let p = Place::empty();
    let grey = part().slice(s![.., 1..2, .., ..]).to_owned();
    let three = grey.broadcast((1, 3, 40, 48)).unwrap().to_owned();
    p.save("grey.png", &Picture::new(grey));
    p.save("three.png", &Picture::new(three));
    let line = "--kernel gaussian:1.6 --noise 0.02 --steps 4 --force -o";
    p.ok(&format!("deblur grey.png {line} a.png"));
    p.ok(&format!("deblur three.png {line} b.png"));
    let (one, three) = (p.read("a.png"), p.read("b.png"));
    assert_eq!(one.pixels, three.pixels);
    assert!(three.grey_as_rgb && !one.grey_as_rgb);
    // Grey is what colours are made of, and what a mosaic may be of.
    p.ok("colorize three.png --noise 0 --steps 4 -o colours.png");
    assert_eq!(p.read("colours.png").dims().c, 3);
    p.ok("degrade three.png --operator mosaic -o raw.png");
    p.ok("degrade three.png --operator gray -o gray.png");
    assert_eq!(p.read("gray.png").pixels, p.read("grey.png").pixels);
    let psnr = &p.json("metrics colours.png three.png")["psnr"];
    assert!(psnr.as_f64().unwrap() > 10.0, "{psnr}");
}

/// What is hidden does not show in what is seen.
#[test]
fn hidden_colours_do_not_bleed() {
    let p = Place::empty();
    let alpha = Array2::from_shape_fn((40, 48), |(i, j)| {
        let radius = (i as f32 - 20.0).hypot(j as f32 - 22.0);
        (15.5 - radius).clamp(0.0, 1.0)
    });
    for (name, hidden) in [("black.png", 0.0), ("white.png", 1.0)] {
        let mut picture = Picture::new(part());
        for mut plane in picture
            .pixels
            .index_axis_mut(ndarray::Axis(0), 0)
            .outer_iter_mut()
        {
            plane.zip_mut_with(&alpha, |v, &a| *v = if a > 0.0 { *v } else { hidden });
        }
        picture.alpha = Some(alpha.clone());
        p.save(name, &picture);
        p.ok(&format!(
            "upscale {name} --factor 2 --noise 0 --steps 4 -o 2{name}"
        ));
        p.ok(&format!(
            "degrade {name} --operator blur --kernel gaussian:2 -o blurred-{name}"
        ));
    }
    for (a, b) in [
        ("2black.png", "2white.png"),
        ("blurred-black.png", "blurred-white.png"),
    ] {
        let (a, b) = (p.read(a), p.read(b));
        let alpha = a.alpha.unwrap();
        assert!(alpha.iter().any(|&v| v > 0.0) && alpha.iter().any(|&v| v == 0.0));
        for ((_, c, i, j), v) in a.pixels.indexed_iter() {
            assert!(
                alpha[(i, j)] == 0.0 || *v == b.pixels[(0, c, i, j)],
                "{i} {j}"
            );
        }
    }
}

/// The format is the file's, whatever its name says, and what is lost is told, in words and as JSON.
#[test]
fn nothing_is_lost_silently() {
    let p = Place::empty();
    let mut picture = Picture::new(part());
    picture.alpha = Some(Array2::from_elem((40, 48), 0.5));
    picture.depth = Depth::Sixteen;
    let png = image::encode(&picture, Format::Png, &WriteOptions::default()).unwrap();
    std::fs::write(p.path("liar.jpg"), png).unwrap();
    let report = p.json("denoise liar.jpg --noise 0.02");
    assert_eq!(report["output"], "liar.denoise.png");
    assert!(p.read("liar.denoise.png").alpha.is_some());
    let notes = report["notes"].as_array().unwrap();
    assert!(
        notes
            .iter()
            .any(|n| n.as_str().unwrap().contains("named as a JPEG"))
    );
    for (verb, how) in [("denoise", ""), ("degrade", "--operator identity")] {
        let line = format!("{verb} liar.jpg {how} --noise 0.02 -o {verb}.jpg");
        let text = p.ok(&line);
        for words in ["named as a JPEG", "shown over white", "8 bits"] {
            let told = text
                .lines()
                .any(|line| line.starts_with(&format!("{verb}: ")) && line.contains(words));
            assert!(told, "{words}: {text}");
        }
    }
    let jpeg = image::encode(
        &Picture::new(part()),
        Format::Jpeg,
        &WriteOptions::default(),
    );
    std::fs::write(p.path("photo.jfif"), jpeg.unwrap()).unwrap();
    let report = p.json("denoise photo.jfif --noise 0.02");
    assert_eq!(report["output"], "photo.denoise.jfif");
    assert_eq!(p.read("photo.denoise.jfif").format, Some(Format::Jpeg));
}
