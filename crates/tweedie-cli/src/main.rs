//! The `tweedie` command: glue between files, the terminal and the library.

mod cmd;
mod interrupt;
mod job;
mod options;
mod output;
mod values;
mod watched;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Restore images with diffusion models and other generative priors.
///
/// Without --prior the embedded photo prior is used, without --method a good one is chosen and named, without --noise
/// the noise level is estimated and printed. Pictures keep their size, depth, transparency and colour profile.
#[derive(Parser)]
#[command(name = "tweedie", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Denoise(cmd::denoise::Args),
    Deblur(cmd::deblur::Args),
    Upscale(cmd::upscale::Args),
    Inpaint(cmd::inpaint::Args),
    Colorize(cmd::colorize::Args),
    Restore(cmd::restore::Args),
    Degrade(cmd::degrade::Args),
    Sample(cmd::sample::Args),
    Metrics(cmd::metrics::Args),
    Train(cmd::train::Args),
    Model(cmd::model::Args),
    List(cmd::list::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Denoise(args) => cmd::denoise::execute(args),
        Command::Deblur(args) => cmd::deblur::execute(args),
        Command::Upscale(args) => cmd::upscale::execute(args),
        Command::Inpaint(args) => cmd::inpaint::execute(args),
        Command::Colorize(args) => cmd::colorize::execute(args),
        Command::Restore(args) => cmd::restore::execute(args),
        Command::Degrade(args) => cmd::degrade::execute(args),
        Command::Sample(args) => cmd::sample::execute(args),
        Command::Metrics(args) => cmd::metrics::execute(args),
        Command::Train(args) => cmd::train::execute(args),
        Command::Model(args) => cmd::model::execute(args),
        Command::List(args) => cmd::list::execute(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::fail(&error),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
