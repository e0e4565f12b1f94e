//! Operators on the command line: by name with their flags, or a TOML file. The flags are those that the operators' own
//! files ask for.

use std::path::Path;

use anyhow::bail;
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use tweedie::operator::{Entry, Flag, Flags, Spec};

/// A flag as clap has it; a text that is no value is refused with the operator's own words.
pub(crate) fn arg(flag: &'static Flag) -> Arg {
    let check = |text: &str| match (flag.check)(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(e) => Err(e.to_string()),
    };
    Arg::new(flag.name)
        .long(flag.name)
        .value_name(flag.value)
        .help(flag.help)
        .value_parser(check)
}

/// The operator of that name, with the flags that were given.
pub(crate) fn spec(operator: &str, matches: &ArgMatches, seed: u64) -> anyhow::Result<Spec> {
    spec_with(operator, matches, seed, None)
}

/// The same with another value for one flag.
pub(crate) fn spec_with(
    operator: &str,
    matches: &ArgMatches,
    seed: u64,
    instead: Option<(&str, &str)>,
) -> anyhow::Result<Spec> {
    let get = |name: &str| -> Option<&str> {
        let given = matches.try_get_one::<String>(name);
        let given = given.ok().flatten().map(String::as_str);
        instead
            .filter(|(flag, _)| *flag == name)
            .map(|(_, value)| value)
            .or(given)
    };
    Ok(Spec::from_flags(&Flags {
        operator,
        get: &get,
        seed,
    })?)
}

/// `--operator NAME|FILE`, which may have to be there, and the flags of all operators.
#[derive(Clone, Debug)]
pub(crate) struct OperatorArgs<const REQUIRED: bool> {
    matches: ArgMatches,
}

impl<const REQUIRED: bool> OperatorArgs<REQUIRED> {
    /// The operator, if one is named; `seed` decides what is random about it.
    pub(crate) fn given(&self, seed: u64) -> anyhow::Result<Option<Spec>> {
        let Some(name) = self.matches.get_one::<String>("operator") else {
            let flags = flags().into_iter().map(|(flag, _)| flag.name);
            let mut lone = flags.filter(|name| self.matches.contains_id(name));
            return match lone.next() {
                Some(flag) => bail!("--{flag} says how an operator is; name it with --operator"),
                None => Ok(None),
            };
        };
        match name.as_str() {
            file if file.ends_with(".toml") => Ok(Spec::open(Path::new(file))?),
            "grey" => spec("gray", &self.matches, seed),
            name => spec(name, &self.matches, seed),
        }
        .map(Some)
    }
}

impl OperatorArgs<true> {
    /// The operator.
    pub(crate) fn spec(&self, seed: u64) -> anyhow::Result<Spec> {
        Ok(self.given(seed)?.expect("the operator is required"))
    }
}

/// Flags that several operators ask for are asked for once.
fn flags() -> Vec<(&'static Flag, Vec<&'static str>)> {
    let mut all: Vec<(&'static Flag, Vec<&'static str>)> = Vec::new();
    for Entry { name, flags, .. } in Spec::LIST {
        for flag in *flags {
            match all.iter_mut().find(|(known, _)| known.name == flag.name) {
                Some((_, operators)) => operators.push(name),
                None => all.push((flag, vec![name])),
            }
        }
    }
    all
}

impl<const REQUIRED: bool> clap::Args for OperatorArgs<REQUIRED> {
    fn augment_args(command: Command) -> Command {
        let names: Vec<&str> = Spec::LIST.iter().map(|entry| entry.name).collect();
        let operator = Arg::new("operator")
            .long("operator")
            .value_name("NAME|FILE")
            .required(REQUIRED)
            .help(format!(
                "{}, or a TOML file that describes an operator",
                names.join(", ")
            ));
        let heading = "Operator";
        let mut command = command.arg(operator.help_heading(heading));
        for (flag, operators) in flags() {
            let default = flag
                .default
                .map_or(String::new(), |d| format!("; {d} by default"));
            let help = format!("{} (for {}{default})", flag.help, operators.join(", "));
            command = command.arg(arg(flag).help(help).help_heading(heading));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        <Self as clap::Args>::augment_args(command)
    }
}

impl<const REQUIRED: bool> FromArgMatches for OperatorArgs<REQUIRED> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(OperatorArgs {
            matches: matches.clone(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}
