//! SiLU after a scale and shift of each number, `y = silu(x * (1 + scale) + shift)`, with gradients: what FiLM becomes where
//! every pixel is told a noise level of its own.

use pulp::Simd;
use rayon::prelude::*;

use crate::elementwise::{Elementwise, map};
use crate::shape::check;
use crate::silu::{CHUNK, Silu, Slope};

/// `y = silu(x * (1 + scale) + shift)`, where `x` and `y` are `[batch, n]` and `film` is `[batch, 2n]`, all scales of a
/// picture before all its shifts; `y` is overwritten.
///
/// # Panics
/// If a length does not fit.
pub fn film_map_silu(batch: usize, x: &[f32], film: &[f32], y: &mut [f32]) {
    let n = numbers(batch, x, film);
    check("y", y.len(), x.len());
    if n == 0 {
        return;
    }
    let pictures = y.par_chunks_mut(n).zip(x.par_chunks(n));
    pictures
        .zip(film.par_chunks(2 * n))
        .for_each(|((y, x), film)| {
            let (scale, shift) = film.split_at(n);
            let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
            chunks
                .zip(scale.par_chunks(CHUNK).zip(shift.par_chunks(CHUNK)))
                .for_each(|((y, x), (scale, shift))| map(Activated, [x, scale, shift], y));
        });
}

/// The gradients of [`film_map_silu`] to `x` and to `film`, of which `dx` and `dfilm` are overwritten.
///
/// # Panics
/// If a length does not fit.
pub fn film_map_silu_gradient(
    batch: usize,
    x: &[f32],
    film: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dfilm: &mut [f32],
) {
    let n = numbers(batch, x, film);
    check("dy", dy.len(), x.len());
    check("dx", dx.len(), x.len());
    check("dfilm", dfilm.len(), film.len());
    if n == 0 {
        return;
    }
    let pictures = x.par_chunks(n).zip(dy.par_chunks(n));
    let films = film.par_chunks(2 * n).zip(dfilm.par_chunks_mut(2 * n));
    pictures
        .zip(films)
        .zip(dx.par_chunks_mut(n))
        .for_each(|(((x, dy), (film, dfilm)), dx)| {
            let (scale, shift) = film.split_at(n);
            let (dscale, dshift) = dfilm.split_at_mut(n);
            let given = x.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK));
            let given = given.zip(scale.par_chunks(CHUNK).zip(shift.par_chunks(CHUNK)));
            let wanted = dscale
                .par_chunks_mut(CHUNK)
                .zip(dshift.par_chunks_mut(CHUNK));
            let wanted = wanted.zip(dx.par_chunks_mut(CHUNK));
            given
                .zip(wanted)
                .for_each(|(((x, dy), (scale, shift)), ((dscale, dshift), dx))| {
                    // The gradient to the shift is that to the sum, of which the others are multiples.
                    map(ActivatedSlope, [x, scale, shift, dy], dshift);
                    map(Product, [dshift, x], dscale);
                    map(Scaled, [dshift, scale], dx);
                });
        });
}

/// `x * (1 + scale) + shift`
#[inline(always)]
fn modulated<S: Simd>(simd: S, [x, scale, shift]: [S::f32s; 3]) -> S::f32s {
    simd.mul_add_e_f32s(x, scale, simd.add_f32s(x, shift))
}

/// `silu(u)`
#[derive(Clone, Copy)]
struct Activated;

impl Elementwise<3> for Activated {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, inputs: [S::f32s; 3]) -> S::f32s {
        Silu.apply(simd, [modulated(simd, inputs)])
    }
}

/// `dy * silu'(u)`
#[derive(Clone, Copy)]
struct ActivatedSlope;

impl Elementwise<4> for ActivatedSlope {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [x, scale, shift, dy]: [S::f32s; 4]) -> S::f32s {
        Slope.apply(simd, [modulated(simd, [x, scale, shift]), dy])
    }
}

/// `du * x`
#[derive(Clone, Copy)]
struct Product;

impl Elementwise<2> for Product {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [du, x]: [S::f32s; 2]) -> S::f32s {
        simd.mul_f32s(du, x)
    }
}

/// `du * (1 + scale)`
#[derive(Clone, Copy)]
struct Scaled;

impl Elementwise<2> for Scaled {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [du, scale]: [S::f32s; 2]) -> S::f32s {
        simd.mul_add_e_f32s(du, scale, du)
    }
}

/// Numbers of one picture.
fn numbers(batch: usize, x: &[f32], film: &[f32]) -> usize {
    let n = x.len().checked_div(batch).unwrap_or(0);
    check("x", x.len(), n * batch);
    check("film", film.len(), 2 * x.len());
    n
}
