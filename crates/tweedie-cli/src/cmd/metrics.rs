//! `tweedie metrics`.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;
use tweedie::metric::{Metrics, compare};

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

#[derive(Serialize)]
#[serde(transparent)]
struct Report(Metrics);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Metrics { psnr, ssim, lpips } = self.0;
        write!(f, "PSNR {psnr:.2} dB")?;
        if let Some(ssim) = ssim {
            write!(f, "  SSIM {ssim:.4}")?;
        }
        if let Some(lpips) = lpips {
            write!(f, "  LPIPS {lpips:.4}")?;
        }
        Ok(())
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let truth = tweedie::image::read(&args.truth)?;
    let picture = tweedie::image::read(&args.picture)?;
    let metrics = compare(&truth.pixels, &picture.pixels).with_context(|| {
        format!("{} and {}", args.truth.display(), args.picture.display())
    })?;
    output::print(args.json, &Report(metrics))
}
