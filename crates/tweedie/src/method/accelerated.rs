//! Proximal gradient steps with momentum: FISTA (Beck and Teboulle 2009).
//!
//! ```text
//! u  = prox(z + step*A^T (y - A z))
//! t' = (1 + sqrt(1 + 4 t^2))/2
//! z  = u + (t - 1)/t' (u - u_old)
//! ```
//!
//! Where the momentum leads uphill, `(z - u).(u - u_old) > 0`, it begins anew with `t = 1` (O'Donoghue and Candes 2015): so it
//! cannot run away, also where `prox` is a network, which belongs to no objective.

use ndarray::Axis;

use crate::Image;
use crate::batch::dots;
use crate::level::combine;
use crate::problem::Problem;

/// FISTA's iteration; each picture of a batch has a momentum of its own.
pub(super) struct Accelerated {
    step: f64,
    t: Vec<f64>,
    u: Image,
    z: Image,
}

impl Accelerated {
    /// From `x`, with gradient steps of that length, up to `1/|A|^2`.
    pub(super) fn from(x: Image, step: f64) -> Accelerated {
        Accelerated {
            step,
            t: vec![1.0; x.dim().0],
            z: x.clone(),
            u: x,
        }
    }

    /// `z + step*A^T (y - A z)`: what is to go through `prox`.
    pub(super) fn descended(&self, problem: &Problem) -> Image {
        combine(1.0, &self.z, self.step, &problem.pull(&self.z))
    }

    /// Takes what `prox` gave.
    pub(super) fn moved(&mut self, u: Image) {
        let ahead = &u - &self.u;
        let back = &self.z - &u;
        let uphill = dots(&ahead, &back);
        self.z = u.clone();
        for (n, t) in self.t.iter_mut().enumerate() {
            let ahead = ahead.index_axis(Axis(0), n);
            let old = if uphill[n] > 0.0 { 1.0 } else { *t };
            *t = (1.0 + (1.0 + 4.0 * old * old).sqrt()) / 2.0;
            let momentum = ((old - 1.0) / *t) as f32;
            self.z
                .index_axis_mut(Axis(0), n)
                .scaled_add(momentum, &ahead);
        }
        self.u = u;
    }

    /// The last `u`.
    pub(super) fn estimate(&self) -> &Image {
        &self.u
    }

    /// The same, for good.
    pub(super) fn into_estimate(self) -> Image {
        self.u
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Blur, Boundary, Kernel};
    use crate::{Dims, problem::Problem};

    /// The least squares of a blur in sixty steps: a hundred times nearer than without momentum. Wrong: the momentum
    /// `(k + a - 1)/(k + a)` that a library has, or one that is never begun anew.
    #[test]
    fn momentum_gets_there_sooner() {
        let dims = Dims::new(1, 16, 16);
        let blur = Blur::new(
            dims,
            Kernel::gaussian(0.8, None).unwrap(),
            Boundary::Circular,
        );
        let blur = blur.unwrap();
        let truth = Image::from_shape_fn(dims.batch(1), |(_, _, i, j)| {
            ((7 * i + 3 * j * j) as f32).sin() * 0.5
        });
        let y = crate::operator::Operator::apply(&blur, &truth);
        let problem = Problem::new(y, Box::new(blur), 0.0).unwrap();
        let misfit = |x: &Image| problem.residual(x).mapv(|r| r * r).sum();
        let start = Image::zeros(dims.batch(1));
        let step = 1.0 / problem.norm2();
        let mut fista = Accelerated::from(start.clone(), step);
        let mut plain = start;
        for _ in 0..60 {
            let u = fista.descended(&problem);
            fista.moved(u);
            plain = combine(1.0, &plain, step, &problem.pull(&plain));
        }
        let (fast, slow) = (misfit(fista.estimate()), misfit(&plain));
        assert!(fast < 0.01 * slow, "{fast:.1e} of {slow:.1e}");
    }
}
