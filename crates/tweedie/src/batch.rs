//! Sums over each picture of a batch, and steps of its own for each: none sees the others.

use ndarray::ArrayView3;

use crate::Image;

/// The inner product of each picture with its twin.
pub(crate) fn dots(x: &Image, y: &Image) -> Vec<f64> {
    let dot = |(x, y): (ArrayView3<'_, f32>, ArrayView3<'_, f32>)| {
        let products = x.iter().zip(&y).map(|(&x, &y)| f64::from(x) * f64::from(y));
        products.sum::<f64>()
    };
    x.outer_iter().zip(y.outer_iter()).map(dot).collect()
}

/// The Euclidean norm of each picture.
pub(crate) fn norms(x: &Image) -> Vec<f64> {
    dots(x, x).into_iter().map(f64::sqrt).collect()
}

/// Adds `factors[n]*y` to picture `n` of `x`.
pub(crate) fn add_each(x: &mut Image, factors: &[f64], y: &Image) {
    for ((mut x, &factor), y) in x.outer_iter_mut().zip(factors).zip(y.outer_iter()) {
        x.scaled_add(factor as f32, &y);
    }
}
