//! The eight ways to lay down a square: a denoiser that is shown another one in each step makes no error twice in the same
//! direction.

use ndarray::Axis;

use crate::Image;

/// One of the eight ways to lay down a square: a transposition or none, then flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symmetry {
    transpose: bool,
    flip_rows: bool,
    flip_columns: bool,
}

impl Symmetry {
    /// In the authors' order, which goes round: identity, transpose, upside down, quarter turn right, left to right,
    /// quarter turn left, half turn, anti-transpose.
    pub(super) fn nth(k: usize) -> Symmetry {
        let (transpose, flip_rows, flip_columns) = [
            (false, false, false),
            (true, false, false),
            (false, true, false),
            (true, false, true),
            (false, false, true),
            (true, true, false),
            (false, true, true),
            (true, true, true),
        ][k % 8];
        Symmetry {
            transpose,
            flip_rows,
            flip_columns,
        }
    }

    fn flipped(self, x: &Image) -> Image {
        let mut view = x.view();
        if self.flip_rows {
            view.invert_axis(Axis(2));
        }
        if self.flip_columns {
            view.invert_axis(Axis(3));
        }
        view.as_standard_layout().into_owned()
    }

    fn transposed(self, x: &Image) -> Image {
        let mut view = x.view();
        if self.transpose {
            view.swap_axes(2, 3);
        }
        view.as_standard_layout().into_owned()
    }

    pub(super) fn there(self, x: &Image) -> Image {
        self.flipped(&self.transposed(x))
    }

    pub(super) fn back(self, x: &Image) -> Image {
        self.transposed(&self.flipped(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Image {
        Image::from_shape_fn((1, 1, 2, 3), |(_, _, y, x)| (10 * y + x) as f32)
    }

    #[test]
    fn eight_different_ways_lead_there_and_back() {
        let x = picture();
        let seen: Vec<Image> = (0..8).map(|k| Symmetry::nth(k).there(&x)).collect();
        for (k, there) in seen.iter().enumerate() {
            assert_eq!(Symmetry::nth(k).back(there), x);
            assert!(seen[..k].iter().all(|other| other != there));
        }
        assert_eq!(Symmetry::nth(8), Symmetry::nth(0));
    }

    #[test]
    fn quarter_turns_turn_as_named() {
        let rows = |k| {
            let turned = Symmetry::nth(k).there(&picture());
            turned.iter().copied().collect::<Vec<f32>>()
        };
        // 0 1 2 / 10 11 12 turned right is 10 0 / 11 1 / 12 2, and turned left is 2 12 / 1 11 / 0 10.
        assert_eq!(rows(3), [10.0, 0.0, 11.0, 1.0, 12.0, 2.0]);
        assert_eq!(rows(5), [2.0, 12.0, 1.0, 11.0, 0.0, 10.0]);
    }
}
