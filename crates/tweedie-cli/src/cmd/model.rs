//! `tweedie model`.

use std::fmt;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use tweedie::checkpoint::{ModelSpec, Precision};

use crate::options::PriorArgs;
use crate::output;

/// Look into model files.
#[derive(clap::Args)]
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
        let [low, high] = self.spec.sigma;
        writeln!(f, "{}", self.spec.about)?;
        writeln!(f, "network          {:?}", self.spec.network)?;
        writeln!(f, "parametrisation  {:?}", self.spec.parametrisation)?;
        writeln!(
            f,
            "sigma            {:.4} to {:.1} for pictures in [0, 1]",
            low / 2.0,
            high / 2.0
        )?;
        write!(
            f,
            "parameters       {} in {} arrays",
            self.parameters, self.arrays
        )
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let (model, json) = match args.command {
        Command::Info { model, json } => (PriorArgs { prior: model }.model()?, json),
        Command::Halve { model, output } => {
            let model = PriorArgs { prior: model }.model()?;
            return Ok(model.save(&output, Precision::F16)?);
        }
    };
    let report = Report {
        parameters: model.params.values().map(|a| a.values.len()).sum(),
        arrays: model.params.len(),
        spec: model.spec,
    };
    output::print(json, &report)
}
