//! One subcommand a file.

pub(crate) mod train;
