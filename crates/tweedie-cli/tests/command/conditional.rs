//! A conditional prior from its training to a restored picture.

use crate::place::{Place, photo};

/// A folder with a model that was trained to enlarge by 4, for a few steps.
fn place() -> Place {
    let recipe = r#"
        about = "tiny"
        data = { train = "train", valid = "valid", crop = 16, batch = 4 }
        network = { architecture = "photo", channels = 3, widths = [8, 8], blocks = [1, 1], embedding = 4, condition = true }
        parametrisation = { kind = "edm", sigma_data = 0.5 }
        condition = { operator = { kind = "downsample", factor = 4 }, noise = [0.0, 0.01] }
        noise = { law = "log-normal", mean = -1.2, std = 1.2, uniform = 0.2, min = 0.002, max = 80.0 }
        optimizer = { steps = 300, rate = 5e-3, warmup = 5, clip = 1.0, ema = 0.9 }
        schedule = { log = 100, validate = 300, save = 300 }
    "#;
    let p = Place::with(photo(100..140, 140..188)).with_recipe(recipe);
    p.ok("train recipe.toml --threads 1");
    p.ok("model halve recipe.run/best.safetensors -o sr3.safetensors");
    p.ok("degrade clean.png --operator downsample --factor 4 -o small.png");
    p
}

/// The verb that undoes what the prior was trained for takes the method by itself: the mean in one evaluation, which shows the
/// picture; draws differ; the same again by the record in the file, on any number of threads. All else is refused in a line.
#[test]
fn a_conditional_prior_goes_from_recipe_to_picture() {
    let p = place();
    let info = p.ok("model info sr3.safetensors");
    assert!(
        info.contains("undoes `downsample`") && info.contains("factor 4"),
        "{info}"
    );
    let prior = "--prior sr3.safetensors";
    let upscale = format!("upscale small.png --factor 4 {prior}");
    let report = p.json(&format!("{upscale} -o mean.png"));
    assert_eq!(
        (&report["method"], &report["nfe"]),
        (&"sr3".into(), &1.into())
    );
    assert_eq!(p.size("mean.png"), (3, 40, 48));
    // Grey is at 15 dB.
    assert!(
        p.psnr("clean.png", "mean.png") > 19.0,
        "{}",
        p.psnr("clean.png", "mean.png")
    );

    let report = p.json(&format!("{upscale} --steps 4 --threads 1 -o draw.png"));
    assert_eq!(report["nfe"], 7);
    p.ok(&format!("{upscale} --steps 4 --threads 2 -o again.png"));
    assert_eq!(p.psnr("draw.png", "again.png"), f64::INFINITY);
    p.ok(&format!("{upscale} --steps 4 --seed 1 -o other.png"));
    assert!(p.psnr("draw.png", "other.png") < 50.0);
    p.ok("redo draw.png small.png -o redone.png");
    assert_eq!(p.psnr("draw.png", "redone.png"), f64::INFINITY);
    p.ok(&format!("{upscale} --steps 3 --samples 2 -o two.png"));
    assert!(p.path("two.samples.png").exists() && p.path("two.spread.png").exists());
    std::fs::write(
        p.path("ddpm.toml"),
        "name = 'sr3'\nsampler = { name = 'ddpm' }\n",
    )
    .unwrap();
    let ancestral = format!("{upscale} --method ddpm.toml --steps 5 -o ddpm.png");
    assert_eq!(p.json(&ancestral)["nfe"], 5);

    for (line, part) in [
        (
            format!("denoise small.png {prior}"),
            "trained to undo `downsample`",
        ),
        (
            format!("upscale small.png --factor 2 {prior}"),
            "trained to undo",
        ),
        (format!("{upscale} --method dpir"), "sr3 does"),
        (format!("sample {prior} --size 16 -o x.png"), "first guess"),
        (
            "upscale small.png --factor 4 --method sr3".to_owned(),
            "conditional prior",
        ),
    ] {
        p.fails(&line, 1, part);
    }
}
