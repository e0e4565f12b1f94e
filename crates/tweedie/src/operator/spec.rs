//! Operators for any size, as the command line and settings files describe them.
//!
//! Each operator's file says all of it: what its settings are, how the command line asks for them, which size of clean image
//! belongs to a measurement. Here they are only listed, a line each.

use std::path::{Path, PathBuf};

use super::{Error, Operator, Spec};
use crate::image::Picture;
use crate::{Dims, files};

/// What the file of an operator says of it, beside the operator itself.
pub trait Described: Clone {
    /// One line for lists and help.
    const SUMMARY: &'static str;
    /// Settings that work, as TOML without the kind.
    const EXAMPLE: &'static str;
    /// What the command line asks for.
    const FLAGS: &'static [Flag] = &[];

    /// From the command line.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a flag is missing or makes no sense.
    fn from_flags(flags: &Flags<'_>) -> Result<Self, Error>;

    /// The operator for clean images of these dimensions; files of masks and kernels are read here.
    ///
    /// # Errors
    /// Those of the operator's constructor.
    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error>;

    /// The operator that made a picture; what of it depends on what was recorded is found here, and said in a note where the
    /// user ought to know.
    ///
    /// # Errors
    /// Those of [`Described::build`] and [`Described::input_for`].
    fn build_for(
        &self,
        picture: &Picture,
        _: &mut Vec<String>,
    ) -> Result<Box<dyn Operator>, Error> {
        self.build(self.input_for(picture.dims())?)
    }

    /// The clean image's dimensions, given those of the measurement: the same, unless it says otherwise.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such image.
    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        Ok(output)
    }

    /// Takes what the file of the measurement says of how it was made, where the settings leave that open.
    fn in_file(&mut self, _: &Picture) {}

    /// The operator as it is to be undone: where it says nothing of what a measurement cannot tell, nothing is assumed.
    fn undone(&self) -> Self {
        self.clone()
    }

    /// Whether it does the same to each channel, whatever their number, and is linear: then the grey of what it makes is what it makes of
    /// the grey.
    fn treats_channels_alike(&self) -> bool {
        self.channels_recorded().is_none()
    }

    /// How many channels its measurements have, where that does not depend on the picture.
    fn channels_recorded(&self) -> Option<usize> {
        None
    }

    /// Whether its measurements are grey pictures: then one that comes with colours may be measured by their mean.
    fn records_grey(&self) -> bool {
        false
    }

    /// Whether its measurements are pictures, which any picture's file holds; else they are arrays of numbers.
    fn records_pictures(&self) -> bool {
        true
    }

    /// The files that it names.
    fn files(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }
}

/// A setting as the command line has it, `--name VALUE`.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// What stands for its value in help.
    pub value: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// A value, for messages.
    pub example: &'static str,
    /// What is taken if it is not given; `None` if it must be.
    pub default: Option<&'static str>,
    /// Whether a text is a value.
    pub check: fn(&str) -> Result<(), Error>,
}

/// A [`Flag::check`] by parsing.
pub(super) fn parses<T: std::str::FromStr<Err = Error>>(text: &str) -> Result<(), Error> {
    text.parse::<T>().map(drop)
}

/// The flags of one command line.
pub struct Flags<'a> {
    /// The operator's name, for messages.
    pub operator: &'a str,
    /// What was given for a flag, by its name.
    pub get: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Decides what is random.
    pub seed: u64,
}

impl std::fmt::Debug for Flags<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flags({}, seed {})", self.operator, self.seed)
    }
}

impl<'a> Flags<'a> {
    /// What was given for a flag, or its default.
    ///
    /// # Errors
    /// [`Error::Invalid`] if neither is there.
    pub fn text(&self, flag: &Flag) -> Result<&'a str, Error> {
        let given = (self.get)(flag.name).or(flag.default);
        given.ok_or_else(|| {
            Error::Invalid(format!(
                "`{}` needs --{}, for instance {}",
                self.operator, flag.name, flag.example
            ))
        })
    }

    /// The same as a value.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, and those of parsing.
    pub fn need<T: std::str::FromStr<Err = Error>>(&self, flag: &Flag) -> Result<T, Error> {
        self.text(flag)?.parse()
    }

    /// The error of operators that take no flags.
    pub(super) fn file_only(&self) -> Error {
        Error::Invalid(format!(
            "`{}` is described by a TOML file, not by flags",
            self.operator
        ))
    }
}

/// What a list says of an operator.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Settings that work, as TOML without the kind.
    pub example: &'static str,
    /// What the command line asks for.
    pub flags: &'static [Flag],
}

impl Entry {
    /// An operator of this kind for pictures of these dimensions, by its example.
    ///
    /// # Panics
    /// If the example does not work, which the tests try.
    pub fn example(&self, input: Dims) -> Box<dyn Operator> {
        let text = format!("kind = '{}'\n{}", self.name, self.example);
        let spec: Spec = toml::from_str(&text).expect("the example is a spec");
        spec.build(input).expect("the example can be built")
    }
}

/// Makes the enum [`Spec`]: one line for each operator, which is its type, the file that holds it, its settings and its name.
macro_rules! operators {
    ($(#[$doc:meta])* { $($variant:ident($file:ident::$settings:ident) = $name:literal,)+ }) => {
        $(pub use $file::{$variant, $settings};)+

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "kind")]
        #[non_exhaustive]
        pub enum Spec {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant($settings),
            )+
        }

        impl Spec {
            /// What there is.
            pub const LIST: &[Entry] = &[$(Entry {
                name: $name,
                summary: <$settings as Described>::SUMMARY,
                example: <$settings as Described>::EXAMPLE,
                flags: <$settings as Described>::FLAGS,
            }),+];

            /// From the command line.
            ///
            /// # Errors
            /// [`Error::Invalid`] if there is no such operator, or a flag is missing or makes no sense.
            pub fn from_flags(flags: &Flags<'_>) -> Result<Spec, Error> {
                match flags.operator {
                    $($name => <$settings as Described>::from_flags(flags).map(Spec::$variant),)+
                    other => Err(Error::Invalid(format!(
                        "there is no operator `{other}`; there are {}, and TOML files",
                        [$($name),+].join(", ")
                    ))),
                }
            }

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self { $(Spec::$variant(_) => $name,)+ }
            }

            fn build_unchecked(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
                match self { $(Spec::$variant(spec) => Described::build(spec, input),)+ }
            }

            /// The operator as it is to be undone: where it says nothing of what lies beyond a picture's edges, nothing is
            /// assumed.
            #[must_use]
            pub fn undone(&self) -> Spec {
                match self { $(Spec::$variant(spec) => spec.undone().into(),)+ }
            }

            /// The same for a measurement of this file, where the settings leave to it how it was made.
            #[must_use]
            pub fn in_file(mut self, file: &crate::image::Picture) -> Spec {
                match &mut self { $(Spec::$variant(spec) => spec.in_file(file),)+ }
                self
            }

            fn build_for_unchecked(
                &self,
                picture: &crate::image::Picture,
                notes: &mut Vec<String>,
            ) -> Result<Box<dyn Operator>, Error> {
                match self { $(Spec::$variant(spec) => spec.build_for(picture, notes),)+ }
            }

            fn input_unchecked(&self, output: Dims) -> Result<Dims, Error> {
                match self { $(Spec::$variant(spec) => spec.input_for(output),)+ }
            }

            /// Whether it does the same to each channel, whatever their number.
            pub fn treats_channels_alike(&self) -> bool {
                match self { $(Spec::$variant(spec) => spec.treats_channels_alike(),)+ }
            }

            /// How many channels its measurements have, where that does not depend on the picture.
            pub fn channels_recorded(&self) -> Option<usize> {
                match self { $(Spec::$variant(spec) => spec.channels_recorded(),)+ }
            }

            /// Whether its measurements are grey pictures: then one that comes with colours may be measured by their mean.
            pub fn records_grey(&self) -> bool {
                match self { $(Spec::$variant(spec) => spec.records_grey(),)+ }
            }

            /// Whether its measurements are pictures, which any picture's file holds; else they are arrays of numbers.
            pub fn records_pictures(&self) -> bool {
                match self { $(Spec::$variant(spec) => spec.records_pictures(),)+ }
            }

            /// The files of masks, gains, kernels and matrices that it names.
            pub fn files(&mut self) -> Vec<&mut std::path::PathBuf> {
                match self { $(Spec::$variant(spec) => spec.files(),)+ }
            }
        }

        $(
            impl From<$settings> for Spec {
                fn from(settings: $settings) -> Spec {
                    Spec::$variant(settings)
                }
            }
        )+
    };
}
pub(super) use operators;

/// The most numbers in one image that an operator is made for: 2^31, 8 GiB as f32.
const MAX_LEN: usize = 1 << 31;

impl Spec {
    /// Reads a TOML file. The files that it names lie where it says from the folder in which it lies itself.
    ///
    /// # Errors
    /// Those of [`files::read_toml`].
    pub fn open(path: &Path) -> Result<Spec, files::Error> {
        let spec: Spec = files::read_toml(path)?;
        Ok(spec.in_folder(path.parent().unwrap_or(Path::new(""))))
    }

    /// The same with relative names of files taken from a folder.
    pub fn in_folder(mut self, folder: &Path) -> Spec {
        for path in self.files() {
            *path = folder.join(&*path);
        }
        self
    }

    /// The operator for clean images of these dimensions.
    ///
    /// # Errors
    /// Those of the operators' constructors; files of masks and kernels are read here.
    pub fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        check_len(input)?;
        self.build_unchecked(input)
    }

    /// The operator that made a picture: [`Spec::build`] for the size that belongs to it, but what depends on what was recorded
    /// (numbers that are clipped, transparent parts) is found, and noted.
    ///
    /// # Errors
    /// Those of [`Spec::build`] and [`Spec::input_for`].
    pub fn build_for(
        &self,
        picture: &Picture,
        notes: &mut Vec<String>,
    ) -> Result<Box<dyn Operator>, Error> {
        self.input_for(picture.dims())?;
        self.build_for_unchecked(picture, notes)
    }

    /// The clean image's dimensions, given those of the measurement.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such image, or its size is beyond 2^31 numbers.
    pub fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        let input = self.input_unchecked(output)?;
        check_len(input)?;
        Ok(input)
    }
}

/// That so many numbers can be counted.
pub(crate) fn check_len(dims: Dims) -> Result<(), Error> {
    let len = dims
        .c
        .checked_mul(dims.h)
        .and_then(|n| n.checked_mul(dims.w));
    match len {
        Some(len) if len <= MAX_LEN => Ok(()),
        _ => Err(too_large(dims)),
    }
}
fn too_large(dims: Dims) -> Error {
    Error::Invalid(format!(
        "an image of {} x {} x {} (channels x height x width) is too large",
        dims.c, dims.h, dims.w
    ))
}

#[cfg(test)]
mod tests {
    use super::super::MaskSpec;
    use super::*;
    use crate::Image;

    fn parse(text: &str) -> Spec {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_kind_builds_and_comes_back() {
        let clean = Dims::new(3, 12, 20);
        for (text, recorded) in [
            ("kind = 'identity'", clean),
            ("kind = 'blur'\nkernel = 'disk:2'", clean),
            (
                "kind = 'blur'\nkernel = 'box:3'\nboundary = 'reflect'",
                clean,
            ),
            (
                "kind = 'mask'\nshape = 'random'\nhidden = 0.5\nseed = 3",
                clean,
            ),
            (
                "kind = 'mask'\nshape = 'box'\nheight = 4\nwidth = 0.5",
                clean,
            ),
            ("kind = 'downsample'\nfactor = 4", Dims::new(3, 3, 5)),
            (
                "kind = 'downsample'\nfactor = 2\nfilter = 'average'",
                Dims::new(3, 6, 10),
            ),
            (
                "kind = 'downsample'\nfactor = 2\nfilter = 'gaussian:1.6:7'\nboundary = 'circular'",
                Dims::new(3, 6, 10),
            ),
            ("kind = 'gray'\nweights = 'luma'", Dims::new(1, 12, 20)),
            ("kind = 'mosaic'\npattern = 'gbrg'", Dims::new(1, 12, 20)),
            ("kind = 'gain'\ngain = 'vignette:0.5'\nscale = 2.5", clean),
            (
                "kind = 'gray'\nweights = '0.25,0.5,0.25'",
                Dims::new(1, 12, 20),
            ),
            (
                "kind = 'compose'\nsteps = [{kind = 'downsample', factor = 4}, {kind = 'gray'}]",
                Dims::new(1, 3, 5),
            ),
        ] {
            let spec = parse(text);
            let operator = spec.build(clean).unwrap();
            assert_eq!(operator.output(), recorded, "{text}");
            assert_eq!(spec.input_for(recorded).unwrap(), clean, "{text}");
            assert_eq!(
                toml::from_str::<Spec>(&toml::to_string(&spec).unwrap()).unwrap(),
                spec
            );
            assert_eq!(
                serde_json::from_str::<Spec>(&serde_json::to_string(&spec).unwrap()).unwrap(),
                spec
            );
        }
    }

    /// Every operator has an example that works (but for those whose example is no setting at all), and a stack's measurements
    /// tell the image's size. Wrong: channels of one part taken for those of the image.
    #[test]
    fn every_example_works() {
        let clean = Dims::new(3, 12, 20);
        for entry in Spec::LIST {
            let operator = entry.example(clean);
            assert_eq!(operator.input(), clean, "{}", entry.name);
            let spec = parse(&format!("kind = '{}'\n{}", entry.name, entry.example));
            assert_eq!(spec.name(), entry.name);
            match spec.input_for(operator.output()) {
                Ok(input) => assert_eq!(input, clean, "{}", entry.name),
                // What is no picture need not tell the size of one, but then says what to do.
                Err(e) => assert!(
                    !spec.records_pictures() && e.to_string().contains("--size"),
                    "{e}"
                ),
            }
        }
        let stack =
            parse("kind = 'stack'\nof = [{kind = 'gray'}, {kind = 'gray', weights = 'luma'}]");
        assert_eq!(
            stack.input_for(Dims::new(2, 4, 5)).unwrap(),
            Dims::new(3, 4, 5)
        );
        assert!(stack.input_for(Dims::new(3, 4, 5)).is_err());
        assert!(parse("kind = 'stack'\nof = []").build(clean).is_err());
    }

    #[test]
    fn unknown_fields_and_kinds_are_rejected() {
        for text in [
            "kind = 'identity'\nfactor = 2",
            "kind = 'blur'\nkernel = 'disk:2'\nfactor = 2",
            "kind = 'blur'",
            "kind = 'blur'\nkernel = 'disk:'",
            "kind = 'mask'\nshape = 'random'\nhidden = 0.5\nsede = 3",
            "kind = 'mask'\nshape = 'box'\nheight = 4\nwidth = 4\ndepth = 4",
            "kind = 'downsample'\nfactor = -4",
            "kind = 'gray'\nweight = 'luma'",
            "kind = 'gray'\nweights = '1,2'",
            "kind = 'mosaic'\npattern = 'rgb'",
            "kind = 'gain'\ngain = 'vignette:7'",
            "kind = 'gain'",
            "kind = 'compose'\nsteps = [{kind = 'gray', x = 1}]",
            "kind = 'sharpen'",
        ] {
            assert!(toml::from_str::<Spec>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_that_cannot_be() {
        let down = parse("kind = 'downsample'\nfactor = 4");
        assert!(down.input_for(Dims::new(3, usize::MAX / 2, 4)).is_err());
        assert!(down.input_for(Dims::new(3, 1 << 20, 1 << 20)).is_err());
        assert!(down.build(Dims::new(3, 1 << 40, 1 << 40)).is_err());
        assert!(down.build(Dims::new(3, 0, 4)).is_err());
        assert!(
            parse("kind = 'downsample'\nfactor = 0")
                .input_for(Dims::new(3, 4, 4))
                .is_err()
        );
        assert!(
            parse("kind = 'gray'")
                .input_for(Dims::new(3, 4, 4))
                .is_err()
        );
        assert!(
            parse("kind = 'compose'\nsteps = []")
                .build(Dims::new(3, 4, 4))
                .is_err()
        );
    }

    /// Gray last or first is the same operator; put first its prox is closed, and equals the one by conjugate gradients.
    #[test]
    fn gray_moves_to_the_front() {
        let clean = Dims::new(3, 8, 12);
        let steps = "{kind = 'blur', kernel = 'gaussian:1'}, {kind = 'downsample', factor = 4}";
        let spec = parse(&format!(
            "kind = 'compose'\nsteps = [{steps}, {{kind = 'gray'}}]"
        ));
        let Spec::Compose(chain) = &spec else {
            panic!("a chain was written");
        };
        assert!(matches!(chain.ordered()[0], Spec::Gray(_)));
        let operator = spec.build(clean).unwrap();
        let x = Image::from_shape_fn(clean.batch(1), |(_, c, i, j)| {
            ((c + 2 * i + j * j) as f32).sin()
        });
        let mut expected = x.clone();
        let mut dims = clean;
        for step in &chain.steps {
            let step = step.build(dims).unwrap();
            expected = step.apply(&expected);
            dims = step.output();
        }
        let error = (&operator.apply(&x) - &expected).mapv(f32::abs).sum();
        assert!(error < 1e-5, "{error}");
        // The mean of powers is not the power of the mean.
        for bent in [
            "kind = 'gamma', exponent = 2.2",
            "kind = 'network', kernel = 'motion:3:0'",
        ] {
            let spec = parse(&format!(
                "kind = 'compose'\nsteps = [{{{bent}}}, {{kind = 'gray'}}]"
            ));
            let Spec::Compose(chain) = &spec else {
                panic!("a chain was written");
            };
            assert!(matches!(chain.ordered()[1], Spec::Gray(_)), "{bent}");
        }
    }

    /// Wrong: names taken from where the program runs, or those of steps left as they are.
    #[test]
    fn files_lie_beside_the_description() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("op.toml");
        let steps = [
            "{kind = 'blur', kernel = 'k.txt'}",
            "{kind = 'blur', kernel = 'gaussian:1'}",
            "{kind = 'downsample', factor = 2, filter = 'sub/k.txt'}",
            "{kind = 'mask', shape = 'picture', path = '/m.png'}",
            "{kind = 'stack', of = [{kind = 'gain', gain = 'g.png'}]}",
        ];
        let text = format!("kind = 'compose'\nsteps = [{}]", steps.join(", "));
        std::fs::write(&path, text).unwrap();
        let mut spec = Spec::open(&path).unwrap();
        let files: Vec<PathBuf> = spec.files().into_iter().map(|p| p.clone()).collect();
        let beside = |name: &str| folder.path().join(name);
        let expected = ["k.txt", "sub/k.txt", "/m.png", "g.png"].map(beside);
        assert_eq!(files, expected);
        let error = spec.build(Dims::new(3, 8, 8)).unwrap_err().to_string();
        assert!(
            error.starts_with(beside("k.txt").to_str().unwrap()),
            "{error}"
        );
    }

    #[test]
    fn masks_from_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holes.png");
        image::GrayImage::from_fn(5, 4, |x, _| image::Luma([if x < 2 { 255 } else { 0 }]))
            .save(&path)
            .unwrap();
        let dims = Dims::new(3, 4, 5);
        let mask = |holes| MaskSpec::Picture {
            path: path.clone(),
            holes,
            threshold: None,
            grow: 0,
        };
        use super::super::mask::Holes;
        let white = mask(Holes::White).mask(dims).unwrap();
        let black = mask(Holes::Black).mask(dims).unwrap();
        assert!(!white.known()[[0, 0, 1]] && white.known()[[0, 0, 2]]);
        assert!(black.known()[[0, 0, 1]] && !black.known()[[0, 0, 2]]);
        let e = mask(Holes::White).mask(Dims::new(3, 5, 4)).unwrap_err();
        assert!(
            matches!(
                e,
                Error::PictureSize {
                    what: "mask",
                    picture: (4, 5),
                    image: (5, 4)
                }
            ),
            "{e}"
        );
        std::fs::write(&path, "no picture").unwrap();
        assert!(mask(Holes::White).mask(dims).is_err());
        let text = format!(
            "kind = 'mask'\nshape = 'picture'\npath = '{}'",
            path.display()
        );
        assert_eq!(parse(&text), Spec::Mask(mask(Holes::White)));
    }
}
