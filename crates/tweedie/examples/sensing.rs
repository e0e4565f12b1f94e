//! Compressed sensing: the table of `docs/compressed-sensing.md`.
//!
//! ```sh
//! cargo run --release --example sensing -- FOLDER [PART [METHOD...]]
//! ```
//!
//! Of each picture of the folder the middle 256x256 pixels are measured, restored by each method with the settings that suit the task,
//! and rounded to 8 bits. `PART` picks the tasks whose name holds it; a `METHOD` is a name, or the TOML of its settings. A line for each
//! picture goes to standard error, the means to standard output as a Markdown table; bold is what the command chooses by itself.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::path::Path;

use common::{Result, pictures, through_a_file};
use ndarray::s;
use tweedie::Device;
use tweedie::checkpoint::Model;
use tweedie::image::Picture;
use tweedie::metric::compare;
use tweedie::operator::Spec;
use tweedie::prior::{Network, Prior};
use tweedie::restore::{Choice, Job, degrade};

/// Pixels a side.
const SIDE: usize = 256;

/// Name, operator, noise.
const TASKS: &[(&str, &str, f64)] = &[
    ("hadamard 25 %", "kind = 'hadamard'\nratio = 0.25", 0.0),
    ("hadamard 10 %", "kind = 'hadamard'\nratio = 0.1", 0.0),
    (
        "hadamard 25 %, noise 0.02",
        "kind = 'hadamard'\nratio = 0.25",
        0.02,
    ),
    (
        "plain hadamard 25 %",
        "kind = 'hadamard'\nratio = 0.25\nscrambled = false",
        0.0,
    ),
    (
        "dct 25 %",
        "kind = 'transform'\nbasis = 'dct'\nratio = 0.25",
        0.0,
    ),
    (
        "blocks 25 %",
        "kind = 'matrix'\nmatrix = 'blocks'\nratio = 0.25",
        0.0,
    ),
];

const METHODS: [&str; 5] = ["", "ddnm", "ddrm", "diffpir", "wavelet"];

/// Sums over pictures.
#[derive(Default)]
struct Sums {
    psnr: f64,
    ssim: f64,
    lpips: f64,
    nfe: f64,
    seconds: f64,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args
        .next()
        .ok_or("usage: sensing FOLDER [PART [METHOD...]]")?;
    let part = args.next().unwrap_or_default();
    let mut methods: Vec<String> = args.collect();
    if methods.is_empty() {
        methods = METHODS.map(str::to_owned).to_vec();
    }
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    let truths: Vec<Picture> = pictures(Path::new(&folder))?
        .iter()
        .map(|path| Ok(middle(&tweedie::image::read(path)?)))
        .collect::<Result<_>>()?;
    println!("| measured | method | PSNR | SSIM | LPIPS | NFE | seconds |");
    println!("|---|---|---|---|---|---|---|");
    for (name, spec, sigma) in TASKS.iter().filter(|task| task.0.contains(&part)) {
        let spec: Spec = toml::from_str(spec)?;
        for method in &methods {
            row(name, &spec, *sigma, method, &truths, &prior)?;
        }
    }
    Ok(())
}

fn row(
    task: &str,
    spec: &Spec,
    sigma: f64,
    method: &str,
    truths: &[Picture],
    prior: &dyn Prior,
) -> Result<()> {
    let mut sums = Sums::default();
    let mut shown = String::new();
    for truth in truths {
        let y = degrade(truth, spec, sigma, 1)?;
        let job = Job {
            size: Some(truth.dims()),
            noise: Some(sigma.into()),
            method: match method {
                "" => Choice::Best,
                toml if toml.contains('=') => Choice::Settings(Box::new(toml::from_str(toml)?)),
                name => Choice::Named(name.to_owned()),
            },
            ..Job::new(spec.clone())
        };
        let (x, report) = job.prepare(&y.picture, prior.card())?.run(prior, ())?;
        let metrics = compare(&truth.pixels, &through_a_file(&x)?.pixels)?;
        eprintln!(
            "{task} {}: {:.2} dB, {:.1} s",
            report.method, metrics.psnr, report.seconds
        );
        report.notes.iter().for_each(|note| eprintln!("  {note}"));
        sums.psnr += metrics.psnr;
        sums.ssim += metrics.ssim.ok_or("the picture is too small for SSIM")?;
        sums.lpips += metrics.lpips.ok_or("the picture is too small for LPIPS")?;
        sums.nfe += report.nfe as f64;
        sums.seconds += report.seconds;
        shown = match method {
            "" => format!("**{}**", report.method),
            _ => method.replace('\n', ", "),
        };
    }
    let n = truths.len() as f64;
    println!(
        "| {task} | {shown} | {:.2} | {:.3} | {:.3} | {:.0} | {:.1} |",
        sums.psnr / n,
        sums.ssim / n,
        sums.lpips / n,
        sums.nfe / n,
        sums.seconds / n
    );
    Ok(())
}

fn middle(picture: &Picture) -> Picture {
    let (_, _, h, w) = picture.pixels.dim();
    let (top, left) = (h.saturating_sub(SIDE) / 2, w.saturating_sub(SIDE) / 2);
    let part = s![.., .., top..(top + SIDE).min(h), left..(left + SIDE).min(w)];
    Picture::new(picture.pixels.slice(part).to_owned())
}
