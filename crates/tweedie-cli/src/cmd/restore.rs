//! `tweedie restore`.

use crate::job::{self, JobArgs};
use crate::operator_args::OperatorArgs;

/// Restore a picture degraded by any operator.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie restore y.png --operator blur --kernel disk:3      writes y.restore.png
  tweedie restore y.png --operator chain.toml --samples 8    also y.restore.samples.png and y.restore.spread.png
  tweedie restore y.1.png y.2.png --together --operator exposures.toml -o x.png   two measurements of one picture
An operator's file is TOML, for instance
  kind = \"compose\"
  steps = [{ kind = \"blur\", kernel = \"k.png\" }, { kind = \"downsample\", factor = 2 }]
where k.png lies beside it. Several measurements of one picture have
  kind = \"stack\"
  of = [{ kind = \"blur\", kernel = \"motion:9:0\" }, { kind = \"blur\", kernel = \"motion:9:90\" }]")]
pub(crate) struct Args {
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    job: JobArgs,
    /// Remove noise also from what is known of a picture with holes or without colours, which otherwise stays as it is.
    #[arg(long, help_heading = "Method")]
    denoise: bool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let spec = args.operator.spec(args.job.seed())?;
    job::execute("restore", &args.job, |_| Ok(spec.clone()), args.denoise)
}
