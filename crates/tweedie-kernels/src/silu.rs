//! SiLU, `y = x * sigmoid(x)`, also after a feature-wise scale and shift (FiLM), with gradients.
//!
//! Plain loops, which the compiler turns into vectors of whatever width [`simd::run`] selects.

use rayon::prelude::*;

use crate::shape::check;
use crate::simd;

/// Elements of one task: large enough to hide its start, small enough for the first cache.
const CHUNK: usize = 1 << 12;

/// `exp(x)` within 2 units in the last place, for `x` in [-87, 88]; beyond, the value at the end.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Comparisons rather than `clamp`, so that a NaN goes through.
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    // x = n ln 2 + r. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    // exp(r) for |r| <= ln(2) / 2, the polynomial of Cephes.
    let mut p = 1.987_569_1e-4;
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p * r + c;
    }
    (p * r * r + r + 1.0) * scale
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The derivative of SiLU.
#[inline(always)]
fn slope(x: f32) -> f32 {
    // With e = exp(-x), 1 - s = e s: a difference would lose digits where s is close to 1. The product e s is at most 1;
    // x e would overflow below -84.
    let e = exp(-x);
    let s = 1.0 / (1.0 + e);
    s * (1.0 + x * (e * s))
}

/// `y = x * sigmoid(x)`; `y` is overwritten.
///
/// # Panics
/// If the lengths differ.
pub fn silu(x: &[f32], y: &mut [f32]) {
    check("y", y.len(), x.len());
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(y, x)| {
            simd::run(
                #[inline(always)]
                || y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * sigmoid(x)),
            );
        });
}

/// `dx = dy * silu'(x)`; `dx` is overwritten.
///
/// # Panics
/// If the lengths differ.
pub fn silu_gradient(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    check("dy", dy.len(), x.len());
    check("dx", dx.len(), x.len());
    let chunks = dx
        .par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .zip(dy.par_chunks(CHUNK));
    chunks.for_each(|((dx, x), dy)| {
        simd::run(
            #[inline(always)]
            || {
                dx.iter_mut()
                    .zip(x)
                    .zip(dy)
                    .for_each(|((dx, &x), &dy)| *dx = dy * slope(x))
            },
        );
    });
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
        for (i, (y, x)) in y
            .chunks_exact_mut(plane)
            .zip(x.chunks_exact(plane))
            .enumerate()
        {
            let (factor, shift) = (1.0 + scale[task * planes + i], shift[task * planes + i]);
            simd::run(
                #[inline(always)]
                || {
                    for (y, &x) in y.iter_mut().zip(x) {
                        let u = x * factor + shift;
                        *y = u * sigmoid(u);
                    }
                },
            );
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
                let (scale, shift) = (scale[task * planes + i], shift[task * planes + i]);
                (dscale[i], dshift[i]) =
                    film_plane(&x[of.clone()], scale, shift, &dy[of.clone()], &mut dx[of]);
            }
        });
}

/// One plane: `dx`, and the sums for `scale` and `shift`.
fn film_plane(x: &[f32], scale: f32, shift: f32, dy: &[f32], dx: &mut [f32]) -> (f32, f32) {
    simd::run(
        #[inline(always)]
        || {
            let mut total = [0.0_f64; 2];
            for ((x, dy), dx) in x
                .chunks(CHUNK)
                .zip(dy.chunks(CHUNK))
                .zip(dx.chunks_mut(CHUNK))
            {
                let part = film_chunk(x, 1.0 + scale, shift, dy, dx);
                total = [total[0] + part[0], total[1] + part[1]];
            }
            (total[0] as f32, total[1] as f32)
        },
    )
}

/// A piece of a plane, short enough to be summed in f32: the sums of `du * x` and of `du`.
#[inline(always)]
fn film_chunk(x: &[f32], factor: f32, shift: f32, dy: &[f32], dx: &mut [f32]) -> [f64; 2] {
    // Sixteen sums whatever the machine's vectors, so that the order is the same on each.
    const LANES: usize = 16;
    let (mut by_x, mut plain) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let mut step = |x: &[f32; LANES], dy: &[f32; LANES], dx: &mut [f32; LANES]| {
        for k in 0..LANES {
            let du = dy[k] * slope(x[k] * factor + shift);
            dx[k] = du * factor;
            by_x[k] += du * x[k];
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

/// Pixels of one plane.
fn plane(x: &[f32], scale: &[f32], shift: &[f32]) -> usize {
    check("shift", shift.len(), scale.len());
    let plane = x.len().checked_div(scale.len()).unwrap_or(0);
    check("x", x.len(), plane * scale.len());
    plane
}
