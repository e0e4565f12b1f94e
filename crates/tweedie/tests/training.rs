//! Training: it learns, it resumes exactly, it refuses what makes no sense.

use std::path::Path;

use tweedie::Device;
use tweedie::checkpoint::{Model, Precision};
use tweedie::train::{Error, Recipe, Session};

/// A folder with a few small synthetic photographs, and a recipe for a tiny network.
fn workplace(steps: u64) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "valid"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for k in 0..3u32 {
            let picture = image::RgbImage::from_fn(112, 100, |x, y| {
                let wave = ((x * (k + 1) + 2 * y) as f32 / 11.0).sin();
                let disk = ((x as i32 - 50).pow(2) + (y as i32 - 45).pow(2)) < 900;
                let base = if disk { 200.0 } else { 70.0 };
                let v = |shift: f32| (base + 40.0 * wave + shift) as u8;
                image::Rgb([v(0.0), v(10.0 * k as f32), v(-20.0)])
            });
            let name = format!("{part}/{k}.png");
            picture.save(folder.path().join(name)).unwrap();
        }
    }
    let recipe = folder.path().join("tiny.toml");
    std::fs::write(&recipe, recipe_text(steps)).unwrap();
    (folder, recipe)
}

fn recipe_text(steps: u64) -> String {
    format!(
        r#"
about = "tiny"
seed = 3
[data]
train = "train"
valid = "valid"
crop = 16
batch = 4
scales = [1, 2]
grey = 0.25
[network]
architecture = "photo"
channels = 3
widths = [24, 24]
blocks = [1, 1]
embedding = 8
[parametrisation]
kind = "edm"
sigma_data = 0.5
[noise]
law = "log-normal"
mean = -1.2
std = 1.2
uniform = 0.2
min = 0.002
max = 80.0
[optimizer]
steps = {steps}
rate = 3e-3
warmup = 5
clip = 1.0
ema = 0.9
[schedule]
log = 1
validate = 40
save = 4
"#
    )
}

fn run(recipe: &Path, out: &Path, until: u64) -> Session {
    let recipe = Recipe::open(recipe).unwrap();
    let mut session = Session::open(recipe, out, &Device::default()).unwrap();
    while session.step_number() < until {
        session.step().unwrap();
    }
    session
}

/// A killed run loses what came after the last save, and ends at the same bits all the same.
#[test]
fn a_killed_run_resumes_to_the_same_weights() {
    let (folder, recipe) = workplace(12);
    let straight = run(&recipe, &folder.path().join("a"), 12);
    let out = folder.path().join("b");
    drop(run(&recipe, &out, 6)); // killed: the state of step 4 is what is left
    std::fs::write(out.join(".tweedie-Xy12.part"), "half a state").unwrap();
    let resumed = Session::open(Recipe::open(&recipe).unwrap(), &out, &Device::default()).unwrap();
    assert_eq!(resumed.step_number(), 4);
    assert!(!out.join(".tweedie-Xy12.part").exists());
    drop(resumed);
    let resumed = run(&recipe, &out, 12);
    assert_eq!(straight.params(), resumed.params());
    assert_eq!(straight.model().params, resumed.model().params);
}

#[test]
fn training_learns_and_keeps_the_best() {
    let (folder, recipe) = workplace(400);
    let out = folder.path().join("run");
    let mut session =
        Session::open(Recipe::open(&recipe).unwrap(), &out, &Device::default()).unwrap();
    let mut losses = Vec::new();
    let mut scores = Vec::new();
    while !session.finished() {
        let report = session.step().unwrap();
        losses.push(report.loss);
        scores.extend(report.scores);
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..20]), mean(&losses[380..]));
    assert!(last < 0.65 * first, "loss went from {first} to {last}");
    assert!(scores.last().unwrap().loss < scores[0].loss);
    // Noise of 50/255 alone is 14.15 dB; a network that learns nothing stays there.
    assert!(scores.last().unwrap().psnr[2] > 14.15 + 4.0, "{scores:?}");
    let best = Model::open(&session.best_path()).unwrap();
    assert_eq!(best.spec, session.model().spec);
    let events = std::fs::read(out.join("events.out.tfevents.tweedie")).unwrap();
    assert_eq!(records(&events), 1 + 400);
}

/// Walks the length-prefixed records of an event file.
fn records(mut bytes: &[u8]) -> usize {
    let mut n = 0;
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let masked = |data: &[u8]| {
            crc32c::crc32c(data)
                .rotate_right(15)
                .wrapping_add(0xa282_ead8)
        };
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(8), masked(&bytes[..8]));
        assert_eq!(word(12 + length), masked(&bytes[12..12 + length]));
        bytes = &bytes[16 + length..];
        n += 1;
    }
    n
}

#[test]
fn ddpm_simple_trains_too() {
    let (folder, recipe) = workplace(3);
    let text = recipe_text(3)
        .replace("kind = \"edm\"\nsigma_data = 0.5", "kind = \"eps\"")
        .replace(
            "law = \"log-normal\"\nmean = -1.2\nstd = 1.2\nuniform = 0.2\nmin = 0.002\nmax = 80.0",
            "law = \"ddpm\"\nsteps = 1000",
        );
    std::fs::write(&recipe, text).unwrap();
    let recipe = Recipe::open(&recipe).unwrap();
    let mut session = Session::open(recipe, &folder.path().join("r"), &Device::default()).unwrap();
    // The network's answer starts at zero and its target is unit noise.
    let first = session.step().unwrap();
    assert!((first.loss - 1.0).abs() < 0.1, "{}", first.loss);
}

#[test]
fn recipes_without_sense_are_refused_by_name() {
    let (_folder, recipe) = workplace(3);
    for (from, to, part) in [
        ("crop = 16", "crop = 16\ncorp = 3", "corp"),
        ("crop = 16", "crop = 0", "crop"),
        ("kind = \"edm\"", "kind = \"edn\"", "edn"),
        ("rate = 3e-3", "rate = -1.0", "rate"),
        ("batch = 4", "", "batch"),
        ("min = 0.002", "min = 100.0", "noise"),
        ("batch = 4", "batch = 4\ngrowth = [1, 3]", "growth"),
    ] {
        std::fs::write(&recipe, recipe_text(3).replace(from, to)).unwrap();
        let error = Recipe::open(&recipe).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_state_of_another_recipe_is_not_continued() {
    let (folder, recipe) = workplace(8);
    let out = folder.path().join("run");
    drop(run(&recipe, &out, 4));
    std::fs::write(&recipe, recipe_text(8).replace("seed = 3", "seed = 4")).unwrap();
    let other = Recipe::open(&recipe).unwrap();
    assert!(matches!(
        Session::open(other, &out, &Device::default()),
        Err(Error::Foreign { what: "seed", .. })
    ));
    // More steps are no other recipe.
    std::fs::write(&recipe, recipe_text(9)).unwrap();
    let longer = Recipe::open(&recipe).unwrap();
    let session = Session::open(longer, &out, &Device::default()).unwrap();
    assert_eq!(session.step_number(), 4);
}

/// Steps take small and large crops in turn; crops that no picture holds are named.
#[test]
fn crops_grow() {
    let (folder, recipe) = workplace(4);
    let open = |growth: &str, out: &str| {
        let text = recipe_text(4).replace("batch = 4", &format!("batch = 4\ngrowth = {growth}"));
        std::fs::write(&recipe, text).unwrap();
        let recipe = Recipe::open(&recipe).unwrap();
        let sizes = [0, 1, 2].map(|n| recipe.data.crops_of(n));
        Session::open(recipe, &folder.path().join(out), &Device::default()).map(|s| (s, sizes))
    };
    let (mut session, sizes) = open("[1, 2]", "run").unwrap();
    assert_eq!(sizes, [(4, 16), (1, 32), (4, 16)]);
    for _ in 0..2 {
        assert!(session.step().unwrap().loss > 0.0);
    }
    let text = recipe_text(4).replace("batch = 4", "batch = 64\ngrowth = [1, 8]");
    std::fs::write(&recipe, text).unwrap();
    let recipe = Recipe::open(&recipe).unwrap();
    let error = Session::open(recipe, &folder.path().join("large"), &Device::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("128x128"), "{error}");
}

/// Training goes on from a model: the first loss is what it had reached, not that of random weights.
#[test]
fn a_model_is_trained_further() {
    let (folder, recipe) = workplace(8);
    let first = run(&recipe, &folder.path().join("first"), 8);
    let path = folder.path().join("first.safetensors");
    first.model().save(&path, Precision::F32).unwrap();
    let further = |text: &str, out: &str| {
        std::fs::write(&recipe, format!("from = \"first.safetensors\"\n{text}")).unwrap();
        let recipe = Recipe::open(&recipe).unwrap();
        Session::open(recipe, &folder.path().join(out), &Device::default())
    };
    let text = recipe_text(2).replace("crop = 16", "crop = 32");
    let mut session = further(&text, "second").unwrap();
    assert_eq!(session.model().params, first.model().params);
    assert_eq!(session.step_number(), 0);
    session.step().unwrap();
    assert!(session.params() != &first.model().params);
    let wider = text.replace("[24, 24]", "[24, 32]");
    let error = further(&wider, "third").unwrap_err().to_string();
    assert!(error.contains("network"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = further(&text, "fourth").unwrap_err().to_string();
    assert!(error.contains("first.safetensors"), "{error}");
}

#[test]
fn folders_without_pictures_are_named() {
    let (folder, recipe) = workplace(3);
    std::fs::remove_dir_all(folder.path().join("train")).unwrap();
    let open = || {
        let recipe = Recipe::open(&recipe).unwrap();
        Session::open(recipe, &folder.path().join("r"), &Device::default()).unwrap_err()
    };
    assert!(open().to_string().contains("train"));
    std::fs::create_dir(folder.path().join("train")).unwrap();
    assert!(open().to_string().contains("no picture"));
    std::fs::write(folder.path().join("train/x.png"), b"\x89PNG\r\n").unwrap();
    assert!(open().to_string().contains("x.png"));
}

/// Half precision is what is shipped.
#[test]
fn half_precision_halves_the_file() {
    let (folder, recipe) = workplace(1);
    let session = run(&recipe, &folder.path().join("r"), 1);
    let save = |name: &str, precision| {
        let path = folder.path().join(name);
        session.model().save(&path, precision).unwrap();
        std::fs::metadata(path).unwrap().len() as f64
    };
    let ratio = save("h", Precision::F16) / save("f", Precision::F32);
    assert!(ratio < 0.6, "{ratio}");
}
