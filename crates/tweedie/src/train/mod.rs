//! Training a prior from a folder of pictures.
//!
//! Everything random at a step is a function of the seed and the step's number, and the whole state is saved at once, so
//! that a run that was killed continues to the same weights as one that was not.

mod data;
mod events;
mod lock;
mod maps;
mod objective;
mod optimizer;
mod phase;
mod recipe;
mod session;
mod state;
mod teacher;
mod validate;

use std::path::PathBuf;

pub use data::{Cut, Photos};
pub use maps::{Kind, Maps};
pub use objective::NoiseLaw;
pub use optimizer::{Adam, Gradient, Optimizer};
pub use recipe::Recipe;
pub use session::{Report, Session};
pub use state::State;
pub use teacher::Teacher;
pub use validate::{Scores, Validation};

/// Why training could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recipe cannot be read or makes no sense.
    #[error("recipe: {0}")]
    Recipe(String),
    /// A folder or picture cannot be used.
    #[error("{path}: {reason}")]
    Data {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] crate::checkpoint::Error),
    /// Saved training belongs to another recipe, or to other pictures.
    #[error(
        "{path} was saved by another training ({what}: not the same); use another output folder, or delete it"
    )]
    Foreign {
        /// The saved state.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// Saved training that cannot be continued.
    #[error("{path} is no whole state ({reason}); use another output folder, or delete it")]
    Broken {
        /// The saved state.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another training writes into the same folder.
    #[error("another training uses {0}; let it end, or use another output folder")]
    Busy(PathBuf),
    /// The loss or its gradient became NaN or infinite.
    #[error(
        "the loss or its gradient is no longer finite at step {step}; a smaller learning rate may help. The state of step {saved} is kept"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// The last saved step.
        saved: u64,
    },
    /// The network could not be made or evaluated.
    #[error(transparent)]
    Network(#[from] crate::net::ParamsError),
    /// The prior could not be evaluated.
    #[error(transparent)]
    Prior(#[from] crate::prior::Error),
}
