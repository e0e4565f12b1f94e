//! Degradations: what the camera did.
//!
//! An [`Operator`] maps a clean image to what was recorded without noise, `A(x)`. It is made for one size of image. Every
//! operator can be applied, differentiated and guessed back from. A [`Linear`] one has an adjoint, from which
//! pseudo-inverse and prox follow by conjugate gradients; one that knows its singular vectors gives a [`Spectrum`], from
//! which they follow in closed form. For all others [`Lanczos`] makes a spectrum.

use std::fmt;

pub mod cg;
pub mod kernel;
pub mod lanczos;
pub mod mask;
pub mod tikhonov;

mod axis;
mod blocks;
mod blur;
mod boundary;
mod clipped;
mod compose;
mod convolve;
mod ct;
mod decimate;
mod dense;
mod diagonal;
mod downsample;
mod edges;
mod gain;
mod gamma;
mod gray;
mod hadamard;
mod hdr;
mod identity;
mod imitated;
mod jpeg;
mod kernel_spec;
mod margins;
mod marks;
mod matrix;
mod misfit;
mod mosaic;
mod motion;
mod mri;
mod nearest;
mod network;
mod nonlinear_blur;
mod norm;
mod patches;
mod pedestal;
mod phase;
mod pixelwise;
mod plane;
mod quantise;
mod quantised;
mod quantiser;
mod ratio;
mod read;
mod sampled;
mod seams;
mod sensed;
mod spec;
pub mod spectrum;
mod stack;
mod strokes;
mod transform;
mod valid_blur;
mod varying_blur;
mod weighted;

pub use blocks::Blocks;
pub use boundary::Boundary;
pub use decimate::Decimate;
pub use downsample::{Factor, FilterSpec};
pub use edges::Edges;
pub use gain::GainSource;
pub use gray::GrayWeights;
pub(crate) use imitated::Pairs;
pub use imitated::{Imitated, Motion};
pub use jpeg::Subsampling;
pub(crate) use jpeg::error_of_step;
pub use kernel::Kernel;
pub use kernel_spec::KernelSpec;
pub use lanczos::Lanczos;
pub use margins::Margins;
pub use misfit::Misfit;
pub use mosaic::Bayer;
pub use mri::{Coils, Pattern, Pictures, Sampling};
pub use norm::{norm, norm_at};
pub use phase::Diffraction;
pub use pixelwise::Pixelwise;
pub(crate) use plane::Sample;
pub use quantise::Levels;
pub use quantised::{Intervals, Quantised};
pub use quantiser::Binned;
pub use ratio::Ratio;
pub use sampled::{Orthonormal, Sampled};
pub use sensed::{OrthonormalRows, Sensed};
pub(crate) use spec::check_len;
pub use spec::{Described, Entry, Flag, Flags};
pub use spectrum::{AnySpectrum, Gain, Spectrum};
pub use transform::Basis;
pub use valid_blur::ValidBlur;
pub use varying_blur::KernelGrid;
pub(crate) use weighted::Weighted;

use ndarray::Array2;

use crate::level::Range;
use crate::{Dims, Image};

spec::operators! {
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
    {
        Identity(identity::IdentitySpec) = "identity",
        Blur(blur::BlurSpec) = "blur",
        VaryingBlur(varying_blur::VaryingBlurSpec) = "varying-blur",
        Mask(mask::MaskSpec) = "mask",
        Downsample(downsample::DownsampleSpec) = "downsample",
        Gray(gray::GraySpec) = "gray",
        Mosaic(mosaic::MosaicSpec) = "mosaic",
        Compose(compose::ComposeSpec) = "compose",
        Stack(stack::StackSpec) = "stack",
        Gamma(gamma::GammaSpec) = "gamma",
        GainMap(gain::GainMapSpec) = "gain",
        Jpeg(jpeg::JpegSpec) = "jpeg",
        Quantise(quantise::QuantiseSpec) = "quantise",
        Hdr(hdr::HdrSpec) = "hdr",
        NonlinearBlur(nonlinear_blur::NonlinearBlurSpec) = "nonlinear-blur",
        Learned(network::LearnedSpec) = "network",
        Phase(phase::PhaseSpec) = "phase",
        Quantiser(quantiser::QuantiserSpec) = "quantised",
        Hadamard(hadamard::HadamardSpec) = "hadamard",
        Transform(transform::TransformSpec) = "transform",
        Matrix(matrix::MatrixSpec) = "matrix",
        Mri(mri::MriSpec) = "mri",
        Ct(ct::CtSpec) = "ct",
    }
}

/// A degradation of images of one size.
///
/// The size is checked where measurements enter, in [`Problem::new`](crate::problem::Problem::new); an image of another
/// size is an error in the calling code, and the methods panic on it.
pub trait Operator: fmt::Debug + Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> &'static str;

    /// Dimensions of the clean images that it takes.
    fn input(&self) -> Dims;

    /// Dimensions of what it records.
    fn output(&self) -> Dims;

    /// `A(x)` for each picture of the batch.
    fn apply(&self, x: &Image) -> Image;

    /// `J^T u` with `J = dA/dx` at `x`: the adjoint, for a linear operator.
    fn vjp(&self, x: &Image, u: &Image) -> Image;

    /// A first guess of the image, as a careful tool without a prior would make it: the classical baseline, and the
    /// start of methods that need one.
    fn guess(&self, y: &Image) -> Image;

    /// `x` with what `y` tells put into its place: `x + h(y) - h(A(x))` with `h` the guess, as methods that were made for a
    /// pseudo-inverse have it where there is none (Song et al. 2023 write `h` with a dagger); of a linear operator
    /// [`Linear::project`].
    ///
    /// Where `A(h(A(x))) = A(x)`, as of JPEG, rounding and clipping, an image that explains `y` stays as it is.
    fn consistent(&self, y: &Image, x: &Image) -> Image {
        match self.linear() {
            Some(linear) => linear.project(y, x),
            None => x + &(self.guess(y) - self.guess(&self.apply(x))),
        }
    }

    /// What is lost on the way, by which a method is chosen.
    fn loss(&self) -> Loss;

    /// A bound on `|dA/dx|` at any image, where one is known: it saves looking for it.
    fn lipschitz(&self) -> Option<f64> {
        None
    }

    /// The range of its clean images: [0, 1], but for those that are complex.
    fn range(&self) -> Range {
        Range::IMAGE
    }

    /// The standard deviation of the noise in a measurement that is no picture, as far as it tells; `None` where it is one, or
    /// does not.
    fn noise_in(&self, _y: &Image) -> Option<f64> {
        None
    }

    /// Which recorded pixels carry something of the image, `[height, width]` of the output; `None` if all do.
    fn recorded(&self) -> Option<Array2<bool>> {
        None
    }

    /// Itself, if it hides pixels and does nothing else: then only what lies around them matters, and they become opaque.
    fn mask(&self) -> Option<&Mask> {
        None
    }

    /// What of the clean image lies beyond the picture that is wanted: nothing, unless the operator needs more than that to
    /// explain what was recorded. Who restores crops the result.
    fn margins(&self) -> Margins {
        Margins::NONE
    }

    /// Whether nothing but noise stands between picture and measurement: nothing is lost, and what is recorded is the picture.
    fn only_noise(&self) -> bool {
        self.loss() == Loss::NOTHING && self.input() == self.output()
    }

    /// Whether it can have made a measurement with this noise, where its spectrum tells; `None` where it does not.
    fn misfit(&self, _y: &Image, _sigma: f64) -> Option<Misfit> {
        None
    }

    /// An operator that asks for less, mixed with so much (0 to 1) of none, where there is one.
    fn softened(&self, _part: f64) -> Option<Box<dyn Operator>> {
        None
    }

    /// What an operator has that records rounded numbers, each of which stands for an interval; `None` if it does not.
    fn quantised(&self) -> Option<&dyn Quantised> {
        None
    }

    /// What an operator has that rounds what a linear one records, noise and all; `None` if it does not.
    fn binned(&self) -> Option<&dyn Binned> {
        None
    }

    /// What a linear operator has beyond this; `None` if it is not linear.
    fn linear(&self) -> Option<&dyn Linear> {
        None
    }
}

/// A linear degradation, `A(x) = A x`.
pub trait Linear: Operator {
    /// `A^T u`.
    fn adjoint(&self, u: &Image) -> Image;

    /// Its singular values and vectors, where they are known.
    fn spectrum(&self) -> Option<&dyn Spectrum> {
        None
    }

    /// Whether it acts on each pixel alone: what is recorded at a pixel depends on the colours of that pixel, and nothing
    /// else. [`Pixelwise`] then says what of them is known.
    fn pixelwise(&self) -> bool {
        false
    }

    /// `A^+ y`: the smallest image that explains `y`. Singular values below 1e-6 of the largest count as zero; by
    /// conjugate gradients where there is no spectrum.
    fn pseudo_inverse(&self, y: &Image) -> Image {
        match self.spectrum() {
            Some(spectrum) => spectrum::pseudo_inverse(spectrum, y, 1e-6),
            None => cg::pseudo_inverse(self, y, cg::Params::default()).0,
        }
    }

    /// `argmin_x |A x - y|^2 + rho*|x - z|^2`, for `rho > 0`.
    fn prox(&self, y: &Image, z: &Image, rho: f64) -> Image {
        self.prox_within(y, z, rho, cg::Params::default())
    }

    /// [`Linear::prox`] as closely as `params` ask. Through the spectrum it is exact whatever is asked:
    /// `z + V s/(s^2 + rho) U^T (y - A z)`; else by conjugate gradients.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        match self.spectrum() {
            Some(spectrum) => {
                let misfit = y - &self.apply(z);
                z + &spectrum::back(spectrum, &misfit, |s| s / (s * s + rho))
            }
            None => cg::prox(self, y, z, rho, params).0,
        }
    }

    /// `argmin_x |A x - y|^2 + lambda*|D x|^2`, with `D` the differences between neighbouring pixels: the classical
    /// baseline, see [`tikhonov`]. By conjugate gradients from [`Operator::guess`] where there is no closed form.
    fn tikhonov(&self, y: &Image, lambda: f64) -> Image {
        tikhonov::solve(self, y, lambda, cg::Params::default()).0
    }

    /// `x` with what `y` tells put into its place, `x + A^+ (y - A x)`: the nearest image that explains `y`.
    fn project(&self, y: &Image, x: &Image) -> Image {
        x + &self.pseudo_inverse(&(y - &self.apply(x)))
    }

    /// `c`, if `A A^T = c I`: rows that are orthogonal and of one length.
    fn gram(&self) -> Option<f64> {
        None
    }

    /// `c`, if all singular values but zero are the root of `c`: whatever is measured is measured equally well, and a
    /// projection amplifies nothing.
    fn isometry(&self) -> Option<f64> {
        self.gram()
    }
}

/// What an operator takes from a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Fine detail is weakened, as by a blur.
    pub detail: bool,
    /// Which part of the picture's frequencies a blur weakens to less than a hundredth, 0 to 1: most of them if it is a
    /// Gaussian, a fifth if it is a disk, hardly any if it is a motion.
    pub faded: f64,
    /// Pixels are missing.
    pub pixels: bool,
    /// Whole scales are missing, as after down-sampling.
    pub scales: bool,
    /// Colours are missing.
    pub colours: bool,
    /// Each number that was recorded is a sum over many pixels, as in compressed sensing.
    pub mixed: bool,
    /// What was recorded is the picture's spectrum, of which places are missing, as in MRI and tomography.
    pub frequencies: bool,
}

impl Loss {
    /// Nothing but noise stands between picture and measurement.
    pub const NOTHING: Loss = Loss {
        detail: false,
        faded: 0.0,
        pixels: false,
        scales: false,
        colours: false,
        mixed: false,
        frequencies: false,
    };

    /// What is lost by one operator or another.
    pub fn and(self, other: Loss) -> Loss {
        Loss {
            detail: self.detail || other.detail,
            faded: self.faded.max(other.faded),
            pixels: self.pixels || other.pixels,
            scales: self.scales || other.scales,
            colours: self.colours || other.colours,
            mixed: self.mixed || other.mixed,
            frequencies: self.frequencies || other.frequencies,
        }
    }
}

/// Why an operator could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The measurement's shape does not fit the operator.
    #[error(
        "the operator records {expected} (channels x height x width), but the measurement is {got}"
    )]
    Shape {
        /// What the operator records.
        expected: Dims,
        /// What came.
        got: Dims,
    },
    /// A number in the measurement, mask, gain or kernel is NaN or infinite.
    #[error("the {0} holds a NaN or infinite number")]
    NotFinite(&'static str),
    /// The clean image's dimensions do not fit the operator.
    #[error("{operator} takes {expected}, not an image of {got} (channels x height x width)")]
    Input {
        /// Which operator.
        operator: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What came.
        got: Dims,
    },
    /// Two steps of a chain do not fit together.
    #[error("step {step} of the chain takes {expected}, but the step before it gives {got}")]
    Chain {
        /// The step, from 1.
        step: usize,
        /// What it takes.
        expected: Dims,
        /// What comes.
        got: Dims,
    },
    /// A mask or gain of another size than the image.
    #[error("the {what} is {} x {} (height x width), but the image is {} x {}{}", .picture.0, .picture.1, .image.0, .image.1, turned(*.picture, *.image))]
    PictureSize {
        /// What it is.
        what: &'static str,
        /// Its height and width.
        picture: (usize, usize),
        /// Height and width of the image.
        image: (usize, usize),
    },
    /// A kernel with a side that is too long.
    #[error("a kernel of {height} x {width} is too large: here a side may have {limit} taps")]
    KernelSize {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The most that would do.
        limit: usize,
    },
    /// A kernel that cannot be brought to sum one.
    #[error("the kernel's weights sum to {sum}; a blur kernel needs a positive sum")]
    KernelSum {
        /// The sum.
        sum: f64,
    },
    /// A kernel's description that cannot be understood.
    #[error("`{text}` is not a kernel: {why}")]
    KernelText {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that cannot be used.
    #[error("{}: {why}", .path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The parameters make no operator.
    #[error("{0}")]
    Invalid(String),
}

/// What to do where the sizes differ by a quarter turn alone.
fn turned(picture: (usize, usize), image: (usize, usize)) -> &'static str {
    match picture == (image.1, image.0) {
        true => ": it lies on its side, so turn it (the image is taken upright, as its EXIF says)",
        false => "; make them the same size",
    }
}

/// That dimensions hold at least one pixel.
pub(crate) fn not_empty(operator: &'static str, dims: Dims) -> Result<(), Error> {
    if dims.is_empty() {
        return Err(Error::Input {
            operator,
            expected: "at least one pixel",
            got: dims,
        });
    }
    Ok(())
}
