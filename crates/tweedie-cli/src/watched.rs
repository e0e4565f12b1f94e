//! A run that the terminal watches: a progress bar, and Ctrl-C between steps and within long ones.

use std::ops::ControlFlow;

use indicatif::ProgressBar;
use tweedie::restore;
use tweedie::run::{self, Observer, Progress};

use crate::interrupt::{Interrupt, Interrupted};
use crate::output;

/// The bar and the flag.
struct Watch<'a> {
    name: &'a str,
    bar: &'a ProgressBar,
    interrupt: &'a Interrupt,
}

impl Observer for Watch<'_> {
    fn step(&mut self, p: &Progress<'_>) -> ControlFlow<()> {
        if let Some(total) = p.total {
            self.bar.set_length(total as u64);
        }
        self.bar.set_position(p.step as u64);
        self.bar
            .set_message(format!("{}, sigma {:.3}", self.name, p.sigma));
        self.poll()
    }

    fn poll(&mut self) -> ControlFlow<()> {
        match self.interrupt.came() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Runs `work`, which is handed the observer; [`Interrupted`] if Ctrl-C came.
pub(crate) fn run<T, E>(
    name: &str,
    work: impl FnOnce(&mut (dyn Observer + Send)) -> Result<T, E>,
) -> anyhow::Result<T>
where
    restore::Error: From<E>,
{
    let interrupt = Interrupt::listen()?;
    let bar = output::progress(0);
    let result = work(&mut Watch {
        name,
        bar: &bar,
        interrupt: &interrupt,
    });
    bar.finish_and_clear();
    match result.map_err(restore::Error::from) {
        Err(restore::Error::Run(run::Error::Stopped { .. })) => Err(Interrupted.into()),
        other => Ok(other?),
    }
}
