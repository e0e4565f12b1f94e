//! What the terminal shows of the work and hears from it: one progress bar over all pictures, and Ctrl-C.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use indicatif::ProgressBar;
use tweedie::restore;
use tweedie::run::{self, Observer, Progress};

use crate::interrupt::{Interrupt, Interrupted};
use crate::output;
use crate::places::Source;

/// The bar, in thousandths of a picture's work, and the flag.
pub(crate) struct Watch {
    bar: ProgressBar,
    interrupt: Interrupt,
    files: usize,
    file: AtomicUsize,
    /// Evaluations that are done of the present picture, and that there will be.
    done: AtomicU64,
    total: AtomicU64,
    written: Arc<AtomicUsize>,
}

/// The bar's length for one picture.
const PICTURE: u64 = 1000;

impl Watch {
    /// For so many pictures. Once in a process.
    pub(crate) fn new(files: usize) -> anyhow::Result<Arc<Watch>> {
        let bar = output::progress(PICTURE * files as u64);
        let written = Arc::new(AtomicUsize::new(0));
        let end = {
            let (bar, written) = (bar.clone(), Arc::clone(&written));
            move || {
                bar.finish_and_clear();
                Interrupted::of(written.load(Ordering::Relaxed), files)
            }
        };
        Ok(Arc::new(Watch {
            bar,
            interrupt: Interrupt::listen(end)?,
            files,
            file: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            written,
        }))
    }

    /// Picture `i` begins, which is named if it is one of many.
    ///
    /// # Errors
    /// [`Interrupted`] if Ctrl-C came.
    pub(crate) fn next(&self, i: usize, name: Option<&Source>) -> anyhow::Result<()> {
        self.file.store(i, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
        self.bar.set_position(PICTURE * i as u64);
        self.bar.set_message("");
        if let Some(name) = name {
            let (i, n) = (i + 1, self.files);
            self.bar.set_prefix(format!("{i} of {n}: {name}  "));
        }
        match self.interrupt.came() {
            true => Err(self.interrupted()),
            false => Ok(()),
        }
    }

    /// A result was written.
    pub(crate) fn written(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// A part of an evaluation is done, `part` of `parts`.
    pub(crate) fn within(&self, part: usize, parts: usize) {
        self.show(part as f64 / parts as f64);
    }

    /// Prints beside the bar.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn interrupted(&self) -> anyhow::Error {
        self.clear();
        Interrupted::of(self.written.load(Ordering::Relaxed), self.files).into()
    }

    /// Moves the bar to the evaluations that are done and a part of the next.
    fn show(&self, part: f64) {
        let total = self.total.load(Ordering::Relaxed);
        if total == 0 {
            return;
        }
        let done = self.done.load(Ordering::Relaxed) as f64 + part;
        let share = (done / total as f64).min(1.0);
        let file = self.file.load(Ordering::Relaxed) as u64;
        let position = PICTURE * file + (share * PICTURE as f64) as u64;
        // A second pass of one evaluation, for its gradient, does not move it back.
        if position > self.bar.position() {
            self.bar.set_position(position);
        }
    }

    /// Runs `work` of about `total` evaluations, which is handed the observer; [`Interrupted`] if Ctrl-C came.
    pub(crate) fn run<T, E>(
        &self,
        name: &str,
        total: usize,
        work: impl FnOnce(&mut (dyn Observer + Send)) -> Result<T, E>,
    ) -> anyhow::Result<T>
    where
        restore::Error: From<E>,
    {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total as u64, Ordering::Relaxed);
        self.bar.set_message(format!("{name}, 0/{total}"));
        let working = self.interrupt.ends_work();
        let result = work(&mut Steps { watch: self, name });
        drop(working);
        match result.map_err(restore::Error::from) {
            Err(restore::Error::Run(run::Error::Stopped { .. })) => Err(self.interrupted()),
            other => Ok(other?),
        }
    }
}

/// What a run tells.
struct Steps<'a> {
    watch: &'a Watch,
    name: &'a str,
}

impl Observer for Steps<'_> {
    fn step(&mut self, p: &Progress<'_>) -> ControlFlow<()> {
        let watch = self.watch;
        let total = watch.total.load(Ordering::Relaxed);
        watch.done.store(p.nfe as u64, Ordering::Relaxed);
        watch.show(0.0);
        watch.bar.set_message(format!(
            "{}, {}/{total}, sigma {:.3}",
            self.name, p.nfe, p.sigma
        ));
        self.poll()
    }

    fn poll(&mut self) -> ControlFlow<()> {
        match self.watch.interrupt.came() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
