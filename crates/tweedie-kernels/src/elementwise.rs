//! Functions of one number or a few, applied to slices; and the functions themselves, on vectors.
//!
//! Written for vectors rather than left to the compiler: it does not fuse multiplications with additions, and divides,
//! which takes longer than all the rest of a sigmoid.

use pulp::{Simd, WithSimd};

use crate::simd::{self, load, splats, store};

/// A function of `N` numbers.
pub(crate) trait Elementwise<const N: usize>: Copy {
    /// Of `N` vectors.
    fn apply<S: Simd>(self, simd: S, x: [S::f32s; N]) -> S::f32s;
}

/// `x`
#[derive(Clone, Copy)]
pub(crate) struct Identity;

impl Elementwise<1> for Identity {
    #[inline(always)]
    fn apply<S: Simd>(self, _: S, [x]: [S::f32s; 1]) -> S::f32s {
        x
    }
}

/// `out[k] = f(inputs[0][k], ..)` on this thread; `out` is overwritten. All have the same length.
pub(crate) fn map<const N: usize>(f: impl Elementwise<N>, inputs: [&[f32]; N], out: &mut [f32]) {
    simd::run(Map { f, inputs, out });
}

struct Map<'a, const N: usize, F> {
    f: F,
    inputs: [&'a [f32]; N],
    out: &'a mut [f32],
}

impl<const N: usize, F: Elementwise<N>> WithSimd for Map<'_, N, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, inputs, out } = self;
        let whole = out.len() / S::F32_LANES * S::F32_LANES;
        for k in (0..whole).step_by(S::F32_LANES) {
            let mut x = [simd.splat_f32s(0.0); N];
            for i in 0..N {
                x[i] = load::<S>(&inputs[i][k..]);
            }
            store::<S>(&mut out[k..], f.apply(simd, x));
        }
        let rest = out.len() - whole;
        if rest > 0 {
            let mut x = [simd.splat_f32s(0.0); N];
            for i in 0..N {
                let mut lanes = [0.0; 16];
                lanes[..rest].copy_from_slice(&inputs[i][whole..]);
                x[i] = load::<S>(&lanes);
            }
            let mut lanes = [0.0; 16];
            store::<S>(&mut lanes, f.apply(simd, x));
            out[whole..].copy_from_slice(&lanes[..rest]);
        }
    }
}

/// `exp(x)` within 2 units in the last place, for `x` in [-87, 87]; beyond, the value at the end. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let e = exp_of_negative(simd, simd.neg_f32s(x));
    simd.select_f32s(simd.equal_f32s(x, x), e, x)
}

/// `1 / x` within 2 units in the last place, for normal positive `x` with a normal inverse. NaN stays NaN.
#[inline(always)]
fn inverse<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // The exponent's bits subtracted, and the rest nearly so, give the inverse to 12 %; each of Newton's steps doubles the
    // number of digits.
    let guess = simd.sub_u32s(simd.splat_u32s(0x7EF3_11C3), simd.transmute_u32s_f32s(x));
    let one = simd.splat_f32s(1.0);
    let mut y = simd.transmute_f32s_u32s(guess);
    for _ in 0..3 {
        let missing = simd.negate_mul_add_e_f32s(x, y, one);
        y = simd.mul_add_e_f32s(y, missing, y);
    }
    y
}

/// `1 / (1 + exp(-x))` for whoever multiplies it by `x`: a NaN need not come through.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    inverse(simd, simd.add_f32s(one, exp_of_negative(simd, x)))
}

/// `exp(-x)` as [`exp()`] gives it, but for a NaN, of which anything may become.
#[inline(always)]
fn exp_of_negative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let [lowest, highest] = splats(simd, [-87.0, 87.0]);
    let x = simd.min_f32s(simd.max_f32s(x, lowest), highest);
    // -x = n ln 2 - r. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. Of the two parts of ln 2, the
    // first's products with small integers are exact.
    let [log2_e, round] = splats(simd, [-std::f32::consts::LOG2_E, 12_582_912.0]);
    let [ln2_high, ln2_low] = splats(simd, [0.693_359_4, -2.121_944_4e-4]);
    let shifted = simd.mul_add_e_f32s(x, log2_e, round);
    let n = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_e_f32s(n, ln2_high, x);
    let r = simd.mul_add_e_f32s(n, ln2_low, r);
    // exp(-r) for |r| <= ln(2) / 2, with the smallest relative error, 2e-9.
    let coefficients = [
        -8.374_164e-3,
        4.166_8e-2,
        -1.666_643_1e-1,
        4.999_999_4e-1,
        -1.0,
        1.0,
    ];
    let mut p = simd.splat_f32s(1.384_364_4e-3);
    for c in splats(simd, coefficients) {
        p = simd.mul_add_e_f32s(p, r, c);
    }
    let n = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), n))
}

/// The derivative of `x * sigmoid(x)`.
#[inline(always)]
pub(crate) fn slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // With e = exp(-x), 1 - s = e s: a difference would lose digits where s is close to 1. The product e s is at most 1;
    // x e would overflow below -84.
    let one = simd.splat_f32s(1.0);
    let e = exp_of_negative(simd, x);
    let s = inverse(simd, simd.add_f32s(one, e));
    simd.mul_f32s(s, simd.mul_add_e_f32s(x, simd.mul_f32s(e, s), one))
}
