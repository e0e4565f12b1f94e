//! Ctrl-C and SIGTERM: a flag that long work looks at after each step, and an end where a step is long.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code of what was interrupted.
pub(crate) const CODE: u8 = 130;

/// How long a step is given to end by itself.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the flag is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Becomes true at the first Ctrl-C or SIGTERM. The second ends the process at once; files appear whole or not at all,
/// so that even that breaks nothing.
///
/// SIGHUP stays what it was: `nohup` has it ignored, so that training outlives its terminal.
#[derive(Clone)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    /// Begins to listen. Once in a process.
    pub(crate) fn listen() -> anyhow::Result<Flag> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order, so that a signal ends the process only if another came before it.
            flag::register_conditional_shutdown(signal, CODE.into(), Arc::clone(&came))
                .and_then(|_| flag::register(signal, Arc::clone(&came)))
                .context("cannot listen for Ctrl-C")?;
        }
        Ok(Flag(came))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A flag, and who ends the process if work that writes nothing does not look at it soon: a single evaluation of a large
/// picture takes minutes.
pub(crate) struct Interrupt {
    flag: Flag,
    /// Whether the process may be ended. Who ends it keeps the lock, so that nothing is written from then on.
    may_end: Arc<Mutex<bool>>,
}

impl Interrupt {
    /// Begins to listen. Once in a process; `end` clears the terminal and says what is to be said.
    pub(crate) fn listen(
        end: impl FnOnce() -> Interrupted + Send + 'static,
    ) -> anyhow::Result<Interrupt> {
        let flag = Flag::listen()?;
        let may_end = Arc::new(Mutex::new(false));
        let watcher = (flag.clone(), Arc::clone(&may_end));
        thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                let (flag, may_end) = watcher;
                while !flag.came() {
                    thread::sleep(GLANCE);
                }
                loop {
                    thread::sleep(PATIENCE);
                    let locked = lock(&may_end);
                    if *locked {
                        eprintln!("error: {}", end());
                        process::exit(CODE.into());
                    }
                }
            })
            .context("cannot listen for Ctrl-C")?;
        Ok(Interrupt { flag, may_end })
    }

    pub(crate) fn came(&self) -> bool {
        self.flag.came()
    }

    /// Until what is returned is dropped, an interrupted process may end at any moment.
    pub(crate) fn ends_work(&self) -> Working<'_> {
        *lock(&self.may_end) = true;
        Working(&self.may_end)
    }
}

/// Work that may be cut off anywhere.
pub(crate) struct Working<'a>(&'a Mutex<bool>);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        *lock(self.0) = false;
    }
}

fn lock(flag: &Mutex<bool>) -> MutexGuard<'_, bool> {
    flag.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The run was interrupted: [`CODE`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Interrupted(String);

impl Interrupted {
    /// With so many results written of those that were wanted.
    pub(crate) fn of(written: usize, wanted: usize) -> Interrupted {
        Interrupted(match written {
            0 => "interrupted; nothing was written".to_owned(),
            n => format!("interrupted; {n} of {wanted} results were written"),
        })
    }
}
