//! `tweedie degrade`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tweedie::image::Picture;
use tweedie::operator::Spec;
use tweedie::restore::{degrade, record};

use crate::operator_args::OperatorArgs;
use crate::options::{ComputeArgs, OutputArgs};
use crate::output;
use crate::values::Sigma;

/// Degrade a clean picture the way a camera would: blur, shrink, hide, grey, add noise.
///
/// Of pictures with holes, the mask is written beside the result as NAME.mask.png.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The clean picture.
    input: PathBuf,
    #[command(flatten)]
    operator: OperatorArgs,
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
    notes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "degrade: {note}")?;
        }
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
    let (sigma, seed) = (args.noise.0, args.compute.seed);
    let spec = args.operator.spec(seed)?;
    let degraded = degrade(&tweedie::image::read(&args.input)?, &spec, sigma, seed)?;
    let mask = degraded.known.map(|known| {
        let mask = path.with_extension("mask.png");
        write_mask(&mask, &known, &args.output).map(|()| mask)
    });
    let mask = mask.transpose()?;
    let mut result = degraded.picture;
    let mut notes = result.notes.clone();
    notes.extend(args.output.losses(&path, &result));
    let text = serde_json::json!({ "operator": spec, "sigma": sigma, "seed": seed });
    result.set_text("tweedie-degrade", record(text));
    args.output.write(&path, &result)?;
    let report = Report {
        operator: spec,
        sigma,
        seed,
        output: path,
        mask,
        notes,
    };
    output::print(args.output.json, &report)
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
