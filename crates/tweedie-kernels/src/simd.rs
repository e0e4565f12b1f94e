//! The instruction set, chosen once at run time, and the few vector idioms that the kernels share.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};

/// Runs a kernel with the widest vectors of this machine.
///
/// `TWEEDIE_SIMD=avx2` or `scalar` in the environment selects a narrower path, so that one machine can test them all.
#[inline]
pub(crate) fn run<K: WithSimd>(kernel: K) -> K::Output {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    ARCH.get_or_init(|| chosen(std::env::var("TWEEDIE_SIMD").as_deref().unwrap_or("")))
        .dispatch(OnAlignedStack(kernel))
}

/// Runs a kernel in a function whose stack begins at a cache line.
///
/// Vectors that find no room in registers go to the stack, which the compiler aligns for the sake of a variable but not for
/// theirs: where the caller's stack ends elsewhere, each of them would straddle two lines, which costs 3 to 5 % of a
/// convolution.
struct OnAlignedStack<K>(K);

impl<K: WithSimd> WithSimd for OnAlignedStack<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> K::Output {
        let mut line = MaybeUninit::<Line>::uninit();
        std::hint::black_box(&mut line);
        self.0.with_simd(simd)
    }
}

#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "it only has a place")] [u8; 64]);

fn chosen(name: &str) -> Arch {
    match name {
        "scalar" => Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        "avx2" => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
        _ => Arch::new(),
    }
}

/// The first vector of `from`.
#[inline(always)]
pub(crate) fn load<S: Simd>(from: &[f32]) -> S::f32s {
    S::as_simd_f32s(&from[..S::F32_LANES]).0[0]
}

/// Writes `value` to the start of `to`.
#[inline(always)]
pub(crate) fn store<S: Simd>(to: &mut [f32], value: S::f32s) {
    S::as_mut_simd_f32s(&mut to[..S::F32_LANES]).0[0] = value;
}

/// A vector of each number. `array::map` would not be inlined, and so lie outside of the code that has the vectors.
#[inline(always)]
pub(crate) fn splats<S: Simd, const N: usize>(simd: S, values: [f32; N]) -> [S::f32s; N] {
    let mut vectors = [simd.splat_f32s(0.0); N];
    for i in 0..N {
        vectors[i] = simd.splat_f32s(values[i]);
    }
    vectors
}

/// A kernel that adds numbers up in sixteen lanes whatever the machine's vectors, so that the order of sums is the same on
/// each. (The compiler does not turn such loops into vectors by itself.)
pub(crate) trait Sixteen {
    type Output;

    /// With `V` vectors, together sixteen lanes.
    fn run<S: Simd, const V: usize>(self, simd: S) -> Self::Output;
}

/// Runs it.
pub(crate) fn run_sixteen<K: Sixteen>(kernel: K) -> K::Output {
    run(BySixteen(kernel))
}

struct BySixteen<K>(K);

impl<K: Sixteen> WithSimd for BySixteen<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> K::Output {
        match S::F32_LANES {
            16 => self.0.run::<S, 1>(simd),
            8 => self.0.run::<S, 2>(simd),
            4 => self.0.run::<S, 4>(simd),
            _ => self.0.run::<S, 16>(simd),
        }
    }
}

/// The sum of sixteen lanes.
#[inline(always)]
pub(crate) fn total<S: Simd>(vectors: &[S::f32s]) -> f64 {
    let mut lanes = [0.0; 16];
    S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(vectors);
    let mut total = 0.0;
    for lane in lanes {
        total += f64::from(lane);
    }
    total
}

/// Asks for the line with `slice[at]`, which may lie beyond the end: nothing is read.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the intrinsic takes a pointer")
)]
pub(crate) fn prefetch(slice: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}

/// Transposes each aligned 4x4 block of four vectors: afterwards lane `4g + i` of vector `j` is lane `4g + j` of the
/// old vector `i`. Needs at least four lanes. It is its own inverse.
#[inline(always)]
pub(crate) fn transpose_quads<S: Simd>(simd: S, v: [S::f32s; 4]) -> [S::f32s; 4] {
    // pulp leaves the lane order of this shuffle open; on every path it is the 4x4 transpose (see the test below).
    simd.deinterleave_shfl_f32s(v)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Check;

    impl WithSimd for Check {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let lanes = S::F32_LANES;
            if lanes < 4 {
                return;
            }
            let mut rows = [[0.0_f32; 64]; 4];
            for (i, row) in rows.iter_mut().enumerate() {
                for (lane, value) in row.iter_mut().enumerate() {
                    *value = (100 * i + lane) as f32;
                }
            }
            let out = transpose_quads(simd, [0, 1, 2, 3].map(|i| load::<S>(&rows[i])));
            for (j, vector) in out.into_iter().enumerate() {
                let mut got = [0.0; 64];
                store::<S>(&mut got, vector);
                for lane in 0..lanes {
                    assert_eq!(got[lane], (100 * (lane % 4) + lane / 4 * 4 + j) as f32);
                }
            }
        }
    }

    #[test]
    fn quads_are_transposed_on_every_path() {
        for name in ["", "avx2", "scalar"] {
            chosen(name).dispatch(Check);
        }
    }
}
