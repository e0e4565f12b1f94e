//! Methods on slices of heads, seen by simulated coils, for a prior of complex pictures.
//!
//! ```sh
//! cargo run --release --example mri_table -- FOLDER MODEL [SLICES [SHEET.png]]
//! ```
//!
//! `FOLDER` holds grey slices that the complex prior `MODEL` has never seen (models/brain/prepare.py writes them). They are
//! reduced to 128x128, get a smooth phase and are recorded by six coils, whose true sensitivities the methods know, at
//! the patterns and accelerations of the DDS paper. Prints mean PSNR and SSIM of magnitudes, one Markdown table without noise and one
//! with, and the ablation of the steps of conjugate gradients.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use common::{Result, pictures};
use ndarray::Axis;
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::method::{Settings, Task};
use tweedie::metric::{psnr, ssim};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::Spec;
use tweedie::prior::Network;
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Device, Dims, Image};

const SIDE: usize = 128;
const COILS: usize = 6;
const SIGMA: f64 = 0.02;

const NOISELESS: [&str; 8] = [
    "uniform1d:4",
    "uniform1d:8",
    "gaussian1d:4",
    "gaussian1d:8",
    "gaussian2d:8",
    "gaussian2d:15",
    "poisson:8",
    "poisson:15",
];
const NOISY: [&str; 4] = ["uniform1d:4", "uniform1d:8", "poisson:8", "poisson:15"];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (folder, model) = match (args.next(), args.next()) {
        (Some(folder), Some(model)) => (folder, model),
        _ => return Err("usage: mri_table FOLDER MODEL [SLICES [SHEET.png]]".into()),
    };
    let slices: usize = args.next().map_or(Ok(4), |n| n.parse())?;
    let sheet = args.next().map(PathBuf::from);
    let prior = Network::new(&Model::open(Path::new(&model))?, &Device::default())?;
    let heads = heads(Path::new(&folder), slices)?;

    let mut rows = Vec::new();
    for (sigma, samplings) in [(0.0, &NOISELESS[..]), (SIGMA, &NOISY[..])] {
        println!("\nnoise {sigma}\n");
        println!("| sampling | zero-filled | TV | DPS | DDS 99 | DDS 49 | DDS 19 |");
        println!("|---|---|---|---|---|---|---|");
        for sampling in samplings {
            let problem = recorded(&heads, sampling, sigma)?;
            let mut results = vec![problem.operator.guess(&problem.y)];
            for settings in methods(&problem)? {
                results.push(solved(&settings, &prior, &problem)?);
            }
            let scores: Result<Vec<String>> = results.iter().map(|x| score(x, &heads)).collect();
            println!("| {sampling} | {} |", scores?.join(" | "));
            rows.push(results);
        }
    }
    ablation(&prior, &heads)?;
    match sheet {
        Some(path) => draw(&path, &heads, &rows),
        None => Ok(()),
    }
}

/// Slices spread over the folder, complex, in one batch.
fn heads(folder: &Path, n: usize) -> Result<Image> {
    let files = pictures(folder)?;
    let n = n.clamp(1, files.len());
    let mut heads = Image::zeros(Dims::new(2, SIDE, SIDE).batch(n));
    for (k, mut head) in heads.outer_iter_mut().enumerate() {
        let file = &files[(2 * k + 1) * files.len() / (2 * n)];
        let slice = tweedie::image::read(file)?.pixels;
        let factor = (slice.dim().2 / SIDE).max(1);
        // Another phase for each: a turn, a slope and a bend.
        let turns = Seeded::new(k as u64, "phase").normal(1, Dims::new(1, 1, 4));
        let turn = |i: usize| f64::from(turns[[0, 0, 0, i]]);
        for i in 0..SIDE {
            for j in 0..SIDE {
                let block = slice.slice(ndarray::s![
                    0,
                    0,
                    i * factor..(i + 1) * factor,
                    j * factor..(j + 1) * factor
                ]);
                let size = f64::from(
                    block
                        .mean()
                        .ok_or("a slice is at least 128 pixels a side")?,
                );
                let [y, x] = [i, j].map(|i| i as f64 / SIDE as f64 - 0.5);
                let bend = turn(3) * (x * x + y * y);
                let phase = TAU * (turn(0) + 0.4 * (turn(1) * x + turn(2) * y + bend));
                head[[0, i, j]] = (size * phase.cos()) as f32;
                head[[1, i, j]] = (size * phase.sin()) as f32;
            }
        }
    }
    Ok(heads)
}

fn recorded(heads: &Image, sampling: &str, sigma: f64) -> Result<Problem> {
    let spec: Spec = toml::from_str(&format!(
        "kind = 'mri'\nsampling = '{sampling}'\ncoils = 'simulated:{COILS}'\npictures = 'complex'\nseed = 1"
    ))?;
    let operator = spec.build(Dims::of(heads))?;
    let mut y = operator.apply(heads);
    let noise = Seeded::new(1, "measurement").normal(y.dim().0, operator.output());
    y.scaled_add(sigma as f32, &noise);
    if let Some(places) = operator.recorded() {
        for mut plane in y.lanes_mut(Axis(1)).into_iter().zip(places.iter().cycle()) {
            if !plane.1 {
                plane.0.fill(0.0);
            }
        }
    }
    Ok(Problem::new(y, operator, sigma)?)
}

/// Total variation and DPS as tuned, and DDS with three numbers of evaluations.
fn methods(problem: &Problem) -> Result<Vec<Settings>> {
    let tuned = |name: &str, steps| {
        let settings = Settings::tuned(name, &Task::of(problem, steps));
        settings.ok_or_else(|| format!("there is no {name}"))
    };
    Ok(vec![
        tuned("tv", None)?,
        tuned("dps", Some(100))?,
        tuned("dds", Some(99))?,
        tuned("dds", Some(49))?,
        tuned("dds", Some(19))?,
    ])
}

fn solved(settings: &Settings, prior: &Network, problem: &Problem) -> Result<Image> {
    let mut run = Run::new(1);
    Ok(settings.as_dyn().restore(prior, problem, &mut run)?.x)
}

/// Magnitudes, `[batch, 1, height, width]`.
fn magnitudes(x: &Image) -> Image {
    let size = x.map_axis(Axis(1), |parts| parts[0].hypot(parts[1]));
    size.insert_axis(Axis(1))
}

fn score(x: &Image, heads: &Image) -> Result<String> {
    let (x, truth) = (magnitudes(x), magnitudes(heads));
    Ok(format!(
        "{:.2} / {:.3}",
        psnr(&x, &truth)?,
        ssim(&x, &truth)?
    ))
}

/// DDS with more and fewer steps of conjugate gradients.
fn ablation(prior: &Network, heads: &Image) -> Result<()> {
    println!("\nuniform1d:4, noiseless, DDS 49 by steps of conjugate gradients\n");
    println!("| 1 | 3 | 5 | 10 |\n|---|---|---|---|");
    let problem = recorded(heads, "uniform1d:4", 0.0)?;
    let tuned = Settings::tuned("dds", &Task::of(&problem, Some(49))).ok_or("there is no dds")?;
    let mut scores = Vec::new();
    for iterations in [1, 3, 5, 10] {
        let mut settings = serde_json::to_value(&tuned)?;
        settings["iterations"] = iterations.into();
        let settings: Settings = serde_json::from_value(settings)?;
        scores.push(score(&solved(&settings, prior, &problem)?, heads)?);
    }
    println!("| {} |", scores.join(" | "));
    Ok(())
}

/// The first slice: a row for each sampling, the truth at its end.
fn draw(path: &Path, heads: &Image, rows: &[Vec<Image>]) -> Result<()> {
    let first = |x: &Image| magnitudes(&x.slice(ndarray::s![..1, .., .., ..]).to_owned());
    let mut cells = Vec::new();
    for row in rows {
        cells.extend(row.iter().map(first));
        cells.push(first(heads));
    }
    let columns = rows.first().map_or(1, |row| row.len() + 1);
    let sheet = Picture::new(tweedie::image::grid(&cells, columns)?);
    tweedie::image::write(path, &sheet, &Default::default(), Overwrite::Allow)?;
    Ok(())
}
