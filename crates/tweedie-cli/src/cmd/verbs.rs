//! The verbs that each undo one operator: a line each, the rest is [`job`](crate::job).

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use tweedie::Dims;
use tweedie::operator::Spec;
use tweedie::restore::Measurement;

use crate::job::{self, JobArgs};
use crate::operator_args;

/// A verb and what it undoes.
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    about: &'static str,
    operator: &'static str,
    /// Whether something is known exactly, which may be kept.
    keeps: bool,
    /// Whether a size may be named in the place of `--factor`.
    sized: bool,
    examples: &'static str,
}

/// All of them.
pub(crate) const VERBS: [Verb; 7] = [
    Verb {
        name: "denoise",
        about: "Remove noise from a picture",
        operator: "identity",
        keeps: false,
        sized: false,
        examples: "  tweedie denoise cat.jpg                     writes cat.denoise.jpg
  tweedie denoise cat.jpg --noise 15/255      for noise of a known strength
  tweedie denoise holiday -o clean            all pictures of a folder, into another
  tweedie denoise - < cat.png > clean.png     through pipes",
    },
    Verb {
        name: "dejpeg",
        about: "Undo JPEG compression: blocks, ringing, lost detail; all that the file says stays true",
        operator: "jpeg",
        keeps: false,
        sized: false,
        examples: "  tweedie dejpeg cat.jpg -o cat.png              as the file itself says how it was compressed
  tweedie dejpeg photos -o restored              all pictures of a folder, into another
  tweedie dejpeg cat.png --jpeg-quality 30       a JPEG of a known quality that was saved as PNG, not cropped",
    },
    Verb {
        name: "deblur",
        about: "Remove a known blur from a picture",
        operator: "blur",
        keeps: false,
        sized: false,
        examples: "  tweedie deblur cat.jpg --kernel gaussian:1.6           writes cat.deblur.jpg
  tweedie deblur cat.jpg --kernel motion:15:30 -o x.png  a movement of 15 pixels, 30 degrees up
  tweedie deblur *.jpg --kernel psf.png -o sharp         several pictures into a folder",
    },
    Verb {
        name: "upscale",
        about: "Enlarge a picture that was made smaller (super-resolution)",
        operator: "downsample",
        keeps: false,
        sized: true,
        examples: "  tweedie upscale cat.png --factor 2              writes cat.upscale.png
  tweedie upscale cat.png --factor 1.5            any factor
  tweedie upscale cat.png --width 800 -o big.jpg  800 pixels wide, as high as that makes it",
    },
    Verb {
        name: "inpaint",
        about: "Fill the holes of a picture; all else stays as it is",
        operator: "mask",
        keeps: true,
        sized: false,
        examples: "  tweedie inpaint cat.png --mask scratches.png    writes cat.inpaint.png
  tweedie inpaint cat.png --mask box:40,60,10,20  a hole of 40 rows and 60 columns, from row 10 and column 20
  tweedie inpaint cat.png --mask alpha            what is transparent in the picture itself
  tweedie inpaint cat.png --mask m.png --holes black --grow 3   the mask's black and 3 pixels around it",
    },
    Verb {
        name: "colorize",
        about: "Give a grey picture colours; its grey stays as it is",
        operator: "gray",
        keeps: true,
        sized: false,
        examples: "  tweedie colorize cat.png               writes cat.colorize.png
  tweedie colorize cat.png --samples 9   also cat.colorize.samples.png, nine that it might have been",
    },
    Verb {
        name: "demosaic",
        about: "Find the colours of a raw picture, taken through a Bayer filter; what it recorded stays as it is",
        operator: "mosaic",
        keeps: true,
        sized: false,
        examples: "  tweedie demosaic raw.png --pattern rggb    writes raw.demosaic.png",
    },
];

impl Verb {
    /// Its subcommand.
    pub(crate) fn command(&self) -> Command {
        let entry = Spec::LIST.iter().find(|entry| entry.name == self.operator);
        let mut command = Command::new(self.name);
        for flag in entry.expect("a verb names an operator").flags {
            let arg = operator_args::arg(flag);
            command = command.arg(match flag.default {
                Some(default) => arg.default_value(default),
                None if self.sized => arg
                    .required_unless_present_any(SIZES)
                    .conflicts_with_all(SIZES),
                None => arg.required(true),
            });
        }
        if self.sized {
            command = command.args(size_args());
        }
        let keep = Arg::new("denoise")
            .long("denoise")
            .action(ArgAction::SetTrue)
            .help_heading("Method")
            .help("Remove noise also from what is known, which otherwise stays as it is");
        if self.keeps {
            command = command.arg(keep);
        }
        // These come last, for the arguments' own words would take their place.
        JobArgs::augment_args(command)
            .about(self.about)
            .after_help(format!("Examples:\n{}", self.examples))
    }

    /// Does it.
    pub(crate) fn execute(&self, matches: &ArgMatches) -> anyhow::Result<()> {
        let args = JobArgs::from_arg_matches(matches)?;
        let denoise_known = self.keeps && matches.get_flag("denoise");
        if self.sized
            && let Some(side) = Side::of(matches)
        {
            let spec = |measurement: &Measurement| {
                let factor = side.factor(measurement.picture.dims())?.to_string();
                let instead = Some(("factor", factor.as_str()));
                operator_args::spec_with(self.operator, matches, args.seed(), instead)
            };
            return job::execute(self.name, &args, spec, None, denoise_known);
        }
        let spec = operator_args::spec(self.operator, matches, args.seed())?;
        job::execute(self.name, &args, |_| Ok(spec.clone()), None, denoise_known)
    }
}

/// The largest factor that the operator takes.
const MOST: f64 = 256.0;

const SIZES: [&str; 2] = ["width", "height"];

/// `--width` and `--height`, of which one says all: the picture keeps its shape.
fn size_args() -> [Arg; 2] {
    SIZES.map(|name| {
        let other = if name == "width" { "height" } else { "width" };
        Arg::new(name)
            .long(name)
            .value_name("PIXELS")
            .value_parser(value_parser!(u32).range(1..))
            .conflicts_with(other)
            .help(format!(
                "{} of the result, in the place of --factor; the {other} follows",
                if name == "width" { "Width" } else { "Height" }
            ))
    })
}

/// A side of the result that was asked for.
struct Side {
    name: &'static str,
    pixels: u32,
}

impl Side {
    fn of(matches: &ArgMatches) -> Option<Side> {
        SIZES.into_iter().find_map(|name| {
            let pixels = *matches.get_one::<u32>(name)?;
            Some(Side { name, pixels })
        })
    }

    /// How many times longer it is than that of the picture.
    fn factor(&self, dims: Dims) -> anyhow::Result<f64> {
        let (now, what) = match self.name {
            "width" => (dims.w, "wide"),
            _ => (dims.h, "high"),
        };
        anyhow::ensure!(
            self.pixels as usize >= now,
            "the picture is {now} pixels {what} already, which --{} {} does not enlarge",
            self.name,
            self.pixels
        );
        let factor = f64::from(self.pixels) / now as f64;
        anyhow::ensure!(
            factor <= MOST,
            "--{} {} is more than {MOST} times the {now} pixels of the picture; ask for less",
            self.name,
            self.pixels
        );
        Ok(factor)
    }
}
