//! The one-dimensional transforms of Winograd's F(2, 3) and F(4, 3): `m` outputs of a 3-tap filter from `m + 2` inputs
//! with `m + 2` products instead of `3 m`. Used along rows and columns they give F(m x m, 3x3).
//!
//! ```text
//! y = A^T [ (G g) * (B^T d) ]           forward
//! dg = G^T [ sum (A dy) * (B^T d) ]     gradient to the filter
//! ```
//!
//! Lavin and Gray 2016, arXiv 1509.09308, with other interpolation points for F(4, 3): 0, +-1/sqrt 2, +-sqrt 2 in place
//! of 0, +-1, +-2 halve the rounding error at the same cost.

use std::f32::consts::{FRAC_1_SQRT_2 as P, SQRT_2 as Q};

use pulp::Simd;

use crate::simd::splats;

/// The largest `m + 2`.
pub(super) const POINTS: usize = 6;
/// The largest `m`.
pub(super) const OUTPUTS: usize = 4;

/// One member of the family. Arrays have the size of the largest; a smaller one uses the first entries.
pub(super) trait Winograd: Send + Sync + 'static {
    /// Outputs along one side of a tile.
    const M: usize;
    /// Inputs, and products, along one side.
    const A: usize = Self::M + 2;

    /// `B^T d`
    fn input<S: Simd>(s: S, d: [S::f32s; POINTS]) -> [S::f32s; POINTS];
    /// `A^T m`
    fn output<S: Simd>(s: S, m: [S::f32s; POINTS]) -> [S::f32s; OUTPUTS];
    /// `A y`
    fn output_adjoint<S: Simd>(s: S, y: [S::f32s; OUTPUTS]) -> [S::f32s; POINTS];
    /// `G g`
    fn weight<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; POINTS];
    /// `G^T u`
    fn weight_adjoint<S: Simd>(s: S, u: [S::f32s; POINTS]) -> [S::f32s; 3];
}

/// Points 0, 1, -1, infinity.
pub(super) enum F2 {}
/// Points 0, 1/sqrt 2, -1/sqrt 2, sqrt 2, -sqrt 2, infinity.
pub(super) enum F4 {}

impl Winograd for F2 {
    const M: usize = 2;

    #[inline(always)]
    fn input<S: Simd>(s: S, d: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
        let zero = s.splat_f32s(0.0);
        [
            s.sub_f32s(d[0], d[2]),
            s.add_f32s(d[1], d[2]),
            s.sub_f32s(d[2], d[1]),
            s.sub_f32s(d[3], d[1]),
            zero,
            zero,
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::f32s; POINTS]) -> [S::f32s; OUTPUTS] {
        let zero = s.splat_f32s(0.0);
        let y0 = s.add_f32s(m[0], s.add_f32s(m[1], m[2]));
        let y1 = s.add_f32s(s.sub_f32s(m[1], m[2]), m[3]);
        [y0, y1, zero, zero]
    }

    #[inline(always)]
    fn output_adjoint<S: Simd>(s: S, y: [S::f32s; OUTPUTS]) -> [S::f32s; POINTS] {
        let zero = s.splat_f32s(0.0);
        [
            y[0],
            s.add_f32s(y[0], y[1]),
            s.sub_f32s(y[0], y[1]),
            y[1],
            zero,
            zero,
        ]
    }

    #[inline(always)]
    fn weight<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; POINTS] {
        let (zero, half) = (s.splat_f32s(0.0), s.splat_f32s(0.5));
        let even = s.mul_f32s(half, s.add_f32s(g[0], g[2]));
        let odd = s.mul_f32s(half, g[1]);
        [
            g[0],
            s.add_f32s(even, odd),
            s.sub_f32s(even, odd),
            g[2],
            zero,
            zero,
        ]
    }

    #[inline(always)]
    fn weight_adjoint<S: Simd>(s: S, u: [S::f32s; POINTS]) -> [S::f32s; 3] {
        let half = s.splat_f32s(0.5);
        let even = s.mul_f32s(half, s.add_f32s(u[1], u[2]));
        let odd = s.mul_f32s(half, s.sub_f32s(u[1], u[2]));
        [s.add_f32s(u[0], even), odd, s.add_f32s(even, u[3])]
    }
}

impl Winograd for F4 {
    const M: usize = 4;

    #[inline(always)]
    fn input<S: Simd>(s: S, d: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
        // Row k holds the coefficients of the product of (x - point) over all other points; those of +-p share their
        // even and odd halves.
        let [p, q, half, two, c] = splats(s, [P, Q, 0.5, 2.0, -2.5]);
        let even_p = s.negate_mul_add_e_f32s(two, d[2], d[4]);
        let odd_p = s.mul_f32s(p, s.negate_mul_add_e_f32s(two, d[1], d[3]));
        let even_q = s.negate_mul_add_e_f32s(half, d[2], d[4]);
        let odd_q = s.mul_f32s(q, s.negate_mul_add_e_f32s(half, d[1], d[3]));
        [
            s.mul_add_e_f32s(c, d[2], s.add_f32s(d[0], d[4])),
            s.add_f32s(even_p, odd_p),
            s.sub_f32s(even_p, odd_p),
            s.add_f32s(even_q, odd_q),
            s.sub_f32s(even_q, odd_q),
            s.mul_add_e_f32s(c, d[3], s.add_f32s(d[1], d[5])),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::f32s; POINTS]) -> [S::f32s; OUTPUTS] {
        let [p, q, half, two] = splats(s, [P, Q, 0.5, 2.0]);
        let (even_p, odd_p) = (
            s.add_f32s(m[1], m[2]),
            s.mul_f32s(p, s.sub_f32s(m[1], m[2])),
        );
        let (even_q, odd_q) = (
            s.add_f32s(m[3], m[4]),
            s.mul_f32s(q, s.sub_f32s(m[3], m[4])),
        );
        [
            s.add_f32s(m[0], s.add_f32s(even_p, even_q)),
            s.add_f32s(odd_p, odd_q),
            s.mul_add_e_f32s(half, even_p, s.mul_f32s(two, even_q)),
            s.mul_add_e_f32s(half, odd_p, s.mul_add_e_f32s(two, odd_q, m[5])),
        ]
    }

    #[inline(always)]
    fn output_adjoint<S: Simd>(s: S, y: [S::f32s; OUTPUTS]) -> [S::f32s; POINTS] {
        let [p, q, half, two] = splats(s, [P, Q, 0.5, 2.0]);
        let even_p = s.mul_add_e_f32s(half, y[2], y[0]);
        let odd_p = s.mul_f32s(p, s.mul_add_e_f32s(half, y[3], y[1]));
        let even_q = s.mul_add_e_f32s(two, y[2], y[0]);
        let odd_q = s.mul_f32s(q, s.mul_add_e_f32s(two, y[3], y[1]));
        [
            y[0],
            s.add_f32s(even_p, odd_p),
            s.sub_f32s(even_p, odd_p),
            s.add_f32s(even_q, odd_q),
            s.sub_f32s(even_q, odd_q),
            y[3],
        ]
    }

    #[inline(always)]
    fn weight<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; POINTS] {
        // The points' denominators are -3/2 and 6.
        let [half, two] = splats(s, [0.5, 2.0]);
        let [scale_p, scale_q] = splats(s, [-2.0 / 3.0, 1.0 / 6.0]);
        let [odd_scale_p, odd_scale_q] = splats(s, [P * (-2.0 / 3.0), Q / 6.0]);
        let even_p = s.mul_f32s(scale_p, s.mul_add_e_f32s(half, g[2], g[0]));
        let odd_p = s.mul_f32s(odd_scale_p, g[1]);
        let even_q = s.mul_f32s(scale_q, s.mul_add_e_f32s(two, g[2], g[0]));
        let odd_q = s.mul_f32s(odd_scale_q, g[1]);
        [
            g[0],
            s.add_f32s(even_p, odd_p),
            s.sub_f32s(even_p, odd_p),
            s.add_f32s(even_q, odd_q),
            s.sub_f32s(even_q, odd_q),
            g[2],
        ]
    }

    #[inline(always)]
    fn weight_adjoint<S: Simd>(s: S, u: [S::f32s; POINTS]) -> [S::f32s; 3] {
        let [half, two] = splats(s, [0.5, 2.0]);
        let [scale_p, scale_q] = splats(s, [-2.0 / 3.0, 1.0 / 6.0]);
        let [odd_scale_p, odd_scale_q] = splats(s, [P * (-2.0 / 3.0), Q / 6.0]);
        let even_p = s.mul_f32s(scale_p, s.add_f32s(u[1], u[2]));
        let even_q = s.mul_f32s(scale_q, s.add_f32s(u[3], u[4]));
        [
            s.add_f32s(u[0], s.add_f32s(even_p, even_q)),
            s.mul_add_e_f32s(
                odd_scale_p,
                s.sub_f32s(u[1], u[2]),
                s.mul_f32s(odd_scale_q, s.sub_f32s(u[3], u[4])),
            ),
            s.mul_add_e_f32s(half, even_p, s.mul_add_e_f32s(two, even_q, u[5])),
        ]
    }
}
