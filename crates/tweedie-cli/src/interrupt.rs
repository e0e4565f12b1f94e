//! Ctrl-C: a flag that long work looks at after each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Becomes true at the first Ctrl-C (or SIGTERM). The second ends the process at once; files appear whole or not at
/// all, so that even that breaks nothing.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen. Once in a process.
    pub(crate) fn listen() -> anyhow::Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&flag);
        ctrlc::set_handler(move || {
            if shared.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(Interrupt(flag))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The run was interrupted: exit code 130.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; nothing was written")]
pub(crate) struct Interrupted;
