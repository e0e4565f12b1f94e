//! Ctrl-C and SIGTERM: a flag that long work looks at after each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code of what was interrupted.
pub(crate) const CODE: u8 = 130;

/// Becomes true at the first Ctrl-C or SIGTERM. The second ends the process at once; files appear whole or not at all,
/// so that even that breaks nothing.
///
/// SIGHUP stays what it was: `nohup` has it ignored, so that training outlives its terminal.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen. Once in a process.
    pub(crate) fn listen() -> anyhow::Result<Interrupt> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order, so that a signal ends the process only if another came before it.
            flag::register_conditional_shutdown(signal, CODE.into(), Arc::clone(&came))
                .and_then(|_| flag::register(signal, Arc::clone(&came)))
                .context("cannot listen for Ctrl-C")?;
        }
        Ok(Interrupt(came))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The run was interrupted: [`CODE`].
#[derive(Debug, thiserror::Error)]
#[error("interrupted; nothing was written")]
pub(crate) struct Interrupted;
