//! Whole networks: medians of forward, of forward with gradient to the input, of loading and of training; peak memory.
//!
//! ```text
//! cargo bench -p tweedie --bench unet                         # all, as a table
//! cargo bench -p tweedie --bench unet -- ffhq-forward 10      # one, ten times, as a line of JSON
//! ```
//!
//! Each case runs in a process of its own, so that its peak memory is its own.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use tweedie::checkpoint::Model;
use tweedie::level::Level;
use tweedie::net::{Adm, AdmConfig, Condition, Loader, Net, Params};
use tweedie::prior::{Network, Prior};
use tweedie::train::{Recipe, Session};
use tweedie::{Device, Image};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CASES: [&str; 8] = [
    "ffhq-load",
    "ffhq-forward",
    "ffhq-gradient",
    "photo-256-forward",
    "photo-256-gradient",
    "photo-1024-forward",
    "photo-2048-pullback",
    "photo-train",
];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    if let [case, repeats @ ..] = args.as_slice() {
        let repeats = repeats.first().map_or(Ok(7), |n| n.parse())?;
        // Inside the rayon pool, as networks run in the library.
        return rayon::scope(|_| run(case, repeats).map_err(|e| e.to_string())).map_err(Into::into);
    }
    println!("| case | seconds (median) | peak memory (GiB) |\n|---|---|---|");
    for case in CASES {
        let out = Command::new(std::env::current_exe()?).arg(case).output()?;
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).into());
        }
        let line: serde_json::Value = serde_json::from_slice(&out.stdout)?;
        let [seconds, peak] = ["seconds", "peak"].map(|k| line[k].as_f64().unwrap_or(f64::NAN));
        println!("| {case} | {seconds:.3} | {peak:.2} |");
    }
    Ok(())
}

/// Prints a line of JSON.
fn run(case: &str, repeats: usize) -> Result<()> {
    let mut times = match case {
        "ffhq-load" => {
            let config = AdmConfig::ffhq();
            let params = config.init(1)?;
            time(repeats, || adm(&config, &params).map(drop))?
        }
        "ffhq-forward" | "ffhq-gradient" => {
            let config = AdmConfig::ffhq();
            let adm = adm(&config, &config.init(1)?)?;
            measure(case, repeats, 256, |x| adm.forward(x, &[500.0], None))?
        }
        "photo-train" => train(repeats)?,
        "photo-2048-pullback" => pull(repeats, 2048)?,
        _ => {
            let photo = photo(&Model::photo()?)?;
            let side = if case.contains("1024") { 1024 } else { 256 };
            measure(case, repeats, side, |x| {
                photo.forward(x, Condition::Levels(&[-0.5]))
            })?
        }
    };
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "{{\"case\": \"{case}\", \"seconds\": {median}, \"peak\": {}}}",
        peak()
    );
    Ok(())
}

fn measure(
    case: &str,
    repeats: usize,
    side: usize,
    network: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Result<Vec<f64>> {
    let noise = (0..3 * side * side).map(|i| (i * 7919 % 1013) as f32 / 506.5 - 1.0);
    let data = TensorData::new(noise.collect::<Vec<_>>(), [1, 3, side, side]);
    if case.ends_with("gradient") {
        let device = Device::default().autodiff();
        time(repeats, || {
            let x = Tensor::from_data(data.clone(), &device).require_grad();
            let grads = network(x.clone()).sum().backward();
            x.grad(&grads)
                .map(|_| ())
                .ok_or_else(|| "no gradient".into())
        })
    } else {
        let x = Tensor::from_data(data, &Device::default());
        time(repeats, || {
            network(x.clone());
            Ok(())
        })
    }
}

/// Seconds of each run after the first.
fn time(repeats: usize, mut run: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    run()?;
    (0..repeats.max(1))
        .map(|_| {
            let start = Instant::now();
            run()?;
            Ok(start.elapsed().as_secs_f64())
        })
        .collect()
}

/// Denoising of a large picture and its pullback, as a prior: in tiles.
fn pull(repeats: usize, side: usize) -> Result<Vec<f64>> {
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    let value = |(_, c, i, j)| ((c + 3 * i + 7 * j) % 101) as f32 / 101.0;
    let x = Image::from_shape_fn((1, 3, side, side), value);
    time(repeats, || {
        let (estimate, pullback) = prior.denoise_with_pullback(&x, Level::ve(0.3))?;
        pullback(&estimate.x0)?;
        Ok(())
    })
}

/// Training steps of the photo network, data and optimiser included: 16 crops of 64x64.
fn train(repeats: usize) -> Result<Vec<f64>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut recipe = Recipe::open(&root.join("models/photo/recipe.toml"))?;
    recipe.data.train = root.join("examples/photos");
    recipe.data.valid = recipe.data.train.clone();
    let out = tempfile::tempdir()?;
    let mut session = Session::open(recipe, out.path(), &Device::default())?;
    time(repeats, || {
        session.step()?;
        Ok(())
    })
}

fn adm(config: &AdmConfig, params: &Params) -> Result<Adm> {
    let mut loader = Loader::new(params, &Device::default());
    let adm = Adm::load(config, &mut loader)?;
    loader.finish()?;
    Ok(adm)
}

fn photo(model: &Model) -> Result<Box<dyn Net>> {
    let mut loader = Loader::new(&model.params, &Device::default());
    let photo = model.spec.network.load(&mut loader)?;
    loader.finish()?;
    Ok(photo)
}

/// The process's largest resident memory so far, in GiB; NaN where the system does not tell.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / f64::from(1 << 20))
}
