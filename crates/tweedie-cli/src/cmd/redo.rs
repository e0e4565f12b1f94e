//! `tweedie redo`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use serde::Deserialize;
use tweedie::Dims;
use tweedie::method::Settings;
use tweedie::operator::Spec;
use tweedie::problem::Noise;
use tweedie::restore::{Choice, Job, Measurement};

use crate::job::{self, JobArgs};
use crate::kind::Kind;
use crate::options::{ComputeArgs, MachineArgs, MethodArgs, OutputArgs, PriorArgs};

/// Restore a picture again, with the settings that travel in a result.
///
/// A PNG that Tweedie has written holds operator, method, noise level, prior and seed, but no folders: masks, kernels and model
/// files are looked for beside it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie redo cat.denoise.png                finds cat.png or cat.jpg beside it, writes cat.redo.png
  tweedie redo x.png other.jpg -o other.png   the same done to another picture")]
pub(crate) struct Args {
    /// A PNG that Tweedie has written.
    result: PathBuf,
    /// The picture to restore; by default the one that the result is named after, beside it.
    input: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    machine: MachineArgs,
}

/// What a result says of how it was made.
#[derive(Deserialize)]
struct Recorded {
    verb: String,
    operator: Spec,
    #[serde(default)]
    size: Option<[usize; 3]>,
    #[serde(default = "unit")]
    range: [f64; 2],
    method: Settings,
    /// What was stated; `None` if it was estimated.
    noise: Option<Noise>,
    sigma: f64,
    prior: String,
    seed: u64,
    samples: Option<u16>,
    #[serde(default)]
    denoise: bool,
    #[serde(default = "whole")]
    strength: f64,
    version: String,
}

fn whole() -> f64 {
    1.0
}

fn unit() -> [f64; 2] {
    [0.0, 1.0]
}

impl Recorded {
    fn read(path: &Path) -> anyhow::Result<Recorded> {
        let picture = tweedie::image::read(path)?;
        let text = picture.text_of("tweedie").with_context(|| {
            format!(
                "{}: no settings travel in this file; they do in PNG files that `tweedie` restored",
                path.display()
            )
        })?;
        let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        ensure!(
            value.get("sampler").is_none(),
            "{}: drawn by `tweedie sample`, not restored; call that again with the same seed",
            path.display()
        );
        // The first version kept the level alone, whether it was stated or estimated.
        let level_alone = value.get("noise").is_none();
        let mut recorded: Recorded = serde_json::from_value(value).map_err(|e| {
            anyhow!(
                "{}: its settings are not understood ({e}); another version may have written them",
                path.display()
            )
        })?;
        if level_alone {
            recorded.noise = Some(recorded.sigma.into());
        }
        let now = env!("CARGO_PKG_VERSION");
        if recorded.version != now {
            let then = &recorded.version;
            eprintln!("redo: made by version {then}; this is {now}, and the result may differ");
        }
        Ok(recorded.beside(path.parent().unwrap_or(Path::new(""))))
    }

    /// With the files that it names in this folder, wherever they were.
    fn beside(mut self, folder: &Path) -> Recorded {
        for file in self.operator.files() {
            *file = folder.join(file.file_name().unwrap_or_default());
        }
        if self.prior != "photo" {
            let name = Path::new(&self.prior).file_name().unwrap_or_default();
            self.prior = folder.join(name).to_string_lossy().into_owned();
        }
        self
    }
}

/// The picture that a result is named after: `cat.denoise.png` after `cat.png` or `cat.jpg`.
fn original(result: &Path, verb: &str) -> anyhow::Result<PathBuf> {
    let stem = result.file_stem().map(Path::new);
    let named = stem.filter(|stem| stem.extension().is_some_and(|last| last == verb));
    let name = named.and_then(Path::file_stem);
    let how = || format!("name it: tweedie redo {} INPUT", result.display());
    let Some(name) = name else {
        bail!(
            "{} does not say which picture it was made of; {}",
            result.display(),
            how()
        );
    };
    let folder = match result.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(result.with_file_name(entry.ok()?.file_name())))
        .filter(|path| path.file_stem() == Some(name) && Kind::of(path).is_ok())
        .collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!(
            "there is no picture {} beside {}; {}",
            name.display(),
            result.display(),
            how()
        ),
        [a, b, ..] => bail!(
            "{} may have been made of {} or {}; {}",
            result.display(),
            a.display(),
            b.display(),
            how()
        ),
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let recorded = Recorded::read(&args.result)?;
    let input = match args.input {
        Some(input) => input,
        None => original(&args.result, &recorded.verb)?,
    };
    let job = |_: &Measurement| {
        Ok(Job {
            size: recorded.size.map(|[c, h, w]| Dims { c, h, w }),
            range: recorded.range,
            noise: recorded.noise,
            method: Choice::Settings(Box::new(recorded.method.clone())),
            samples: recorded.samples.map(usize::from),
            seed: recorded.seed,
            denoise_known: recorded.denoise,
            strength: recorded.strength,
            ..Job::new(recorded.operator.clone())
        })
    };
    let args = JobArgs {
        inputs: vec![input],
        together: false,
        method: MethodArgs::default(),
        prior: PriorArgs {
            prior: recorded.prior.clone(),
        },
        output: args.output,
        spread: None,
        preview: None,
        samples: recorded.samples,
        compute: ComputeArgs {
            machine: args.machine,
            seed: recorded.seed,
        },
    };
    job::restore(&recorded.verb, "redo", &args, &job)
}
