//! SiLU after a feature-wise scale and shift (FiLM), `y = silu(x * (1 + scale) + shift)`, with gradients; and the passes
//! over one plane that group normalisation shares with it.

use rayon::prelude::*;

use crate::shape::check;
use crate::silu::{CHUNK, sigmoid, slope};
use crate::simd;

/// What happens to one plane: `u = (x - center) * factor + shift`, and SiLU after it or not.
#[derive(Clone, Copy)]
pub(crate) struct Film {
    pub(crate) center: f32,
    pub(crate) factor: f32,
    pub(crate) shift: f32,
    pub(crate) silu: bool,
}

/// `y = silu(x * (1 + scale) + shift)`, where `x` and `y` are `[batch, channel, pixel]` and `scale` and `shift` are
/// `[batch, channel]`; `y` is overwritten.
///
/// # Panics
/// If the lengths of `x` and `y` differ, or those of `scale` and `shift`, or do not divide.
pub fn film_silu(x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
    let plane = plane(x, scale, shift);
    check("y", y.len(), x.len());
    if plane == 0 {
        return;
    }
    // Planes may be small (8 x 8): several of them make a task.
    let planes = CHUNK.div_ceil(plane);
    let chunks = y
        .par_chunks_mut(planes * plane)
        .zip(x.par_chunks(planes * plane))
        .enumerate();
    chunks.for_each(|(task, (y, x))| {
        let pairs = y.chunks_exact_mut(plane).zip(x.chunks_exact(plane));
        for (i, (y, x)) in pairs.enumerate() {
            let at = task * planes + i;
            Film::modulation(scale[at], shift[at]).apply(x, y);
        }
    });
}

/// Where [`film_silu_gradient`] writes; all are overwritten.
#[derive(Debug)]
pub struct FilmGradients<'a> {
    /// Gradient to `x`.
    pub dx: &'a mut [f32],
    /// Gradient to `scale`.
    pub dscale: &'a mut [f32],
    /// Gradient to `shift`.
    pub dshift: &'a mut [f32],
}

/// The gradients of [`film_silu`].
///
/// # Panics
/// If a length does not fit.
pub fn film_silu_gradient(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    dy: &[f32],
    to: FilmGradients<'_>,
) {
    let plane = plane(x, scale, shift);
    check("dy", dy.len(), x.len());
    check("dx", to.dx.len(), x.len());
    check("dscale", to.dscale.len(), scale.len());
    check("dshift", to.dshift.len(), scale.len());
    if plane == 0 {
        to.dscale.fill(0.0);
        to.dshift.fill(0.0);
        return;
    }
    let planes = CHUNK.div_ceil(plane);
    let chunks = to
        .dx
        .par_chunks_mut(planes * plane)
        .zip(x.par_chunks(planes * plane));
    let chunks = chunks.zip(dy.par_chunks(planes * plane));
    let sums = to
        .dscale
        .par_chunks_mut(planes)
        .zip(to.dshift.par_chunks_mut(planes));
    chunks
        .zip(sums)
        .enumerate()
        .for_each(|(task, (((dx, x), dy), (dscale, dshift)))| {
            for i in 0..dscale.len() {
                let of = i * plane..(i + 1) * plane;
                let film = Film::modulation(scale[task * planes + i], shift[task * planes + i]);
                let [by_x, plain] = film.gradient(&x[of.clone()], &dy[of.clone()], &mut dx[of]);
                (dscale[i], dshift[i]) = (by_x as f32, plain as f32);
            }
        });
}

impl Film {
    fn modulation(scale: f32, shift: f32) -> Film {
        Film {
            center: 0.0,
            factor: 1.0 + scale,
            shift,
            silu: true,
        }
    }

    pub(crate) fn apply(self, x: &[f32], y: &mut [f32]) {
        simd::run(
            #[inline(always)]
            || {
                let pixels = y.iter_mut().zip(x);
                if self.silu {
                    pixels.for_each(|(y, &x)| {
                        let u = self.linear(x);
                        *y = u * sigmoid(u);
                    });
                } else {
                    pixels.for_each(|(y, &x)| *y = self.linear(x));
                }
            },
        );
    }

    #[inline(always)]
    fn linear(self, x: f32) -> f32 {
        (x - self.center) * self.factor + self.shift
    }

    /// `dx = du * factor`, and the sums of `du * (x - center)` and of `du`, where `du` is the gradient to `u`.
    pub(crate) fn gradient(self, x: &[f32], dy: &[f32], dx: &mut [f32]) -> [f64; 2] {
        simd::run(
            #[inline(always)]
            || {
                let mut total = [0.0_f64; 2];
                let chunks = x.chunks(CHUNK).zip(dy.chunks(CHUNK));
                for ((x, dy), dx) in chunks.zip(dx.chunks_mut(CHUNK)) {
                    let part = if self.silu {
                        self.chunk(x, dy, dx, slope)
                    } else {
                        self.chunk(x, dy, dx, |_| 1.0)
                    };
                    total = [total[0] + part[0], total[1] + part[1]];
                }
                total
            },
        )
    }

    /// The same for a piece that is short enough to be summed in f32.
    #[inline(always)]
    fn chunk(self, x: &[f32], dy: &[f32], dx: &mut [f32], slope: impl Fn(f32) -> f32) -> [f64; 2] {
        // Sixteen sums whatever the machine's vectors, so that the order is the same on each.
        const LANES: usize = 16;
        let (mut by_x, mut plain) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        let mut step = |x: &[f32; LANES], dy: &[f32; LANES], dx: &mut [f32; LANES]| {
            for k in 0..LANES {
                let du = dy[k] * slope(self.linear(x[k]));
                dx[k] = du * self.factor;
                by_x[k] += du * (x[k] - self.center);
                plain[k] += du;
            }
        };
        let ((xs, x), (dys, dy)) = (x.as_chunks(), dy.as_chunks());
        let (dxs, dx) = dx.as_chunks_mut();
        for ((x, dy), dx) in xs.iter().zip(dys).zip(dxs) {
            step(x, dy, dx);
        }
        // The rest, filled up with zeros, which add nothing.
        let mut padded = [[0.0; LANES]; 3];
        padded[0][..x.len()].copy_from_slice(x);
        padded[1][..x.len()].copy_from_slice(dy);
        let [x, dy, out] = &mut padded;
        step(x, dy, out);
        dx.copy_from_slice(&out[..dx.len()]);
        [by_x, plain].map(|lanes| lanes.iter().map(|&v| f64::from(v)).sum())
    }
}

/// Pixels of one plane.
fn plane(x: &[f32], scale: &[f32], shift: &[f32]) -> usize {
    check("shift", shift.len(), scale.len());
    let plane = x.len().checked_div(scale.len()).unwrap_or(0);
    check("x", x.len(), plane * scale.len());
    plane
}
