//! `tweedie denoise`.

use tweedie::operator::Spec;

use crate::job::{self, JobArgs};

/// Remove noise from a picture.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    job::execute("denoise", &args.job, &Spec::Identity {})
}
