//! Operators for any size, as the command line and settings files describe them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::downsample::check_factor;
use super::{
    Blur, Boundary, Compose, Decimate, Downsample, Error, Gray, GrayWeights, Identity, KernelSpec,
    MaskSpec, Operator,
};
use crate::Dims;

/// An operator that waits for the size of its images.
///
/// ```
/// use tweedie::Dims;
/// use tweedie::operator::Spec;
///
/// let spec: Spec = toml::from_str(
///     r#"
///     kind = "compose"
///     steps = [
///         { kind = "blur", kernel = "gaussian:1.2" },
///         { kind = "downsample", factor = 2, filter = "average" },
///     ]
///     "#,
/// )?;
/// let operator = spec.build(Dims::new(3, 65, 48))?;
/// assert_eq!(operator.output(), Dims::new(3, 33, 24));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Spec {
    /// Nothing but noise: [`Identity`].
    // With braces: of a plain variant serde would accept any fields.
    Identity {},
    /// [`Blur`].
    Blur {
        /// What with.
        kernel: KernelSpec,
        /// What lies beyond the edges.
        #[serde(default)]
        boundary: Boundary,
    },
    /// [`Mask`](super::Mask).
    Mask(MaskSpec),
    /// [`Downsample`], or [`Decimate`] if the filter is a kernel.
    Downsample {
        /// By how much.
        factor: usize,
        /// How.
        #[serde(default)]
        filter: FilterSpec,
        /// What a kernel sees beyond the edges.
        #[serde(default)]
        boundary: Boundary,
    },
    /// [`Gray`].
    Gray {
        /// How much each channel counts.
        #[serde(default)]
        weights: GrayWeights,
    },
    /// [`Compose`].
    Compose {
        /// One after the other.
        steps: Vec<Spec>,
    },
}

/// How images are made smaller: `bicubic`, `average`, or a kernel's description (blur, then every s-th pixel).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FilterSpec {
    /// Antialiased bicubic.
    #[default]
    Bicubic,
    /// Means of blocks.
    Average,
    /// Blur with a kernel, then every s-th pixel from the first.
    Kernel(KernelSpec),
}

impl FromStr for FilterSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<FilterSpec, Error> {
        Ok(match text {
            "bicubic" => FilterSpec::Bicubic,
            "average" => FilterSpec::Average,
            kernel => FilterSpec::Kernel(kernel.parse()?),
        })
    }
}

impl fmt::Display for FilterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterSpec::Bicubic => f.write_str("bicubic"),
            FilterSpec::Average => f.write_str("average"),
            FilterSpec::Kernel(kernel) => write!(f, "{kernel}"),
        }
    }
}

impl TryFrom<String> for FilterSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<FilterSpec, Error> {
        text.parse()
    }
}

impl From<FilterSpec> for String {
    fn from(filter: FilterSpec) -> String {
        filter.to_string()
    }
}

/// The most numbers in one image that an operator is made for: 2^31, 8 GiB as f32.
const MAX_LEN: usize = 1 << 31;

impl Spec {
    /// The operator for clean images of these dimensions.
    ///
    /// In a chain, gray is moved to the front past the steps that treat channels alike: the measurement is the same, it
    /// costs a third, and closed forms stay closed.
    ///
    /// # Errors
    /// Those of the operators' constructors; files of masks and kernels are read here.
    pub fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        check_len(input)?;
        Ok(match self {
            Spec::Identity {} => Box::new(Identity::new(input)?),
            Spec::Blur { kernel, boundary } => {
                Box::new(Blur::new(input, kernel.build()?, *boundary)?)
            }
            Spec::Mask(mask) => Box::new(mask.build(input)?),
            Spec::Downsample {
                factor,
                filter,
                boundary,
            } => match filter {
                FilterSpec::Bicubic => Box::new(Downsample::bicubic(input, *factor)?),
                FilterSpec::Average => Box::new(Downsample::average(input, *factor)?),
                FilterSpec::Kernel(kernel) => {
                    Box::new(Decimate::new(input, kernel.build()?, *boundary, *factor)?)
                }
            },
            Spec::Gray { weights } => Box::new(Gray::new(input, *weights)?),
            Spec::Compose { steps } => {
                let mut operators: Vec<Box<dyn Operator>> = Vec::with_capacity(steps.len());
                let mut dims = input;
                for step in gray_first(steps) {
                    let operator = step.build(dims)?;
                    dims = operator.output();
                    operators.push(operator);
                }
                Box::new(Compose::new(operators)?)
            }
        })
    }

    /// The clean image's dimensions, given those of the measurement.
    ///
    /// What was made smaller had `factor` times the size, although up to `factor - 1` pixels less would give the same;
    /// what was made gray had three channels.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such image: gray with more than one channel, a factor outside 1..=256, or a
    /// size beyond 2^31 numbers.
    pub fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        let input = match self {
            Spec::Identity {} | Spec::Blur { .. } | Spec::Mask(_) => output,
            Spec::Downsample { factor, .. } => {
                check_factor(*factor)?;
                let large = |n: usize| n.checked_mul(*factor).ok_or_else(|| too_large(output));
                Dims::new(output.c, large(output.h)?, large(output.w)?)
            }
            Spec::Gray { .. } if output.c == 1 => Dims { c: 3, ..output },
            Spec::Gray { .. } => {
                return Err(Error::Invalid(format!(
                    "a gray measurement has one channel, not {}",
                    output.c
                )));
            }
            Spec::Compose { steps } => {
                let mut last_first = gray_first(steps).into_iter().rev();
                last_first.try_fold(output, |dims, step| step.input_for(dims))?
            }
        };
        check_len(input)?;
        Ok(input)
    }

    /// Names and what they do, a line each.
    pub const LIST: &[(&str, &str)] = &[
        ("identity", "nothing; the measurement is the image with noise"),
        ("blur", "convolution with a kernel; boundary symmetric, reflect or circular"),
        ("mask", "hides pixels: random ones, a box, or the white of a picture"),
        ("downsample", "smaller by a whole factor: bicubic, average, or a kernel and every n-th pixel"),
        ("gray", "one channel from three: their mean or luma"),
        ("compose", "any chain of these"),
    ];

    /// Whether its measurements have one channel.
    pub fn records_gray(&self) -> bool {
        match self {
            Spec::Gray { .. } => true,
            Spec::Compose { steps } => steps.iter().any(Spec::records_gray),
            _ => false,
        }
    }

    /// Whether it does the same to each channel, whatever their number.
    fn treats_channels_alike(&self) -> bool {
        match self {
            // The masks described here serve all channels.
            Spec::Identity {} | Spec::Blur { .. } | Spec::Mask(_) | Spec::Downsample { .. } => true,
            Spec::Gray { .. } => false,
            Spec::Compose { steps } => steps.iter().all(Spec::treats_channels_alike),
        }
    }
}

/// The steps with gray moved to the front, if it commutes with all before it.
fn gray_first(steps: &[Spec]) -> Vec<&Spec> {
    let mut order: Vec<&Spec> = steps.iter().collect();
    let gray = steps.iter().position(|s| matches!(s, Spec::Gray { .. }));
    if let Some(at) = gray
        && steps[..at].iter().all(Spec::treats_channels_alike)
    {
        order[..=at].rotate_right(1);
    }
    order
}

fn check_len(dims: Dims) -> Result<(), Error> {
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
        let Spec::Compose { steps } = &spec else {
            panic!("a chain was written");
        };
        assert!(matches!(gray_first(steps)[0], Spec::Gray { .. }));
        let operator = spec.build(clean).unwrap();
        let x = Image::from_shape_fn(clean.batch(1), |(_, c, i, j)| {
            ((c + 2 * i + j * j) as f32).sin()
        });
        let mut expected = x.clone();
        let mut dims = clean;
        for step in steps {
            let step = step.build(dims).unwrap();
            expected = step.apply(&expected);
            dims = step.output();
        }
        let error = (&operator.apply(&x) - &expected).mapv(f32::abs).sum();
        assert!(error < 1e-5, "{error}");
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
            threshold: 0.5,
        };
        use super::super::mask::Holes;
        let white = mask(Holes::White).build(dims).unwrap();
        let black = mask(Holes::Black).build(dims).unwrap();
        assert!(!white.known()[[0, 0, 1]] && white.known()[[0, 0, 2]]);
        assert!(black.known()[[0, 0, 1]] && !black.known()[[0, 0, 2]]);
        let e = mask(Holes::White).build(Dims::new(3, 5, 4)).unwrap_err();
        assert!(
            matches!(
                e,
                Error::MaskSize {
                    mask: (4, 5),
                    image: (5, 4)
                }
            ),
            "{e}"
        );
        std::fs::write(&path, "no picture").unwrap();
        assert!(mask(Holes::White).build(dims).is_err());
        let text = format!(
            "kind = 'mask'\nshape = 'picture'\npath = '{}'",
            path.display()
        );
        assert_eq!(parse(&text), Spec::Mask(mask(Holes::White)));
    }
}
