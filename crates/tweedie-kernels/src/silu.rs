//! SiLU, `y = x * sigmoid(x)`, with its gradient.
//!
//! Plain loops, which the compiler turns into vectors of whatever width [`simd::run`] selects.

use rayon::prelude::*;

use crate::shape::check;
use crate::simd;

/// Elements of one task: large enough to hide its start, small enough for the first cache.
pub(crate) const CHUNK: usize = 1 << 12;

/// `exp(x)` within 2 units in the last place, for `x` in [-87, 88]; beyond, the value at the end.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
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
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The derivative of SiLU.
#[inline(always)]
pub(crate) fn slope(x: f32) -> f32 {
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

/// `dx = residual + dy * silu'(x)`, the gradient where `x` went another way as well; `dx` is overwritten.
///
/// # Panics
/// If the lengths differ.
pub fn silu_gradient_add(x: &[f32], dy: &[f32], residual: &[f32], dx: &mut [f32]) {
    check("dy", dy.len(), x.len());
    check("residual", residual.len(), x.len());
    check("dx", dx.len(), x.len());
    let chunks = dx
        .par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .zip(dy.par_chunks(CHUNK))
        .zip(residual.par_chunks(CHUNK));
    chunks.for_each(|(((dx, x), dy), residual)| {
        simd::run(
            #[inline(always)]
            || {
                let terms = x.iter().zip(dy).zip(residual);
                dx.iter_mut()
                    .zip(terms)
                    .for_each(|(dx, ((&x, dy), residual))| *dx = residual + dy * slope(x));
            },
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
