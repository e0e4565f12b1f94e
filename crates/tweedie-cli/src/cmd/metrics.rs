//! `tweedie metrics`.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;
use tweedie::metric::{Error, METRICS, Metric};

use crate::output;

/// Compare a picture with the true one: PSNR, SSIM, LPIPS.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The true picture.
    truth: PathBuf,
    /// The picture to judge.
    picture: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What each metric found; nothing where the pictures are too small for it. JSON has no infinity: there the PSNR of equal
/// pictures is `null`.
struct Report(Vec<(&'static Metric, Option<f64>)>);

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(metric, value)| (metric.name, value)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.0.iter().filter_map(|(m, value)| Some((m, (*value)?)));
        for (i, (metric, value)) in found.enumerate() {
            let gap = if i == 0 { "" } else { "  " };
            write!(f, "{gap}{} ", metric.name.to_uppercase())?;
            match metric.unit {
                "" => write!(f, "{value:.4}")?,
                unit => write!(f, "{value:.2} {unit}")?,
            }
        }
        Ok(())
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let mut truth = tweedie::image::read(&args.truth)?;
    let mut picture = tweedie::image::read(&args.picture)?;
    // One of colours is compared with what a grey one's file holds.
    if truth.dims().c != picture.dims().c {
        truth = truth.with_file_channels();
        picture = picture.with_file_channels();
    }
    let measure = |metric: &'static Metric| {
        let value = metric.of(&truth.pixels, &picture.pixels)?;
        Ok((metric, value))
    };
    let found: Result<_, Error> = METRICS.iter().map(measure).collect();
    let found = found
        .with_context(|| format!("{} and {}", args.truth.display(), args.picture.display()))?;
    output::print(args.json, &Report(found))
}
