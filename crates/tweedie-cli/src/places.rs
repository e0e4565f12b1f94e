//! Which pictures are read, and where the result of each goes.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use ndarray::Axis;
use tweedie::Image;
use tweedie::image::{self, Fault, Format, Limits, Picture};
use tweedie::restore::{self, Made, Measurement, is_array};

use crate::kind::Kind;
use crate::options::OutputArgs;
use crate::output;

/// What stands for standard input and output.
const DASH: &str = "-";

/// How far rounding may carry the numbers of a clean picture in an array.
const NEARLY: f32 = 0.01;

/// That a clean picture was not measured already.
fn ensure_clean(path: &Path, made: &Made) -> anyhow::Result<()> {
    let measured = made
        .operator
        .as_ref()
        .filter(|operator| !operator.records_pictures());
    match measured {
        None => Ok(()),
        Some(operator) => bail!(
            "{}: is a measurement (`{}`) and no clean picture; `restore` undoes it",
            path.display(),
            operator.name()
        ),
    }
}

/// Whether numbers are those of pictures: in [0, 1], or of two channels, real and imaginary part, of magnitudes up to 1.
fn is_clean(pixels: &Image) -> bool {
    match pixels.dim().1 {
        2 => {
            let [re, im] = [0, 1].map(|part| pixels.index_axis(Axis(1), part));
            re.iter()
                .zip(im)
                .all(|(re, im)| re.hypot(*im) <= 1.0 + NEARLY)
        }
        _ => pixels.iter().all(|v| (-NEARLY..=1.0 + NEARLY).contains(v)),
    }
}

/// A picture to read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    File(PathBuf),
    Stdin,
}

impl Source {
    /// What a name on the command line means.
    pub(crate) fn of(name: &Path) -> Source {
        match name == DASH {
            true => Source::Stdin,
            false => Source::File(name.to_owned()),
        }
    }

    /// A picture, or an array with what is known of how it was made.
    pub(crate) fn measurement(&self) -> anyhow::Result<Measurement> {
        match self {
            Source::File(path) => Ok(Measurement::read(path)?),
            Source::Stdin => Ok(self.read()?.into()),
        }
    }

    /// A clean picture in [0, 1], or an array of one: of a complex picture, whose magnitudes are at most 1, two channels or complex numbers.
    pub(crate) fn clean(&self) -> anyhow::Result<Picture> {
        match self {
            Source::File(path) if is_array(path) => {
                let Measurement {
                    mut picture, made, ..
                } = Measurement::read(path)?;
                ensure_clean(path, &made)?;
                let [black, white] = made.range();
                if black != 0.0 && picture.dims().c == 2 {
                    return Err(restore::Error::Black(black)).context(path.display().to_string());
                }
                let [black, white] = [black, white].map(|v| v as f32);
                picture
                    .pixels
                    .mapv_inplace(|v| (v - black) / (white - black));
                ensure!(
                    is_clean(&picture.pixels),
                    "{}: numbers go beyond black and white; a clean picture is in [0, 1], unless a TOML file beside it says `range`, and a \
                     complex one has magnitudes up to 1",
                    path.display()
                );
                Ok(picture)
            }
            _ => self.read(),
        }
    }

    pub(crate) fn read(&self) -> anyhow::Result<Picture> {
        match self {
            Source::File(path) => Ok(image::read(path)?),
            Source::Stdin => read_stdin().context("standard input"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Stdin => f.write_str("standard input"),
        }
    }
}

/// The longest picture file: as the library has it, 16 bytes a pixel and room for what travels with it.
fn longest(limits: &Limits) -> u64 {
    limits
        .pixels
        .saturating_mul(16)
        .saturating_add(64 * 1024 * 1024)
}

fn read_stdin() -> Result<Picture, Fault> {
    let limits = Limits::default();
    let failed = |source| Fault::Io {
        doing: "read",
        source,
    };
    let mut stdin = io::stdin().lock();
    let mut bytes = Vec::new();
    Read::by_ref(&mut stdin)
        .take(64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    // What is no picture is refused by its first bytes, however much of it there is.
    if let Err(fault @ (Fault::Unknown { .. } | Fault::NoBytes)) = image::decode(&bytes, &limits) {
        return Err(fault);
    }
    let limit = longest(&limits);
    stdin.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(Fault::LongFile { limit }),
        false => image::decode(&bytes, &limits),
    }
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sink {
    File(PathBuf),
    Stdout(Kind),
}

impl Sink {
    pub(crate) fn kind(&self) -> anyhow::Result<Kind> {
        match self {
            Sink::File(path) => Kind::of(path),
            Sink::Stdout(kind) => Ok(*kind),
        }
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Sink::File(path) => Some(path),
            Sink::Stdout(_) => None,
        }
    }
}

/// As reports have it: a name that is no Unicode as well as can be.
impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sink::File(path) => path.display().fmt(f),
            Sink::Stdout(_) => f.write_str(DASH),
        }
    }
}

/// Writes to standard output; that nobody reads to the end is no error.
pub(crate) fn to_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output"),
    }
}

/// One picture and its result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) source: Source,
    pub(crate) sink: Sink,
}

/// All that a command reads and writes.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) pairs: Vec<Pair>,
    /// Whether several pictures or a folder were asked for, even if there is one in it: then one that fails does not stop
    /// the others.
    pub(crate) many: bool,
    /// A folder to make first.
    new_folder: Option<PathBuf>,
}

impl Plan {
    /// `suffix` goes before the extension of results that lie beside their inputs; `beside` says which files are written
    /// with a result.
    ///
    /// All that can be refused before a picture is read is refused here. A name that is taken counts against its picture
    /// alone if there are many.
    pub(crate) fn new(
        inputs: &[PathBuf],
        suffix: &str,
        output: &OutputArgs,
        beside: impl Fn(&Path) -> Vec<PathBuf>,
    ) -> anyhow::Result<Plan> {
        let (sources, many) = sources(inputs, suffix)?;
        let target = Target::of(output.output.as_deref(), &sources, many)?;
        let pair = |source: Source| {
            let sink = target.sink(&source, suffix, output)?;
            Ok(Pair { source, sink })
        };
        let pairs: anyhow::Result<Vec<Pair>> = sources.into_iter().map(pair).collect();
        let plan = Plan {
            pairs: pairs?,
            many,
            new_folder: target.new_folder(),
        };
        plan.check(output, beside)?;
        Ok(plan)
    }

    /// Makes the folder for the results, if there is none.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        match &self.new_folder {
            Some(folder) => fs::create_dir(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display())),
            None => Ok(()),
        }
    }

    fn check(
        &self,
        output: &OutputArgs,
        beside: impl Fn(&Path) -> Vec<PathBuf>,
    ) -> anyhow::Result<()> {
        let options = output.write_options();
        for Pair { sink, .. } in &self.pairs {
            match sink.kind()? {
                Kind::Picture(format) => options.check(format).with_context(|| sink.to_string())?,
                kind => ensure!(
                    output.depth.is_none(),
                    "--depth is that of a picture, and {sink} would be {kind}; leave it out"
                ),
            }
        }
        let jpeg = |pair: &Pair| matches!(pair.sink.kind(), Ok(Kind::Picture(Format::Jpeg)));
        ensure!(
            output.quality.is_none() || self.pairs.iter().any(jpeg),
            "--quality is that of JPEG, which is not written here; end the result's name in .jpg, or leave it out"
        );
        match self.many {
            true => self.check_names(beside),
            false => output.check(&self.pairs[0].sink),
        }
    }

    /// That no two results share a name, and none takes that of an input.
    fn check_names(&self, beside: impl Fn(&Path) -> Vec<PathBuf>) -> anyhow::Result<()> {
        let mut taken: HashMap<PathBuf, &Source> = HashMap::new();
        let inputs: HashMap<PathBuf, &Source> = self
            .pairs
            .iter()
            .filter_map(|pair| match &pair.source {
                Source::File(path) => Some((resolved(path), &pair.source)),
                Source::Stdin => None,
            })
            .collect();
        for Pair { source, sink } in &self.pairs {
            let Some(file) = sink.file() else { continue };
            for name in [file.to_owned()].into_iter().chain(beside(file)) {
                let place = resolved(&name);
                if let Some(input) = inputs.get(&place) {
                    bail!(
                        "{} is one of the inputs, and would be replaced by a result of {source}; choose another folder with -o",
                        input
                    );
                }
                if let Some(other) = taken.insert(place, source) {
                    bail!(
                        "{other} and {source} would both be written to {}; restore one of them alone, or rename it",
                        name.display()
                    );
                }
            }
        }
        Ok(())
    }
}

/// The same for all ways to write a path, whether or not there is such a file.
fn resolved(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let whole = fs::canonicalize(path);
    whole.unwrap_or_else(|_| {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        folder.join(path.file_name().unwrap_or_default())
    })
}

/// What `-o` names.
enum Target {
    Beside,
    File(PathBuf),
    Folder(PathBuf),
    Stdout,
}

impl Target {
    fn of(output: Option<&Path>, sources: &[Source], many: bool) -> anyhow::Result<Target> {
        let Some(path) = output else {
            return Ok(match sources {
                [Source::Stdin] => Target::Stdout,
                _ => Target::Beside,
            });
        };
        if path == DASH {
            ensure!(
                !many,
                "`-o -` writes one picture to standard output; name a folder for several"
            );
            return Ok(Target::Stdout);
        }
        let named_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if path.is_dir() || named_as_folder {
            return Ok(Target::Folder(path.to_owned()));
        }
        if !many {
            return Ok(Target::File(path.to_owned()));
        }
        ensure!(
            Kind::of(path).is_err() && path.symlink_metadata().is_err(),
            "-o {} names one file, but there are {} pictures; name a folder",
            path.display(),
            sources.len()
        );
        Ok(Target::Folder(path.to_owned()))
    }

    fn new_folder(&self) -> Option<PathBuf> {
        match self {
            Target::Folder(folder) if !folder.is_dir() => Some(folder.clone()),
            _ => None,
        }
    }

    fn sink(&self, source: &Source, suffix: &str, output: &OutputArgs) -> anyhow::Result<Sink> {
        let input = match (self, source) {
            (Target::Stdout, _) => return Ok(Sink::Stdout(output.kind_of_stdout())),
            (Target::File(path), _) => return output.one_file(path).map(Sink::File),
            (_, Source::File(input)) => input,
            (_, Source::Stdin) => bail!("standard input has no name; name a file with -o"),
        };
        let kind = match output.format() {
            Some(_) => output.kind_of_stdout(),
            None => Kind::Picture(format_of(input).unwrap_or(Format::Png)),
        };
        let named = |suffix| kind.result_name(input, suffix);
        Ok(Sink::File(match self {
            Target::Folder(folder) => {
                let plain = folder.join(named(None));
                // In the folder of the input its own name is taken.
                match resolved(&plain) == resolved(input) {
                    true => folder.join(named(Some(suffix))),
                    false => plain,
                }
            }
            _ => input.with_file_name(named(Some(suffix))),
        }))
    }
}

/// What a file is. That it cannot be read is told when it is its turn; and a pipe can be read but once.
fn format_of(input: &Path) -> Option<Format> {
    let found = input.is_file().then(|| image::format_of(input).ok());
    found.flatten().or_else(|| Format::from_path(input).ok())
}

/// The pictures that were asked for, those of folders by name, and whether they count as many.
fn sources(inputs: &[PathBuf], suffix: &str) -> anyhow::Result<(Vec<Source>, bool)> {
    let mut sources = Vec::new();
    let mut many = inputs.len() > 1;
    for input in inputs {
        if input == DASH {
            ensure!(
                inputs.len() == 1,
                "`-` (standard input) holds one picture; leave it out, or the other inputs"
            );
            ensure!(
                !io::stdin().is_terminal(),
                "standard input is a terminal; pipe a picture into it, or name a file"
            );
            sources.push(Source::Stdin);
        } else if input.is_dir() {
            many = true;
            sources.extend(in_folder(input, suffix)?.into_iter().map(Source::File));
        } else {
            sources.push(Source::File(input.clone()));
        }
    }
    Ok((sources, many))
}

/// The pictures of a folder, by name, without what an earlier run has written beside them. What is left out is said.
fn in_folder(folder: &Path, suffix: &str) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read the folder {}", folder.display());
    let mut pictures = Vec::new();
    let (mut results, mut files, mut folders) = (0, 0, 0);
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_dir() {
            folders += 1;
        } else if Format::from_path(&path).is_err() {
            files += 1;
        } else if is_result(&path, suffix) {
            results += 1;
        } else {
            pictures.push(path);
        }
    }
    pictures.sort();
    let left_out = [
        (
            results,
            "result of an earlier run",
            "results of an earlier run",
        ),
        (files, "other file", "other files"),
        (folders, "folder", "folders"),
    ];
    let left_out = left_out.iter().filter(|(n, ..)| *n > 0);
    let left_out: Vec<String> = left_out
        .map(|(n, one, many)| output::count(*n, one, many))
        .collect();
    let left_out = left_out.join(", ");
    if pictures.is_empty() {
        let here = match left_out.as_str() {
            "" => String::new(),
            some => format!(", but {some}"),
        };
        return Err(anyhow!(
            "{}: there is no PNG, JPEG, TIFF, WebP or BMP picture in this folder{here}; name another",
            folder.display()
        ));
    }
    if !left_out.is_empty() {
        let taken = output::count(pictures.len(), "picture", "pictures");
        eprintln!("{}: {taken}; left out: {left_out}", folder.display());
    }
    Ok(pictures)
}

/// Whether a name is one that this verb gives its results and what it writes beside them.
fn is_result(path: &Path, suffix: &str) -> bool {
    let stem = path.file_stem().map(Path::new);
    let last = stem.and_then(Path::extension);
    last.is_some_and(|last| [suffix, "samples", "spread"].iter().any(|own| last == *own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_known_by_their_names() {
        let known = |name: &str| is_result(Path::new(name), "denoise");
        assert!(known("a.denoise.png") && known("a.b.samples.png"));
        assert!(!known("denoise.png") && !known("a.deblur.png") && !known("a.png"));
    }
}
