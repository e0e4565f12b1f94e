//! Lists of methods and samplers by name, for the command line, settings files and help texts.

use std::fmt;

use serde::Serialize;

/// What a method asks of the prior and the operator beyond `denoise` and `apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Need {
    /// The prior's pullback: a backward pass through the network, about twice the cost of a forward one.
    Pullback,
    /// The operator's adjoint, or its vector-Jacobian product where it is not linear.
    Adjoint,
    /// The operator's pseudo-inverse.
    PseudoInverse,
    /// The operator's prox.
    Prox,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::Pullback => "pullback",
            Need::Adjoint => "adjoint",
            Need::PseudoInverse => "pseudo-inverse",
            Need::Prox => "prox",
        })
    }
}

/// What a list says of a method or sampler.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Card {
    /// One line.
    pub summary: &'static str,
    /// Authors, year, identifier.
    pub paper: &'static str,
    /// What it asks for.
    pub needs: &'static [Need],
}

/// Settings that can be listed.
pub trait Described {
    /// What a list says of it.
    const CARD: Card;

    /// The same settings with another number of steps.
    fn with_steps(self, steps: usize) -> Self;

    /// Evaluations of the prior in one run with these settings.
    fn nfe(&self) -> usize;
}

/// Makes the enum `Settings` of a folder: one line for each member, which is its variant, its type and its name.
macro_rules! registry {
    ($(#[$doc:meta])* dyn $behaviour:path { $($variant:ident($settings:ty) = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "name")]
        #[non_exhaustive]
        pub enum Settings {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant($settings),
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

            /// What a list says of it.
            pub fn card(&self) -> $crate::registry::Card {
                match self {
                    $(Settings::$variant(_) => <$settings as $crate::registry::Described>::CARD,)+
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

            /// Evaluations of the prior in one run.
            pub fn nfe(&self) -> usize {
                match self { $(Settings::$variant(s) => $crate::registry::Described::nfe(s),)+ }
            }

            /// What runs.
            pub fn as_dyn(&self) -> &dyn $behaviour {
                match self { $(Settings::$variant(s) => s,)+ }
            }
        }

        $(
            impl From<$settings> for Settings {
                fn from(settings: $settings) -> Settings {
                    Settings::$variant(settings)
                }
            }
        )+
    };
}
pub(crate) use registry;
