//! `tweedie degrade`.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use tweedie::image::Picture;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Boundary, FilterSpec, GrayWeights, KernelSpec, Operator, Spec};
use tweedie::{Dims, Image};

use crate::cmd::restore::read_operator;
use crate::options::{ComputeArgs, OutputArgs};
use crate::output;
use crate::values::{MaskArg, Sigma};

/// Degrade a clean picture the way a camera would: blur, shrink, hide, grey, add noise.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The clean picture.
    input: PathBuf,
    /// `identity`, `blur`, `downsample`, `mask`, `gray`, or a TOML file that describes an operator.
    #[arg(long, value_name = "NAME|FILE")]
    operator: String,
    /// Kernel of `blur`, as for `tweedie deblur`.
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<KernelSpec>,
    /// Beyond the edges: symmetric, reflect or circular.
    #[arg(long, default_value = "symmetric", value_name = "KIND")]
    boundary: Boundary,
    /// Factor of `downsample`.
    #[arg(long, value_name = "N")]
    factor: Option<usize>,
    /// Filter of `downsample`: bicubic, average or a kernel.
    #[arg(long, default_value = "bicubic", value_name = "FILTER")]
    filter: FilterSpec,
    /// Mask of `mask`: `random:P` hides a share P of the pixels, `box:HEIGHT,WIDTH[,TOP,LEFT]` a box, a picture its white
    /// pixels. The mask used is written beside the result as NAME.mask.png.
    #[arg(long, value_name = "MASK")]
    mask: Option<MaskArg>,
    /// Weights of `gray`: mean or luma.
    #[arg(long, default_value = "mean", value_name = "WEIGHTS")]
    weights: GrayWeights,
    /// Standard deviation of the noise to add, for pictures in [0, 1]: `0.02` or `15/255`.
    #[arg(long, default_value = "0", value_name = "SIGMA")]
    noise: Sigma,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

#[derive(Serialize)]
struct Report {
    operator: Spec,
    sigma: f64,
    seed: u64,
    output: PathBuf,
    mask: Option<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "degrade: sigma {:.4}, wrote {}",
            self.sigma,
            self.output.display()
        )?;
        match &self.mask {
            Some(mask) => write!(f, " and {}", mask.display()),
            None => Ok(()),
        }
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let path = args.output.path(&args.input, "degraded")?;
    args.compute.begin()?;
    let spec = spec(&args)?;
    let picture = tweedie::image::read(&args.input)?;
    let operator = spec.build(Dims::of(&picture.pixels))?;
    let y = measure(
        operator.as_ref(),
        &picture.pixels,
        args.noise.0,
        args.compute.seed,
    );

    let mask = match operator.recorded() {
        Some(known) => {
            let mask = path.with_extension("mask.png");
            write_mask(&mask, &known, &args.output)?;
            Some(mask)
        }
        None => None,
    };
    let mut result = picture.with_pixels(y);
    let text = serde_json::json!({
        "operator": spec, "sigma": args.noise.0, "seed": args.compute.seed,
        "version": env!("CARGO_PKG_VERSION"),
    });
    result.set_text("tweedie-degrade", text.to_string());
    args.output.write(&path, &result)?;
    let report = Report {
        operator: spec,
        sigma: args.noise.0,
        seed: args.compute.seed,
        output: path,
        mask,
    };
    output::print(args.output.json, &report)
}

fn spec(args: &Args) -> anyhow::Result<Spec> {
    Ok(match args.operator.as_str() {
        "identity" => Spec::Identity {},
        "blur" => Spec::Blur {
            kernel: args
                .kernel
                .clone()
                .context("`--operator blur` needs --kernel, for instance gaussian:1.6")?,
            boundary: args.boundary,
        },
        "downsample" => Spec::Downsample {
            factor: args
                .factor
                .context("`--operator downsample` needs --factor, for instance 4")?,
            filter: args.filter.clone(),
            boundary: args.boundary,
        },
        "mask" => Spec::Mask(
            args.mask
                .clone()
                .context("`--operator mask` needs --mask, for instance random:0.5")?
                .spec(args.compute.seed),
        ),
        "gray" | "grey" => Spec::Gray {
            weights: args.weights,
        },
        file if file.ends_with(".toml") => read_operator(Path::new(file))?,
        other => bail!(
            "there is no operator `{other}`; there are identity, blur, downsample, mask, gray, and TOML files"
        ),
    })
}

/// `A(x)` with noise, which holes hide as they hide the picture.
fn measure(operator: &dyn Operator, x: &Image, sigma: f64, seed: u64) -> Image {
    let mut y = operator.apply(x);
    if sigma > 0.0 {
        let noise = Seeded::new(seed).normal(1, Dims::of(&y));
        y.scaled_add(sigma as f32, &noise);
    }
    if let Some(known) = operator.recorded() {
        for mut channel in y.index_axis_mut(ndarray::Axis(0), 0).outer_iter_mut() {
            channel.zip_mut_with(&known, |v, &known| {
                if !known {
                    *v = 0.0;
                }
            });
        }
    }
    y
}

fn write_mask(
    path: &Path,
    known: &ndarray::Array2<bool>,
    output: &OutputArgs,
) -> anyhow::Result<()> {
    let (h, w) = known.dim();
    let holes = known.mapv(|k| if k { 0.0 } else { 1.0 });
    let pixels = holes
        .into_shape_with_order((1, 1, h, w))
        .expect("the same number of values");
    Ok(tweedie::image::write(
        path,
        &Picture::new(pixels),
        &Default::default(),
        output.overwrite(),
    )?)
}
