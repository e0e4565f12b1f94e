//! Huber's data term (Huber 1964), a switch for steps along a gradient of the data: residuals beyond a threshold count by their
//! size, not by its square, so that dead pixels and other outliers pull no harder than the threshold.

use ndarray::Axis;

use crate::Image;

/// The residual as a data term feels it, its derivative: as it is, or with Huber's threshold, limited to it.
pub(super) fn felt(residual: &Image, threshold: Option<f64>) -> Image {
    match threshold {
        None => residual.clone(),
        Some(d) => residual.mapv(|r| r.clamp(-d as f32, d as f32)),
    }
}

/// The root of twice the data term, of each picture of a batch: the norm of the residual, if there is no threshold.
pub(super) fn sizes(residual: &Image, threshold: Option<f64>) -> Vec<f64> {
    let term = |r: f32| {
        let r = f64::from(r).abs();
        match threshold {
            Some(d) if r > d => d * (2.0 * r - d),
            _ => r * r,
        }
    };
    residual
        .axis_iter(Axis(0))
        .map(|picture| picture.iter().map(|&r| term(r)).sum::<f64>().sqrt())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data term's derivative is what it feels, and its size that of the residual where there are no outliers.
    #[test]
    fn hubers_term_and_its_derivative() {
        let of = |r: f32| Image::from_elem((1, 1, 1, 1), r);
        let term = |r: f32| sizes(&of(r), Some(0.5))[0].powi(2) / 2.0;
        for r in [-3.0, -0.75, -0.25, 0.125, 0.625, 2.0] {
            let slope = (term(r + 1e-3) - term(r - 1e-3)) / 2e-3;
            let felt = felt(&of(r), Some(0.5))[[0, 0, 0, 0]];
            assert!(
                (slope - f64::from(felt)).abs() < 1e-3,
                "{r}: {slope} {felt}"
            );
        }
        assert_eq!(sizes(&of(-0.375), Some(0.5)), sizes(&of(-0.375), None));
    }
}
