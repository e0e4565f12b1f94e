//! A run that the terminal watches: a progress bar, and Ctrl-C between steps.

use tweedie::noise::Seeded;
use tweedie::run::{Error, Flow, Progress, Run};

use crate::interrupt::{Interrupt, Interrupted};
use crate::output;

/// Runs `work` and gives its result with the number of network evaluations; [`Interrupted`] if Ctrl-C came.
pub(crate) fn run<T>(
    name: &str,
    seed: u64,
    work: impl FnOnce(&mut Run<'_>) -> Result<T, Error>,
) -> anyhow::Result<(T, usize)> {
    let interrupt = Interrupt::listen()?;
    let bar = output::progress(0);
    let observer = |p: &Progress<'_>| {
        bar.set_length(p.total as u64);
        bar.set_position(p.step as u64);
        bar.set_message(format!("{name}, sigma {:.3}", p.sigma));
        if interrupt.came() {
            Flow::Stop
        } else {
            Flow::Continue
        }
    };
    let mut run = Run::with(Seeded::new(seed), observer);
    let result = work(&mut run);
    let nfe = run.nfe();
    drop(run);
    bar.finish_and_clear();
    match result {
        Err(Error::Stopped { .. }) => Err(Interrupted.into()),
        other => Ok((other?, nfe)),
    }
}
