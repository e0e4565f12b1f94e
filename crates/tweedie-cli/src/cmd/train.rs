//! `tweedie train`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tweedie::train::{Recipe, Report, Scores, Session};

use crate::interrupt::Flag;
use crate::options::MachineArgs;
use crate::output;

/// Train a prior, or a network that is an operator, from a folder of pictures, or continue a run.
///
/// Writes into the output folder: `state.safetensors` (to continue from), `best.safetensors` (the best model by
/// validation) and TensorBoard events. Ctrl-C saves and stops; the same command continues.
///
/// Pictures in folders of the training folder are found, too; one that cannot be read is named and left out.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie train photo.toml              writes into photo.run, or goes on there
  tweedie train photo.toml -o second --seed 1")]
pub(crate) struct Args {
    /// The recipe, a TOML file.
    recipe: PathBuf,
    /// Folder for the run; by default named after the recipe, beside it.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Stop after this many more steps.
    #[arg(long, value_name = "N")]
    stop_after: Option<u64>,
    /// Seed of the first weights, the crops and the noise, in the place of the recipe's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print validations and the end as JSON, a line each.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: MachineArgs,
}

/// A validation.
#[derive(Serialize)]
struct Validated<'a> {
    step: u64,
    loss: f64,
    valid: f64,
    /// In dB at sigma 15, 25 and 50 of 255.
    #[serde(skip_serializing_if = "<[f64]>::is_empty")]
    psnr: &'a [f64],
    /// Of a conditional network: of the first guess and of the mean, in dB. Of an operator: of the clean picture and of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    given: Option<[f64; 2]>,
    best: bool,
}

/// How it ended.
#[derive(Serialize)]
struct Ended {
    step: u64,
    steps: u64,
    best: String,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    // First, since a recipe's operator is tried while it is opened, on all threads that there are.
    let device = args.machine.begin()?;
    let mut recipe = Recipe::open(&args.recipe)?;
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.recipe.with_extension("run"));
    let steps = recipe.optimizer.steps;
    let mut session = Session::open(recipe, &out, &device)?;
    let (pictures, megapixels) = session.photos().size();
    eprintln!(
        "{pictures} pictures, {megapixels:.1} megapixels; step {} of {steps}",
        session.step_number()
    );

    say_skipped(&session);

    let interrupt = Flag::listen()?;
    let bar = progress_bar(steps, session.step_number());
    let last = args
        .stop_after
        .map_or(steps, |n| steps.min(session.step_number() + n));
    let mut mean = Mean::default();
    while session.step_number() < last && !interrupt.came() {
        let report = session.step()?;
        bar.set_position(report.step);
        bar.set_message(format!("loss {:.4}", mean.add(report.loss)));
        if report.scores.is_some() {
            bar.suspend(|| tell(args.json, &report, &mean))?;
        }
    }
    session.save()?;
    bar.abandon();
    let end = Ended {
        step: session.step_number(),
        steps,
        best: session.best_path().display().to_string(),
    };
    match args.json {
        true => output::json(&end),
        false => {
            let Ended { step, steps, best } = end;
            eprintln!("stopped at step {step} of {steps}; best model: {best}");
            Ok(())
        }
    }
}

/// Names the pictures that could not be read.
fn say_skipped(session: &Session) {
    let skipped: Vec<_> = session.skipped().collect();
    if !skipped.is_empty() {
        let count = output::count(skipped.len(), "picture", "pictures");
        eprintln!("{count} left out, which cannot be read:");
    }
    for error in skipped {
        eprintln!("  {error}");
    }
}

/// Says what a validation found.
fn tell(json: bool, report: &Report, mean: &Mean) -> anyhow::Result<()> {
    if !json {
        eprintln!("{}", line(report, mean));
        return Ok(());
    }
    let scores = report.scores.as_ref().expect("called after a validation");
    output::json(&Validated {
        step: report.step,
        loss: mean.0.unwrap_or(f64::NAN),
        valid: scores.loss,
        psnr: denoised(scores),
        given: scores.given.map(|given| given.map(|(_, psnr)| psnr)),
        best: report.best,
    })
}

fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}  {per_sec}  {eta} left")
            .expect("the template is sound");
    let bar = ProgressBar::new(steps)
        .with_style(style)
        .with_position(done);
    bar.reset_eta();
    bar
}

/// A running mean of the loss over about a hundred steps.
#[derive(Default)]
struct Mean(Option<f64>);

impl Mean {
    fn add(&mut self, loss: f64) -> f64 {
        let mean = self.0.map_or(loss, |m| m + 0.01 * (loss - m));
        self.0 = Some(mean);
        mean
    }
}

/// How well it denoises, if that is what it does at all.
fn denoised(scores: &Scores) -> &[f64] {
    match scores.psnr.iter().all(|v| v.is_nan()) {
        true => &[],
        false => &scores.psnr,
    }
}

fn line(report: &Report, mean: &Mean) -> String {
    let scores = report.scores.as_ref().expect("called after a validation");
    let psnr = match denoised(scores) {
        [a, b, c] => format!("  psnr {a:.2} {b:.2} {c:.2} dB at sigma 15 25 50"),
        _ => String::new(),
    };
    let mapped = scores.mapped.iter();
    let mapped: String = mapped
        .map(|(kind, psnr)| format!("  {} {psnr:.2}", kind.name()))
        .collect();
    let given = scores
        .given
        .map_or(String::new(), |[(a, first), (b, second)]| {
            format!("  {a} {first:.2}, {b} {second:.2}")
        });
    format!(
        "step {:>6}  loss {:.4}  valid {:.4}{psnr}{mapped}{given}{}",
        report.step,
        mean.0.unwrap_or(f64::NAN),
        scores.loss,
        if report.best { "  (best)" } else { "" }
    )
}
