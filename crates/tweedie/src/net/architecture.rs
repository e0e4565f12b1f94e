//! The list of architectures, for model files and recipes.

/// Makes [`Architecture`]: one line for each, which is its network, the file that holds it, its configuration and its name.
macro_rules! architectures {
    ($($variant:ident($file:ident::$config:ident) = $name:literal,)+) => {
        $(pub use $file::{$config, $variant};)+

        /// Which network, and its shape.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "architecture", deny_unknown_fields)]
        #[non_exhaustive]
        pub enum Architecture {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant($config),
            )+
        }

        impl Architecture {
            /// The names, as model files and recipes have them.
            pub const NAMES: &[&str] = &[$($name),+];

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self { $(Architecture::$variant(_) => $name,)+ }
            }

            /// That the configuration describes a network.
            ///
            /// # Errors
            /// [`ParamsError::Config`] says what is wrong.
            pub fn check(&self) -> Result<(), ParamsError> {
                match self { $(Architecture::$variant(config) => config.check(),)+ }
            }

            /// What must be known to ask the network; of a configuration that describes one.
            pub fn facts(&self) -> Facts {
                match self { $(Architecture::$variant(config) => config.facts(),)+ }
            }

            /// Names and shapes of the network's arrays.
            ///
            /// # Errors
            /// [`ParamsError::Config`] if the configuration describes no network.
            pub fn shapes(&self) -> Result<Shapes, ParamsError> {
                match self { $(Architecture::$variant(config) => config.shapes(),)+ }
            }

            /// Random weights to start training from.
            ///
            /// # Errors
            /// [`ParamsError::Config`] if the configuration describes no network.
            pub fn init(&self, seed: u64) -> Result<Params, ParamsError> {
                match self { $(Architecture::$variant(config) => config.init(seed),)+ }
            }

            /// Takes the network's weights from a loader.
            ///
            /// # Errors
            /// If the configuration describes no network, or an array is missing, misshapen or not finite.
            pub fn load(&self, loader: &mut Loader<'_>) -> Result<Box<dyn Net>, ParamsError> {
                match self { $(Architecture::$variant(config) => config.load(loader),)+ }
            }
        }

        $(
            impl From<$config> for Architecture {
                fn from(config: $config) -> Architecture {
                    Architecture::$variant(config)
                }
            }
        )+
    };
}
pub(super) use architectures;
