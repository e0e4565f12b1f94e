//! SiLU, `y = x * sigmoid(x)`, with its gradient.

use pulp::Simd;
use rayon::prelude::*;

use crate::elementwise::{Elementwise, map, sigmoid, slope};
use crate::shape::check;

/// Elements of one task: large enough to hide its start, small enough for the first cache.
pub(crate) const CHUNK: usize = 1 << 14;

/// `y = x * sigmoid(x)`; `y` is overwritten.
///
/// # Panics
/// If the lengths differ.
pub fn silu(x: &[f32], y: &mut [f32]) {
    check("y", y.len(), x.len());
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(y, x)| map(Silu, [x], y));
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
    chunks.for_each(|(((dx, x), dy), residual)| map(SlopeAdd, [x, dy, residual], dx));
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
    chunks.for_each(|((dx, x), dy)| map(Slope, [x, dy], dx));
}

/// `x * sigmoid(x)`
#[derive(Clone, Copy)]
pub(crate) struct Silu;

impl Elementwise<1> for Silu {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x]: [S::f32s; 1]) -> S::f32s {
        simd.mul_f32s(x, sigmoid(simd, x))
    }
}

/// `dy * silu'(x)`
#[derive(Clone, Copy)]
pub(crate) struct Slope;

impl Elementwise<2> for Slope {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy]: [S::f32s; 2]) -> S::f32s {
        simd.mul_f32s(dy, slope(simd, x))
    }
}

/// `residual + dy * silu'(x)`
#[derive(Clone, Copy)]
struct SlopeAdd;

impl Elementwise<3> for SlopeAdd {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, dy, residual]: [S::f32s; 3]) -> S::f32s {
        simd.add_f32s(residual, Slope.apply(simd, [x, dy]))
    }
}
