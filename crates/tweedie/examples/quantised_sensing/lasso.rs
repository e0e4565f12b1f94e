//! LASSO in the discrete cosine transform, the baseline without a learned prior: `argmin |y - A D c|^2/2 + lambda*|c|_1`, by FISTA
//! (Beck and Teboulle 2009).

use ndarray::Array2;

/// The columns of an orthonormal DCT-II of pictures with `side` rows and columns.
pub(crate) fn cosines(side: usize) -> Array2<f64> {
    let one = |k: usize, i: usize| {
        let phase = std::f64::consts::PI * (i as f64 + 0.5) * k as f64 / side as f64;
        let scale = if k == 0 { 1.0 } else { 2.0 };
        (scale / side as f64).sqrt() * phase.cos()
    };
    let n = side * side;
    Array2::from_shape_fn((n, n), |(pixel, k)| {
        one(k / side, pixel / side) * one(k % side, pixel % side)
    })
}

/// The matrix `A D`, with what its steps need.
pub(crate) struct Lasso {
    seen: Array2<f64>,
    dct: Array2<f64>,
    /// `1/|A|^2`.
    step: f64,
}

const STEPS: usize = 300;

impl Lasso {
    pub(crate) fn new(matrix: &Array2<f64>, side: usize) -> Lasso {
        let dct = cosines(side);
        let seen = matrix.dot(&dct);
        let mut v = Array2::from_elem((seen.ncols(), 1), 1.0);
        let mut norm2 = 0.0;
        for _ in 0..60 {
            let size = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            v /= size;
            v = seen.t().dot(&seen.dot(&v));
            norm2 = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        }
        Lasso {
            seen,
            dct,
            step: 1.0 / (1.02 * norm2),
        }
    }

    /// Pictures in columns, of measurements in columns; `lambda` for each unit of the largest correlation.
    pub(crate) fn solve(&self, y: &Array2<f64>, lambda: f64) -> Array2<f64> {
        let start = self.seen.t().dot(y);
        let most = start.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let threshold = lambda * most * self.step;
        let mut c = Array2::<f64>::zeros(start.dim());
        let (mut ahead, mut t) = (c.clone(), 1.0f64);
        for _ in 0..STEPS {
            let slope = self.seen.t().dot(&(self.seen.dot(&ahead) - y));
            let next = (&ahead - &(slope * self.step))
                .mapv(|v| v.signum() * (v.abs() - threshold).max(0.0));
            let t_next = 0.5 * (1.0 + (1.0 + 4.0 * t * t).sqrt());
            ahead = &next + &((&next - &c) * ((t - 1.0) / t_next));
            (c, t) = (next, t_next);
        }
        self.dct.dot(&c)
    }
}
