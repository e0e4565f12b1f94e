//! `tweedie upscale`.

use tweedie::operator::{Boundary, FilterSpec, Spec};

use crate::job::{self, JobArgs};

/// Enlarge a picture that was made smaller (super-resolution).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many times larger, a whole number.
    #[arg(long, value_name = "N")]
    factor: usize,
    /// How the picture was made smaller: `bicubic` (antialiased), `average`, or a kernel as for `deblur`, of whose
    /// result every N-th pixel was kept.
    #[arg(long, default_value = "bicubic", value_name = "FILTER")]
    filter: FilterSpec,
    /// What a kernel saw beyond the picture's edges: symmetric, reflect or circular.
    #[arg(long, default_value = "symmetric", value_name = "KIND")]
    boundary: Boundary,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let spec = Spec::Downsample {
        factor: args.factor,
        filter: args.filter,
        boundary: args.boundary,
    };
    job::execute("upscale", &args.job, &spec)
}
