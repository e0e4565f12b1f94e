//! `tweedie deblur`.

use tweedie::operator::{Boundary, KernelSpec, Spec};

use crate::job::{self, JobArgs};

/// Remove a known blur from a picture.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The blur kernel: `gaussian:STD[:SIZE]`, `motion:LENGTH:ANGLE`, `box:N`, `disk:R`, a picture, or a text file with
    /// rows of numbers.
    #[arg(long, value_name = "KERNEL")]
    kernel: KernelSpec,
    /// What the blur saw beyond the picture's edges: symmetric, reflect or circular.
    #[arg(long, default_value = "symmetric", value_name = "KIND")]
    boundary: Boundary,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let spec = Spec::Blur {
        kernel: args.kernel,
        boundary: args.boundary,
    };
    job::execute("deblur", &args.job, &spec)
}
