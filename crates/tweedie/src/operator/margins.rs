//! How much wider a clean image is than the picture that is wanted.

use ndarray::{Array2, s};

use crate::{Dims, Image};

/// Pixels on each side of a clean image that lie beyond the picture: an operator needs them to explain what was recorded
/// near the edges, but too little was recorded of them to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margins {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Margins {
    /// None: the clean image is the picture.
    pub const NONE: Margins = Margins {
        top: 0,
        bottom: 0,
        left: 0,
        right: 0,
    };

    /// A picture's dimensions with the margins around it.
    pub fn around(self, picture: Dims) -> Dims {
        Dims {
            h: picture.h.saturating_add(self.top + self.bottom),
            w: picture.w.saturating_add(self.left + self.right),
            ..picture
        }
    }

    /// The dimensions of the picture within an image; `None` if the margins leave nothing of it.
    pub fn within(self, image: Dims) -> Option<Dims> {
        let h = image.h.checked_sub(self.top + self.bottom)?;
        let w = image.w.checked_sub(self.left + self.right)?;
        (h > 0 && w > 0).then_some(Dims { h, w, ..image })
    }

    /// The picture within an image.
    ///
    /// # Panics
    /// If the margins are wider than the image: that is an error in the calling code.
    pub fn crop(self, image: Image) -> Image {
        if self == Margins::NONE {
            return image;
        }
        let (_, _, h, w) = image.dim();
        let (rows, columns) = (self.top..h - self.bottom, self.left..w - self.right);
        image.slice(s![.., .., rows, columns]).to_owned()
    }

    /// The same for a plane beside an image, `[height, width]`, as an alpha channel is.
    ///
    /// # Panics
    /// As [`Margins::crop`].
    pub fn crop_plane(self, plane: Array2<f32>) -> Array2<f32> {
        let (h, w) = plane.dim();
        let (rows, columns) = (self.top..h - self.bottom, self.left..w - self.right);
        plane.slice(s![rows, columns]).to_owned()
    }

    /// Margins of an image of which these belong to a smaller version, with `rows` and `columns` pixels for each of its.
    pub(super) fn scaled(self, rows: usize, columns: usize) -> Margins {
        Margins {
            top: self.top * rows,
            bottom: self.bottom * rows,
            left: self.left * columns,
            right: self.right * columns,
        }
    }

    /// These around those.
    pub(super) fn and(self, inner: Margins) -> Margins {
        Margins {
            top: self.top + inner.top,
            bottom: self.bottom + inner.bottom,
            left: self.left + inner.left,
            right: self.right + inner.right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn around_and_back() {
        let margins = Margins {
            top: 1,
            bottom: 2,
            left: 0,
            right: 3,
        };
        let (picture, image) = (Dims::new(1, 2, 3), Dims::new(1, 5, 6));
        assert_eq!(margins.around(picture), image);
        assert_eq!(margins.within(image), Some(picture));
        assert_eq!(margins.within(Dims::new(1, 3, 6)), None);
        let x = Image::from_shape_fn(image.batch(1), |(_, _, i, j)| (10 * i + j) as f32);
        let cropped = margins.crop(x.clone());
        assert_eq!(
            cropped.iter().copied().collect::<Vec<_>>(),
            [10., 11., 12., 20., 21., 22.]
        );
        assert_eq!(Margins::NONE.crop(x.clone()), x);
        let plane = x.slice(s![0, 0, .., ..]).to_owned();
        assert_eq!(margins.crop_plane(plane), cropped.slice(s![0, 0, .., ..]));
    }
}
