//! `tweedie restore`.

use std::path::{Path, PathBuf};

use tweedie::operator::Spec;

use crate::job::{self, JobArgs};

/// Restore a picture degraded by any operator.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A TOML file that describes the operator, for instance `kind = "blur"` and `kernel = "gaussian:1.6"`.
    #[arg(long, value_name = "FILE")]
    operator: PathBuf,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    job::execute("restore", &args.job, &read_operator(&args.operator)?)
}

/// An operator from a TOML file.
pub(crate) fn read_operator(path: &Path) -> anyhow::Result<Spec> {
    Ok(tweedie::files::read_toml(path)?)
}
