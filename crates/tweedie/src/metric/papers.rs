//! What papers on super-resolution compare: the luma of colour pictures, without a border.

use ndarray::{Axis, s};

use crate::Image;

/// Luma of ITU-R BT.601 in its studio range, 16 to 235 of 255: `Y` of MATLAB's `rgb2ycbcr`, before its rounding. One channel; a
/// grey picture counts as one of three equal channels.
///
/// # Panics
/// If there are neither 1 nor 3 channels.
pub fn luma(x: &Image) -> Image {
    const WEIGHTS: [f32; 3] = [65.481, 128.553, 24.966];
    let channels = x.dim().1;
    assert!(matches!(channels, 1 | 3), "a picture has 1 or 3 channels");
    let mut y = Image::from_elem((x.dim().0, 1, x.dim().2, x.dim().3), 16.0 / 255.0);
    for (c, weight) in WEIGHTS.into_iter().enumerate() {
        let channel = x.index_axis(Axis(1), c.min(channels - 1));
        y.index_axis_mut(Axis(1), 0)
            .scaled_add(weight / 255.0, &channel);
    }
    y
}

/// A picture without `border` pixels on each side; `None` if nothing is left.
pub fn without_border(x: &Image, border: usize) -> Option<Image> {
    let (_, _, h, w) = x.dim();
    let inner = |n: usize| Some(border..n.checked_sub(border).filter(|&end| end > border)?);
    let (rows, columns) = (inner(h)?, inner(w)?);
    Some(x.slice(s![.., .., rows, columns]).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of MATLAB's documentation and of the standard: black 16, white 235, and the primaries.
    #[test]
    fn luma_is_that_of_rgb2ycbcr() {
        for (rgb, expected) in [
            ([0.0, 0.0, 0.0], 16.0),
            ([1.0, 1.0, 1.0], 235.0),
            ([1.0, 0.0, 0.0], 81.481),
            ([0.0, 1.0, 0.0], 144.553),
            ([0.0, 0.0, 1.0], 40.966),
        ] {
            let x = Image::from_shape_fn((1, 3, 1, 1), |(_, c, _, _)| rgb[c]);
            let y = 255.0 * luma(&x)[[0, 0, 0, 0]];
            assert!((y - expected).abs() < 1e-3, "{rgb:?}: {y}");
        }
        let grey = Image::from_elem((1, 1, 2, 2), 0.5);
        let same = Image::from_elem((1, 3, 2, 2), 0.5);
        assert_eq!(luma(&grey), luma(&same));
    }

    #[test]
    fn borders_are_cut_while_something_is_left() {
        let x = Image::from_shape_fn((1, 1, 5, 6), |(_, _, i, j)| (10 * i + j) as f32);
        assert_eq!(without_border(&x, 0).unwrap(), x);
        let inner = without_border(&x, 2).unwrap();
        assert_eq!(inner.iter().copied().collect::<Vec<_>>(), [22.0, 23.0]);
        assert!(without_border(&x, 3).is_none());
    }
}
