//! SiLU after a feature-wise scale and shift (FiLM), `y = silu(x * (1 + scale) + shift)`, with gradients; and the passes
//! over one plane that group normalisation shares with it.

use pulp::Simd;
use rayon::prelude::*;

use crate::elementwise::{Elementwise, map};
use crate::shape::check;
use crate::silu::{CHUNK, Silu, Slope};
use crate::simd::{Sixteen, run_sixteen, splats, total};

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
        match self.silu {
            true => map(Activated(self), [x], y),
            false => map(Linear(self), [x], y),
        }
    }

    #[inline(always)]
    fn linear<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let [center, factor, shift] = splats(simd, [self.center, self.factor, self.shift]);
        simd.mul_add_e_f32s(simd.sub_f32s(x, center), factor, shift)
    }

    /// `dx = du * factor`, and the sums of `du * (x - center)` and of `du`, where `du` is the gradient to `u`.
    pub(crate) fn gradient(self, x: &[f32], dy: &[f32], dx: &mut [f32]) -> [f64; 2] {
        let mut total = [0.0_f64; 2];
        let chunks = x.chunks(CHUNK).zip(dy.chunks(CHUNK));
        for ((x, dy), dx) in chunks.zip(dx.chunks_mut(CHUNK)) {
            self.slopes(x, dy, dx);
            let part = run_sixteen(Finish { film: self, x, dx });
            total = [total[0] + part[0], total[1] + part[1]];
        }
        total
    }

    /// `du`.
    fn slopes(self, x: &[f32], dy: &[f32], du: &mut [f32]) {
        if !self.silu {
            return du.copy_from_slice(dy);
        }
        map(ActivatedSlope(self), [x, dy], du);
    }
}

/// `u`
#[derive(Clone, Copy)]
struct Linear(Film);

impl Elementwise<1> for Linear {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::f32s; 1]) -> S::f32s {
        self.0.linear(simd, x)
    }
}

/// `silu(u)`
#[derive(Clone, Copy)]
pub(crate) struct Activated(pub(crate) Film);

impl Elementwise<1> for Activated {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::f32s; 1]) -> S::f32s {
        Silu.apply(simd, [self.0.linear(simd, x)])
    }
}

/// `dy * silu'(u)`
#[derive(Clone, Copy)]
struct ActivatedSlope(Film);

impl Elementwise<2> for ActivatedSlope {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::f32s; 2]) -> S::f32s {
        Slope.apply(simd, [self.0.linear(simd, x), dy])
    }
}

/// Sums over a piece of a plane that is short enough for f32, and turns its `du` into `dx`.
struct Finish<'a> {
    film: Film,
    x: &'a [f32],
    dx: &'a mut [f32],
}

impl Sixteen for Finish<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) -> [f64; 2] {
        let center = simd.splat_f32s(self.film.center);
        let factor = simd.splat_f32s(self.film.factor);
        let ((xs, x_rest), (dxs, dx_rest)) = (self.x.as_chunks(), self.dx.as_chunks_mut());
        let mut sums = [[simd.splat_f32s(0.0); V]; 2];
        let mut step = |x: &[f32; 16], dx: &mut [f32; 16]| {
            let (x, dx) = (S::as_simd_f32s(x).0, S::as_mut_simd_f32s(dx).0);
            for k in 0..V {
                let du = dx[k];
                sums[0][k] = simd.mul_add_e_f32s(du, simd.sub_f32s(x[k], center), sums[0][k]);
                sums[1][k] = simd.add_f32s(sums[1][k], du);
                dx[k] = simd.mul_f32s(du, factor);
            }
        };
        for (x, dx) in xs.iter().zip(dxs) {
            step(x, dx);
        }
        // The rest, filled up with zeros, which add nothing.
        let mut padded = [[0.0; 16]; 2];
        padded[0][..x_rest.len()].copy_from_slice(x_rest);
        padded[1][..dx_rest.len()].copy_from_slice(dx_rest);
        let [x, dx] = &mut padded;
        step(x, dx);
        dx_rest.copy_from_slice(&dx[..dx_rest.len()]);
        [total::<S>(&sums[0]), total::<S>(&sums[1])]
    }
}

/// Pixels of one plane.
fn plane(x: &[f32], scale: &[f32], shift: &[f32]) -> usize {
    check("shift", shift.len(), scale.len());
    let plane = x.len().checked_div(scale.len()).unwrap_or(0);
    check("x", x.len(), plane * scale.len());
    plane
}
