//! Tables of methods on real pictures: the README's of eight tasks and a few methods, and `docs/comparison.md`'s of all that fit.
//!
//! ```sh
//! cargo run --release --example table -- few OUT KERNEL FOLDER...
//! cargo run --release --example table -- all OUT KERNEL FOLDER...
//! ```
//!
//! `few` takes whole pictures and what the command chooses by itself, for the truth and for texture, beside a classical method,
//! DiffPIR and DPIR; `all` takes the middle 128x128 pixels and every method that fits. `KERNEL` is the motion kernel, a picture or a
//! text file of numbers. Everything goes the command's own way: measurements are rounded to 8 bits (of blurs, the part of the
//! picture that is blurred by what is in it), their noise is estimated, results are rounded again. For every task, picture and
//! method a line of JSON is added to `OUT/rows.jsonl` and the result written to `OUT/TASK/`; a run that was interrupted goes on
//! where it was. At the end the means are printed as a Markdown table.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::{Result, measured, pictures, restored, through_a_file};
use ndarray::s;
use serde::{Deserialize, Serialize};
use tweedie::Device;
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::method::fitting;
use tweedie::metric::compare;
use tweedie::operator::{BlurSpec, DownsampleSpec, Edges, GraySpec, IdentitySpec, MaskSpec, Spec};
use tweedie::prior::{Network, Prior};
use tweedie::restore::{Choice, Job, Ready};

struct Task {
    name: &'static str,
    spec: Spec,
    sigma: f64,
}

/// What one method made of one picture.
#[derive(Serialize, Deserialize)]
struct Row {
    task: String,
    picture: String,
    method: String,
    /// Whether it is what the command chooses by itself.
    usual: bool,
    /// Whether it is what the command chooses for texture.
    textured: bool,
    psnr: f64,
    ssim: f64,
    lpips: f64,
    nfe: usize,
    seconds: f64,
}

/// Pixels a side, where all methods are compared.
const SIDE: usize = 128;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: table few|all OUT KERNEL FOLDER...";
    let all = match args.next().as_deref() {
        Some("few") => false,
        Some("all") => true,
        _ => return Err(usage.into()),
    };
    let out = PathBuf::from(args.next().ok_or(usage)?);
    let tasks = tasks(&args.next().ok_or(usage)?)?;
    let mut files = Vec::new();
    for folder in args {
        files.extend(pictures(Path::new(&folder))?);
    }
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    std::fs::create_dir_all(&out)?;
    let path = out.join("rows.jsonl");
    let mut rows = read_rows(&path)?;
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    for task in &tasks {
        for picture in &files {
            let trial = Trial::new(task, picture, all, &prior)?;
            for method in trial.methods(all, &prior) {
                let known =
                    |r: &Row| r.task == task.name && r.picture == trial.name && r.method == method;
                if rows.iter().any(known) {
                    continue;
                }
                let row = match trial.run(method, &prior, &out) {
                    Err(e) if unfit(e.as_ref()) => {
                        eprintln!("{} {} {method}: left out: {e}", task.name, trial.name);
                        continue;
                    }
                    done => done?,
                };
                eprintln!(
                    "{} {} {}: {:.2} dB, {:.1} s",
                    row.task, row.picture, row.method, row.psnr, row.seconds
                );
                writeln!(file, "{}", serde_json::to_string(&row)?)?;
                rows.push(row);
            }
        }
    }
    print_table(&tasks, &rows);
    Ok(())
}

/// Whether a method turned out not to be for pictures of this size.
fn unfit(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<tweedie::restore::Error>();
    matches!(
        error,
        Some(tweedie::restore::Error::Run(tweedie::run::Error::Unfit(_)))
    )
}

fn tasks(kernel: &str) -> Result<Vec<Task>> {
    let task = |name, spec, sigma| Task { name, spec, sigma };
    let blur = |kernel: &str| -> Result<Spec> {
        let kernel = kernel.parse()?;
        let boundary = Default::default();
        Ok(BlurSpec { kernel, boundary }.into())
    };
    let small = |factor: usize| -> Spec {
        DownsampleSpec {
            factor: factor.into(),
            filter: Default::default(),
            boundary: Default::default(),
            offset: 0,
        }
        .into()
    };
    let holes = |hidden| -> Spec { MaskSpec::Random { hidden, seed: 1 }.into() };
    Ok(vec![
        task("denoise 25/255", IdentitySpec {}.into(), 25.0 / 255.0),
        task(
            "deblur gaussian 1.6, noise 0.02",
            blur("gaussian:1.6")?,
            0.02,
        ),
        task("deblur motion, noise 0.01", blur(kernel)?, 0.01),
        task("upscale x2", small(2), 0.0),
        task("upscale x4", small(4), 0.0),
        task("inpaint 50 %", holes(0.5), 0.0),
        task("inpaint 80 %", holes(0.8), 0.0),
        task("colorize", GraySpec::default().into(), 0.0),
    ])
}

/// A picture to restore, and what the command would choose.
struct Trial<'a> {
    task: &'a Task,
    name: String,
    truth: Picture,
    y: Picture,
    usual: Ready,
    textured: &'static str,
}

impl<'a> Trial<'a> {
    fn new(task: &'a Task, path: &Path, part: bool, prior: &dyn Prior) -> Result<Trial<'a>> {
        let mut scene = tweedie::image::read(path)?;
        if part {
            let (_, _, h, w) = scene.pixels.dim();
            let (top, left) = ((h - SIDE) / 2, (w - SIDE) / 2);
            let middle = s![.., .., top..top + SIDE, left..left + SIDE];
            scene = Picture::new(scene.pixels.slice(middle).to_owned());
        }
        let as_scene = as_scene(&task.spec);
        let y = measured(&scene, &as_scene, task.sigma, 1)?;
        let margins = as_scene.build(scene.dims())?.margins();
        let textured = Job {
            method: Choice::Texture,
            ..Job::new(task.spec.clone())
        };
        Ok(Trial {
            task,
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            truth: scene.with_pixels(margins.crop(scene.pixels.clone())),
            usual: Job::new(task.spec.clone()).prepare(&y, prior.card())?,
            textured: textured.prepare(&y, prior.card())?.settings().name(),
            y,
        })
    }

    fn methods(&self, all: bool, prior: &dyn Prior) -> Vec<&'static str> {
        if all {
            return fitting(prior.card(), self.usual.problem().operator.as_ref());
        }
        let mut names = vec!["classical", "diffpir", "dpir"];
        for name in [self.usual.settings().name(), self.textured] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn run(&self, method: &str, prior: &dyn Prior, out: &Path) -> Result<Row> {
        let (x, nfe, seconds) = if method == "classical" {
            let begun = Instant::now();
            let problem = self.usual.problem();
            let x = problem.operator.margins().crop(problem.classical());
            let x = through_a_file(&self.truth.with_pixels(x))?;
            (x, 0, begun.elapsed().as_secs_f64())
        } else {
            let named = Choice::Named(method.into());
            let (x, report) = restored(&self.y, &self.task.spec, named, prior)?;
            (x, report.nfe, report.seconds)
        };
        // A file whose channels are equal is read as a grey one.
        let metrics = compare(&self.truth.pixels, &x.with_file_channels().pixels)?;
        let folder = out.join(self.task.name.replace(['/', ' ', ',', '%'], "-"));
        std::fs::create_dir_all(&folder)?;
        let save = |suffix: &str, picture: &Picture| {
            let file = folder.join(format!("{}.{suffix}.png", self.name));
            tweedie::image::write(file, picture, &Default::default(), Overwrite::Allow)
        };
        save(method, &x)?;
        save("y", &self.y)?;
        Ok(Row {
            task: self.task.name.to_owned(),
            picture: self.name.clone(),
            method: method.to_owned(),
            usual: self.usual.settings().name() == method,
            textured: self.textured == method,
            psnr: metrics.psnr,
            ssim: metrics.ssim.ok_or("the picture is too small for SSIM")?,
            lpips: metrics.lpips.ok_or("the picture is too small for LPIPS")?,
            nfe,
            seconds,
        })
    }
}

/// Blurs come from beyond the edges: what is recorded is the part of a picture that is blurred by what is in it.
fn as_scene(spec: &Spec) -> Spec {
    match spec {
        Spec::Blur(blur) => BlurSpec {
            boundary: Edges::Unknown,
            ..blur.clone()
        }
        .into(),
        other => other.clone(),
    }
}

fn read_rows(path: &Path) -> Result<Vec<Row>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    BufReader::new(File::open(path)?)
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}

/// Of each task the methods by PSNR.
fn print_table(tasks: &[Task], rows: &[Row]) {
    println!("| task | method | PSNR | SSIM | LPIPS | NFE | seconds |");
    println!("|---|---|---|---|---|---|---|");
    for task in tasks {
        let mut methods: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|r| r.task == task.name) {
            methods.entry(&row.method).or_default().push(row);
        }
        let mut methods: Vec<_> = methods.into_iter().collect();
        methods.sort_by(|(_, a), (_, b)| mean(b, |r| r.psnr).total_cmp(&mean(a, |r| r.psnr)));
        for (method, of) in methods {
            let chosen = |by: fn(&Row) -> bool| of.iter().any(|r| by(r));
            let mark = match (chosen(|r| r.usual), chosen(|r| r.textured)) {
                (true, _) => "**",
                (false, true) => "*",
                (false, false) => "",
            };
            println!(
                "| {} | {mark}{method}{mark} | {:.2} | {:.3} | {:.3} | {:.0} | {:.1} |",
                task.name,
                mean(&of, |r| r.psnr),
                mean(&of, |r| r.ssim),
                mean(&of, |r| r.lpips),
                mean(&of, |r| r.nfe as f64),
                mean(&of, |r| r.seconds)
            );
        }
    }
    let pictures: BTreeSet<&str> = rows.iter().map(|r| r.picture.as_str()).collect();
    println!(
        "\nMeans over {} pictures; bold is what the command chooses by itself, italic what it chooses with `--prefer texture`.",
        pictures.len()
    );
}

fn mean(of: &[&Row], value: fn(&Row) -> f64) -> f64 {
    of.iter().map(|r| value(r)).sum::<f64>() / of.len() as f64
}
