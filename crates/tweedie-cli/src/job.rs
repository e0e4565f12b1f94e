//! Restoring one file: what all the restoring verbs do.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use tweedie::image::Picture;
use tweedie::operator::{Operator, Spec};
use tweedie::problem::Problem;
use tweedie::recommend::Task;
use tweedie::{Dims, method, noise_level};

use crate::options::{ComputeArgs, MethodArgs, OutputArgs, PriorArgs};
use crate::{output, watched};

/// A picture to restore, and how.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct JobArgs {
    /// The measurement: a PNG, JPEG, TIFF, WebP or BMP picture.
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) method: MethodArgs,
    #[command(flatten)]
    prior: PriorArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    verb: &'static str,
    method: &'static str,
    nfe: usize,
    seconds: f64,
    sigma: f64,
    sigma_estimated: bool,
    seed: u64,
    output: PathBuf,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimated = if self.sigma_estimated {
            " (estimated)"
        } else {
            ""
        };
        write!(
            f,
            "{}: {}, {} network evaluation{}, {:.1} s, sigma {:.4} = {:.1}/255{estimated}, wrote {}",
            self.verb,
            self.method,
            self.nfe,
            if self.nfe == 1 { "" } else { "s" },
            self.seconds,
            self.sigma,
            self.sigma * 255.0,
            self.output.display()
        )
    }
}

/// Restores a file that was degraded by `spec`.
pub(crate) fn execute(verb: &'static str, args: &JobArgs, spec: &Spec) -> anyhow::Result<()> {
    let path = args.output.path(&args.input, verb)?;
    let device = args.compute.begin()?;
    let mut picture = tweedie::image::read(&args.input)?;
    prepare(&mut picture, spec);
    let operator = spec
        .input_for(Dims::of(&picture.pixels))
        .and_then(|dims| spec.build(dims))?;
    let sigma = match args.method.noise {
        Some(sigma) => sigma.0,
        None => estimate(&picture, operator.as_ref())?,
    };
    let settings = args.method.settings(Task {
        spec,
        sigma,
        input: operator.input(),
        steps: None,
    })?;
    let prior = args.prior.open(&device)?;
    let problem = Problem::new(picture.pixels.clone(), operator, sigma)?;

    let begun = Instant::now();
    let (restored, nfe) = watched::run(settings.name(), args.compute.seed, |run| {
        settings.as_dyn().restore(prior.as_ref(), &problem, run)
    })
    .with_context(|| format!("{verb} by {}", settings.name()))?;
    let mut result = picture.with_pixels(restored);
    result.set_text("Software", concat!("tweedie ", env!("CARGO_PKG_VERSION")));
    result.set_text("tweedie", settings_text(verb, spec, &settings, sigma, args));
    args.output.write(&path, &result)?;
    let report = Report {
        verb,
        method: settings.name(),
        nfe,
        seconds: begun.elapsed().as_secs_f64(),
        sigma,
        sigma_estimated: args.method.noise.is_none(),
        seed: args.compute.seed,
        output: path,
    };
    output::print(args.output.json, &report)
}

/// A grey measurement may come as a colour picture with equal channels.
fn prepare(picture: &mut Picture, spec: &Spec) {
    let wants_grey = spec.records_gray();
    if wants_grey && picture.pixels.dim().1 == 3 {
        let grey = picture
            .pixels
            .mean_axis(ndarray::Axis(1))
            .expect("there are channels")
            .insert_axis(ndarray::Axis(1));
        *picture = picture.with_pixels(grey);
    }
}

/// The noise level that the measurement itself shows, where the mask lets it be seen.
fn estimate(picture: &Picture, operator: &dyn Operator) -> anyhow::Result<f64> {
    let known = operator.recorded();
    let known = known.as_ref().map(|k| k.view());
    noise_level::estimate(&picture.pixels, known)
        .context("the noise level cannot be estimated here; give it with --noise")
}

/// What it takes to do the same again, as JSON.
fn settings_text(
    verb: &str,
    spec: &Spec,
    settings: &method::Settings,
    sigma: f64,
    args: &JobArgs,
) -> String {
    serde_json::json!({
        "verb": verb,
        "operator": spec,
        "method": settings,
        "sigma": sigma,
        "prior": args.prior.prior,
        "seed": args.compute.seed,
        "version": env!("CARGO_PKG_VERSION"),
    })
    .to_string()
}
