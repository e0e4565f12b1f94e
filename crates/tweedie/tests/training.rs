//! Training: it learns, it resumes exactly, it refuses what makes no sense.

use std::path::Path;

use rand::SeedableRng;
use serde_json::{Value, json};
use tweedie::checkpoint::{Model, Precision};
use tweedie::level::{Level, Range};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::prior::{Network, Prior};
use tweedie::train::{Error, Recipe, Session};
use tweedie::{Device, Dims};

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

const NETWORK: &str = r#"architecture = "photo"
channels = 3
widths = [24, 24]
blocks = [1, 1]
embedding = 8
"#;

const ADM: &str = r#"architecture = "adm"
channels_in = 3
channels_out = 3
base = 32
widths = [32, 32]
blocks = 1
attention = [false, true]
heads = {count = 2}
order = "head-first"
film = true
resampling = "block"
"#;

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
{NETWORK}[parametrisation]
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

/// The recipe with all that a network with maps is trained on.
fn mapped_text(steps: u64) -> String {
    recipe_text(steps)
        .replace("embedding = 8", "embedding = 8\nmaps = true")
        .replace("grey = 0.25", "grey = 0.25\nrounded = 0.5\njitter = 0.1")
        .replace("ema = 0.9\n", "ema = 0.9\nslow_ema = 0.99\n")
        .replace("validate = 40", "validate = 1000")
        .replace(
            "[optimizer]",
            "[maps]\nshare = 0.5\nkinds = { pixels = 1.0, holes = 1.0, mosaic = 1.0, grey = 1.0, bright = 1.0, smooth = 1.0 }\n[optimizer]",
        )
}

/// Maps, rounding, colours, a teacher and two averages: a resumed run ends at the same bits, every kind is scored, and the network learns
/// to fill in: better than the mean of its pictures, which is about 12 dB.
#[test]
fn maps_are_trained_and_resumed() {
    let (folder, recipe) = workplace(12);
    let photo = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/photo/photo.safetensors"
    );
    let teacher = format!("[teacher]\nmodel = {photo:?}\nshare = 0.5\n[optimizer]");
    let taught = mapped_text(12).replace("[optimizer]", &teacher);
    std::fs::write(&recipe, taught).unwrap();
    let straight = run(&recipe, &folder.path().join("a"), 12);
    let out = folder.path().join("b");
    drop(run(&recipe, &out, 6));
    let resumed = run(&recipe, &out, 12);
    assert_eq!(straight.params(), resumed.params());
    assert_eq!(straight.model().params, resumed.model().params);

    std::fs::write(&recipe, mapped_text(200)).unwrap();
    let mut session = run(&recipe, &folder.path().join("c"), 199);
    let scores = session.step().unwrap().scores.unwrap();
    assert_eq!(scores.mapped.len(), 6);
    for (kind, psnr) in scores.mapped {
        assert!(psnr > 17.0, "{kind:?}: {psnr}");
    }
}

/// A larger network begins where the smaller one ended. Wrong: new scales that are no identity at first, parts that are lost.
#[test]
fn a_larger_network_goes_on_from_a_smaller() {
    let (folder, recipe) = workplace(30);
    let small = run(&recipe, &folder.path().join("tiny.run"), 30);
    let text = mapped_text(5)
        .replace("widths = [24, 24]", "widths = [24, 24, 16]")
        .replace("blocks = [1, 1]", "blocks = [1, 1, 1]")
        .replace(
            "seed = 3",
            "seed = 3\nfrom = \"tiny.run/best.safetensors\"\nrenamed = { \"middle.1.0\" = \"encode.1.0\" }",
        );
    std::fs::write(&recipe, &text).unwrap();
    let best = Model::open(&small.best_path()).unwrap();
    let large = run(&recipe, &folder.path().join("large.run"), 0).model();
    let x = Seeded::new(1, "test").normal(1, Dims::new(3, 24, 40)) * 0.3 + 0.5;
    let answer = |model: &Model| {
        let network = Network::new(model, &Device::default()).unwrap();
        network.denoise(&x, Level::ve(0.2)).unwrap().x0
    };
    // One more block, of random weights, at the end of whose branch there are zeros.
    let off = (answer(&best) - answer(&large)).mapv(f32::abs);
    assert!(
        off.iter().all(|&v| v < 1e-5),
        "{:?}",
        off.iter().fold(0f32, |m, &v| m.max(v))
    );
    run(&recipe, &folder.path().join("large.run"), 2);
    // Without the names, the network is another one.
    let plain = text.replace("renamed = { \"middle.1.0\" = \"encode.1.0\" }", "");
    std::fs::write(&recipe, plain).unwrap();
    let recipe = Recipe::open(&recipe).unwrap();
    let error = Session::open(recipe, &folder.path().join("d"), &Device::default()).unwrap_err();
    assert!(error.to_string().contains("network"), "{error}");
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

/// The other objectives begin at the mean square of what is to be answered: of noise 1, of a velocity `1 + x0^2`, of `v` in
/// between; and draw the levels that they say. Wrong: times from the wrong end, a ladder that is even in sigma.
#[test]
fn objectives_begin_where_they_should() {
    let law =
        "law = \"log-normal\"\nmean = -1.2\nstd = 1.2\nuniform = 0.2\nmin = 0.002\nmax = 80.0";
    for (kind, noise, losses, median) in [
        (
            "eps",
            "law = \"ve\"\nmin = 0.02\nmax = 100.0\nsteps = 232",
            0.9..1.1,
            1.414,
        ),
        (
            "velocity",
            "law = \"flow\"\nmin = 0.002\nmax = 160.0",
            1.02..1.5,
            1.0,
        ),
        ("v", "law = \"ddpm\"\nsteps = 1000", 0.2..1.1, 3.425),
    ] {
        let (folder, recipe) = workplace(2);
        let text = recipe_text(2)
            .replace(
                "kind = \"edm\"\nsigma_data = 0.5",
                &format!("kind = \"{kind}\""),
            )
            .replace("batch = 4", "batch = 32")
            .replace(law, noise);
        std::fs::write(&recipe, text).unwrap();
        let mut session = run(&recipe, &folder.path().join("r"), 0);
        let first = session.step().unwrap();
        assert!(losses.contains(&first.loss), "{kind}: {}", first.loss);
        let mut sigmas = session
            .recipe()
            .noise
            .draw(4001, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
        sigmas.sort_by(f64::total_cmp);
        let off: f64 = (sigmas[2000] / median).ln();
        assert!(off.abs() < 0.3, "{kind}: {}", sigmas[2000]);
        let [least, most] = session.recipe().noise.bounds();
        assert!(sigmas[0] >= least * 0.999999 && sigmas[4000] <= most * 1.000001);
    }
}

/// Crops of a sheet are its small pictures, whole and upright; a network of one channel is shown grey ones. Wrong: crops between two
/// of them, mirrored ones, colours.
#[test]
fn sheets_hold_small_pictures() {
    let folder = tempfile::tempdir().unwrap();
    // Picture k is as bright as its number, but for a corner.
    let sheet = image::RgbImage::from_fn(3 * 16, 2 * 16, |x, y| {
        let k = 3 * (y / 16) + x / 16;
        let v = if x % 16 < 4 && y % 16 < 2 {
            255
        } else {
            40 * k as u8
        };
        image::Rgb([v, v, v])
    });
    for part in ["train", "valid"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        sheet.save(folder.path().join(part).join("0.png")).unwrap();
    }
    let recipe = folder.path().join("tiny.toml");
    let text = recipe_text(2)
        .replace("channels = 3", "channels = 1")
        .replace("scales = [1, 2]", "sheets = true\nupright = true");
    std::fs::write(&recipe, text).unwrap();
    let mut session = run(&recipe, &folder.path().join("r"), 0);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let crops = session.photos().crops(40, 16, 0.0, &mut rng);
    assert_eq!(crops.dim(), (40, 1, 16, 16));
    let mut seen = [false; 6];
    for crop in crops.outer_iter() {
        let v = |i: usize, j: usize| ((crop[[0, i, j]] + 1.0) * 127.5).round() as usize;
        let k = v(15, 15) / 40;
        seen[k] = true;
        for (i, j) in [(0, 15), (15, 0), (2, 0), (0, 4)] {
            assert_eq!(v(i, j), 40 * k, "{k}, {i}, {j}");
        }
        assert_eq!((v(0, 0), v(1, 3)), (255, 255));
    }
    assert_eq!(seen, [true; 6]);
    let scores = (session.step().unwrap(), session.step().unwrap()).1.scores;
    assert!(scores.unwrap().loss.is_finite());
}

/// Another architecture, told the index of a level in the place of its logarithm.
#[test]
fn any_network_is_trained() {
    let (folder, recipe) = workplace(2);
    let text = recipe_text(2)
        .replace(NETWORK, ADM)
        .replace("kind = \"edm\"\nsigma_data = 0.5", "kind = \"eps\"\n[conditioning]\nkind = \"index\"\nschedule = {kind = \"vp-linear\", steps = 1000}")
        .replace(
            "law = \"log-normal\"\nmean = -1.2\nstd = 1.2\nuniform = 0.2\nmin = 0.002\nmax = 80.0",
            "law = \"ddpm\"\nsteps = 1000",
        );
    std::fs::write(&recipe, &text).unwrap();
    let mut session = run(&recipe, &folder.path().join("r"), 0);
    let first = session.step().unwrap();
    assert!((first.loss - 1.0).abs() < 0.1, "{}", first.loss);
    let scores = session.step().unwrap().scores.unwrap();
    assert!(scores.loss.is_finite() && scores.psnr.iter().all(|p| p.is_finite()));
    let (best, spec) = (
        Model::open(&session.best_path()).unwrap(),
        session.model().spec,
    );
    assert_eq!(
        (&best.spec.network, &best.spec.conditioning),
        (&spec.network, &spec.conditioning)
    );
    // Sides that its blocks do not divide.
    std::fs::write(&recipe, text.replace("crop = 16", "crop = 17")).unwrap();
    let error = Recipe::open(&recipe).unwrap_err().to_string();
    assert!(error.contains("multiple of 2"), "{error}");
}

/// Of complex pictures a network learns real and imaginary part, whose range is [-1, 1] outside as well, and is no prior of grey
/// ones. Wrong: magnitudes halved on the way out, so that validation's noise would be.
#[test]
fn complex_pictures_are_trained() {
    let (folder, recipe) = workplace(60);
    let text = recipe_text(60)
        .replace("grey = 0.25", "phase = 40.0")
        .replace("channels = 3", "channels = 2");
    std::fs::write(&recipe, text).unwrap();
    let mut session = run(&recipe, &folder.path().join("r"), 59);
    let psnr = session.step().unwrap().scores.unwrap().psnr;
    // Noise of 50/255 alone is 14.15 dB.
    assert!((15.0..30.0).contains(&psnr[2]), "{psnr:?}");
    let model = session.model();
    assert!(model.spec.complex);
    let network = Network::new(&model, &Device::default()).unwrap();
    let card = network.card();
    assert_eq!(
        (card.range, card.channels.as_slice()),
        (Range::NETWORK, &[2][..])
    );
    assert_eq!(card.sigma, [0.002, 80.0]);
    let mut spec = model.spec;
    spec.complex = false;
    assert!(spec.check().is_ok());
    spec.complex = true;
    spec.network = toml::from_str(NETWORK).unwrap();
    assert!(spec.check().unwrap_err().to_string().contains("`complex`"));
}

/// Validation looks at noise of 15, 25 and 50 of 255; it does not ask a network that was trained for less.
#[test]
fn levels_that_training_leaves_out_are_not_scored() {
    let (folder, recipe) = workplace(1);
    let text = recipe_text(1).replace("max = 80.0", "max = 0.3");
    std::fs::write(&recipe, text).unwrap();
    let mut session = run(&recipe, &folder.path().join("r"), 0);
    let psnr = session.step().unwrap().scores.unwrap().psnr;
    assert_eq!(psnr.map(f64::is_nan), [false, false, true], "{psnr:?}");
}

#[test]
fn recipes_without_sense_are_refused_by_name() {
    let with_variance = ADM.replace("channels_out = 3", "channels_out = 6");
    let (_folder, recipe) = workplace(3);
    for (from, to, part) in [
        ("crop = 16", "crop = 16\ncorp = 3", "corp"),
        ("crop = 16", "crop = 0", "crop"),
        ("kind = \"edm\"", "kind = \"edn\"", "edn"),
        ("rate = 3e-3", "rate = -1.0", "rate"),
        ("batch = 4", "", "batch"),
        ("min = 0.002", "min = 100.0", "noise"),
        ("batch = 4", "batch = 4\ngrowth = [1, 3]", "growth"),
        ("channels = 3", "channels = 2", "1 to 1, for grey ones"),
        ("sigma_data = 0.5", "sigma_data = 0.0", "sigma_data"),
        ("[24, 24]", "[]", "widths"),
        (
            "[noise]",
            "[conditioning]\nkind = \"index\"\nschedule = {kind = \"vp-linear\", steps = 1000}\n[noise]",
            "conditioning",
        ),
        (NETWORK, &with_variance, "3 channels to 3"),
        ("grey = 0.25", "jitter = 2.0", "jitter"),
        ("grey = 0.25", "sheets = true", "data.scales are [1]"),
        ("grey = 0.25", "phase = 0.0", "data.phase"),
        ("grey = 0.25", "grey = 0.25\nphase = 40.0", "data.grey"),
        ("grey = 0.25", "phase = 40.0", "two channels, not 3"),
        (
            "[optimizer]",
            "[teacher]\nmodel = \"x\"\nshare = 2.0\n[optimizer]",
            "teacher.share",
        ),
        (
            "[optimizer]",
            "[maps]\nshare = 0.5\nkinds = {}\n[optimizer]",
            "maps",
        ),
        (
            "[optimizer]",
            "[maps]\nshare = 0.5\nkinds = { holes = 1.0 }\n[optimizer]",
            "no `maps`",
        ),
        (
            "[optimizer]",
            "[condition]\noperator = { kind = \"identity\" }\n[optimizer]",
            "twice the channels",
        ),
        (
            "embedding = 8",
            "embedding = 8\ncondition = true",
            "first guess",
        ),
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

/// Rewrites the header of a state file.
fn edit(state: &Path, edit: impl FnOnce(&mut Value)) {
    let bytes = std::fs::read(state).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    edit(&mut header);
    let header = header.to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&bytes[8 + length..]);
    std::fs::write(state, out).unwrap();
}

fn reopen(recipe: &Path, out: &Path) -> Result<Session, Error> {
    Session::open(Recipe::open(recipe).unwrap(), out, &Device::default())
}

/// Weights, average and moments must have the same arrays, those of the network.
#[test]
fn a_state_whose_parts_do_not_fit_is_refused_by_name() {
    let (folder, recipe) = workplace(8);
    let out = folder.path().join("run");
    drop(run(&recipe, &out, 4));
    let state = out.join("state.safetensors");
    let whole = std::fs::read(&state).unwrap();
    let cases = [
        ("mean/stem.bias", "mean/stem.bios", "stem.bias"),
        ("ema/stem.bias", "ema/a.bias", "stem.bias"),
        ("square/stem.bias", "sqare/stem.bias", "sqare/stem.bias"),
        ("weights/stem.bias", "ema/stem.bios", "stem.bias"),
    ];
    for (from, to, named) in cases {
        edit(&state, |header| {
            let array = header.as_object_mut().unwrap().remove(from).unwrap();
            header[to] = array;
        });
        let error = reopen(&recipe, &out).unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error}");
        assert!(error.to_string().contains(named), "{error}");
        std::fs::write(&state, &whole).unwrap();
    }
    edit(&state, |header| {
        header["mean/stem.bias"]["shape"] = json!([24, 1, 1, 1])
    });
    let error = reopen(&recipe, &out).unwrap_err().to_string();
    assert!(
        error.contains("`mean`") && error.contains("stem.bias"),
        "{error}"
    );
    std::fs::write(&state, &whole).unwrap();
    assert_eq!(reopen(&recipe, &out).unwrap().step_number(), 4);
}

/// A picture more, fewer, other or under another name is other data. States that do not say what they were trained on are
/// taken at their word.
#[test]
fn a_state_of_other_pictures_is_not_continued() {
    let (folder, recipe) = workplace(8);
    let out = folder.path().join("run");
    drop(run(&recipe, &out, 4));
    let picture = |name: &str| folder.path().join("train").join(name);
    let refused = || {
        let error = reopen(&recipe, &out).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Foreign {
                    what: "the pictures",
                    ..
                }
            ),
            "{error}"
        );
    };
    std::fs::rename(picture("2.png"), folder.path().join("away.png")).unwrap();
    refused();
    std::fs::rename(folder.path().join("away.png"), picture("3.png")).unwrap();
    refused();
    std::fs::rename(picture("3.png"), picture("2.png")).unwrap();
    drop(reopen(&recipe, &out).unwrap());
    let mut pixels = image::open(picture("1.png")).unwrap().to_rgb8();
    pixels.get_pixel_mut(3, 4).0[1] ^= 1;
    pixels.save(picture("1.png")).unwrap();
    refused();

    edit(&out.join("state.safetensors"), |header| {
        let text = header["__metadata__"]["tweedie-training"].as_str().unwrap();
        let mut state: Value = serde_json::from_str(text).unwrap();
        state.as_object_mut().unwrap().remove("pictures").unwrap();
        header["__metadata__"]["tweedie-training"] = json!(state.to_string());
    });
    assert_eq!(reopen(&recipe, &out).unwrap().step_number(), 4);
}

/// Two trainings in one folder would sweep each other's files.
#[test]
fn a_folder_is_for_one_training() {
    let (folder, recipe) = workplace(8);
    let out = folder.path().join("run");
    let first = run(&recipe, &out, 1);
    let error = reopen(&recipe, &out).unwrap_err();
    assert!(
        matches!(&error, Error::Busy(path) if *path == out),
        "{error}"
    );
    drop(first);
    assert!(reopen(&recipe, &out).is_ok());
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

/// The recipe of a network that enlarges by 4.
fn conditional_text(steps: u64) -> String {
    recipe_text(steps)
        .replace("embedding = 8", "embedding = 8\ncondition = true")
        .replace(
            "[optimizer]",
            "[condition]\noperator = { kind = \"downsample\", factor = 4 }\nnoise = [0.0, 0.02]\n[optimizer]",
        )
}

/// A network that is shown first guesses is resumed to the same bits, its file says what it undoes, and it learns more of the same
/// pictures than one without: a guess tells what noise hides. Wrong: guesses of other crops, of none, or that the network does not
/// see in validation.
#[test]
fn a_first_guess_is_trained_on() {
    let (folder, recipe) = workplace(12);
    std::fs::write(&recipe, conditional_text(12)).unwrap();
    let straight = run(&recipe, &folder.path().join("a"), 12);
    let out = folder.path().join("b");
    drop(run(&recipe, &out, 6));
    let resumed = run(&recipe, &out, 12);
    assert_eq!(straight.params(), resumed.params());
    let spec = Model::open(&resumed.best_path()).unwrap().spec;
    assert_eq!(spec.condition, resumed.recipe().condition);
    assert!(spec.condition.is_some() && spec.channels() == 3);
    drop(resumed);

    let scores = |text: String, out: &str| {
        std::fs::write(&recipe, text.replace("validate = 40", "validate = 1000")).unwrap();
        let mut session = run(&recipe, &folder.path().join(out), 199);
        session.step().unwrap().scores.unwrap()
    };
    let without = scores(recipe_text(200), "without");
    let shown = scores(conditional_text(200), "with");
    assert!(shown.loss < 0.8 * without.loss, "{shown:?}, {without:?}");
    assert!(without.given.is_none());
    let [(_, guess), (_, mean)] = shown.given.unwrap();
    // From nothing but noise a network makes about 12 dB, the pictures' mean.
    assert!(guess > 20.0 && mean > 18.0, "{guess}, {mean}");
    let names: Vec<String> = shown.named().into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"psnr/mean".to_owned()), "{names:?}");

    let other = conditional_text(12).replace("factor = 4", "factor = 2");
    std::fs::write(&recipe, other).unwrap();
    let error = reopen(&recipe, &out).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Foreign {
                what: "condition",
                ..
            }
        ),
        "{error}"
    );
}

/// Wrong: an operator that no crop fits found at the first step, one whose file would have to go with the model.
#[test]
fn conditions_without_sense_are_refused_by_name() {
    let (_folder, recipe) = workplace(3);
    for (from, to, part) in [
        ("factor = 4", "factor = 4000", "256"),
        ("factor = 4", "factor = 4, filter = \"k.txt\"", "k.txt"),
        ("noise = [0.0, 0.02]", "noise = [0.02, 0.0]", "noise"),
        ("noise = [0.0, 0.02]", "sigma = 1.0", "sigma"),
        ("grey = 0.25", "phase = 40.0", "condition"),
        (
            "[condition]",
            "[teacher]\nmodel = \"x\"\nshare = 0.5\n[condition]",
            "no `teacher`",
        ),
    ] {
        std::fs::write(&recipe, conditional_text(3).replace(from, to)).unwrap();
        let error = Recipe::open(&recipe).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// It begins as a network of pictures was left, which may know more than is needed. Wrong: new weights that are not zero, parts that
/// come along unasked, a part of no model that is left out without a word.
#[test]
fn a_conditional_network_goes_on_from_one_of_pictures() {
    let (folder, recipe) = workplace(4);
    std::fs::write(&recipe, mapped_text(4)).unwrap();
    let mapped = run(&recipe, &folder.path().join("tiny.run"), 4);
    let path = folder.path().join("tiny.safetensors");
    mapped.model().save(&path, Precision::F32).unwrap();
    let from = |without: &str| {
        let text = conditional_text(4);
        let seed = format!("seed = 3\nfrom = \"tiny.safetensors\"\n{without}");
        std::fs::write(&recipe, text.replace("seed = 3", &seed)).unwrap();
        Session::open(
            Recipe::open(&recipe).unwrap(),
            &folder.path().join("next"),
            &Device::default(),
        )
    };
    let begun = from("without = [\"stem.map\"]").unwrap().model();
    let draw = |seed| Seeded::new(seed, "test").normal(1, Dims::new(3, 24, 40)) * 0.3 + 0.5;
    let (x, guess, level) = (draw(1), draw(2), Level::ve(0.2));
    let open = |model: &Model| Network::new(model, &Device::default()).unwrap();
    let before = open(&mapped.model()).denoise(&x, level).unwrap().x0;
    let network = open(&begun);
    let now = network
        .given(&guess)
        .unwrap()
        .denoise(&x, level)
        .unwrap()
        .x0;
    assert!(before == now);
    for (without, part) in [
        ("", "network"),
        ("without = [\"embed\"]", "stem.map"),
        ("without = [\"stem.map\", \"stem.mop\"]", "stem.mop"),
    ] {
        let error = from(without).unwrap_err().to_string();
        assert!(error.contains(part), "{without}: {error}");
    }
}
