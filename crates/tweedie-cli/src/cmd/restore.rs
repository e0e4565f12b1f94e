//! `tweedie restore`.

use crate::job::{self, JobArgs};
use crate::operator_args::OperatorArgs;

/// Restore a picture degraded by any operator.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    job: JobArgs,
    /// Remove noise also from what is known of a picture with holes or without colours, which otherwise stays as it is.
    #[arg(long)]
    denoise: bool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let spec = args.operator.spec(args.job.seed())?;
    job::execute("restore", &args.job, spec, args.denoise)
}
