//! `tweedie sample`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use tweedie::image::Picture;
use tweedie::noise::Seeded;
use tweedie::prior::Prior;
use tweedie::restore::{ensure as ensure_memory, record};
use tweedie::run::{Error, Run};
use tweedie::sampler::{self, Settings};
use tweedie::{Dims, Image, metric};

use crate::options::{ComputeArgs, OutputArgs, PriorArgs};
use crate::output;
use crate::places::{Plan, Source};
use crate::watched::Watch;

/// Draw pictures from a prior alone, starting from pure noise, or from that of pictures.
///
/// With --from a picture is taken up to noise and down again by a sampler that goes both ways; with --interpolate the
/// noises of two are found, and pictures made of those between.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie sample                              writes samples.sample.png, of 64 x 64 pixels
  tweedie sample -n 9 --size 48 -o sheet.png  nine on a sheet
  tweedie sample --sampler dpm-solver --steps 15
  tweedie sample --from cat.png               there and back again, and how well it came back
  tweedie sample --interpolate a.png b.png -n 8 -o way.png
  tweedie sample --prior mine.safetensors")]
pub(crate) struct Args {
    /// How many pictures; with --interpolate, both ends included. [default: 1; with --interpolate 5]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    n: Option<u16>,
    /// Number of the first picture: picture K of a seed is the same in every batch that holds it.
    #[arg(long, default_value_t = 0, value_name = "K")]
    first: u16,
    /// Size in pixels: SIDE or HEIGHTxWIDTH.
    #[arg(long, default_value = "64", value_name = "SIZE", value_parser = size)]
    size: (usize, usize),
    /// Take this picture up to noise and down again, with a sampler that goes both ways.
    #[arg(long, value_name = "PICTURE", conflicts_with_all = ["n", "first", "size", "interpolate"])]
    from: Option<PathBuf>,
    /// Make pictures on the way from one to another of the same size.
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = ["first", "size"])]
    interpolate: Vec<PathBuf>,
    /// Sampler by name, see `tweedie list samplers`, or a TOML file of its settings.
    #[arg(long, default_value = "edm", value_name = "NAME|FILE")]
    sampler: String,
    /// Number of noise levels that the sampler visits.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: Option<u32>,
    #[command(flatten)]
    prior: PriorArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let (h, w) = text.split_once('x').unwrap_or((text, text));
    match (h.parse(), w.parse()) {
        (Ok(h @ 1..=16384), Ok(w @ 1..=16384)) => Ok((h, w)),
        _ => Err("write SIDE or HEIGHTxWIDTH, in pixels up to 16384".to_owned()),
    }
}

/// Batches that sampling holds at once, the network's own left out.
const COPIES: usize = 6;

/// Frames of a way from one picture to another.
const FRAMES: u16 = 5;

#[derive(Serialize)]
struct Report {
    sampler: &'static str,
    pictures: usize,
    nfe: usize,
    seconds: f64,
    seed: u64,
    /// PSNR of pictures that came back, in dB.
    #[serde(skip_serializing_if = "Option::is_none")]
    reconstruction: Option<f64>,
    notes: Vec<String>,
    output: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "sample: {note}")?;
        }
        write!(
            f,
            "sample: {}, {}, {} network evaluations, {:.1} s",
            self.sampler,
            output::count(self.pictures, "picture", "pictures"),
            self.nfe,
            self.seconds
        )?;
        if let Some(decibels) = self.reconstruction {
            write!(f, ", came back at {decibels:.2} dB")?;
        }
        write!(f, ", wrote {}", self.output)
    }
}

/// What is asked for.
enum Task {
    /// So many new pictures.
    Draw(usize, Dims),
    /// A picture there and back.
    From(Image),
    /// So many pictures between two.
    Between(Box<[Image; 2]>, usize),
}

impl Task {
    fn of(args: &Args, prior: &dyn Prior) -> anyhow::Result<Task> {
        if let Some(path) = &args.from {
            return Ok(Task::From(read(path)?));
        }
        if let [a, b] = args.interpolate.as_slice() {
            let frames = args.n.unwrap_or(FRAMES);
            ensure!(
                frames > 1,
                "a way from one picture to another has 2 or more frames; -n 2 are its ends"
            );
            return Ok(Task::Between(Box::new([read(a)?, read(b)?]), frames.into()));
        }
        let dims = Dims::new(prior.card().channels[0], args.size.0, args.size.1);
        Ok(Task::Draw(args.n.unwrap_or(1).into(), dims))
    }

    /// Pictures that are made, and their dimensions.
    fn size(&self) -> (usize, Dims) {
        match self {
            Task::Draw(n, dims) => (*n, *dims),
            Task::From(x) => (1, Dims::of(x)),
            Task::Between(ends, n) => (*n, Dims::of(&ends[0])),
        }
    }

    fn run(
        &self,
        sampler: &Settings,
        prior: &dyn Prior,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let sampler = sampler.as_dyn();
        match self {
            Task::Draw(n, dims) => sampler.sample(prior, *n, *dims, run),
            Task::From(x) => sampler::reconstruct(sampler, prior, x, run),
            Task::Between(ends, n) => {
                sampler::interpolate(sampler, prior, [&ends[0], &ends[1]], *n, run)
            }
        }
    }

    /// How well pictures came back, in dB.
    fn reconstruction(&self, made: &Image) -> anyhow::Result<Option<f64>> {
        let frame = |n: usize| {
            made.slice_axis(ndarray::Axis(0), (n..n + 1).into())
                .to_owned()
        };
        Ok(match self {
            Task::Draw(..) => None,
            Task::From(x) => Some(metric::psnr(x, made)?),
            Task::Between(ends, n) => {
                let (a, b) = (
                    metric::psnr(&ends[0], &frame(0))?,
                    metric::psnr(&ends[1], &frame(n - 1))?,
                );
                Some(a.min(b))
            }
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Image> {
    Ok(Source::of(path).read()?.pixels)
}

impl Args {
    fn settings(&self) -> anyhow::Result<Settings> {
        let path = Path::new(&self.sampler);
        let settings = match Settings::named(&self.sampler) {
            Some(settings) => settings,
            None if path.extension().is_some_and(|e| e == "toml") => {
                tweedie::files::read_toml(path)?
            }
            None => bail!(
                "there is no sampler `{}`; there are {}",
                self.sampler,
                Settings::NAMES.join(", ")
            ),
        };
        Ok(match self.steps {
            Some(n) => settings.with_steps(n as usize),
            None => settings,
        })
    }

    /// The picture that the result is named after.
    fn input(&self) -> PathBuf {
        let named = self.from.as_ref().or(self.interpolate.first());
        named.cloned().unwrap_or_else(|| "samples.png".into())
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let plan = Plan::new(&[args.input()], "sample", &args.output, |_| Vec::new())?;
    let sink = &plan.pairs[0].sink;
    let device = args.compute.machine.begin()?;
    let settings = args.settings()?;
    let watch = Watch::new(1)?;
    let prior = args.prior.open(&device, &watch)?;
    let task = Task::of(&args, prior.as_ref())?;
    let (n, dims) = task.size();
    ensure_memory(COPIES * n * dims.len())?;
    plan.begin()?;
    let begun = Instant::now();
    let seed = args.compute.seed;
    let there_and_back = if matches!(task, Task::Draw(..)) { 1 } else { 2 };
    let total = there_and_back * settings.nfe(prior.card());
    let (made, nfe, notes) = watch.run(settings.name(), total, |observer| {
        let noise = Seeded::new(seed, "method").from_picture(args.first.into());
        let mut run = Run::with(noise, observer);
        let made = task.run(&settings, prior.as_ref(), &mut run);
        made.map(|made| (made, run.nfe(), run.notes().to_vec()))
    })?;
    let reconstruction = task.reconstruction(&made).context("what came back")?;
    let mut result = Picture::new(output::sheet(&made)?);
    let text = serde_json::json!({
        "sampler": settings, "prior": args.prior.prior, "seed": seed, "first": args.first,
    });
    result.set_text("tweedie", record(text));
    args.output.write(sink, &result)?;
    let report = Report {
        sampler: settings.name(),
        pictures: n,
        nfe,
        seconds: begun.elapsed().as_secs_f64(),
        seed,
        reconstruction,
        notes,
        output: sink.to_string(),
    };
    args.output.print(sink, &report)
}
