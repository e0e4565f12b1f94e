//! `tweedie colorize`.

use tweedie::operator::{GrayWeights, Spec};

use crate::job::{self, JobArgs};

/// Give a grey picture colours.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How the grey was made from the colours: `mean` of the channels, or `luma` (as most programs do).
    #[arg(long, default_value = "mean", value_name = "WEIGHTS")]
    weights: GrayWeights,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let spec = Spec::Gray {
        weights: args.weights,
    };
    job::execute("colorize", &args.job, &spec)
}
