//! `tweedie metrics`.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tweedie::Image;
use tweedie::metric::{self, Error, METRICS, Metric};

use crate::output;
use crate::places::Source;

/// Compare a picture with the true one: PSNR, SSIM, LPIPS.
///
/// A grey picture and a colour picture of equal channels are compared as grey ones. Transparency is not compared.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie metrics truth.png restored.png
  tweedie metrics truth.png restored.png --luma --crop 4   as papers on super-resolution by 4 have it
In JSON the PSNR of equal pictures is \"inf\", and null is what pictures are too small for.")]
pub(crate) struct Args {
    /// The true picture.
    truth: PathBuf,
    /// The picture to judge, or `-` for standard input.
    picture: PathBuf,
    /// Compare the luma: Y of YCbCr by ITU-R BT.601, from 16 to 235 of 255, as MATLAB's rgb2ycbcr has it and most papers on
    /// super-resolution. A grey picture counts as one of three equal channels.
    #[arg(long)]
    luma: bool,
    /// Leave out so many pixels at each border; papers take the factor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    crop: usize,
    /// Turn the picture by half a turn and move it, as it lies nearest to the true one: what phase retrieval cannot tell apart.
    #[arg(long)]
    align: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What each metric found; nothing where the pictures are too small for it.
struct Report(Vec<(&'static Metric, Option<f64>)>);

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // JSON has no infinity, and what has no value is another matter.
        let number = |value: &Option<f64>| match value {
            Some(v) if v.is_infinite() => json!("inf"),
            Some(v) => json!(v),
            None => Value::Null,
        };
        to.collect_map(self.0.iter().map(|(m, value)| (m.name, number(value))))
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
    ensure!(
        args.truth != args.picture || args.truth != Path::new("-"),
        "standard input holds one picture; name a file for the other"
    );
    let truth = args.read(&args.truth)?;
    let picture = args.read(&args.picture)?;
    let (truth, mut picture) = alike(truth, picture);
    if args.align {
        picture = metric::aligned(&truth, &picture).with_context(|| args.names())?;
    }
    let measure = |metric: &'static Metric| {
        let value = metric.of(&truth, &picture)?;
        Ok((metric, value))
    };
    let found: Result<_, Error> = METRICS.iter().map(measure).collect();
    let found = found.with_context(|| args.names())?;
    output::print(args.json, &Report(found))
}

impl Args {
    fn names(&self) -> String {
        format!("{} and {}", self.truth.display(), self.picture.display())
    }

    /// What is compared of a picture.
    fn read(&self, path: &Path) -> anyhow::Result<Image> {
        let picture = Source::of(path).read()?.with_file_channels();
        if picture.alpha.is_some() {
            eprintln!("{}: its transparency is not compared", path.display());
        }
        let (_, _, h, w) = picture.pixels.dim();
        let inner = metric::without_border(&picture.pixels, self.crop);
        ensure!(
            inner.is_some(),
            "--crop {} leaves nothing of the {w} x {h} pixels of {}",
            self.crop,
            path.display()
        );
        let inner = inner.unwrap_or_default();
        Ok(match self.luma {
            true => metric::luma(&inner),
            false => inner,
        })
    }
}

/// Two pictures with the same number of channels, if one is grey and the other might be.
fn alike(a: Image, b: Image) -> (Image, Image) {
    match (a.dim().1, b.dim().1) {
        (1, 3) => (a, grey(b)),
        (3, 1) => (grey(a), b),
        _ => (a, b),
    }
}

/// One channel of a picture whose channels are equal, else the picture.
fn grey(x: Image) -> Image {
    let axis = ndarray::Axis(1);
    let first = x.slice_axis(axis, (0..1).into());
    match x.axis_chunks_iter(axis, 1).all(|channel| channel == first) {
        true => first.to_owned(),
        false => x,
    }
}
