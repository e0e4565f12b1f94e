//! Sums over each picture of a batch: none sees the others.

use ndarray::Axis;

use crate::Image;

/// The inner product of each picture with its twin.
pub(super) fn dots(x: &Image, y: &Image) -> Vec<f64> {
    let pairs = x.axis_iter(Axis(0)).zip(y.axis_iter(Axis(0)));
    let dot = |(x, y): (ndarray::ArrayView3<'_, f32>, ndarray::ArrayView3<'_, f32>)| {
        let products = x.iter().zip(&y).map(|(&x, &y)| f64::from(x) * f64::from(y));
        products.sum::<f64>()
    };
    pairs.map(dot).collect()
}

/// `x + factor*direction`, each picture with a factor of its own.
pub(super) fn push(x: &mut Image, factors: &[f64], direction: &Image) {
    let pictures = x.axis_iter_mut(Axis(0)).zip(direction.axis_iter(Axis(0)));
    for ((mut x, along), &factor) in pictures.zip(factors) {
        x.scaled_add(factor as f32, &along);
    }
}
