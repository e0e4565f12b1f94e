//! What the examples share: a trial goes the command's own way, through files' rounding, with the noise estimated.

pub(crate) mod head;

use std::error::Error;
use std::path::{Path, PathBuf};

use tweedie::image::{self, Format, Limits, Picture};
use tweedie::operator::Spec;
use tweedie::prior::Prior;
use tweedie::restore::{Choice, Job, Report, degrade};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A picture as it is after it was written to an 8-bit file and read again.
pub(crate) fn through_a_file(picture: &Picture) -> Result<Picture> {
    let bytes = image::encode(picture, Format::Png, &Default::default())?;
    Ok(image::decode(&bytes, &Limits::default())?)
}

/// What `tweedie degrade` with this seed writes.
pub(crate) fn measured(truth: &Picture, spec: &Spec, sigma: f64, seed: u64) -> Result<Picture> {
    through_a_file(&degrade(truth, spec, sigma, seed)?.picture)
}

/// What `tweedie restore` makes of it when nothing is said but, perhaps, the method.
pub(crate) fn restored(
    y: &Picture,
    spec: &Spec,
    method: Choice,
    prior: &dyn Prior,
) -> Result<(Picture, Report)> {
    let job = Job {
        method,
        ..Job::new(spec.clone())
    };
    let (picture, report) = job.prepare(y, prior.card())?.run(prior, ())?;
    Ok((through_a_file(&picture)?, report))
}

/// The pictures of a folder, by name.
pub(crate) fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|f| Format::from_path(f).is_ok());
    files.sort();
    if files.is_empty() {
        return Err(format!("no pictures in {}", folder.display()).into());
    }
    Ok(files)
}
