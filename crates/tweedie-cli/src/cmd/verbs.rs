//! The verbs that each undo one operator: a line each, the rest is [`job`](crate::job).

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use tweedie::operator::Spec;

use crate::job::{self, JobArgs};
use crate::operator_args;

/// A verb and what it undoes.
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    about: &'static str,
    operator: &'static str,
    /// Whether something is known exactly, which may be kept.
    keeps: bool,
}

/// All of them.
pub(crate) const VERBS: [Verb; 6] = [
    Verb {
        name: "denoise",
        about: "Remove noise from a picture",
        operator: "identity",
        keeps: false,
    },
    Verb {
        name: "deblur",
        about: "Remove a known blur from a picture",
        operator: "blur",
        keeps: false,
    },
    Verb {
        name: "upscale",
        about: "Enlarge a picture that was made smaller (super-resolution)",
        operator: "downsample",
        keeps: false,
    },
    Verb {
        name: "inpaint",
        about: "Fill the holes of a picture; all else stays as it is",
        operator: "mask",
        keeps: true,
    },
    Verb {
        name: "colorize",
        about: "Give a grey picture colours; its grey stays as it is",
        operator: "gray",
        keeps: true,
    },
    Verb {
        name: "demosaic",
        about: "Find the colours of a raw picture, taken through a Bayer filter; what it recorded stays as it is",
        operator: "mosaic",
        keeps: true,
    },
];

impl Verb {
    /// Its subcommand.
    pub(crate) fn command(&self) -> Command {
        let entry = Spec::LIST.iter().find(|entry| entry.name == self.operator);
        let mut command = Command::new(self.name).about(self.about);
        for flag in entry.expect("a verb names an operator").flags {
            let arg = operator_args::arg(flag);
            command = command.arg(match flag.default {
                Some(default) => arg.default_value(default),
                None => arg.required(true),
            });
        }
        let keep = Arg::new("denoise")
            .long("denoise")
            .action(ArgAction::SetTrue)
            .help("Remove noise also from what is known, which otherwise stays as it is");
        if self.keeps {
            command = command.arg(keep);
        }
        JobArgs::augment_args(command)
    }

    /// Does it.
    pub(crate) fn execute(&self, matches: &ArgMatches) -> anyhow::Result<()> {
        let args = JobArgs::from_arg_matches(matches)?;
        let spec = operator_args::spec(self.operator, matches, args.seed())?;
        let denoise_known = self.keeps && matches.get_flag("denoise");
        job::execute(self.name, &args, spec, denoise_known)
    }
}
