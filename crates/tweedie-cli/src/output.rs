//! What is printed: results on stdout, progress and errors on stderr.

use std::fmt::Display;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tweedie::Image;

use crate::interrupt::{self, Interrupted};

/// Prints an error and chooses the exit code: 130 if interrupted, else 1.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", one_line(error));
    match error.downcast_ref::<Interrupted>() {
        Some(_) => ExitCode::from(interrupt::CODE),
        None => ExitCode::from(1),
    }
}

/// The chain of causes, without repeating a cause that the error before it already tells.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// Prints a result, as JSON or for people. A closed pipe is no error.
pub(crate) fn print(json: bool, result: &(impl Serialize + Display)) -> anyhow::Result<()> {
    print_to(std::io::stdout(), json, result)
}

/// The same on stderr, beside a picture on stdout.
pub(crate) fn print_beside(json: bool, result: &(impl Serialize + Display)) -> anyhow::Result<()> {
    print_to(std::io::stderr(), json, result)
}

/// Prints a line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(std::io::stdout(), &serde_json::to_string(value)?)
}

fn print_to(
    to: impl std::io::Write,
    json: bool,
    result: &(impl Serialize + Display),
) -> anyhow::Result<()> {
    let text = match json {
        true => serde_json::to_string(result)?,
        false => result.to_string(),
    };
    line(to, &text)
}

fn line(mut to: impl std::io::Write, text: &str) -> anyhow::Result<()> {
    match writeln!(to, "{text}") {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// `1 picture`, `2 pictures`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The pictures of a batch side by side, about as many in a row as there are rows; a single one alone.
pub(crate) fn sheet(batch: &Image) -> anyhow::Result<Image> {
    let n = batch.dim().0;
    let columns = (n as f64).sqrt().ceil() as usize;
    Ok(match n {
        1 => batch.clone(),
        _ => tweedie::image::grid(std::slice::from_ref(batch), columns)?,
    })
}

/// A progress bar on stderr with the remaining time; hidden where stderr is no terminal.
pub(crate) fn progress(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}{wide_bar} {msg}  {eta} left")
        .expect("the template is sound");
    ProgressBar::new(total).with_style(style)
}
