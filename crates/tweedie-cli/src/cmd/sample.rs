//! `tweedie sample`.

use std::fmt;
use std::time::Instant;

use anyhow::bail;
use serde::Serialize;
use tweedie::image::Picture;
use tweedie::noise::Seeded;
use tweedie::restore::{ensure, record};
use tweedie::run::Run;
use tweedie::{Dims, sampler};

use crate::options::{ComputeArgs, OutputArgs, PriorArgs};
use crate::output;
use crate::places::Plan;
use crate::watched::Watch;

/// Draw pictures from a prior alone, starting from pure noise.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie sample                              writes samples.sample.png, of 64 x 64 pixels
  tweedie sample -n 9 --size 48 -o sheet.png  nine on a sheet
  tweedie sample --prior mine.safetensors")]
pub(crate) struct Args {
    /// How many pictures.
    #[arg(short, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    n: u16,
    /// Number of the first picture: picture K of a seed is the same in every batch that holds it.
    #[arg(long, default_value_t = 0, value_name = "K")]
    first: u16,
    /// Size in pixels: SIDE or HEIGHTxWIDTH.
    #[arg(long, default_value = "64", value_name = "SIZE", value_parser = size)]
    size: (usize, usize),
    /// Sampler by name, see `tweedie list samplers`.
    #[arg(long, default_value = "edm", value_name = "NAME")]
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

#[derive(Serialize)]
struct Report {
    sampler: &'static str,
    pictures: u16,
    nfe: usize,
    seconds: f64,
    seed: u64,
    output: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sample: {}, {} pictures, {} network evaluations, {:.1} s, wrote {}",
            self.sampler, self.pictures, self.nfe, self.seconds, self.output
        )
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let plan = Plan::new(&["samples.png".into()], "sample", &args.output, |_| {
        Vec::new()
    })?;
    let sink = &plan.pairs[0].sink;
    let device = args.compute.machine.begin()?;
    let Some(settings) = sampler::Settings::named(&args.sampler) else {
        bail!(
            "there is no sampler `{}`; there are {}",
            args.sampler,
            sampler::Settings::NAMES.join(", ")
        );
    };
    let settings = match args.steps {
        Some(n) => settings.with_steps(n as usize),
        None => settings,
    };
    let watch = Watch::new(1)?;
    let prior = args.prior.open(&device, &watch)?;
    let dims = Dims::new(prior.card().channels[0], args.size.0, args.size.1);
    let (n, seed) = (usize::from(args.n), args.compute.seed);
    ensure(COPIES * n * dims.len())?;
    plan.begin()?;
    let begun = Instant::now();
    let total = settings.nfe(prior.card());
    let (drawn, nfe) = watch.run(settings.name(), total, |observer| {
        let noise = Seeded::new(seed, "method").from_picture(args.first.into());
        let mut run = Run::with(noise, observer);
        let drawn = settings.as_dyn().sample(prior.as_ref(), n, dims, &mut run);
        drawn.map(|drawn| (drawn, run.nfe()))
    })?;
    let mut result = Picture::new(output::sheet(&drawn)?);
    let text = serde_json::json!({
        "sampler": settings, "prior": args.prior.prior, "seed": seed, "first": args.first,
    });
    result.set_text("tweedie", record(text));
    args.output.write(sink, &result)?;
    let report = Report {
        sampler: settings.name(),
        pictures: args.n,
        nfe,
        seconds: begun.elapsed().as_secs_f64(),
        seed,
        output: sink.to_string(),
    };
    args.output.print(sink, &report)
}
