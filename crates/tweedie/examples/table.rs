//! The README's table: eight tasks, four methods and a classical baseline, over folders of pictures.
//!
//! ```sh
//! cargo run --release --example table -- OUT KERNEL FOLDER...
//! ```
//!
//! `KERNEL` is the motion kernel, a picture or a text file of numbers. For every task, picture and method a line of JSON
//! is added to `OUT/rows.jsonl` and the result written to `OUT/TASK/`; a run that was interrupted goes on where it was.
//! At the end the means are printed as a Markdown table.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::metric::compare;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{FilterSpec, KernelSpec, MaskSpec, Spec};
use tweedie::prior::{Network, Prior};
use tweedie::problem::Problem;
use tweedie::recommend;
use tweedie::run::Run;
use tweedie::{Device, Dims, Image};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Task {
    name: &'static str,
    spec: Spec,
    sigma: f64,
}

impl Task {
    fn on(&self, input: Dims) -> recommend::Task<'_> {
        recommend::Task {
            spec: &self.spec,
            sigma: self.sigma,
            input,
            steps: None,
        }
    }
}

/// What one method made of one picture.
#[derive(Serialize, Deserialize)]
struct Row {
    task: String,
    picture: String,
    method: String,
    psnr: f64,
    ssim: f64,
    lpips: f64,
    nfe: usize,
    seconds: f64,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: table OUT KERNEL FOLDER...";
    let out = PathBuf::from(args.next().ok_or(usage)?);
    let tasks = tasks(&args.next().ok_or(usage)?)?;
    let mut pictures = Vec::new();
    for folder in args {
        pictures.extend(list(Path::new(&folder))?);
    }
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    std::fs::create_dir_all(&out)?;
    let path = out.join("rows.jsonl");
    let mut rows = read_rows(&path)?;
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    for task in &tasks {
        for picture in &pictures {
            for method in methods(task) {
                let name = picture.file_stem().unwrap_or_default().to_string_lossy();
                let known =
                    |r: &Row| r.task == task.name && r.picture == name && r.method == method;
                if rows.iter().any(known) {
                    continue;
                }
                let row = run(task, picture, &name, method, &prior, &out)?;
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

fn tasks(kernel: &str) -> Result<Vec<Task>> {
    let task = |name, spec, sigma| Task { name, spec, sigma };
    let blur = |kernel: KernelSpec| Spec::Blur {
        kernel,
        boundary: Default::default(),
    };
    let small = |factor| Spec::Downsample {
        factor,
        filter: FilterSpec::Bicubic,
        boundary: Default::default(),
    };
    let holes = |hidden| Spec::Mask(MaskSpec::Random { hidden, seed: 1 });
    let gray = Spec::Gray {
        weights: Default::default(),
    };
    Ok(vec![
        task("denoise 25/255", Spec::Identity {}, 25.0 / 255.0),
        task(
            "deblur gaussian 1.6, noise 0.02",
            blur("gaussian:1.6".parse()?),
            0.02,
        ),
        task("deblur motion, noise 0.01", blur(kernel.parse()?), 0.01),
        task("upscale x2", small(2), 0.0),
        task("upscale x4", small(4), 0.0),
        task("inpaint 50 %", holes(0.5), 0.0),
        task("inpaint 80 %", holes(0.8), 0.0),
        task("colorize", gray, 0.0),
    ])
}

/// The methods of a task: the classical one first.
fn methods(task: &Task) -> impl Iterator<Item = &'static str> {
    let further = match task.spec {
        Spec::Identity {} => Some("tweedie"),
        Spec::Gray { .. } => Some("mean"),
        _ => None,
    };
    ["classical", "diffpir", "ddnm", "dps", "dpir"]
        .into_iter()
        .chain(further)
}

fn run(
    task: &Task,
    path: &Path,
    name: &str,
    method: &str,
    prior: &dyn Prior,
    out: &Path,
) -> Result<Row> {
    let clean = tweedie::image::read(path)?.pixels;
    let operator = task.spec.build(Dims::of(&clean))?;
    let mut y = operator.apply(&clean);
    if task.sigma > 0.0 {
        let noise = Seeded::new(1).normal(1, Dims::of(&y));
        y.scaled_add(task.sigma as f32, &noise);
    }
    let problem = Problem::new(y, operator, task.sigma)?;
    let begun = Instant::now();
    let (restored, nfe) = match task.on(Dims::of(&clean)).tuned(method) {
        Some(settings) => {
            let mut run = Run::new(0);
            let restored = settings.as_dyn().restore(prior, &problem, &mut run)?;
            (restored, run.nfe())
        }
        None => (problem.classical(), 0),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let metrics = compare(&clean, &restored)?;
    let folder = out.join(task.name.replace(['/', ' ', ',', '%'], "-"));
    std::fs::create_dir_all(&folder)?;
    let save = |suffix: &str, pixels: Image| {
        let file = folder.join(format!("{name}.{suffix}.png"));
        tweedie::image::write(
            file,
            &Picture::new(pixels),
            &Default::default(),
            Overwrite::Allow,
        )
    };
    save(method, restored)?;
    save("y", problem.y)?;
    Ok(Row {
        task: task.name.to_owned(),
        picture: name.to_owned(),
        method: method.to_owned(),
        psnr: metrics.psnr,
        ssim: metrics.ssim.ok_or("the picture is too small for SSIM")?,
        lpips: metrics.lpips.ok_or("the picture is too small for LPIPS")?,
        nfe,
        seconds,
    })
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|f| tweedie::image::Format::from_path(f).is_ok());
    files.sort();
    Ok(files)
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

fn print_table(tasks: &[Task], rows: &[Row]) {
    println!("| task | method | PSNR | SSIM | LPIPS | NFE | seconds |");
    println!("|---|---|---|---|---|---|---|");
    for task in tasks {
        let usual = task.on(Dims::new(3, 256, 256)).method();
        for method in methods(task) {
            let of: Vec<&Row> = rows
                .iter()
                .filter(|r| r.task == task.name && r.method == method)
                .collect();
            let mean = |f: fn(&Row) -> f64| of.iter().map(|r| f(r)).sum::<f64>() / of.len() as f64;
            let mark = if usual.name() == method { "**" } else { "" };
            println!(
                "| {} | {mark}{method}{mark} | {:.2} | {:.3} | {:.3} | {:.0} | {:.1} |",
                task.name,
                mean(|r| r.psnr),
                mean(|r| r.ssim),
                mean(|r| r.lpips),
                mean(|r| r.nfe as f64),
                mean(|r| r.seconds)
            );
        }
    }
    let pictures: BTreeMap<&str, ()> = rows.iter().map(|r| (r.picture.as_str(), ())).collect();
    println!(
        "\nMeans over {} pictures; bold is what the command chooses by itself.",
        pictures.len()
    );
}
