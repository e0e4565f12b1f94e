//! Degradations: what the camera did.
//!
//! An [`Operator`] maps a clean image to what was recorded without noise, `A(x)`. It is made for one size of image. It
//! must `apply`; a linear one gives its `adjoint`, from which the pseudo-inverse and the prox follow by conjugate
//! gradients; most give closed forms of these instead.

use std::fmt;

pub mod cg;
pub mod kernel;
pub mod mask;
pub mod tikhonov;

mod axis;
mod blur;
mod boundary;
mod compose;
mod convolve;
mod decimate;
mod diagonal;
mod downsample;
mod gray;
mod identity;
mod kernel_spec;
mod motion;
mod nearest;
mod norm;
mod plane;
mod read;
mod spec;

pub use blur::Blur;
pub use boundary::Boundary;
pub use compose::Compose;
pub use decimate::Decimate;
pub use downsample::Downsample;
pub use gray::{Gray, GrayWeights};
pub use identity::Identity;
pub use kernel::Kernel;
pub use kernel_spec::KernelSpec;
pub use mask::{Mask, MaskSpec};
pub use norm::norm;
pub use spec::{FilterSpec, Spec};

use ndarray::Array2;

use crate::{Dims, Image};

/// A degradation of images of one size.
///
/// The size is checked where measurements enter, in [`Problem::new`](crate::problem::Problem::new); an image of another
/// size is an error in the calling code, and the methods panic on it.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Dimensions of the clean images that it takes.
    fn input(&self) -> Dims;

    /// Dimensions of what it records.
    fn output(&self) -> Dims;

    /// `A(x)` for each picture of the batch.
    fn apply(&self, x: &Image) -> Image;

    /// `A^T u`.
    fn adjoint(&self, u: &Image) -> Image;

    /// `J^T u` with `J = dA/dx` at `x`: the adjoint, for a linear operator.
    fn vjp(&self, _x: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// `A^+ y`: the smallest image that explains `y`. By conjugate gradients where there is no closed form.
    fn pseudo_inverse(&self, y: &Image) -> Image {
        cg::pseudo_inverse(self, y, cg::Params::default()).0
    }

    /// `argmin_x |A x - y|^2 + rho*|x - z|^2`, for `rho > 0`.
    fn prox(&self, y: &Image, z: &Image, rho: f64) -> Image {
        self.prox_within(y, z, rho, cg::Params::default())
    }

    /// [`Operator::prox`] as closely as `params` ask. By conjugate gradients; closed forms are exact whatever is asked.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        cg::prox(self, y, z, rho, params).0
    }

    /// A first guess of the image, as a careful tool without a prior would make it: the classical baseline, and the
    /// start of methods that need one.
    fn guess(&self, y: &Image) -> Image {
        self.pseudo_inverse(y)
    }

    /// `argmin_x |A x - y|^2 + lambda*|D x|^2`, with `D` the differences between neighbouring pixels: the classical
    /// baseline, see [`tikhonov`]. By conjugate gradients from [`Operator::guess`] where there is no closed form.
    fn tikhonov(&self, y: &Image, lambda: f64) -> Image {
        tikhonov::solve(self, y, lambda, cg::Params::default()).0
    }

    /// Whether it changes nothing, so that a measurement is the image with noise.
    fn is_identity(&self) -> bool {
        false
    }

    /// Which recorded pixels carry something of the image, `[height, width]` of the output; `None` if all do.
    fn recorded(&self) -> Option<Array2<bool>> {
        None
    }

    /// `c`, if `A A^T = c I`: rows that are orthogonal and of one length.
    fn gram(&self) -> Option<f64> {
        None
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
    /// A number in the measurement, mask or kernel is NaN or infinite.
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
    /// A mask of another size than the image.
    #[error("the mask is {} x {} (height x width), but the image is {} x {}", .mask.0, .mask.1, .image.0, .image.1)]
    MaskSize {
        /// Height and width of the mask.
        mask: (usize, usize),
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
