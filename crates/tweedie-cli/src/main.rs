//! The `tweedie` command: glue between files, the terminal and the library.

mod batch;
mod cmd;
mod interrupt;
mod job;
mod kind;
mod operator_args;
mod options;
mod output;
mod places;
mod values;
mod watched;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cmd::verbs::VERBS;

/// Restore images with diffusion models and other generative priors.
///
/// Without --prior the embedded photo prior is used, without --method a good one is chosen and named, without --noise
/// the noise level is estimated and printed. Pictures keep their size, depth, transparency and colour profile.
#[derive(Parser)]
#[command(
    name = "tweedie",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  tweedie denoise cat.jpg                       writes cat.denoise.jpg
  tweedie upscale cat.png --factor 2 -o big.png
  tweedie denoise holiday -o clean              all pictures of a folder, into another
Each command has examples of its own: tweedie deblur --help.
Exit codes: 0 done, 1 an error or some pictures failed, 2 wrong usage, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Restore(cmd::restore::Args),
    Redo(cmd::redo::Args),
    Degrade(cmd::degrade::Args),
    Sample(cmd::sample::Args),
    Metrics(cmd::metrics::Args),
    Train(cmd::train::Args),
    Model(cmd::model::Args),
    List(cmd::list::Args),
    Completions(cmd::shell::Completions),
    Man(cmd::shell::Man),
}

/// All subcommands, those that undo one operator first.
fn command() -> clap::Command {
    let mut place = VERBS.len();
    let others = Cli::command().mut_subcommands(|other| {
        place += 1;
        other.display_order(place)
    });
    let verbs = VERBS.iter().enumerate();
    others.subcommands(verbs.map(|(i, verb)| verb.command().display_order(i)))
}

fn execute(matches: &clap::ArgMatches) -> anyhow::Result<()> {
    if let Some((name, args)) = matches.subcommand()
        && let Some(verb) = VERBS.iter().find(|verb| verb.name == name)
    {
        return verb.execute(args);
    }
    match Cli::from_arg_matches(matches)?.command {
        Command::Restore(args) => cmd::restore::execute(args),
        Command::Degrade(args) => cmd::degrade::execute(args),
        Command::Sample(args) => cmd::sample::execute(args),
        Command::Metrics(args) => cmd::metrics::execute(args),
        Command::Train(args) => cmd::train::execute(args),
        Command::Model(args) => cmd::model::execute(args),
        Command::List(args) => cmd::list::execute(args),
        Command::Redo(args) => cmd::redo::execute(args),
        Command::Completions(args) => args.execute(command()),
        Command::Man(args) => args.execute(command()),
    }
}

fn main() -> ExitCode {
    match execute(&command().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::fail(&error),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
