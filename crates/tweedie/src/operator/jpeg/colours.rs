//! The components of a pixel: luma and differences of colour (ITU T.871, section 7), or the channels themselves.

use ndarray::{Array2, Array3, ArrayView3, Axis};

use crate::image::Transform;

/// Luma, blue and red, of red, green and blue. Exact fractions: the usual decimals are these, rounded.
const YCBCR: [[f32; 3]; 3] = [
    [0.299, 0.587, 0.114],
    [-0.299 / 1.772, -0.587 / 1.772, 0.5],
    [0.5, -0.587 / 1.402, -0.114 / 1.402],
];

/// And back.
const RGB: [[f32; 3]; 3] = [
    [1.0, 0.0, 1.402],
    [1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587],
    [1.0, 1.772, 0.0],
];

/// What black to white is in a file.
pub(super) const WHITE: f32 = 255.0;
/// What is taken from it before the transform; differences of colour are around 0 already.
const MIDDLE: f32 = 128.0;

/// The deviation of the first component of pixels with white noise of deviation 1.
pub(super) fn luma(transform: Transform, channels: usize) -> f64 {
    match transform {
        Transform::YCbCr if channels == 3 => {
            let square: f32 = YCBCR[0].iter().map(|w| w * w).sum();
            f64::from(square).sqrt()
        }
        _ => 1.0,
    }
}

/// The precision of components whose pixels have white noise of variance 1, in the units of [`split`] times 255: how components hang
/// together. Row `a` of it divided by its diagonal says what `a` is expected to be for the others.
pub(super) fn precision(transform: Transform, channels: usize) -> Vec<Vec<f32>> {
    let entry = |a: usize, b: usize| match transform {
        Transform::YCbCr if channels == 3 => RGB.iter().map(|row| row[a] * row[b]).sum(),
        _ => f32::from(u8::from(a == b)),
    };
    (0..channels)
        .map(|a| (0..channels).map(|b| entry(a, b)).collect())
        .collect()
}

/// A picture `[channel, height, width]` in [0, 1] as components around 0, in units of 1/255.
pub(super) fn split(x: ArrayView3<'_, f32>, transform: Transform) -> Vec<Array2<f32>> {
    match transform {
        Transform::YCbCr if x.len_of(Axis(0)) == 3 => {
            let [r, g, b] = [0, 1, 2].map(|c| x.index_axis(Axis(0), c));
            let mix = |w: [f32; 3], middle: f32| {
                ndarray::Zip::from(r)
                    .and(g)
                    .and(b)
                    .map_collect(|&r, &g, &b| WHITE * (w[0] * r + w[1] * g + w[2] * b) - middle)
            };
            vec![
                mix(YCBCR[0], MIDDLE),
                mix(YCBCR[1], 0.0),
                mix(YCBCR[2], 0.0),
            ]
        }
        _ => {
            let planes = x.outer_iter();
            planes.map(|p| p.mapv(|v| WHITE * v - MIDDLE)).collect()
        }
    }
}

/// And back.
pub(super) fn joined(planes: &[Array2<f32>], transform: Transform) -> Array3<f32> {
    let (h, w) = planes[0].dim();
    Array3::from_shape_fn((planes.len(), h, w), |(c, i, j)| {
        let value = match (transform, planes) {
            (Transform::YCbCr, [y, cb, cr]) => {
                let [wy, wb, wr] = RGB[c];
                wy * (y[(i, j)] + MIDDLE) + wb * cb[(i, j)] + wr * cr[(i, j)]
            }
            _ => planes[c][(i, j)] + MIDDLE,
        };
        value / WHITE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T.871: pure red has Y = 76.245, Cb = -43.03 and Cr = 127.5; and all the way back.
    #[test]
    fn colours_are_those_of_jfif() {
        let red = Array3::from_shape_fn((3, 1, 1), |(c, ..)| f32::from(c == 0));
        let planes = split(red.view(), Transform::YCbCr);
        for (plane, expected) in planes.iter().zip([76.245 - 128.0, -43.028, 127.5]) {
            assert!((plane[(0, 0)] - expected).abs() < 0.01, "{plane}");
        }
        let some =
            Array3::from_shape_fn((3, 2, 2), |(c, i, j)| 0.1 * (1 + c + 2 * i + 3 * j) as f32);
        for transform in [Transform::YCbCr, Transform::Rgb] {
            let back = joined(&split(some.view(), transform), transform);
            assert!((back - &some).iter().all(|v| v.abs() < 1e-6));
        }
    }
}
