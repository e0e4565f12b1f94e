//! Restoring pictures: what all the restoring verbs do.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Serialize;
use tweedie::Dims;
use tweedie::image::{Format, Picture};
use tweedie::method::Settings;
use tweedie::operator::Spec;
use tweedie::prior::Prior;
use tweedie::restore::{self, Choice, Job, Measurement, Ready, record};

use crate::kind::Kind;
use crate::options::{ComputeArgs, MethodArgs, OutputArgs, PriorArgs, say_force};
use crate::places::{Pair, Plan, Source};
use crate::watched::Watch;
use crate::{batch, output};

/// A picture to restore, and how.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct JobArgs {
    /// The measurements: PNG, JPEG, TIFF, WebP or BMP pictures, folders of them, NumPy arrays (.npz, .npy), or `-` for a picture
    /// on standard input.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// The inputs are measurements of one picture, by the operators of a `stack` in their order: there is one result.
    #[arg(long)]
    pub(crate) together: bool,
    #[command(flatten)]
    pub(crate) method: MethodArgs,
    #[command(flatten)]
    pub(crate) prior: PriorArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Also write how sure the method is, for methods that know (`mean`, which is taken where none is named): a picture of the
    /// standard deviation, from black for none to white for a quarter of the range.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) spread: Option<PathBuf>,
    /// Also write what can be seen of the measurement without a prior: the operator's first guess (of compressed sensing the
    /// measurement projected back).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) preview: Option<PathBuf>,
    /// Draw so many pictures from the posterior, all of which explain the measurement: their mean is the result, a sheet of
    /// them (NAME.samples) and their spread (NAME.spread) are written beside it.
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = clap::value_parser!(u16).range(2..=1024))]
    pub(crate) samples: Option<u16>,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

impl JobArgs {
    /// Decides all that is random.
    pub(crate) fn seed(&self) -> u64 {
        self.compute.seed
    }

    /// The inputs that have a result of their own.
    fn of_results(&self) -> &[PathBuf] {
        match self.together {
            true => &self.inputs[..1],
            false => &self.inputs,
        }
    }

    /// The measurement of a source.
    fn read(&self, source: &Source) -> anyhow::Result<Measurement> {
        if !self.together {
            return source.measurement();
        }
        let all = self.inputs.iter().map(|input| Source::of(input).read());
        let all = all.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(restore::together(&all)?.into())
    }

    /// Where pictures of the draws and of the spread go, of those that are asked for.
    fn beside(&self, result: Option<&Path>) -> Beside {
        let named = |what: &str| Some(result?.with_extension(format!("{what}.png")));
        let drawn = |what: &str| self.samples.and_then(|_| named(what));
        Beside {
            samples: drawn("samples"),
            spread: self.spread.clone().or_else(|| drawn("spread")),
            preview: self.preview.clone(),
        }
    }

    /// That pictures beside a result have names of their own.
    fn check_places(&self, plan: &Plan) -> anyhow::Result<()> {
        ensure!(
            self.spread.is_none() || !plan.many,
            "--spread names one file, but there are several pictures; --samples N writes a spread for each"
        );
        ensure!(
            self.preview.is_none() || !plan.many,
            "--preview names one file, but there are several pictures; restore them one by one"
        );
        let named = plan.pairs.iter().all(|pair| pair.sink.file().is_some());
        ensure!(
            self.samples.is_none() || named,
            "--samples writes pictures beside the result; name it with -o"
        );
        Ok(())
    }

    /// That they can be had and written.
    fn check_beside(&self, beside: &Beside, method: &Settings) -> anyhow::Result<()> {
        ensure!(
            self.spread.is_none() || self.samples.is_some() || method.as_dyn().knows_spread(),
            "{} does not know how sure it is; --method mean does, and --samples N",
            method.name()
        );
        for file in beside.files() {
            tweedie::image::check_write(&file, &Default::default(), self.output.overwrite())
                .map_err(say_force)?;
        }
        Ok(())
    }
}

/// Pictures that are written beside the result.
struct Beside {
    samples: Option<PathBuf>,
    spread: Option<PathBuf>,
    preview: Option<PathBuf>,
}

impl Beside {
    fn files(&self) -> Vec<PathBuf> {
        let all = [&self.samples, &self.spread, &self.preview];
        all.into_iter().flatten().cloned().collect()
    }
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    verb: String,
    #[serde(flatten)]
    report: restore::Report,
    seed: u64,
    input: String,
    output: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restore::Report {
            method,
            nfe,
            seconds,
            sigma,
            sigma_estimated,
            notes,
        } = &self.report;
        for note in notes {
            writeln!(f, "{}: {note}", self.verb)?;
        }
        let plural = if *nfe == 1 { "" } else { "s" };
        let estimated = if *sigma_estimated { " (estimated)" } else { "" };
        write!(
            f,
            "{}: {method}, {nfe} network evaluation{plural}, {seconds:.1} s, sigma {sigma:.4} = {:.1}/255{estimated}, wrote {}",
            self.verb,
            sigma * 255.0,
            self.output
        )
    }
}

/// Restores pictures that were degraded by what `spec` says of them. Of what is not said here, size, units and noise, their own files
/// may tell.
pub(crate) fn execute(
    verb: &str,
    args: &JobArgs,
    spec: impl Fn(&Measurement) -> anyhow::Result<Spec>,
    size: Option<Dims>,
    denoise_known: bool,
) -> anyhow::Result<()> {
    let method = match args.method.choice()? {
        // Of what is estimated at once nobody knows how sure it is.
        Choice::Best if args.spread.is_some() && args.samples.is_none() => {
            Choice::Named("mean".to_owned())
        }
        choice => choice,
    };
    let job = |measurement: &Measurement| {
        let made = &measurement.made;
        Ok(Job {
            size: size.or(made.dims()),
            range: made.range(),
            noise: args.method.noise.map(|noise| noise.0).or(made.noise()),
            method: method.clone(),
            steps: args.method.steps(),
            samples: args.samples.map(usize::from),
            seed: args.compute.seed,
            denoise_known,
            strength: args.method.strength,
            ..Job::new(spec(measurement)?)
        })
    };
    restore(verb, verb, args, &job)
}

/// Restores pictures by the job that belongs to each; `suffix` goes into names of results.
pub(crate) fn restore(
    verb: &str,
    suffix: &str,
    args: &JobArgs,
    job: &dyn Fn(&Measurement) -> anyhow::Result<Job>,
) -> anyhow::Result<()> {
    // That --spread names but one file is told in its own words.
    let beside = |result: &Path| {
        let mut files = args.beside(Some(result)).files();
        files.retain(|file| ![&args.spread, &args.preview].contains(&&Some(file.clone())));
        files
    };
    let plan = Plan::new(args.of_results(), suffix, &args.output, beside)?;
    args.check_places(&plan)?;
    let device = args.compute.machine.begin()?;
    let watch = Watch::new(plan.pairs.len())?;
    let prior = args.prior.open(&device, &watch)?;
    let one = One {
        verb,
        args,
        job,
        prior: prior.as_ref(),
        watch: &watch,
    };
    batch::each(&plan, &args.output, &watch, |pair| one.restore(pair))
}

/// What is said where a picture was to stay as it is but for a part.
const LOSSY: &str =
    "a JPEG holds no pixel exactly: what is known changes a little; write PNG to keep it";

/// What is said where compression was undone.
const AGAIN: &str = "the result is compressed again as a JPEG: write PNG to keep all of it";

/// What is the same for all pictures.
struct One<'a> {
    verb: &'a str,
    args: &'a JobArgs,
    job: &'a dyn Fn(&Measurement) -> anyhow::Result<Job>,
    prior: &'a dyn Prior,
    watch: &'a Watch,
}

impl One<'_> {
    fn restore(&self, Pair { source, sink }: &Pair) -> anyhow::Result<Report> {
        let args = self.args;
        let measurement = args.read(source)?;
        let picture = &measurement.picture;
        let job = (self.job)(&measurement)?;
        let ready = self.prepare(&job, picture)?;
        args.output.check_size(sink, ready.output())?;
        let beside = args.beside(sink.file());
        args.check_beside(&beside, ready.settings())?;
        if let Some(file) = &beside.preview {
            write(file, ready.preview(), &args.output)?;
        }
        let name = ready.settings().name();
        let nfe = ready.nfe(self.prior.card());
        let (solved, mut report) = self
            .watch
            .run(name, nfe, |observer| ready.solve(self.prior, observer))
            .with_context(|| format!("{} by {name}", self.verb))?;
        let x = solved.restored.x;
        // In numbers a complex picture keeps its phase.
        let mut result = match sink.kind()? {
            Kind::Picture(_) => ready.result(picture, x),
            Kind::Npy | Kind::Npz => picture.with_pixels(x),
        };
        report.notes.extend(args.output.losses(sink, &result)?);
        if sink.kind()? == Kind::Picture(Format::Jpeg) {
            let uncompressed = ready.problem().operator.quantised().is_some();
            let said = [(ready.keeps_known(), LOSSY), (uncompressed, AGAIN)];
            let said = said.into_iter().filter(|(is_so, _)| *is_so);
            report.notes.extend(said.map(|(_, line)| line.to_owned()));
        }
        result.set_text("Software", concat!("tweedie ", env!("CARGO_PKG_VERSION")));
        result.set_text("tweedie", self.record(&job, ready.settings(), report.sigma));
        if let (Some(file), Some(std)) = (&beside.spread, solved.restored.std) {
            // White for a standard deviation of a quarter.
            write(file, ready.seen(std) * 4.0, &args.output)?;
        }
        if let (Some(file), Some(samples)) = (&beside.samples, solved.samples) {
            write(file, output::sheet(&ready.seen(samples))?, &args.output)?;
        }
        args.output.write(sink, &result)?;
        Ok(Report {
            verb: self.verb.to_owned(),
            report,
            seed: job.seed,
            input: source.to_string(),
            output: sink.to_string(),
        })
    }

    /// The job, with the size of its result where that does not fit.
    fn prepare(&self, job: &Job, picture: &Picture) -> anyhow::Result<Ready> {
        let prepared = job.prepare(picture, self.prior.card());
        if let (Err(restore::Error::NoRoom(_)), Ok(Dims { h, w, .. })) =
            (&prepared, job.spec.input_for(picture.dims()))
        {
            return prepared.with_context(|| format!("a result of {w} x {h} pixels"));
        }
        Ok(prepared?)
    }

    /// How it was done, for the file: all that `redo` needs. Noise that was estimated is estimated again.
    fn record(&self, job: &Job, method: &Settings, sigma: f64) -> String {
        record(serde_json::json!({
            "verb": self.verb,
            "operator": job.spec,
            "method": method,
            "size": job.size.map(|Dims { c, h, w }| [c, h, w]),
            "range": job.range,
            "noise": job.noise,
            "sigma": sigma,
            "prior": self.args.prior.prior,
            "seed": job.seed,
            "samples": job.samples,
            "denoise": job.denoise_known,
            "strength": job.strength,
        }))
    }
}

fn write(path: &Path, pixels: tweedie::Image, output: &OutputArgs) -> anyhow::Result<()> {
    let picture = Picture::new(pixels);
    tweedie::image::write(path, &picture, &Default::default(), output.overwrite())
        .map_err(say_force)
}
