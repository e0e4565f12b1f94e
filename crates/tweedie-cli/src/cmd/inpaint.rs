//! `tweedie inpaint`.

use std::path::PathBuf;

use tweedie::operator::Spec;

use crate::job::{self, JobArgs};
use crate::values::MaskArg;

/// Fill the holes of a picture.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A picture of the same size whose white pixels are the holes.
    #[arg(long, value_name = "FILE")]
    mask: PathBuf,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let spec = Spec::Mask(MaskArg::Picture(args.mask).spec(0));
    job::execute("inpaint", &args.job, &spec)
}
