//! `tweedie model`.

use std::fmt;

use clap::Subcommand;
use serde::Serialize;
use tweedie::checkpoint::ModelSpec;

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
    let Command::Info { model, json } = args.command;
    let model = PriorArgs { prior: model }.model()?;
    let report = Report {
        parameters: model.params.values().map(|a| a.values.len()).sum(),
        arrays: model.params.len(),
        spec: model.spec,
    };
    output::print(json, &report)
}
