//! `tweedie model`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use tweedie::checkpoint::{ModelSpec, Precision};
use tweedie::image::{self, Overwrite};

use crate::options::{PriorArgs, overwrite, say_force};
use crate::output;

/// Look into model files.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie model info photo
  tweedie model halve best.safetensors -o small.safetensors")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what a model file holds.
    Info {
        /// `photo`, or a model file.
        #[arg(value_name = "NAME|FILE")]
        model: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a model file at half precision, for passing on.
    Halve {
        /// The model file.
        model: String,
        /// File to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Replace an existing file.
        #[arg(long)]
        force: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    spec: ModelSpec,
    parameters: usize,
    arrays: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.spec;
        writeln!(f, "{}", spec.about)?;
        writeln!(f, "network          {:?}", spec.network)?;
        writeln!(f, "parametrisation  {:?}", spec.parametrisation)?;
        writeln!(f, "conditioning     {:?}", spec.conditioning)?;
        match &spec.imitates {
            Some(imitated) => {
                let [least, most] = imitated.length;
                let (response, gain) = (imitated.response, imitated.gain);
                writeln!(
                    f,
                    "imitates         blur by motions of {least} to {most} pixels, response {response}, gain {gain}"
                )?;
            }
            None => self.of_prior(f)?,
        }
        write!(
            f,
            "parameters       {} in {} arrays",
            self.parameters, self.arrays
        )
    }
}

impl Report {
    /// What a prior is for, and which levels it knows.
    fn of_prior(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.spec;
        // Sigmas are in the units of the network's own data.
        let [low, high] = spec.sigma.map(|sigma| sigma / spec.range().width());
        if let Some(trained) = &spec.condition {
            let [least, most] = trained.noise;
            let task = trained.in_words();
            writeln!(
                f,
                "condition        a first guess; undoes {task}, noise {least} to {most}"
            )?;
        }
        writeln!(
            f,
            "sigma            {low:.4} to {high:.1} for pictures in [0, 1]"
        )
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let (model, json) = match args.command {
        Command::Info { model, json } => (PriorArgs { prior: model }.model()?, json),
        Command::Halve {
            model,
            output: file,
            force,
            json,
        } => {
            let halved = halve(model, &file, overwrite(force))?;
            return output::print(json, &halved);
        }
    };
    let report = Report {
        parameters: model.params.values().map(|a| a.values.len()).sum(),
        arrays: model.params.len(),
        spec: model.spec,
    };
    output::print(json, &report)
}

/// What was written.
#[derive(Serialize)]
struct Halved {
    output: String,
    bytes: usize,
}

impl fmt::Display for Halved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        write!(f, "model: wrote {}, {megabytes:.1} MB", self.output)
    }
}

fn halve(model: String, output: &Path, overwrite: Overwrite) -> anyhow::Result<Halved> {
    image::check_write_bytes(output, overwrite).map_err(say_force)?;
    let bytes = PriorArgs { prior: model }
        .model()?
        .to_bytes(Precision::F16)?;
    image::write_bytes(output, &bytes, overwrite).map_err(say_force)?;
    Ok(Halved {
        output: output.display().to_string(),
        bytes: bytes.len(),
    })
}
