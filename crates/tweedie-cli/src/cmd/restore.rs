//! `tweedie restore`.

use std::path::{Path, PathBuf};

use anyhow::Context;
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
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text)
        .map_err(|e| anyhow::anyhow!("{}: {}", path.display(), e.message()))
}
