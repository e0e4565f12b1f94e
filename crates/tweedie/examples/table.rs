//! The README's table: eight tasks, four methods and a classical baseline, over folders of pictures.
//!
//! ```sh
//! cargo run --release --example table -- OUT KERNEL FOLDER...
//! ```
//!
//! `KERNEL` is the motion kernel, a picture or a text file of numbers. Everything goes the command's own way: measurements
//! are rounded to 8 bits (of blurs, the part of the picture that is blurred by what is in it), their noise is estimated, results
//! are rounded again. For every task, picture and method a line of
//! JSON is added to `OUT/rows.jsonl` and the result written to `OUT/TASK/`; a run that was interrupted goes on where it was.
//! At the end the means are printed as a Markdown table.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::{Result, measured, pictures, restored, through_a_file};
use serde::{Deserialize, Serialize};
use tweedie::Device;
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::metric::compare;
use tweedie::operator::{BlurSpec, DownsampleSpec, Edges, GraySpec, IdentitySpec, MaskSpec, Spec};
use tweedie::prior::{Network, Prior};
use tweedie::restore::{Choice, Job};

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

/// The methods of a task: the classical one first.
fn methods(task: &Task) -> impl Iterator<Item = &'static str> {
    let further = match task.spec {
        Spec::Identity(_) => Some("tweedie"),
        Spec::Gray(_) => Some("mean"),
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
    let scene = tweedie::image::read(path)?;
    let as_scene = as_scene(&task.spec);
    let y = measured(&scene, &as_scene, task.sigma, 1)?;
    let margins = as_scene.build(scene.dims())?.margins();
    let truth = scene.with_pixels(margins.crop(scene.pixels.clone()));
    let usual = Job::new(task.spec.clone()).prepare(&y, prior.card())?;
    let (x, nfe, seconds) = if method == "classical" {
        let begun = Instant::now();
        let problem = usual.problem();
        let x = problem.operator.margins().crop(problem.classical());
        let x = through_a_file(&truth.with_pixels(x))?;
        (x, 0, begun.elapsed().as_secs_f64())
    } else {
        let (x, report) = restored(&y, &task.spec, Choice::Named(method.into()), prior)?;
        (x, report.nfe, report.seconds)
    };
    let metrics = compare(&truth.pixels, &x.pixels)?;
    let folder = out.join(task.name.replace(['/', ' ', ',', '%'], "-"));
    std::fs::create_dir_all(&folder)?;
    let save = |suffix: &str, picture: &Picture| {
        let file = folder.join(format!("{name}.{suffix}.png"));
        tweedie::image::write(file, picture, &Default::default(), Overwrite::Allow)
    };
    save(method, &x)?;
    save("y", &y)?;
    Ok(Row {
        task: task.name.to_owned(),
        picture: name.to_owned(),
        method: method.to_owned(),
        usual: usual.settings().name() == method,
        psnr: metrics.psnr,
        ssim: metrics.ssim.ok_or("the picture is too small for SSIM")?,
        lpips: metrics.lpips.ok_or("the picture is too small for LPIPS")?,
        nfe,
        seconds,
    })
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

fn print_table(tasks: &[Task], rows: &[Row]) {
    println!("| task | method | PSNR | SSIM | LPIPS | NFE | seconds |");
    println!("|---|---|---|---|---|---|---|");
    for task in tasks {
        for method in methods(task) {
            let of: Vec<&Row> = rows
                .iter()
                .filter(|r| r.task == task.name && r.method == method)
                .collect();
            let mean = |f: fn(&Row) -> f64| of.iter().map(|r| f(r)).sum::<f64>() / of.len() as f64;
            let mark = if of.iter().any(|r| r.usual) { "**" } else { "" };
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
    let pictures: BTreeSet<&str> = rows.iter().map(|r| r.picture.as_str()).collect();
    println!(
        "\nMeans over {} pictures; bold is what the command chooses by itself.",
        pictures.len()
    );
}
