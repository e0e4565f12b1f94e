//! `tweedie degrade`.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use tweedie::Dims;
use tweedie::image::{Depth, Format, Picture, check_write};
use tweedie::operator::{Spec, StackSpec};
use tweedie::problem::Noise;
use tweedie::restore::{
    Degraded, Made, apart, degrade, npz, preview, record, write_made, write_npy,
};

use crate::batch;
use crate::kind::Kind;
use crate::operator_args::OperatorArgs;
use crate::options::{ComputeArgs, OutputArgs, say_force};
use crate::places::{Pair, Plan, Sink};
use crate::values::NoiseArg;
use crate::watched::Watch;

/// Degrade a clean picture the way a camera would: blur, shrink, hide, grey, add noise.
///
/// Of pictures with holes, the mask is written beside the result as NAME.mask.png. What the operators of a stack record is written as
/// NAME.1.png, NAME.2.png and so on. A result called NAME.npz holds the numbers as they are, neither clipped nor rounded, and all
/// that `restore` needs to know; NAME.npy, and a TIFF of 32 bits (--depth 32), have that in NAME.toml beside it. What is no picture
/// (compressed sensing) can be written as .npz or .npy alone.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie degrade cat.png --operator blur --kernel gaussian:1.6 --noise 5/255   writes cat.degraded.png
  tweedie degrade cat.png --operator mask --mask random:0.5 -o holes.png        and holes.mask.png
  tweedie degrade cat.png --operator hadamard --ratio 0.25 -o y.npz             restore y.npz knows the rest
  tweedie degrade photos --operator downsample --factor 1.5 -o small            all pictures of a folder")]
pub(crate) struct Args {
    /// The clean pictures, folders of them, NumPy arrays (.npy, .npz; complex ones too), or `-` for standard input.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    operator: OperatorArgs<true>,
    /// The noise to add, for pictures in [0, 1]: a standard deviation, `0.02` or `15/255`, `poisson:A,B` for a variance of
    /// `A + B*x`, which grows with brightness, or `photons:N[,STD]` for light that was counted, N grains at white, with noise of STD
    /// on top.
    #[arg(
        long,
        default_value = "0",
        value_name = "NOISE",
        allow_negative_numbers = true
    )]
    noise: NoiseArg,
    #[command(flatten)]
    output: OutputArgs,
    /// Also write a picture of what can be seen of the measurement without a prior: the operator's first guess (of compressed
    /// sensing the measurement projected back).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    preview: Option<PathBuf>,
    #[command(flatten)]
    compute: ComputeArgs,
}

#[derive(Serialize)]
struct Report {
    operator: Spec,
    noise: Noise,
    seed: u64,
    input: String,
    output: String,
    mask: Option<String>,
    notes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "degrade: {note}")?;
        }
        let noise = match self.noise {
            Noise::Exact => "no noise".to_owned(),
            Noise::White(sigma) => format!("sigma {sigma:.4}"),
            other => format!("noise {other:?}"),
        };
        write!(f, "degrade: {noise}, wrote {}", self.output)?;
        match &self.mask {
            Some(mask) => write!(f, " and {mask}"),
            None => Ok(()),
        }
    }
}

pub(crate) fn execute(mut args: Args) -> anyhow::Result<()> {
    let spec = args.operator.spec(args.compute.seed)?;
    if !spec.records_pictures() {
        args.output.suit_numbers(spec.name())?;
    }
    let plan = Plan::new(&args.inputs, "degraded", &args.output, |_| Vec::new())?;
    args.check_preview(&plan)?;
    args.compute.machine.begin()?;
    let watch = Watch::new(plan.pairs.len())?;
    let mut masks = HashSet::new();
    batch::each(&plan, &args.output, &watch, |pair| {
        one(&args, &spec, pair, &mut masks)
    })
}

impl Args {
    /// That the preview has a name of its own, and can be written.
    fn check_preview(&self, plan: &Plan) -> anyhow::Result<()> {
        let Some(file) = &self.preview else {
            return Ok(());
        };
        ensure!(
            !plan.many,
            "--preview names one file, but there are several pictures; degrade them one by one"
        );
        let sink = &plan.pairs[0].sink;
        ensure!(
            sink.file() != Some(file),
            "{} is the result; name the preview otherwise",
            file.display()
        );
        check_write(file, &Default::default(), self.output.overwrite())
            .map(drop)
            .map_err(say_force)
    }

    /// Writes the measurement, as a picture, or one for each operator of a stack, or as an array that says how it was made; the names
    /// of the files.
    fn write(&self, sink: &Sink, degraded: &Degraded, spec: &Spec) -> anyhow::Result<String> {
        let Dims { c, h, w } = degraded.clean;
        let made = Made {
            size: Some([c, h, w]),
            range: None,
            noise: Some(self.noise.0),
            operator: Some(spec.clone()),
        };
        let pixels = &degraded.picture.pixels;
        match (sink.kind()?, sink.file()) {
            (Kind::Picture(_), _) => match spec {
                Spec::Stack(stack) => {
                    return write_apart(&degraded.picture, stack, sink, &self.output);
                }
                _ => {
                    // Numbers as they are, as an array has them.
                    let numbers = self.output.write_options().depth == Some(Depth::Float);
                    if let Some(file) = sink.file().filter(|_| numbers) {
                        let (options, overwrite) =
                            (self.output.write_options(), self.output.overwrite());
                        check_write(file, &options, overwrite).map_err(say_force)?;
                        write_made(file, &made, overwrite).map_err(say_force)?;
                    }
                    self.output.write(sink, &degraded.picture)
                }
            },
            (Kind::Npz, _) => self.output.write_bytes(sink, &npz(pixels, &made)?),
            (Kind::Npy, Some(file)) => {
                write_npy(file, pixels, &made, self.output.overwrite()).map_err(say_force)
            }
            (Kind::Npy, None) => bail!(
                "beside an .npy lies a file that says how it was made; name it with -o, or take --format npz"
            ),
        }?;
        Ok(sink.to_string())
    }
}

/// Degrades one picture. Its mask must have another name than those of the pictures before it, `masks`.
fn one(
    args: &Args,
    spec: &Spec,
    Pair { source, sink }: &Pair,
    masks: &mut HashSet<PathBuf>,
) -> anyhow::Result<Report> {
    let (noise, seed) = (args.noise.0, args.compute.seed);
    let mut degraded = degrade(&source.clean()?, spec, noise, seed)?;
    let arrays = sink.kind()?.picture().is_none();
    if let Some(file) = &args.preview {
        let seen = Picture::new(preview(&degraded, spec)?);
        let overwrite = args.output.overwrite();
        tweedie::image::write(file, &seen, &Default::default(), overwrite).map_err(say_force)?;
    }
    // An array knows its operator, and with it the mask.
    let mask = match degraded.known.take().filter(|_| !arrays) {
        Some(known) => {
            let result = sink.file();
            let result =
                result.context("the mask is written beside the result; name it with -o")?;
            let path = result.with_extension("mask.png");
            ensure!(
                masks.insert(path.clone()),
                "{} is the mask of another picture of this name; degrade it alone",
                path.display()
            );
            write_mask(&path, &known, &args.output)?;
            Some(path.display().to_string())
        }
        None => None,
    };
    let mut notes = degraded.picture.notes.clone();
    notes.extend(args.output.losses(sink, &degraded.picture)?);
    if let (Spec::Jpeg(_), Kind::Picture(Format::Jpeg)) = (spec, sink.kind()?) {
        notes.push("the result is compressed once more, as a file: write PNG or .npz to keep what --jpeg-quality left".to_owned());
    }
    let text = serde_json::json!({ "operator": spec, "noise": noise, "seed": seed });
    degraded.picture.set_text("tweedie-degrade", record(text));
    let output = args.write(sink, &degraded, spec)?;
    Ok(Report {
        operator: spec.clone(),
        noise,
        seed,
        input: source.to_string(),
        output,
        mask,
        notes,
    })
}

/// What each operator of a stack recorded, a file each; their names.
fn write_apart(
    result: &Picture,
    stack: &StackSpec,
    sink: &Sink,
    output: &OutputArgs,
) -> anyhow::Result<String> {
    let parts = apart(result, stack);
    let parts = parts.context(
        "what the operators of this stack record are no pictures of one size, with 1 or 3 channels each: write NAME.npz",
    )?;
    let file = sink.file();
    let file = file.context("a stack records several pictures; name them with -o")?;
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    let mut names = Vec::new();
    for (k, part) in parts.iter().enumerate() {
        let name = file.with_extension(format!("{}.{extension}", k + 1));
        names.push(name.display().to_string());
        output.write(&Sink::File(name), part)?;
    }
    Ok(names.join(", "))
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
    tweedie::image::write(
        path,
        &Picture::new(pixels),
        &Default::default(),
        output.overwrite(),
    )
    .map_err(say_force)
}
