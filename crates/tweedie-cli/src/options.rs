//! Options that several subcommands share.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::builder::PossibleValuesParser;
use tweedie::checkpoint::Model;
use tweedie::image::{self, Depth, Overwrite, Picture, WriteOptions};
use tweedie::method;
use tweedie::prior::{Network, Prior};
use tweedie::restore::Choice;
use tweedie::{Device, Dims};

use crate::values::Sigma;

/// Where the result goes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// File to write; by default beside the input. The extension chooses the format.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    /// Bits a channel of the result, 8 or 16; by default those of the input.
    #[arg(long, value_name = "BITS", value_parser = ["8", "16"])]
    pub(crate) depth: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl OutputArgs {
    /// The file to write for `input`, with `suffix` before its extension unless one was named.
    pub(crate) fn path(&self, input: &Path, suffix: &str) -> anyhow::Result<PathBuf> {
        let path = match &self.output {
            Some(path) => path.clone(),
            None => image::name_beside(input, suffix, image::format_of(input)?),
        };
        // Known before minutes of work, not after.
        image::check_write(&path, &self.write_options(), self.overwrite()).map_err(say_force)?;
        Ok(path)
    }

    /// That a result of these dimensions fits into the file's format.
    pub(crate) fn check_size(&self, path: &Path, dims: Dims) -> anyhow::Result<()> {
        image::Format::from_path(path)
            .and_then(|format| format.check_size(dims))
            .with_context(|| path.display().to_string())
    }

    /// What the file does not hold of a picture.
    pub(crate) fn losses(&self, path: &Path, picture: &Picture) -> Vec<String> {
        let format = image::Format::from_path(path);
        format.map_or_else(
            |_| Vec::new(),
            |format| image::losses(picture, format, &self.write_options()),
        )
    }

    pub(crate) fn overwrite(&self) -> Overwrite {
        overwrite(self.force)
    }

    /// Writes the verb's result as the options say.
    pub(crate) fn write(&self, path: &Path, picture: &Picture) -> anyhow::Result<()> {
        let options = self.write_options();
        image::write(path, picture, &options, self.overwrite()).map_err(say_force)
    }

    fn write_options(&self) -> WriteOptions {
        WriteOptions {
            depth: match self.depth.as_deref() {
                Some("8") => Some(Depth::Eight),
                Some("16") => Some(Depth::Sixteen),
                _ => None,
            },
            ..WriteOptions::default()
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
pub(crate) struct ComputeArgs {
    /// Where networks run: `cpu`, or `gpu` in a build with the feature `wgpu`. `auto` is the CPU.
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(DEVICES))]
    device: String,
    /// Threads; by default all of the machine. The result does not depend on it.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Seed of all randomness: the same seed gives the same picture.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
}

impl ComputeArgs {
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

    pub(crate) fn open(&self, device: &Device) -> anyhow::Result<Box<dyn Prior>> {
        let network = Network::new(&self.model()?, device)
            .with_context(|| format!("prior {}", self.prior))?;
        Ok(Box::new(network))
    }
}

/// The method and its problem's noise.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Method")]
pub(crate) struct MethodArgs {
    /// Method by name, see `tweedie list methods`, or a TOML file of its settings; by default one that suits the task.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) method: Option<String>,
    /// Number of noise levels that the method visits.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: Option<u32>,
    /// Standard deviation of the noise in the measurement, for pictures in [0, 1]: `0.02` or `15/255`. Estimated if not
    /// given.
    #[arg(long, value_name = "SIGMA")]
    pub(crate) noise: Option<Sigma>,
}

impl MethodArgs {
    /// The method that was asked for.
    pub(crate) fn choice(&self) -> anyhow::Result<Choice> {
        Ok(match &self.method {
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
