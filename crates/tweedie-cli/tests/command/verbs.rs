//! The built command, on real files: the forms of the README, exit codes, bad input, interruption.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tweedie::image::{Overwrite, Picture};

use crate::place::{Place, photo};

/// A folder with `clean.png`, a 72x96 part of a photograph.
fn place() -> Place {
    Place::with(photo(60..132, 120..216))
}

/// `--noise poisson:A,B` adds noise that grows with brightness and removes it; more is gained than by its level alone, since
/// the dark parts keep what they show. Wrong: the two numbers the other way round.
#[test]
fn noise_may_grow_with_brightness() {
    let p = place();
    let law = "poisson:0.0002,0.02";
    p.ok(&format!(
        "degrade clean.png --operator identity --noise {law} -o noisy.png"
    ));
    let report = p.json(&format!("denoise noisy.png --noise {law} -o law.png"));
    assert_eq!(
        (&report["nfe"], &report["sigma_estimated"]),
        (&1.into(), &false.into())
    );
    let sigma = report["sigma"].as_f64().unwrap();
    p.ok(&format!("denoise noisy.png --noise {sigma} -o level.png"));
    assert!(p.psnr("clean.png", "law.png") > p.psnr("clean.png", "level.png") + 0.1);
    p.fails(
        "denoise noisy.png --noise poisson:1 -o x.png",
        2,
        "poisson:A,B",
    );
}

/// `--strength` blends: 0 gives the measurement back, and what there is no measurement of cannot be blended with.
#[test]
fn as_much_is_restored_as_is_wanted() {
    let p = place();
    p.ok("degrade clean.png --operator identity --noise 25/255 -o noisy.png");
    p.ok("denoise noisy.png --noise 25/255 --strength 0 -o none.png");
    p.ok("denoise noisy.png --noise 25/255 --strength 0.5 -o half.png");
    p.ok("denoise noisy.png --noise 25/255 -o all.png");
    assert_eq!(p.psnr("noisy.png", "none.png"), f64::INFINITY);
    let [none, half, all] =
        ["none", "half", "all"].map(|name| p.read(&format!("{name}.png")).pixels);
    // Each was rounded to 8 bits.
    let off = (none + all) * 0.5 - half;
    assert!(off.iter().all(|d| d.abs() < 1.01 / 255.0));
    p.fails(
        "upscale noisy.png --factor 2 --strength 0.5 -o x.png",
        1,
        "strength",
    );
    p.fails("denoise noisy.png --strength 2 -o x.png", 2, "from 0 to 1");
}

#[test]
fn denoise_beats_the_noise() {
    let p = place();
    p.ok("degrade clean.png --operator identity --noise 25/255 -o noisy.png");
    let report = p.json("denoise noisy.png -o x.png --noise 25/255");
    assert_eq!(report["nfe"], 1);
    assert_eq!(report["sigma_estimated"], false);
    assert!(p.psnr("clean.png", "x.png") > p.psnr("clean.png", "noisy.png") + 4.0);
}

#[test]
fn noise_is_estimated_and_told() {
    let p = place();
    p.ok("degrade clean.png --operator identity --noise 25/255 -o noisy.png");
    let report = p.json("denoise noisy.png");
    assert_eq!(report["sigma_estimated"], true);
    let sigma = report["sigma"].as_f64().unwrap() * 255.0;
    assert!((20.0..30.0).contains(&sigma), "{sigma}");
    assert!(p.files().contains(&"noisy.denoise.png".to_owned()));
    let text = p.ok("denoise noisy.png -o again.png");
    assert!(
        text.contains("(estimated)") && text.contains("again.png"),
        "{text}"
    );
}

/// Compression is undone by what the file says, nearer to the truth, and never beside it; also of a picture saved anew.
#[test]
fn dejpeg_beats_the_decoder() {
    let place = place();
    place.ok("degrade clean.png --operator jpeg --jpeg-quality 10 -o y.png");
    let options = tweedie::image::WriteOptions {
        quality: 10,
        ..Default::default()
    };
    let clean = tweedie::image::read(place.path("clean.png")).unwrap();
    let path = place.path("y.jpg");
    tweedie::image::write(path, &clean, &options, Overwrite::Allow).unwrap();
    for (line, decoded) in [
        ("dejpeg y.jpg -o x.png", "y.jpg"),
        ("dejpeg y.png --jpeg-quality 10 -o x2.png", "y.png"),
    ] {
        place.ok(line);
        let result = line.rsplit(' ').next().unwrap();
        let (before, after) = (
            place.psnr(decoded, "clean.png"),
            place.psnr(result, "clean.png"),
        );
        assert!(after > before + 0.5, "{line}: {before} {after}");
    }
    let output = place.run("dejpeg clean.png -o x3.png");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("--jpeg-quality") && error.lines().count() == 1,
        "{error}"
    );
    let told = place.ok("denoise y.jpg -o d.png");
    assert!(told.contains("`dejpeg`"), "{told}");
}

#[test]
fn deblur() {
    let p = place();
    p.ok("degrade clean.png --operator blur --kernel gaussian:1.6 --noise 0.02 --seed 1 -o y.png");
    p.ok("deblur y.png --kernel gaussian:1.6 --noise 0.02 --steps 10 -o x.png");
    assert!(p.psnr("clean.png", "x.png") > p.psnr("clean.png", "y.png") + 0.5);
}

/// Texture has a method of its own, and whoever names a method has chosen. Wrong: a preference that changes nothing.
#[test]
fn texture_may_be_preferred() {
    let p = place();
    p.ok("degrade clean.png --operator downsample --factor 4 -o small.png");
    let usual = p.json("upscale small.png --factor 4 --steps 4 -o a.png");
    let textured = p.json("upscale small.png --factor 4 --steps 4 --prefer texture -o b.png");
    assert_ne!(usual["method"], textured["method"]);
    let both = "upscale small.png --factor 4 --prefer texture --method dpir -o c.png";
    p.fails(both, 2, "cannot be used with");
}

/// Bars that were put around a blurred picture come back as they were, with what is inside restored as if they were not. Wrong: 15 dB
/// of stripes around them, inside and out.
#[test]
fn frames_stay_as_they_are() {
    let p = place();
    let (rows, columns) = (10..60, 7..96);
    let inside = ndarray::s![.., .., rows, columns];
    let framed = |name: &str, colour: f32| {
        let mut picture = p.read(name);
        let content = picture.pixels.slice(inside).to_owned();
        picture.pixels.fill(colour);
        picture.pixels.slice_mut(inside).assign(&content);
        picture
    };
    p.ok("degrade clean.png --operator blur --kernel disk:2 --noise 0.004 --seed 1 -o blurred.png");
    p.save("y.png", &framed("blurred.png", 0.0));
    p.save("truth.png", &framed("clean.png", 0.0));
    let report = p.json("deblur y.png --kernel disk:2 --steps 10 -o x.png");
    let notes = report["notes"].to_string();
    assert!(notes.contains("10 above, 12 below, 7 left"), "{notes}");
    assert_eq!(framed("x.png", 0.0).pixels, p.read("x.png").pixels);
    let (before, after) = (p.psnr("truth.png", "y.png"), p.psnr("truth.png", "x.png"));
    assert!(after > before + 1.0, "{before} to {after}");
}

/// A blur that was not: of a stated boundary nothing is known before the work, and the result overshoots. Wrong: rings, 15 dB
/// and more below the picture that was given.
#[test]
fn what_overshoots_is_made_again() {
    let p = place();
    let report =
        p.json("deblur clean.png --kernel disk:3 --boundary symmetric --noise 0.002 -o x.png");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("overshot") && notes.contains("made again"),
        "{notes}"
    );
    assert!(report["sigma"].as_f64().unwrap() > 0.02, "{report}");
    assert!(
        p.psnr("x.png", "clean.png") > 20.0,
        "{}",
        p.psnr("x.png", "clean.png")
    );
}

#[test]
fn upscale() {
    let p = place();
    p.ok("degrade clean.png --operator downsample --factor 4 -o small.png");
    assert_eq!(p.size("small.png"), (3, 18, 24));
    p.ok("upscale small.png --factor 4 --noise 0 --steps 10 -o big.png");
    assert_eq!(p.size("big.png"), (3, 72, 96));
    p.ok("degrade big.png --operator downsample --factor 4 -o back.png");
    assert!(
        p.psnr("small.png", "back.png") > 40.0,
        "the small picture is not explained"
    );
}

/// What is known is returned as it was, noisy or not, whether or not its noise can be told (nine of ten pixels missing);
/// `--denoise` asks for more.
#[test]
fn inpaint_keeps_what_is_known() {
    let p = place();
    let read = |name: &str| tweedie::image::read(p.path(name)).unwrap().pixels;
    for (mask, noise, gain) in [("0.5", "0", 8.0), ("0.9", "0", 5.0), ("0.5", "8/255", 8.0)] {
        let report = p.json(&format!(
            "degrade clean.png --operator mask --mask random:{mask} --noise {noise} --seed 1 -o holes.png --force"
        ));
        assert_eq!(report["mask"], "holes.mask.png");
        let line = "inpaint holes.png --mask holes.mask.png --steps 10 --force";
        p.ok(&format!("{line} -o filled.png"));
        let better = p.psnr("clean.png", "filled.png") - p.psnr("clean.png", "holes.png");
        assert!(better > gain, "{mask}, {noise}: {better}");
        let (holes, filled, mask) = (
            read("holes.png"),
            read("filled.png"),
            read("holes.mask.png"),
        );
        let changed = |filled: &tweedie::Image| {
            let known = holes
                .indexed_iter()
                .filter(|((_, _, i, j), _)| mask[[0, 0, *i, *j]] < 0.5);
            known.filter(|(at, v)| **v != filled[*at]).count()
        };
        assert_eq!(changed(&filled), 0, "{mask}, {noise}");
        if noise != "0" {
            p.ok(&format!("{line} --noise {noise} --denoise -o denoised.png"));
            assert!(changed(&read("denoised.png")) > 1000);
        }
    }
}

/// The grey that was given is the grey of the result, up to the rounding of colours; blurred by the prior it was off by 5/255.
#[test]
fn colorize_keeps_the_grey() {
    let p = place();
    for weights in ["mean", "luma", "0.1,0.8,0.1"] {
        p.ok(&format!(
            "degrade clean.png --operator gray --weights {weights} -o gray.png --force"
        ));
        assert_eq!(p.size("gray.png"), (1, 72, 96));
        p.ok(&format!(
            "colorize gray.png --weights {weights} --steps 10 -o colour.png --force"
        ));
        assert_eq!(p.size("colour.png"), (3, 72, 96));
        p.ok(&format!(
            "degrade colour.png --operator gray --weights {weights} -o back.png --force"
        ));
        assert!(p.psnr("gray.png", "back.png") > 48.0, "{weights}");
    }
}

/// From a raw picture, at an odd size too, to one that is closer to the truth than Malvar's filters come, with what was recorded
/// as it was.
#[test]
fn demosaic_beats_the_filters() {
    let p = place();
    let read = |name: &str| tweedie::image::read(p.path(name)).unwrap();
    let odd = read("clean.png").pixels;
    let odd = odd.slice(ndarray::s![.., .., ..71, ..95]).to_owned();
    p.save("odd.png", &Picture::new(odd));
    for (clean, pattern, (h, w)) in [("clean", "rggb", (72, 96)), ("odd", "gbrg", (71, 95))] {
        let mosaic = format!("--operator mosaic --pattern {pattern} --force -o");
        p.ok(&format!("degrade {clean}.png {mosaic} raw.png"));
        assert_eq!(p.size("raw.png"), (1, h, w));
        let line = format!("demosaic raw.png --pattern {pattern} --force -o");
        p.ok(&format!("{line} filters.png --noise 0 --method classical"));
        let report = p.json(&format!("{line} x.png"));
        assert_eq!(report["method"], "pnp-drs");
        assert_eq!(p.size("x.png"), (3, h, w));
        let psnr = |name| p.psnr(&format!("{clean}.png"), name);
        let (filters, found) = (psnr("filters.png"), psnr("x.png"));
        assert!(found > filters + 1.0, "{found} after {filters}");
        p.ok(&format!("degrade x.png {mosaic} back.png"));
        let [raw, back] = ["raw.png", "back.png"].map(|name| read(name).pixels);
        assert!(back == raw, "{pattern}");
    }
}

/// A mosaic may come as three equal channels; one with colours, or a grey picture to degrade, is refused.
#[test]
fn mosaics_have_one_channel() {
    let p = place();
    p.ok("degrade clean.png --operator mosaic -o raw.png");
    let read = |name: &str| tweedie::image::read(p.path(name)).unwrap().pixels;
    let raw = read("raw.png");
    let (_, _, h, w) = raw.dim();
    let three = raw.broadcast((1, 3, h, w)).unwrap().to_owned();
    p.save("three.png", &Picture::new(three));
    let line = "--noise 0 --steps 4 -o";
    p.ok(&format!("demosaic raw.png {line} one.png"));
    p.ok(&format!("demosaic three.png {line} x.png"));
    assert!(read("one.png") == read("x.png"));
    for (line, code, part) in [
        (
            "demosaic clean.png --noise 0 -o y.png",
            1,
            "demosaiced already",
        ),
        (
            "degrade raw.png --operator mosaic -o y.png",
            1,
            "three channels",
        ),
        ("demosaic raw.png --pattern rgb -o y.png", 2, "gbrg"),
    ] {
        p.fails(line, code, part);
    }
    // Of a grey picture with a tint the mean is grey enough.
    let text = p.ok(&format!("colorize clean.png {line} z.png"));
    assert!(text.contains("channels differ: their mean"), "{text}");
}

/// A flat field, in a file with a dead pixel of 0: what is restored is closer than what the division alone gives, and the dead
/// pixel's place is written as a mask.
#[test]
fn gains_are_undone() {
    let p = place();
    let mut flat = tweedie::Image::from_shape_fn((1, 1, 72, 96), |(_, _, i, j)| {
        1.0 - 0.5 * (i as f32 / 72.0).hypot(j as f32 / 96.0)
    });
    flat[[0, 0, 30, 40]] = 0.0;
    p.save("flat.png", &Picture::new(flat));
    let gain = "--operator gain --gain flat.png --scale 0.5";
    let report = p.json(&format!("degrade clean.png {gain} --noise 0.02 -o y.png"));
    assert_eq!(report["mask"], "y.mask.png");
    p.ok(&format!(
        "restore y.png {gain} --noise 0 --method classical -o divided.png"
    ));
    let report = p.json(&format!("restore y.png {gain} -o x.png"));
    assert_eq!(report["method"], "exact");
    let [divided, found] = ["divided.png", "x.png"].map(|x| p.psnr("clean.png", x));
    assert!(found > divided + 2.0, "{found} after {divided}");
    // A light that is known by its corners, and no hole.
    let vignette = "--operator gain --gain vignette:0.3";
    let report = p.json(&format!("degrade clean.png {vignette} -o dark.png"));
    assert!(report["mask"].is_null());
    p.ok(&format!("restore dark.png {vignette} -o light.png"));
    let [dark, light] = ["dark.png", "light.png"].map(|x| p.psnr("clean.png", x));
    assert!(light > dark + 15.0, "{light} after {dark}");
}

/// Equal seeds of `degrade` and `restore` must not share their noise: the sampler would start from the noise that is in the
/// measurement. DiffPIR without fresh noise lost 6 dB to that.
#[test]
fn equal_seeds_do_not_share_noise() {
    let p = place();
    let method = "name = 'diffpir'\nzeta = 0.0\ngrid = { schedule = { kind = 'vp-linear', steps = 1000 }, subset = { kind = 'diffpir-quad', steps = 10 } }";
    std::fs::write(p.path("m.toml"), method).unwrap();
    p.ok("degrade clean.png --operator identity --noise 25/255 --seed 5 -o y.png");
    let psnr = |seed: u64| {
        p.ok(&format!(
            "denoise y.png --method m.toml --seed {seed} -o x.png --force"
        ));
        p.psnr("clean.png", "x.png")
    };
    let others = [6, 7, 8].map(psnr);
    let mean = others.iter().sum::<f64>() / 3.0;
    assert!((psnr(5) - mean).abs() < 0.5, "{} among {others:?}", psnr(5));
}

/// How sure the mean of draws is.
#[test]
fn spread_is_written_on_request() {
    let p = place();
    p.ok("degrade clean.png --operator gray -o gray.png");
    p.ok("colorize gray.png --steps 4 -o colour.png --spread spread.png");
    assert_eq!(p.size("spread.png"), (3, 72, 96));
    p.fails(
        "denoise clean.png --noise 0.1 --method tweedie -o x.png --spread s.png",
        1,
        "--method mean",
    );
}

/// Draws, their mean and their spread, for a method that draws.
#[test]
fn samples_are_written_beside_their_mean() {
    let p = place();
    p.ok("degrade clean.png --operator gray -o gray.png");
    p.ok("colorize gray.png --steps 3 --samples 3 -o colour.png");
    assert_eq!(p.size("colour.png"), (3, 72, 96));
    assert_eq!(p.size("colour.spread.png"), (3, 72, 96));
    let (c, h, w) = p.size("colour.samples.png");
    assert!(c == 3 && h >= 2 * 72 && w >= 2 * 96, "{h}x{w}");
    let again = "colorize gray.png --steps 3 --samples 3 -o other.png";
    p.ok(again);
    p.fails(again, 1, "--force");
    let alone = "colorize gray.png --method dpir --samples 3 -o x.png";
    p.fails(alone, 1, "no draws; these do: exact, mean, best, diffpir, ");
}

/// Where files lie is nobody's business.
#[test]
fn no_folder_travels_in_the_picture() {
    let p = place();
    p.ok("degrade clean.png --operator mask --mask box:8,8 -o holes.png");
    let mask = p.path("holes.mask.png");
    p.ok(&format!(
        "inpaint holes.png --mask {} --steps 2 -o x.png",
        mask.display()
    ));
    let picture = tweedie::image::read(p.path("x.png")).unwrap();
    let text = picture.text_of("tweedie").unwrap();
    assert!(text.contains("holes.mask.png"));
    assert!(!text.contains(p.path("").file_name().unwrap().to_str().unwrap()));
}

/// Picture 2 of a batch, drawn alone.
#[test]
fn one_picture_of_a_batch_can_be_drawn_again() {
    let p = place();
    p.ok("sample -n 3 --size 16 --steps 3 -o all.png");
    p.ok("sample -n 1 --first 2 --size 16 --steps 3 -o one.png");
    let read = |name: &str| tweedie::image::read(p.path(name)).unwrap().pixels;
    let (all, one) = (read("all.png"), read("one.png"));
    // Two rows of two, with two pixels between them.
    let third = all.slice(ndarray::s![.., .., 18.., ..16]);
    let off = third
        .iter()
        .zip(&one)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off < 1.5 / 255.0, "{off}");
}

#[test]
fn what_does_not_fit_is_refused_at_once() {
    let p = place();
    p.fails("sample --size 16384 -n 4096 -o x.png", 1, "GiB of memory");
    std::fs::write(p.path("far.toml"), "name = 'dpir'\nsteps = 1000000000000\n").unwrap();
    std::fs::write(
        p.path("long.toml"),
        "name = 'ddnm'\ntravel_repeat = 100000000000\n",
    )
    .unwrap();
    for file in ["far.toml", "long.toml"] {
        let line = format!("upscale clean.png --factor 2 --method {file} -o x.png");
        p.fails(&line, 1, "steps");
    }
}

#[test]
fn restore_takes_an_operator_file_and_every_method() {
    let p = place();
    let operator = "kind = \"compose\"\nsteps = [{ kind = \"blur\", kernel = \"box:3\" }, { kind = \"downsample\", factor = 2 }]";
    std::fs::write(p.path("op.toml"), operator).unwrap();
    p.ok("degrade clean.png --operator op.toml --noise 0.01 -o y.png");
    for method in ["diffpir", "ddnm", "dps", "dpir"] {
        let report = p.json(&format!(
            "restore y.png --operator op.toml --method {method} --steps 4 --noise 0.01 -o {method}.png"
        ));
        assert_eq!(report["method"], method);
        assert_eq!(p.size(&format!("{method}.png")), (3, 72, 96));
    }
    p.fails(
        "restore y.png --operator op.toml --method tweedie --noise 0.01 -o t.png",
        1,
        "a picture with noise and nothing else",
    );
    let line = "restore y.png --method dpir --steps 2 -o flags.png --operator";
    p.ok(&format!("{line} downsample --factor 2 --filter average"));
    assert_eq!(p.size("flags.png"), (3, 72, 96));
}

#[test]
fn sample_draws_a_grid() {
    let p = place();
    p.ok("sample --prior photo -n 4 --size 16 --steps 4 -o grid.png");
    let (c, h, w) = p.size("grid.png");
    assert_eq!(c, 3);
    assert!(h >= 32 && w >= 32);
    p.ok("sample -n 1 --size 8x24 --steps 2 --sampler ddim -o one.png");
    assert_eq!(p.size("one.png"), (3, 8, 24));
}

/// A picture is taken to noise and comes back, two make others between them, and settings may lie in a file. Wrong: a report without
/// the error, frames without their ends, a sampler with noise of its own that is run backwards all the same.
#[test]
fn pictures_go_to_noise_and_back() {
    let p = place();
    let report = p.json("sample --from clean.png --sampler edm --steps 12 -o back.png");
    let decibels = report["reconstruction"].as_f64().unwrap();
    assert!(decibels > 20.0, "{decibels}");
    assert_eq!(p.size("back.png"), p.size("clean.png"));
    let (c, h, w) = p.size("clean.png");
    p.ok("degrade clean.png --operator identity --noise 0.1 -o other.png");
    p.ok("sample --interpolate clean.png other.png -n 3 --sampler dpm-solver --steps 5 -o way.png");
    let (_, high, wide) = p.size("way.png");
    assert!(c == 3 && high > 2 * h && wide > 2 * w, "{high} x {wide}");
    std::fs::write(p.path("s.toml"), "name = 'flow'\nrule = 'heun'\n").unwrap();
    let report = p.json("sample --sampler s.toml --size 8 --steps 3 -o x.png");
    assert_eq!(report["sampler"], "flow");
    assert!(report.get("reconstruction").is_none());
    p.fails(
        "sample --from clean.png --sampler ddpm --steps 3 -o y.png",
        1,
        "these can: ddim",
    );
    p.fails("sample --from clean.png -n 3 -o y.png", 2, "");
    p.fails(
        "sample --interpolate clean.png back.png -n 1 -o y.png",
        1,
        "2 or more frames",
    );
    p.ok("degrade clean.png --operator downsample --factor 2 -o half.png");
    p.fails(
        "sample --interpolate clean.png half.png -o y.png",
        1,
        "one size",
    );
    p.fails(
        "sample --sampler magic -o y.png",
        1,
        "there is no sampler `magic`",
    );
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let p = place();
    p.ok("degrade clean.png --operator downsample --factor 2 -o small.png");
    let line = "upscale small.png --factor 2 --noise 0.01 --steps 4 --method diffpir";
    p.ok(&format!("{line} --seed 5 --threads 1 -o a.png"));
    p.ok(&format!("{line} --seed 5 --threads 2 -o b.png"));
    p.ok(&format!("{line} --seed 6 --threads 2 -o c.png"));
    let read = |name: &str| std::fs::read(p.path(name)).unwrap();
    assert!(
        read("a.png") == read("b.png"),
        "threads changed the picture"
    );
    assert!(read("a.png") != read("c.png"), "the seed changed nothing");
}

#[test]
fn settings_travel_in_the_file() {
    let p = place();
    p.ok("denoise clean.png --noise 0.1 --seed 7 -o x.png");
    let picture = tweedie::image::read(p.path("x.png")).unwrap();
    let settings: Value = serde_json::from_str(picture.text_of("tweedie").unwrap()).unwrap();
    assert_eq!(settings["method"]["name"], "tweedie");
    assert_eq!(settings["seed"], 7);
    assert_eq!(settings["sigma"], 0.1);
}

#[test]
fn lists_and_model_info() {
    let p = place();
    for what in [
        "methods",
        "operators",
        "priors",
        "samplers",
        "metrics",
        "matrix",
    ] {
        assert!(p.ok(&format!("list {what}")).lines().count() >= 1);
        assert!(
            !p.json(&format!("list {what}"))
                .as_array()
                .unwrap()
                .is_empty()
        );
    }
    // What the command runs, not the paper: 1000 evaluations are DPS's there.
    let methods = p.ok("list methods");
    assert!(methods.contains("diffpir") && !methods.contains("evaluations: 1000;"));
    for method in p.json("list methods").as_array().unwrap() {
        let [least, most] = [0, 1].map(|i| method["nfe"][i].as_u64().unwrap());
        assert!(least <= most && most < 1000, "{method}");
        for fact in ["family", "kind", "noise", "paper"] {
            assert!(method[fact].is_string(), "{fact} of {method}");
        }
    }
    let info = p.json("model info photo");
    assert!(info["parameters"].as_u64().unwrap() > 1_000_000);
}

#[test]
fn nothing_is_overwritten_without_force() {
    let p = place();
    p.ok("denoise clean.png --noise 0.05 -o x.png");
    p.fails("denoise clean.png --noise 0.05 -o x.png", 1, "--force");
    p.ok("denoise clean.png --noise 0.05 -o x.png --force");
    p.ok("model halve photo -o half.safetensors");
    let half = std::fs::read(p.path("half.safetensors")).unwrap();
    std::fs::write(p.path("half.safetensors"), "mine").unwrap();
    p.fails("model halve photo -o half.safetensors", 1, "--force");
    let kept = std::fs::read(p.path("half.safetensors")).unwrap();
    assert_eq!(kept, b"mine");
    p.ok("model halve photo -o half.safetensors --force");
    assert!(std::fs::read(p.path("half.safetensors")).unwrap() == half);
}

/// What is wrong with the output is told before the work: here even before the input, which is missing.
#[test]
fn outputs_that_cannot_be_are_refused_first() {
    let p = place();
    for (output, part) in [
        ("x.jpg --depth 16", "8 bits a channel, not 16"),
        ("x.webp --depth 16", "8 bits a channel, not 16"),
        ("x.bmp --depth 16", "8 bits a channel, not 16"),
        ("x.xyz", "x.xyz"),
        ("nowhere/x.png", "no folder nowhere"),
    ] {
        p.fails(&format!("denoise missing.png -o {output}"), 1, part);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nothing", p.path("link.png")).unwrap();
        p.fails("denoise missing.png -o link.png", 1, "--force");
    }
    // A folder where not even the superuser makes a file.
    #[cfg(target_os = "linux")]
    p.fails(
        "denoise missing.png -o /proc/self/x.png",
        1,
        "/proc/self/x.png",
    );
}

#[test]
fn bad_input_is_named_in_one_line() {
    let p = place();
    let png = std::fs::read(p.path("clean.png")).unwrap();
    std::fs::write(p.path("cut.png"), &png[..png.len() / 2]).unwrap();
    std::fs::write(p.path("empty.png"), b"").unwrap();
    std::fs::write(p.path("huge.png"), huge_png()).unwrap();
    std::fs::write(p.path("nan.txt"), "0 1 0\n1 nan 1\n0 1 0\n").unwrap();
    std::fs::write(p.path("op.toml"), "kind = \"blur\"\nkernell = \"box:3\"\n").unwrap();
    std::fs::write(p.path("recipe.toml"), "about = \"x\"\nunknown = 1\n").unwrap();
    std::fs::write(
        p.path("model.safetensors"),
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
    )
    .unwrap();
    p.save(
        "mask.png",
        &Picture::new(tweedie::Image::zeros((1, 1, 10, 10))),
    );
    for (line, part) in [
        ("denoise cut.png", "cut.png"),
        ("denoise empty.png", "empty.png"),
        ("denoise huge.png", "huge.png"),
        ("denoise missing.png", "missing.png"),
        ("deblur clean.png --noise 0.01 --kernel nan.txt", "nan.txt"),
        (
            "deblur clean.png --noise 0.01 --kernel none.txt",
            "none.txt",
        ),
        ("inpaint clean.png --noise 0 --mask mask.png", "10"),
        (
            "restore clean.png --noise 0 --operator gain --gain mask.png",
            "the gain is 10 x 10",
        ),
        (
            "degrade clean.png --operator gain --gain none.png -o z.png",
            "none.png",
        ),
        ("upscale clean.png --noise 0 --factor 0", "0"),
        ("restore clean.png --noise 0 --operator op.toml", "kernell"),
        ("train recipe.toml", "recipe.toml"),
        (
            "denoise clean.png --noise 0.1 --prior model.safetensors -o z.png",
            "model.safetensors",
        ),
        (
            "denoise clean.png --noise 0.1 --method nonsense -o z.png",
            "diffpir",
        ),
        ("denoise clean.png --noise 0.1 -o z.xyz", "z.xyz"),
        ("denoise clean.png --noise 0.1 -o nowhere/z.png", "nowhere"),
        ("metrics clean.png mask.png", "mask.png"),
        ("degrade clean.png --operator blur -o z.png", "--kernel"),
        ("model info mask.png", "mask.png"),
        (
            "denoise clean.png --noise 0.1 --method op.toml",
            "op.toml: line 1",
        ),
    ] {
        p.fails(line, 1, part);
    }
}

#[test]
fn wrong_usage_has_exit_code_2() {
    let p = place();
    for line in [
        "",
        "frobnicate",
        "denoise",
        "denoise clean.png --noise 25",
        "denoise clean.png --steps 0",
        "deblur clean.png",
        "deblur clean.png --kernel gaussian:x",
        "colorize clean.png --weights 0,0,0",
        "degrade clean.png --operator gain --gain vignette:2 -o x.png",
        "degrade clean.png --operator gain --gain mask.png --scale 0 -o x.png",
        "sample --size 0",
        "denoise clean.png --threads 0",
        "denoise clean.png --threads 65535",
    ] {
        p.fails(line, 2, "");
    }
}

/// A folder of 40 pictures, 3 of them bad: the others come out as they do alone, the bad ones are named, and nothing that is
/// no picture is taken for one, least of all a result of this very run.
#[test]
fn a_folder_goes_on_after_bad_files() {
    let p = place();
    let clean = tweedie::image::read(p.path("clean.png")).unwrap().pixels;
    std::fs::create_dir(p.path("in")).unwrap();
    for i in 0..37 {
        let part = clean.slice(ndarray::s![.., .., i..i + 12, i..i + 16]);
        p.save(&format!("in/{i:02}.png"), &Picture::new(part.to_owned()));
    }
    let whole = std::fs::read(p.path("in/00.png")).unwrap();
    std::fs::write(p.path("in/cut.png"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(p.path("in/empty.jpg"), b"").unwrap();
    std::fs::write(p.path("in/page.png"), b"<html>").unwrap();
    std::fs::write(p.path("in/notes.txt"), b"mine").unwrap();
    let line = "denoise in --noise 0.1 --method diffpir --steps 2 --seed 3";
    let output = p.run(&format!("{line} -o out --json"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 5, "{error}");
    assert_eq!(lines[0], "in: 40 pictures; left out: 1 other file");
    for (line, (name, why)) in lines[1..].iter().zip([
        ("in/cut.png: ", "cut short"),
        ("in/empty.jpg: ", "empty"),
        ("in/page.png: ", "web page"),
    ]) {
        assert!(line.starts_with(name) && line.contains(why), "{line}");
    }
    assert_eq!(lines[4], "error: 3 of 40 pictures failed");
    let reports = String::from_utf8(output.stdout).unwrap();
    let reports: Vec<Value> = reports
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 37);
    assert_eq!(reports[36]["input"], "in/36.png");
    assert_eq!(reports[36]["output"], "out/36.png");
    assert_eq!(std::fs::read_dir(p.path("out")).unwrap().count(), 37);
    for i in [0, 20, 36] {
        p.ok(&format!(
            "{} -o alone.png --force",
            line.replace("in ", &format!("in/{i:02}.png "))
        ));
        let read = |name: &str| std::fs::read(p.path(name)).unwrap();
        assert!(read("alone.png") == read(&format!("out/{i:02}.png")), "{i}");
    }
}

/// By default results lie beside their inputs, where a second run does not take them for inputs, and finds their names taken.
#[test]
fn results_of_an_earlier_run_are_no_inputs() {
    let p = place();
    let line = "degrade . --operator identity --noise 0.1";
    p.ok(line);
    let again = p.run(line);
    let error = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(
        error.contains("1 picture; left out: 1 result of an earlier run"),
        "{error}"
    );
    assert!(
        error.contains("--force") && error.contains("1 of 1 picture failed"),
        "{error}"
    );
    assert_eq!(p.files(), ["clean.degraded.png", "clean.png"]);
    // In the input's own folder its name is taken.
    p.ok("denoise clean.png --noise 0.1 -o .");
    assert_eq!(p.size("clean.denoise.png"), (3, 72, 96));
}

#[test]
fn plans_that_cannot_be_are_refused_first() {
    let p = place();
    std::fs::create_dir(p.path("empty")).unwrap();
    std::fs::create_dir(p.path("other")).unwrap();
    std::fs::copy(p.path("clean.png"), p.path("other/clean.png")).unwrap();
    std::fs::copy(p.path("clean.png"), p.path("b.png")).unwrap();
    for (line, part) in [
        (
            "denoise clean.png missing.png -o x.png",
            "names one file, but there are 2",
        ),
        ("denoise clean.png missing.png -o b.png", "names one file"),
        (
            "denoise clean.png other/clean.png -o empty",
            "both be written to empty/clean.png",
        ),
        ("denoise clean.png ./clean.png", "both be written to"),
        (
            "denoise clean.png other/clean.png -o other",
            "one of the inputs",
        ),
        ("denoise empty", "no PNG, JPEG, TIFF, WebP or BMP picture"),
        ("denoise clean.png b.png -o -", "name a folder"),
        ("denoise clean.png -", "`-`"),
        ("denoise clean.png b.png --spread s.png", "--samples"),
        ("denoise clean.png b.png --format jpg --depth 16", "8 bits"),
        ("denoise clean.png --quality 80", "JPEG"),
        ("denoise clean.png -o x.png --format jpg", "--format"),
        (
            "denoise clean.png b.png -o nowhere/out --noise 0.1",
            "nowhere/out",
        ),
    ] {
        p.fails(line, 1, part);
    }
}

/// Through pipes: the same bytes as by files, the report beside them, and PNG unless another format is asked for.
#[test]
fn pictures_go_through_pipes() {
    let p = place();
    let piped = |line: &str, bytes: &[u8]| {
        let mut child = p
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What is refused at its first bytes is not read to the end.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        child.wait_with_output().unwrap()
    };
    let clean = std::fs::read(p.path("clean.png")).unwrap();
    p.ok("denoise clean.png --noise 0.1 -o x.png");
    let expected = std::fs::read(p.path("x.png")).unwrap();
    for line in ["denoise - --noise 0.1", "denoise - --noise 0.1 -o -"] {
        let output = piped(&format!("{line} --json"), &clean);
        assert!(output.status.success());
        assert!(output.stdout == expected, "{line}");
        let report: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(
            (&report["input"], &report["output"]),
            (&"standard input".into(), &"-".into())
        );
    }
    let jpeg = piped("degrade - --operator identity --format jpg", &clean);
    assert!(jpeg.stdout.starts_with(b"\xff\xd8\xff"));
    let to_file = piped("denoise - --noise 0.1 -o y.png", &clean);
    assert!(
        String::from_utf8(to_file.stdout)
            .unwrap()
            .contains("wrote y.png")
    );
    assert!(std::fs::read(p.path("y.png")).unwrap() == expected);
    for (bytes, part) in [
        (&b""[..], "empty"),
        (b"GIF89a", "GIF"),
        (&clean[..200], "cut short"),
    ] {
        let output = piped("denoise -", bytes);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            error.starts_with("error: standard input: ") && error.contains(part),
            "{error}"
        );
        assert!(output.stdout.is_empty());
    }
    let metrics = piped("metrics x.png -", &expected);
    assert!(
        String::from_utf8(metrics.stdout)
            .unwrap()
            .starts_with("PSNR inf dB")
    );
    let folder = piped("denoise - -o .", &clean);
    assert!(
        String::from_utf8(folder.stderr)
            .unwrap()
            .contains("no name")
    );
}

#[test]
fn jpegs_have_the_quality_that_is_asked_for() {
    let p = place();
    let length = |name: &str| std::fs::metadata(p.path(name)).unwrap().len();
    let line = "degrade clean.png --operator identity -o";
    p.ok(&format!("{line} usual.jpg"));
    p.ok(&format!("{line} same.jpg --quality 95"));
    p.ok(&format!("{line} small.jpg --quality 50"));
    assert_eq!(length("usual.jpg"), length("same.jpg"));
    assert!(2 * length("small.jpg") < length("usual.jpg"));
}

/// A name that is no Unicode keeps its bytes, and reports show it as well as can be.
#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_unicode() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let p = place();
    let odd = |bytes: &'static [u8]| p.path("").join(OsStr::from_bytes(bytes));
    std::fs::rename(p.path("clean.png"), odd(b"caf\xe9.png")).unwrap();
    let mut command = p.command("denoise --noise 0.1 --json");
    let output = command
        .arg(OsStr::from_bytes(b"caf\xe9.png"))
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(odd(b"caf\xe9.denoise.png").exists());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["output"], "caf\u{fffd}.denoise.png");
}

/// By any factor, or to a size, which is another way to say it; better than the enlargement that every program has.
#[test]
fn upscale_by_any_factor() {
    let p = place();
    p.ok("degrade clean.png --operator downsample --factor 1.5 -o small.png");
    assert_eq!(p.size("small.png"), (3, 48, 64));
    p.ok("upscale small.png --factor 1.5 --method classical --noise 0 -o bicubic.png");
    p.ok("upscale small.png --factor 1.5 --noise 0 -o x.png");
    assert_eq!(p.size("x.png"), (3, 72, 96));
    let (bicubic, x) = (
        p.psnr("clean.png", "bicubic.png"),
        p.psnr("clean.png", "x.png"),
    );
    assert!(x > bicubic + 1.0, "{x} after {bicubic}");
    p.ok("degrade x.png --operator downsample --factor 3/2 -o back.png");
    assert!(p.psnr("small.png", "back.png") > 40.0);
    let read = |name: &str| tweedie::image::read(p.path(name)).unwrap().pixels;
    for size in ["--width 96", "--height 72"] {
        p.ok(&format!(
            "upscale small.png {size} --noise 0 -o other.png --force"
        ));
        assert!(read("other.png") == read("x.png"), "{size}");
    }
    p.ok("upscale small.png --width 100 --noise 0 --steps 2 -o odd.png");
    assert_eq!(p.size("odd.png"), (3, 75, 100));
    p.fails(
        "upscale small.png --width 60 -o y.png",
        1,
        "64 pixels wide already",
    );
    for line in [
        "upscale small.png -o y.png",
        "upscale small.png --width 96 --height 72 -o y.png",
        "upscale small.png --width 96 --factor 2 -o y.png",
        "upscale small.png --factor 2x -o y.png",
    ] {
        p.fails(line, 2, "");
    }
}

/// Grey is grey however it is stored, numbers are those of papers on request, and what is equal is told from what has no value.
#[test]
fn metrics_as_in_papers() {
    let p = place();
    let clean = tweedie::image::read(p.path("clean.png")).unwrap().pixels;
    let grey = clean.slice(ndarray::s![.., ..1, .., ..]).to_owned();
    let same = grey.broadcast((1, 3, 72, 96)).unwrap().to_owned();
    p.save("grey.png", &Picture::new(grey.clone()));
    p.save("same.png", &Picture::new(same));
    assert_eq!(p.json("metrics grey.png same.png")["psnr"], "inf");
    assert_eq!(p.json("metrics same.png grey.png --luma")["psnr8"], "inf");
    p.fails("metrics clean.png grey.png", 1, "clean.png and grey.png");
    // Green weighs 128.553 of 255: a difference in it alone is that much smaller, over one channel in the place of three.
    let mut greener = Picture::new(clean.clone());
    let mut green = greener.pixels.slice_mut(ndarray::s![.., 1, .., ..]);
    green.mapv_inplace(|v| {
        if v < 0.5 {
            v + 10.0 / 255.0
        } else {
            v - 10.0 / 255.0
        }
    });
    greener.alpha = Some(ndarray::Array2::ones((72, 96)));
    p.save("greener.png", &greener);
    let psnr = |more: &str| {
        let line = format!("metrics clean.png greener.png {more}");
        p.json(&line)["psnr"].as_f64().unwrap()
    };
    let (all, luma) = (psnr(""), psnr("--luma"));
    let expected = 20.0 * (255.0f64 / 128.553).log10() - 10.0 * 3.0f64.log10();
    assert!((luma - all - expected).abs() < 0.01, "{all}, {luma}");
    let words = p.run("metrics clean.png greener.png");
    let words = String::from_utf8(words.stderr).unwrap();
    assert_eq!(words, "greener.png: its transparency is not compared\n");
    // A border that differs is left out.
    let mut framed = clean;
    framed.slice_mut(ndarray::s![.., .., ..3, ..]).fill(0.0);
    p.save("framed.png", &Picture::new(framed));
    assert!(p.psnr("clean.png", "framed.png") < 40.0);
    let cut = p.json("metrics clean.png framed.png --crop 3");
    assert_eq!(cut["psnr"], "inf");
    let tiny = p.json("metrics clean.png framed.png --crop 33");
    assert_eq!(
        (&tiny["psnr"], &tiny["ssim"]),
        (&"inf".into(), &Value::Null)
    );
    p.fails(
        "metrics clean.png framed.png --crop 36",
        1,
        "leaves nothing of the 96 x 72",
    );
}

/// An operator's file names its files from where it lies, whoever calls from where.
#[test]
fn an_operator_file_finds_what_lies_beside_it() {
    let p = place();
    std::fs::create_dir(p.path("ops")).unwrap();
    std::fs::write(p.path("ops/k.txt"), "1 2 1").unwrap();
    let line = "degrade clean.png --operator ops/op.toml -o y.png";
    std::fs::write(p.path("ops/op.toml"), "kind = 'blur'\nkernel = 'k.txt'\n").unwrap();
    p.ok(line);
    p.ok("degrade clean.png --operator blur --kernel ops/k.txt -o expected.png");
    let read = |name: &str| tweedie::image::read(p.path(name)).unwrap().pixels;
    assert!(read("y.png") == read("expected.png"));
    std::fs::remove_file(p.path("ops/k.txt")).unwrap();
    p.fails(&format!("{line} --force"), 1, "ops/k.txt");
}

/// The settings that travel in a result make it again, to the byte, with the files that lie beside it, and make the same of
/// another picture.
#[test]
fn results_can_be_made_again() {
    let p = place();
    std::fs::create_dir(p.path("d")).unwrap();
    p.ok("degrade clean.png --operator mask --mask box:9,9 --noise 0.03 --seed 2 -o d/y.png");
    let line = "inpaint d/y.png --mask d/y.mask.png --method diffpir --steps 3 --seed 5 --denoise";
    p.ok(line);
    p.ok("redo d/y.inpaint.png");
    let read = |name: &str| std::fs::read(p.path(name)).unwrap();
    assert!(read("d/y.redo.png") == read("d/y.inpaint.png"));
    p.ok("degrade clean.png --operator identity --noise 0.1 -o noisy.png");
    p.ok("denoise noisy.png");
    p.ok("redo noisy.denoise.png");
    assert!(read("noisy.redo.png") == read("noisy.denoise.png"));
    p.ok("redo d/y.inpaint.png clean.png -o other.png");
    assert!(read("other.png") != read("d/y.inpaint.png"));
    std::fs::rename(p.path("d/y.inpaint.png"), p.path("d/x.png")).unwrap();
    p.fails("redo d/x.png -o z.png", 1, "tweedie redo d/x.png INPUT");
    p.fails("redo clean.png clean.png -o z.png", 1, "no settings travel");
    std::fs::remove_file(p.path("d/y.mask.png")).unwrap();
    p.fails("redo d/x.png d/y.png -o z.png", 1, "d/y.mask.png");
    p.ok("sample --size 8 --steps 2 -o drawn.png");
    p.fails("redo drawn.png -o z.png", 1, "drawn by `tweedie sample`");
}

/// Shells and manuals know all subcommands, and every one has examples.
#[test]
fn the_command_line_describes_itself() {
    let p = place();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            p.ok(&format!("completions {shell}")).contains("demosaic"),
            "{shell}"
        );
    }
    p.fails("completions tcl", 2, "there are bash");
    let page = p.ok("man");
    assert!(
        page.contains(".TH tweedie 1") && page.contains("inpaint"),
        "{page}"
    );
    std::fs::create_dir(p.path("man1")).unwrap();
    p.ok("man -o man1");
    let upscale = std::fs::read_to_string(p.path("man1/tweedie-upscale.1")).unwrap();
    assert!(upscale.contains("width"), "{upscale}");
    let all = "denoise deblur upscale inpaint colorize demosaic restore degrade sample metrics train model list redo completions \
               man";
    for verb in all.split_whitespace() {
        let help = p.ok(&format!("{verb} --help"));
        assert!(
            help.contains(&format!("Examples:\n  tweedie {verb}")),
            "{help}"
        );
    }
    let help = p.ok("denoise --help");
    assert!(help.starts_with("Remove noise from a picture\n"), "{help}");
    assert!(help.contains("writes cat.denoise.jpg"));
}

/// A bad picture among those to train on is named and left out, folders are searched, and `--seed` decides the weights.
#[test]
fn training_takes_what_it_can() {
    let p = training_place();
    let recipe = std::fs::read_to_string(p.path("recipe.toml")).unwrap();
    let recipe = recipe.replace("steps = 600", "steps = 2");
    std::fs::write(p.path("recipe.toml"), recipe).unwrap();
    std::fs::create_dir(p.path("train/more")).unwrap();
    std::fs::rename(p.path("train/cat.png"), p.path("train/more/cat.png")).unwrap();
    std::fs::write(p.path("train/cut.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    std::fs::copy(p.path("train/cut.png"), p.path("valid/cut.png")).unwrap();
    let trained = |line: &str, run: &str| {
        let output = p.run(&format!("train recipe.toml -o {run} {line}"));
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words}");
        (
            words,
            std::fs::read(p.path(run).join("state.safetensors")).unwrap(),
        )
    };
    let (words, first) = trained("", "a");
    assert!(words.starts_with("1 pictures, "), "{words}");
    let left_out =
        "\n2 pictures left out, which cannot be read:\n  train/cut.png: the PNG file is damaged";
    assert!(words.contains(left_out), "{words}");
    assert!(words.contains("  valid/cut.png: "), "{words}");
    assert!(first == trained("--seed 0", "b").1);
    assert!(first != trained("--seed 1", "c").1);
    let end: Value = serde_json::from_str(&p.ok("train recipe.toml -o a --json")).unwrap();
    assert_eq!((&end["step"], &end["steps"]), (&2.into(), &2.into()));
}

/// A PNG whose header claims 50000 x 50000 pixels.
fn huge_png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend_from_slice(&50_000u32.to_be_bytes());
    png.extend_from_slice(&50_000u32.to_be_bytes());
    png.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut crc = 0xffff_ffffu32;
    for &byte in &png[12..] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    png.extend_from_slice(&(!crc).to_be_bytes());
    png
}

fn long_run(p: &Place) -> std::process::Child {
    p.command("deblur clean.png --kernel box:5 --noise 0.05 --method dps --steps 1000 -o late.png")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &std::process::Child, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[cfg(unix)]
#[test]
fn interrupting_leaves_nothing_behind() {
    let p = place();
    for (name, code) in [("-INT", Some(130)), ("-TERM", Some(130)), ("-KILL", None)] {
        let mut child = long_run(&p);
        std::thread::sleep(Duration::from_millis(1500));
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), code, "{name}");
        assert_eq!(p.files(), ["clean.png"], "{name}");
    }
}

/// Within a single evaluation, too, which takes many seconds of a picture of 1.5 megapixels. Wrong: the flag looked at between
/// evaluations alone.
#[cfg(unix)]
#[test]
fn a_long_evaluation_is_interrupted_at_once() {
    let p = place();
    let pixels = tweedie::Image::from_elem((1, 1, 1200, 1250), 0.5);
    p.save("large.png", &Picture::new(pixels));
    let mut child = p
        .command("denoise large.png --noise 0.1 --threads 1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    let begun = std::time::Instant::now();
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}");
    let mut error = String::new();
    child.stderr.unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(error, "error: interrupted; nothing was written\n");
    assert_eq!(p.files(), ["clean.png", "large.png"]);
}

/// A recipe for a network of a few weights, and its pictures.
fn training_place() -> Place {
    let recipe = r#"
        about = "tiny"
        data = { train = "train", valid = "valid", crop = 16, batch = 2 }
        network = { architecture = "photo", channels = 3, widths = [4, 8], blocks = [1, 1], embedding = 4 }
        parametrisation = { kind = "edm", sigma_data = 0.5 }
        noise = { law = "log-normal", mean = -1.2, std = 1.2, uniform = 0.2, min = 0.002, max = 80.0 }
        optimizer = { steps = 600, rate = 1e-3, warmup = 5, clip = 1.0, ema = 0.9 }
        schedule = { log = 1, validate = 200, save = 5 }
    "#;
    place().with_recipe(recipe)
}

/// Whatever stops a training run, the saved state is whole and the run that goes on ends at the same bytes as one that
/// was never stopped.
#[cfg(unix)]
#[test]
fn interrupted_training_goes_on() {
    let p = training_place();
    p.ok("train recipe.toml -o straight");
    for (name, code) in [("-INT", Some(0)), ("-TERM", Some(0)), ("-KILL", None)] {
        let state = p.path(name).join("state.safetensors");
        let mut child = p.command(&format!("train recipe.toml -o ./{name}"));
        let mut child = child.stderr(Stdio::null()).spawn().unwrap();
        while !state.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), code, "{name}");
        let before = std::fs::read(&state).unwrap();
        p.ok(&format!("train recipe.toml -o ./{name}"));
        for file in ["state.safetensors", "best.safetensors"] {
            let read = |run: &str| std::fs::read(p.path(run).join(file)).unwrap();
            assert!(read(name) == read("straight"), "{name}: {file} is another");
        }
        assert!(
            std::fs::read(&state).unwrap() != before,
            "{name}: nothing was left to do"
        );
    }
}

#[test]
fn the_clean_picture_is_untouched() {
    let p = place();
    let before = std::fs::read(p.path("clean.png")).unwrap();
    p.ok("denoise clean.png --noise 0.05 -o x.png");
    assert_eq!(std::fs::read(p.path("clean.png")).unwrap(), before);
    assert!(Path::new(&p.path("x.png")).exists());
}
