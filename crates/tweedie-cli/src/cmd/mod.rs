//! One subcommand a file: its arguments and what it does.

pub(crate) mod degrade;
pub(crate) mod list;
pub(crate) mod metrics;
pub(crate) mod model;
pub(crate) mod redo;
pub(crate) mod restore;
pub(crate) mod sample;
pub(crate) mod shell;
pub(crate) mod train;
pub(crate) mod verbs;
