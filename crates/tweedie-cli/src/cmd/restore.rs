//! `tweedie restore`.

use anyhow::Context;
use tweedie::Dims;
use tweedie::restore::Measurement;

use crate::job::{self, JobArgs};
use crate::operator_args::OperatorArgs;

/// Restore a picture degraded by any operator.
///
/// What was measured and is no picture is a NumPy array: `y.npz` as `degrade` writes it, which says itself how it was made, or
/// `y.npy` with `y.toml` beside it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie restore y.png --operator blur --kernel disk:3      writes y.restore.png
  tweedie restore y.png --operator chain.toml --samples 8    also y.restore.samples.png and y.restore.spread.png
  tweedie restore y.1.png y.2.png --together --operator exposures.toml -o x.png   two measurements of one picture
  tweedie restore y.npz                                      as degrade wrote it, into y.restore.png
  tweedie restore y.npy --operator matrix --matrix a.npy --size 1x64x64 --noise 0
An operator's file is TOML, for instance
  kind = \"compose\"
  steps = [{ kind = \"blur\", kernel = \"k.png\" }, { kind = \"downsample\", factor = 2 }]
where k.png lies beside it. Several measurements of one picture have
  kind = \"stack\"
  of = [{ kind = \"blur\", kernel = \"motion:9:0\" }, { kind = \"blur\", kernel = \"motion:9:90\" }]
The file beside an array, y.toml for y.npy, is TOML too:
  size = [3, 256, 256]   # of the clean picture: channels, height, width
  range = [0, 1]         # its black and white, in the units of the measurement
  noise = 0.02           # in the same units
  operator = { kind = \"hadamard\", ratio = 0.25 }")]
pub(crate) struct Args {
    #[command(flatten)]
    operator: OperatorArgs<false>,
    /// Channels, height and width of the clean picture, where what was recorded does not tell them (compressed sensing).
    #[arg(long, value_name = "CxHxW", value_parser = size, help_heading = "Operator")]
    size: Option<Dims>,
    #[command(flatten)]
    job: JobArgs,
    /// Remove noise also from what is known of a picture with holes or without colours, which otherwise stays as it is.
    #[arg(long, help_heading = "Method")]
    denoise: bool,
}

/// `3x256x256`.
fn size(text: &str) -> Result<Dims, String> {
    let sides: Vec<usize> = text
        .split('x')
        .map_while(|side| side.parse().ok())
        .collect();
    match *sides.as_slice() {
        [c, h, w] if text.split('x').count() == 3 && c > 0 && h > 0 && w > 0 => {
            Ok(Dims::new(c, h, w))
        }
        _ => Err("write channels, height and width, such as 3x256x256".to_owned()),
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let given = args.operator.given(args.job.seed())?;
    let spec = |measurement: &Measurement| {
        let spec = given.clone().or_else(|| measurement.made.operator.clone());
        spec.context(
            "the file does not say how it was made; name what is to be undone with --operator",
        )
    };
    job::execute("restore", &args.job, spec, args.size, args.denoise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("3x256x128"), Ok(Dims::new(3, 256, 128)));
        for text in [
            "", "3", "256x256", "3x0x4", "3x4x5x6", "3x4x", "ax4x5", "3x-4x5", "3x4x5x",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
