//! Lists of methods and samplers by name, for the command line, settings files and help texts.

use std::fmt;

use serde::Serialize;

use crate::problem::Problem;
use crate::{operator, prior};

/// What a method asks of the prior and the operator beyond denoising, applying and differentiating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Need {
    /// The prior's pullback: a backward pass through the network, about twice the cost of a forward one.
    Pullback,
    /// The prior's learned variance.
    LearnedVariance,
    /// A linear operator: adjoint, pseudo-inverse, prox, and functions of its singular values.
    Linear,
    /// Noise alone: an operator that changes nothing.
    NoiseOnly,
    /// A linear operator that acts on each pixel alone.
    Pixelwise,
    /// A prior that can be told the noise of each pixel.
    Maps,
    /// An operator that records rounded numbers.
    Intervals,
    /// A linear operator, or one that rounds what a linear one records.
    LinearBeforeRounding,
    /// A prior that knows the likelihood of a noisy image in closed form.
    Likelihood,
    /// A conditional prior, which was trained for this very task.
    Condition,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::Pullback => "pullback",
            Need::LearnedVariance => "learned variance",
            Need::Linear => "linear",
            Need::NoiseOnly => "noise only",
            Need::Pixelwise => "pixelwise",
            Need::Maps => "noise maps",
            Need::Intervals => "intervals",
            Need::LinearBeforeRounding => "linear before rounding",
            Need::Likelihood => "likelihood",
            Need::Condition => "condition",
        })
    }
}

impl Need {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Need::Pullback => "the gradient of the prior (its pullback)",
            Need::LearnedVariance => "a learned variance",
            Need::Linear => "linearity (an adjoint)",
            Need::NoiseOnly => "a picture with noise and nothing else",
            Need::Pixelwise => "a linear effect on each pixel alone (mask, mosaic, grey, gain)",
            Need::Intervals => "rounded numbers (a JPEG, or few levels)",
            Need::LinearBeforeRounding => {
                "linearity (an adjoint), or what a linear operator records in a few bits a number (`quantised`)"
            }
            Need::Likelihood => {
                "the likelihood of a noisy image (which Gaussians and mixtures know)"
            }
            Need::Condition => {
                "to be shown a first guess (by a conditional prior, trained for this task)"
            }
            Need::Maps => "to be told the noise of each pixel (as `photo` can)",
        }
    }

    /// Whether prior and operator give it.
    pub fn met(self, card: &prior::Card, operator: &dyn operator::Operator) -> bool {
        match self {
            Need::Pullback => card.pullback,
            Need::LearnedVariance => card.variance,
            Need::Linear => operator.linear().is_some(),
            Need::NoiseOnly => operator.only_noise(),
            Need::Pixelwise => operator.linear().is_some_and(|linear| linear.pixelwise()),
            Need::Maps => card.maps,
            Need::Intervals => operator.quantised().is_some(),
            Need::LinearBeforeRounding => {
                operator.linear().is_some() || operator.binned().is_some()
            }
            Need::Likelihood => card.likelihood,
            Need::Condition => card.condition.is_some(),
        }
    }

    /// Who would have to give it.
    pub(crate) fn of_whom(self, problem: &Problem) -> String {
        match self {
            Need::Pullback
            | Need::LearnedVariance
            | Need::Maps
            | Need::Likelihood
            | Need::Condition => "the prior".to_owned(),
            Need::Linear
            | Need::NoiseOnly
            | Need::Pixelwise
            | Need::Intervals
            | Need::LinearBeforeRounding => {
                format!("the operator `{}`", problem.operator.name())
            }
        }
    }
}

/// What a list says of a method or sampler.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Card {
    /// One line.
    pub summary: &'static str,
    /// Authors, year, identifier.
    pub paper: &'static str,
}

/// Settings that can be listed.
pub trait Described {
    /// What a list says of it.
    const CARD: Card;

    /// The same settings with another number of steps.
    fn with_steps(self, steps: usize) -> Self;

    /// Evaluations of the prior in one run with these settings, with a prior of this card.
    fn nfe(&self, prior: &prior::Card) -> usize;
}

/// Makes the enum `Settings` of a folder: one line for each member, which is its type, the file that holds it, and its name.
/// With `tuned for Task`, members also say which settings suit a task.
macro_rules! registry {
    (
        $(#[$doc:meta])* dyn $behaviour:path $(, tuned for $task:ty)? {
            $($variant:ident in $($file:ident)::+ = $name:literal,)+
        }
    ) => {
        $(pub use $($file)::+::$variant;)+

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "name")]
        #[non_exhaustive]
        pub enum Settings {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant($variant),
            )+
        }

        impl Settings {
            /// The names, as settings files and the command line have them.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The default settings under that name.
            pub fn named(name: &str) -> Option<Settings> {
                match name {
                    $($name => Some(Settings::$variant(Default::default())),)+
                    _ => None,
                }
            }

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self { $(Settings::$variant(_) => $name,)+ }
            }

            /// The family that it belongs to: the folder of its file, or the file where there are no folders.
            pub fn family(&self) -> &'static str {
                match self { $(Settings::$variant(_) => [$(stringify!($file)),+][0],)+ }
            }

            /// What a list says of it.
            pub fn card(&self) -> $crate::registry::Card {
                match self {
                    $(Settings::$variant(_) => <$variant as $crate::registry::Described>::CARD,)+
                }
            }

            /// The same settings with another number of steps.
            pub fn with_steps(self, steps: usize) -> Settings {
                match self {
                    $(Settings::$variant(s) => Settings::$variant(
                        $crate::registry::Described::with_steps(s, steps)
                    ),)+
                }
            }

            /// Evaluations of the prior in one run, with a prior of this card.
            pub fn nfe(&self, prior: &$crate::prior::Card) -> usize {
                match self {
                    $(Settings::$variant(s) => $crate::registry::Described::nfe(s, prior),)+
                }
            }

            /// What runs.
            pub fn as_dyn(&self) -> &dyn $behaviour {
                match self { $(Settings::$variant(s) => s,)+ }
            }
        }

        $crate::registry::tuned! { $($task)? { $($variant = $name,)+ } }

        $(
            impl From<$variant> for Settings {
                fn from(settings: $variant) -> Settings {
                    Settings::$variant(settings)
                }
            }
        )+
    };
}
pub(crate) use registry;

/// The part of [`registry`] for members that suit themselves to a task.
macro_rules! tuned {
    ({ $($variant:ident = $name:literal,)+ }) => {};
    ($task:ty { $($variant:ident = $name:literal,)+ }) => {
        impl Settings {
            /// The settings of that name that suit a task; `None` if there is no such name.
            pub fn tuned(name: &str, task: &$task) -> Option<Settings> {
                match name {
                    $($name => Some(Settings::$variant(<$variant as Tuned>::tuned(task))),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use tuned;
