//! `tweedie train`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use tweedie::train::{Recipe, Report, Session};

use crate::interrupt::Flag;
use crate::options::ComputeArgs;

/// Train a prior from a folder of pictures, or continue a run.
///
/// Writes into the output folder: `state.safetensors` (to continue from), `best.safetensors` (the best model by
/// validation) and TensorBoard events. Ctrl-C saves and stops; the same command continues.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The recipe, a TOML file.
    recipe: PathBuf,
    /// Folder for the run; by default named after the recipe, beside it.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Stop after this many more steps.
    #[arg(long, value_name = "N")]
    stop_after: Option<u64>,
    #[command(flatten)]
    compute: ComputeArgs,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let recipe = Recipe::open(&args.recipe)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.recipe.with_extension("run"));
    let steps = recipe.optimizer.steps;
    let device = args.compute.begin()?;
    let mut session = Session::open(recipe, &out, &device)?;
    let (pictures, megapixels) = session.photos().size();
    eprintln!(
        "{pictures} pictures, {megapixels:.1} megapixels; step {} of {steps}",
        session.step_number()
    );

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
            bar.suspend(|| eprintln!("{}", line(&report, &mean)));
        }
    }
    session.save()?;
    bar.abandon();
    eprintln!(
        "stopped at step {} of {steps}; best model: {}",
        session.step_number(),
        session.best_path().display()
    );
    Ok(())
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

fn line(report: &Report, mean: &Mean) -> String {
    let scores = report.scores.as_ref().expect("called after a validation");
    let [a, b, c] = scores.psnr;
    let mapped = scores.mapped.iter();
    let mapped: String = mapped
        .map(|(kind, psnr)| format!("  {} {psnr:.2}", kind.name()))
        .collect();
    format!(
        "step {:>6}  loss {:.4}  valid {:.4}  psnr {a:.2} {b:.2} {c:.2} dB at sigma 15 25 50{mapped}{}",
        report.step,
        mean.0.unwrap_or(f64::NAN),
        scores.loss,
        if report.best { "  (best)" } else { "" }
    )
}
