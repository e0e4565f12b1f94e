//! `tweedie completions` and `tweedie man`: what shells and manuals want to know of the command line, from its own definition.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Command, ValueEnum};
use clap_complete::Shell;

use crate::places::to_stdout;

/// Print completions for a shell.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie completions bash > ~/.local/share/bash-completion/completions/tweedie
  tweedie completions zsh > ~/.zfunc/_tweedie
  tweedie completions fish > ~/.config/fish/completions/tweedie.fish")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_parser = shell)]
    shell: Shell,
}

fn shell(text: &str) -> Result<Shell, String> {
    Shell::from_str(text, true).map_err(|_| {
        let names = Shell::value_variants().iter().map(Shell::to_string);
        format!("there are {}", names.collect::<Vec<_>>().join(", "))
    })
}

/// Print a manual page, or write those of all subcommands into a folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie man > tweedie.1
  tweedie man -o man1        writes man1/tweedie.1, man1/tweedie-denoise.1 and so on")]
pub(crate) struct Man {
    /// A folder that exists.
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Completions {
    pub(crate) fn execute(&self, mut command: Command) -> anyhow::Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "tweedie", &mut text);
        to_stdout(&text)
    }
}

impl Man {
    pub(crate) fn execute(&self, command: Command) -> anyhow::Result<()> {
        if let Some(folder) = &self.output {
            return clap_mangen::generate_to(command, folder)
                .with_context(|| folder.display().to_string());
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        to_stdout(&page)
    }
}
