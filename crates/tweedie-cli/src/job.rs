//! Restoring one file: what all the restoring verbs do.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use tweedie::image::Picture;
use tweedie::method::Settings;
use tweedie::operator::Spec;
use tweedie::restore::{self, Job, record};

use crate::options::{ComputeArgs, MethodArgs, OutputArgs, PriorArgs, say_force};
use crate::{output, watched};

/// A picture to restore, and how.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct JobArgs {
    /// The measurement: a PNG, JPEG, TIFF, WebP or BMP picture.
    input: PathBuf,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    prior: PriorArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Also write how sure the method is, for methods that know (`mean`): a picture of the standard deviation, from black
    /// for none to white for a quarter of the range.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    spread: Option<PathBuf>,
    /// Draw so many pictures from the posterior, all of which explain the measurement: their mean is the result, a sheet of
    /// them (NAME.samples) and their spread (NAME.spread) are written beside it.
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = clap::value_parser!(u16).range(2..=1024))]
    samples: Option<u16>,
    #[command(flatten)]
    compute: ComputeArgs,
}

impl JobArgs {
    /// Decides all that is random.
    pub(crate) fn seed(&self) -> u64 {
        self.compute.seed
    }

    /// Where pictures of the draws and of the spread go, of those that are asked for.
    fn beside(&self, result: &Path) -> Beside {
        let named = |what: &str| {
            let stem = result.file_stem().unwrap_or_default().to_string_lossy();
            result.with_file_name(format!("{stem}.{what}.png"))
        };
        Beside {
            samples: self.samples.map(|_| named("samples")),
            spread: self
                .spread
                .clone()
                .or_else(|| self.samples.map(|_| named("spread"))),
        }
    }

    /// That they can be had and written.
    fn check_beside(&self, beside: &Beside, method: &Settings) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.spread.is_none() || self.samples.is_some() || method.as_dyn().knows_spread(),
            "{} does not know how sure it is; --method mean does, and --samples N",
            method.name()
        );
        for file in [&beside.samples, &beside.spread].into_iter().flatten() {
            tweedie::image::check_write(file, &Default::default(), self.output.overwrite())
                .map_err(say_force)?;
        }
        Ok(())
    }
}

/// Pictures that are written beside the result.
struct Beside {
    samples: Option<PathBuf>,
    spread: Option<PathBuf>,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    verb: &'static str,
    #[serde(flatten)]
    report: restore::Report,
    seed: u64,
    output: PathBuf,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restore::Report {
            method,
            nfe,
            seconds,
            sigma,
            sigma_estimated,
            notes,
        } = &self.report;
        for note in notes {
            writeln!(f, "{}: {note}", self.verb)?;
        }
        let plural = if *nfe == 1 { "" } else { "s" };
        let estimated = if *sigma_estimated { " (estimated)" } else { "" };
        write!(
            f,
            "{}: {method}, {nfe} network evaluation{plural}, {seconds:.1} s, sigma {sigma:.4} = {:.1}/255{estimated}, wrote {}",
            self.verb,
            sigma * 255.0,
            self.output.display()
        )
    }
}

/// Restores a file that was degraded by `spec`.
pub(crate) fn execute(
    verb: &'static str,
    args: &JobArgs,
    spec: Spec,
    denoise_known: bool,
) -> anyhow::Result<()> {
    let path = args.output.path(&args.input, verb)?;
    let device = args.compute.begin()?;
    let job = Job {
        noise: args.method.noise.map(|sigma| sigma.0.into()),
        method: args.method.choice()?,
        steps: args.method.steps(),
        samples: args.samples.map(usize::from),
        seed: args.compute.seed,
        denoise_known,
        ..Job::new(spec)
    };
    let picture = tweedie::image::read(&args.input)?;
    let prior = args.prior.open(&device)?;
    let ready = job.prepare(&picture, prior.card())?;
    args.output.check_size(&path, ready.output())?;
    let name = ready.settings().name();
    let beside = args.beside(&path);
    args.check_beside(&beside, ready.settings())?;
    let (solved, mut report) = watched::run(name, |observer| ready.solve(prior.as_ref(), observer))
        .with_context(|| format!("{verb} by {name}"))?;
    let restored = solved.restored;
    let mut result = picture.with_pixels(restored.x);
    report.notes.extend(args.output.losses(&path, &result));
    let how = serde_json::json!({
        "verb": verb,
        "operator": job.spec,
        "method": ready.settings(),
        "sigma": report.sigma,
        "prior": args.prior.prior,
        "seed": job.seed,
    });
    result.set_text("Software", concat!("tweedie ", env!("CARGO_PKG_VERSION")));
    result.set_text("tweedie", record(how));
    if let (Some(file), Some(std)) = (&beside.spread, restored.std) {
        // White for a standard deviation of a quarter.
        write(file, std * 4.0, &args.output)?;
    }
    if let (Some(file), Some(samples)) = (&beside.samples, solved.samples) {
        write(file, output::sheet(&samples)?, &args.output)?;
    }
    args.output.write(&path, &result)?;
    let report = Report {
        verb,
        report,
        seed: job.seed,
        output: path,
    };
    output::print(args.output.json, &report)
}

fn write(path: &Path, pixels: tweedie::Image, output: &OutputArgs) -> anyhow::Result<()> {
    let picture = Picture::new(pixels);
    tweedie::image::write(path, &picture, &Default::default(), output.overwrite())?;
    Ok(())
}
