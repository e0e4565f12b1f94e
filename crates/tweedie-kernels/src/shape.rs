//! The sizes of a convolution.

/// Sizes of a convolution that keeps height and width. All tensors are contiguous, in the order batch, channel, row,
/// column: `x` is `[batch, c_in, height, width]`, `y` is `[batch, c_out, height, width]`, a weight is
/// `[c_out, c_in, k, k]` and a bias `[c_out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Number of images.
    pub batch: usize,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ConvShape {
    /// Pixels of one channel of one image.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Length of the input.
    pub fn x_len(&self) -> usize {
        self.batch * self.c_in * self.plane()
    }

    /// Length of the output.
    pub fn y_len(&self) -> usize {
        self.batch * self.c_out * self.plane()
    }

    /// The convolution whose output is the gradient to this one's input.
    pub(crate) fn transposed(self) -> Self {
        Self {
            c_in: self.c_out,
            c_out: self.c_in,
            ..self
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.x_len() == 0 || self.y_len() == 0
    }
}

/// A length that does not fit its shape is a mistake in the calling code, not in anybody's data: it panics.
#[track_caller]
pub(crate) fn check(name: &str, len: usize, expected: usize) {
    assert_eq!(
        len, expected,
        "`{name}` has {len} numbers, its shape wants {expected}"
    );
}
