//! Operators that are not linear, several measurements of one picture, and light that is counted, from file to file.

use tweedie::metric::psnr;

use crate::place::{Place, photo};

fn place() -> Place {
    Place::with(photo(100..148, 140..188))
}

/// What each degrades `restore` undoes by itself, at least a decibel better than the measurement, where that is a picture at all.
#[test]
fn what_is_not_linear_is_undone() {
    let p = place();
    for (operator, gain) in [
        ("quantise --levels 6", 1.0),
        ("hdr --exposure 2", 3.0),
        (
            "nonlinear-blur --kernel motion:7:30 --boundary symmetric",
            2.0,
        ),
        ("network --kernel motion:7:30", 2.0),
    ] {
        p.ok(&format!(
            "degrade clean.png --operator {operator} -o y.png --force"
        ));
        p.ok(&format!(
            "restore y.png --operator {operator} -o x.png --force"
        ));
        let (before, after) = (p.psnr("clean.png", "y.png"), p.psnr("clean.png", "x.png"));
        assert!(after > before + gain, "{operator}: {before} to {after}");
    }
}

/// Magnitudes travel in arrays, and the picture comes back; alignment finds one that is turned.
#[test]
fn phases_are_found_through_files() {
    let p = place();
    let operator = "phase --diffraction coded:3";
    p.ok(&format!(
        "degrade clean.png --operator {operator} --noise 0.02 -o y.npz"
    ));
    p.ok("restore y.npz -o x.png");
    assert!(
        p.psnr("clean.png", "x.png") > 29.0,
        "{}",
        p.psnr("clean.png", "x.png")
    );
    p.fails("restore y.npz -o z.png --strength 0.5", 1, "blend");
    // Nothing in magnitudes tells their noise.
    p.ok(&format!("degrade clean.png --operator {operator} -o y.npy"));
    std::fs::remove_file(p.path("y.toml")).unwrap();
    let line = format!("restore y.npy --operator {operator} -o z.png --steps 4");
    p.fails(&line, 1, "--noise");
    p.ok(&format!("{line} --noise 0"));
    let mut turned = p.read("clean.png");
    turned.pixels = turned
        .pixels
        .slice(ndarray::s![.., .., ..;-1, ..;-1])
        .to_owned();
    p.save("turned.png", &turned);
    assert!(p.psnr("clean.png", "turned.png") < 20.0);
    assert_eq!(p.psnr("clean.png", "turned.png --align"), f64::INFINITY);
}

/// Two exposures of one scene, shaken in two directions, give more than one. Wrong: the first measurement alone, the second twice.
#[test]
fn measurements_are_taken_together() {
    let p = place();
    let blur = |angle| format!("{{ kind = 'blur', kernel = 'motion:9:{angle}' }}");
    let stack = format!("kind = 'stack'\nof = [{}, {}]", blur(0), blur(90));
    std::fs::write(p.path("two.toml"), stack).unwrap();
    p.ok("degrade clean.png --operator two.toml --noise 0.02 -o y.png");
    assert!(!p.path("y.png").exists());
    p.ok("restore y.1.png y.2.png --together --operator two.toml --noise 0.02 -o both.png");
    p.ok("restore y.1.png --operator blur --kernel motion:9:0 --noise 0.02 -o one.png");
    let (one, both) = (
        p.psnr("clean.png", "one.png"),
        p.psnr("clean.png", "both.png"),
    );
    assert!(both > one + 1.0, "{one} and {both}");
    p.ok("restore y.1.png y.2.png --together --operator two.toml -o told.png");
    p.fails(
        "restore y.1.png --together --operator two.toml -o x.png",
        1,
        "measurements of a stack of 2",
    );
}

/// Counted light has the variance that it says, and is restored as such.
#[test]
fn light_is_counted() {
    let p = place();
    p.ok("degrade clean.png --operator identity --noise photons:30 -o y.png");
    let (clean, y) = (p.read("clean.png").pixels, p.read("y.png").pixels);
    let expected: f32 = clean.iter().map(|v| v / 30.0).sum();
    // White clips what is brighter.
    let found: f32 = (&y - &clean).mapv(|v| v * v).sum();
    assert!((found / expected - 1.0).abs() < 0.1, "{found}, {expected}");
    p.ok("denoise y.png --noise photons:30 -o x.png");
    let x = p.read("x.png").pixels;
    assert!(psnr(&clean, &x).unwrap() > psnr(&clean, &y).unwrap() + 5.0);
    p.fails("denoise y.png --noise photons:0 -o z.png", 2, "photons:100");
}

/// A network learns an operator, goes into a file, and is undone as any other; as a prior it is refused.
#[test]
fn an_operator_is_learned() {
    let recipe = r#"
        about = "tiny camera"
        data = { train = "train", valid = "valid", crop = 24, batch = 4 }
        network = { architecture = "photo", channels = 3, widths = [16], blocks = [1], embedding = 4, condition = true }
        parametrisation = { kind = "x0", path = "ve" }
        imitate = { length = [3.0, 7.0], response = 1.8 }
        noise = { law = "none" }
        optimizer = { steps = 400, rate = 5e-3, warmup = 5, clip = 1.0, ema = 0.9 }
        schedule = { log = 100, validate = 400, save = 400 }
    "#;
    let p = place().with_recipe(recipe);
    let trained = p.ok("train recipe.toml --threads 1 --json");
    let validated: serde_json::Value =
        serde_json::from_str(trained.lines().next().unwrap()).unwrap();
    let [unchanged, answer] = [0, 1].map(|i| validated["given"][i].as_f64().unwrap());
    assert!(answer > unchanged + 2.0, "{unchanged}, {answer}");
    let info = p.ok("model info recipe.run/best.safetensors");
    assert!(info.contains("motions of 3 to 7 pixels"), "{info}");
    let operator = "--operator network --network recipe.run/best.safetensors --kernel motion:6:80";
    p.ok(&format!("degrade clean.png {operator} -o y.png"));
    p.ok(&format!("restore y.png {operator} --steps 8 -o x.png"));
    let (before, after) = (p.psnr("clean.png", "y.png"), p.psnr("clean.png", "x.png"));
    assert!(after > before + 0.5, "{before} to {after}");
    p.fails(
        "denoise y.png --prior recipe.run/best.safetensors -o z.png",
        1,
        "--operator network",
    );
    std::fs::write(
        p.path("both.toml"),
        recipe.replace(r#""none""#, r#""flow", min = 0.01, max = 80.0"#),
    )
    .unwrap();
    p.fails("train both.toml", 1, "noise.law is `none`");
    std::fs::write(
        p.path("more.toml"),
        recipe.replace(r#""none""#, r#""none", min = 0.01"#),
    )
    .unwrap();
    p.fails("train more.toml", 1, "min");
}
