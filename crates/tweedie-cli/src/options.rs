//! Options that several subcommands share.

use std::fmt::Display;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use tweedie::checkpoint::Model;
use tweedie::image::{self, Depth, Overwrite, Picture, WriteOptions};
use tweedie::method;
use tweedie::prior::{Network, Prior};
use tweedie::restore::Choice;
use tweedie::{Device, Dims};

use crate::kind::Kind;
use crate::output;
use crate::places::{self, Sink};
use crate::values::NoiseArg;
use crate::watched::Watch;

/// Where the result goes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// File to write, whose extension chooses the format; a folder, for results under the names of their inputs; or `-` for
    /// standard output. By default beside the input, with the verb in the name (`cat.denoise.png`), and standard output for
    /// standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    pub(crate) output: Option<PathBuf>,
    /// Format where no file is named; by default that of the input, and PNG on standard output.
    #[arg(long, value_name = "FORMAT", value_parser = ["png", "jpg", "tif", "webp", "bmp", "npy", "npz"])]
    format: Option<String>,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    /// Bits a channel of the result, 8 or 16, or 32 for floating-point numbers that are neither clipped nor rounded (TIFF); by default
    /// those of the input.
    #[arg(long, value_name = "BITS", value_parser = ["8", "16", "32"])]
    pub(crate) depth: Option<String>,
    /// Quality of a JPEG, 1 to 100; 95 by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: Option<u8>,
    /// Print the report as JSON, a line a picture; to stderr where the picture goes to standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

impl OutputArgs {
    /// Takes an array for what is no picture, unless a picture is asked for.
    pub(crate) fn suit_numbers(&mut self, operator: &str) -> anyhow::Result<()> {
        let named = self.output.as_deref().map(Kind::of);
        let picture = match (&self.format, named) {
            (Some(_), _) => self.kind_of_stdout().picture(),
            (None, Some(Ok(kind))) => kind.picture(),
            _ => None,
        };
        if let Some(format) = picture {
            bail!(
                "what `{operator}` records is no picture, which {format} cannot hold; write an array, for instance -o y.npz"
            );
        }
        if !matches!(self.output.as_deref().map(Kind::of), Some(Ok(_))) {
            self.format.get_or_insert_with(|| "npz".to_owned());
        }
        Ok(())
    }

    /// The extension that was asked for where no file is named.
    pub(crate) fn format(&self) -> Option<&str> {
        self.format.as_deref()
    }

    /// What standard output is written as.
    pub(crate) fn kind_of_stdout(&self) -> Kind {
        let name = format!("x.{}", self.format().unwrap_or("png"));
        Kind::of(Path::new(&name)).expect("formats are named by their extensions")
    }

    /// The file that `-o` names, which says its format itself.
    pub(crate) fn one_file(&self, path: &Path) -> anyhow::Result<PathBuf> {
        if self.format.is_some() {
            let kind = Kind::of(path)?;
            ensure!(
                kind == self.kind_of_stdout(),
                "{} would be {kind}, not what --format asks for; leave one of them out",
                path.display()
            );
        }
        Ok(path.to_owned())
    }

    /// That a result can be written: known before minutes of work, not after.
    pub(crate) fn check(&self, sink: &Sink) -> anyhow::Result<()> {
        let Some(path) = sink.file() else {
            ensure!(
                !std::io::stdout().is_terminal(),
                "standard output is a terminal; redirect it to a file or a pipe"
            );
            return Ok(());
        };
        match sink.kind()? {
            Kind::Picture(_) => {
                image::check_write(path, &self.write_options(), self.overwrite()).map(drop)
            }
            Kind::Npy | Kind::Npz => image::check_write_bytes(path, self.overwrite()),
        }
        .map_err(say_force)
    }

    /// That a result of these dimensions fits into the format.
    pub(crate) fn check_size(&self, sink: &Sink, dims: Dims) -> anyhow::Result<()> {
        let Some(format) = sink.kind()?.picture() else {
            return Ok(());
        };
        format.check_size(dims).with_context(|| sink.to_string())
    }

    /// What the file does not hold of a picture.
    pub(crate) fn losses(&self, sink: &Sink, picture: &Picture) -> anyhow::Result<Vec<String>> {
        Ok(match sink.kind()? {
            Kind::Picture(format) => image::losses(picture, format, &self.write_options()),
            // Numbers as they are, and no more was asked for.
            Kind::Npy | Kind::Npz => Vec::new(),
        })
    }

    pub(crate) fn overwrite(&self) -> Overwrite {
        overwrite(self.force)
    }

    /// Writes a result as the options say; of arrays the numbers as they are, as `x`.
    pub(crate) fn write(&self, sink: &Sink, picture: &Picture) -> anyhow::Result<()> {
        let options = self.write_options();
        if let Some(bytes) = sink.kind()?.array("x", &picture.pixels) {
            return self.write_bytes(sink, &bytes);
        }
        match sink {
            Sink::File(path) => {
                image::write(path, picture, &options, self.overwrite()).map_err(say_force)
            }
            Sink::Stdout(_) => {
                let format = sink.kind()?.picture().expect("else it is an array");
                let bytes = image::encode(picture, format, &options);
                places::to_stdout(&bytes.context("standard output")?)
            }
        }
    }

    /// Writes what is no picture.
    pub(crate) fn write_bytes(&self, sink: &Sink, bytes: &[u8]) -> anyhow::Result<()> {
        match sink {
            Sink::File(path) => {
                image::write_bytes(path, bytes, self.overwrite()).map_err(say_force)
            }
            Sink::Stdout(_) => places::to_stdout(bytes),
        }
    }

    /// Prints a report, to stderr where the picture itself went to stdout.
    pub(crate) fn print(
        &self,
        sink: &Sink,
        report: &(impl Serialize + Display),
    ) -> anyhow::Result<()> {
        match sink {
            Sink::File(_) => output::print(self.json, report),
            Sink::Stdout(_) => output::print_beside(self.json, report),
        }
    }

    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions {
            depth: match self.depth.as_deref() {
                Some("8") => Some(Depth::Eight),
                Some("16") => Some(Depth::Sixteen),
                Some("32") => Some(Depth::Float),
                _ => None,
            },
            quality: self.quality.unwrap_or(WriteOptions::default().quality),
        }
    }
}

/// What `--force` means.
pub(crate) fn overwrite(force: bool) -> Overwrite {
    match force {
        true => Overwrite::Allow,
        false => Overwrite::Refuse,
    }
}

/// The error of a name that is taken, with the option that helps.
pub(crate) fn say_force(error: image::Error) -> anyhow::Error {
    match error.fault {
        image::Fault::Exists => anyhow!("{} exists; --force replaces it", error.path.display()),
        _ => error.into(),
    }
}

/// Where networks can run in this build.
const DEVICES: &[&str] = if cfg!(feature = "wgpu") {
    &["auto", "cpu", "gpu"]
} else {
    &["auto", "cpu"]
};

/// A number of threads. Each takes memory and time to start, whether or not there is work for it.
fn threads(text: &str) -> Result<usize, String> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let most = (4 * cores).max(64);
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(format!(
            "write a number from 1 to {most}; this machine runs {cores} at a time"
        )),
    }
}

/// What computes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Compute")]
pub(crate) struct MachineArgs {
    /// Where networks run: `cpu`, or `gpu` in a build with the feature `wgpu`. `auto` is the CPU.
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(DEVICES))]
    device: String,
    /// Threads; by default all of the machine. The result does not depend on it.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
}

/// What computes, and what decides chance.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Compute")]
pub(crate) struct ComputeArgs {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Seed of all randomness: the same seed gives the same picture.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
}

impl MachineArgs {
    /// Sets the number of threads and names the device.
    pub(crate) fn begin(&self) -> anyhow::Result<Device> {
        if let Some(n) = self.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(n)
                .build_global()
                .context("cannot set the number of threads")?;
        }
        match self.device.as_str() {
            #[cfg(feature = "wgpu")]
            "gpu" => Ok(Device::wgpu(Default::default())),
            _ => Ok(Device::flex()),
        }
    }
}

/// The prior.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Method")]
pub(crate) struct PriorArgs {
    /// `photo`, or a model file; by default the embedded photo prior.
    #[arg(long, default_value = "photo", value_name = "NAME|FILE")]
    pub(crate) prior: String,
}

impl PriorArgs {
    pub(crate) fn model(&self) -> anyhow::Result<Model> {
        if self.prior == "photo" {
            return Model::photo().context("the embedded photo prior");
        }
        Model::open(Path::new(&self.prior)).with_context(|| format!("prior {}", self.prior))
    }

    /// The prior, which tells `watch` how far it is with a large picture.
    pub(crate) fn open(
        &self,
        device: &Device,
        watch: &Arc<Watch>,
    ) -> anyhow::Result<Box<dyn Prior>> {
        let network = Network::new(&self.model()?, device)
            .with_context(|| format!("prior {}", self.prior))?;
        let watch = Arc::clone(watch);
        let told = network.telling(move |tile, tiles| watch.within(tile, tiles));
        Ok(Box::new(told))
    }
}

/// The method and its problem's noise.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Method")]
pub(crate) struct MethodArgs {
    /// Method by name, see `tweedie list methods`, or a TOML file of its settings; by default one that suits the task.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) method: Option<String>,
    /// What the method is chosen for, where none is named: `truth`, the least error on average, or `texture`, what looks most
    /// like a photograph (LPIPS), which errs more.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Prefer::Truth, conflicts_with = "method")]
    prefer: Prefer,
    /// Number of noise levels that the method visits.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: Option<u32>,
    /// The noise in the measurement, for pictures in [0, 1]: a standard deviation, `0.02` or `15/255`, `poisson:A,B` for a
    /// variance of `A + B*x`, which grows with brightness, or `photons:N[,STD]` for light that was counted, N grains at white, with
    /// noise of STD on top. Estimated if not given.
    #[arg(long, value_name = "NOISE", allow_negative_numbers = true)]
    pub(crate) noise: Option<NoiseArg>,
    /// How much of the restoration is taken, from 0 (the measurement as it is) to 1, where picture and measurement are of one
    /// size.
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = part)]
    pub(crate) strength: f64,
}

/// What a method is chosen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Prefer {
    #[default]
    Truth,
    Texture,
}

/// A part of a whole.
fn part(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err("write a number from 0 to 1".to_owned()),
    }
}

impl MethodArgs {
    /// The method that was asked for.
    pub(crate) fn choice(&self) -> anyhow::Result<Choice> {
        Ok(match &self.method {
            None if self.prefer == Prefer::Texture => Choice::Texture,
            None => Choice::Best,
            Some(name) if method::Settings::NAMES.contains(&name.as_str()) => {
                Choice::Named(name.clone())
            }
            Some(file) => Choice::Settings(Box::new(from_file(file)?)),
        })
    }

    /// The number of levels that was asked for.
    pub(crate) fn steps(&self) -> Option<usize> {
        self.steps.map(|n| n as usize)
    }
}

fn from_file(name: &str) -> anyhow::Result<method::Settings> {
    let path = Path::new(name);
    if path.extension().is_some_and(|e| e == "toml") {
        return Ok(tweedie::files::read_toml(path)?);
    }
    bail!(
        "there is no method `{name}`; there are {}",
        method::Settings::NAMES.join(", ")
    )
}
