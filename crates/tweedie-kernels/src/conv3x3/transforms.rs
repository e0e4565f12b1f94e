//! The two-dimensional transforms, one channel of one block of tiles at a time.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use crate::elementwise::{Elementwise, Identity};
use crate::shared::Shared;
use crate::simd::{load, store};

use super::sums::Watch;
use super::tiles::{Added, Block, phase};
use super::winograd::{OUTPUTS, POINTS, Winograd};

/// The products of one channel of a block: `A * A` rows of `width` lanes, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) memory: Shared<'a>,
    pub(super) at: usize,
    pub(super) stride: usize,
}

impl Rows<'_> {
    /// Writes a vector of row `a`, from lane `k` on.
    #[inline(always)]
    #[expect(unsafe_code, reason = "the rows of channels interleave")]
    fn set<S: Simd>(&self, a: usize, k: usize, value: S::f32s) {
        let at = self.at + a * self.stride + k;
        // SAFETY: a channel's rows belong to the task that transforms it, which has no other part at this moment.
        store::<S>(unsafe { self.memory.part(at, S::F32_LANES) }, value);
    }
}

/// `B^T d B` for one channel.
pub(super) struct Input<'a, F, E> {
    pub(super) block: &'a Block,
    /// Begins at the channel's plane in the first image.
    pub(super) x: &'a [f32],
    /// What happens to each pixel before.
    pub(super) before: E,
    pub(super) phases: &'a mut [f32],
    pub(super) out: Rows<'a>,
    pub(super) family: PhantomData<F>,
}

impl<F: Winograd, E: Elementwise<1>> WithSimd for Input<'_, F, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            block,
            x,
            before,
            phases,
            out,
            ..
        } = self;
        block.gather(simd, before, x, phases);
        let zero = simd.splat_f32s(0.0);
        for k in (0..block.width).step_by(S::F32_LANES) {
            let half = rows::<_, F>(
                [zero; POINTS],
                #[inline(always)]
                |i| {
                    let mut d = [zero; POINTS];
                    for j in 0..F::A {
                        d[j] = block.pixel(simd, phases, i, j, k);
                    }
                    F::input(simd, d)
                },
            );
            for b in 0..F::A {
                let column = F::input(simd, column(&half, b));
                for a in 0..F::A {
                    out.set::<S>(a * F::A + b, k, column[a]);
                }
            }
        }
    }
}

/// `A^T m A`, plus a bias and perhaps another tensor of the output's shape, for one channel.
pub(super) struct Output<'a, F, W> {
    pub(super) block: &'a Block,
    /// The channel's products: `A * A` rows of lanes, `stride` apart.
    pub(super) products: &'a [f32],
    pub(super) stride: usize,
    pub(super) bias: f32,
    pub(super) residual: Option<Added<'a>>,
    pub(super) phases: &'a mut [f32],
    /// Sees what is written.
    pub(super) watch: W,
    pub(super) y: &'a Shared<'a>,
    /// Start of the channel's plane in the first image.
    pub(super) base: usize,
    pub(super) family: PhantomData<F>,
}

impl<F: Winograd, W: Watch> WithSimd for Output<'_, F, W> {
    type Output = W;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> W {
        let Self {
            block,
            products,
            stride,
            bias,
            residual,
            phases,
            mut watch,
            y,
            base,
            ..
        } = self;
        let (zero, bias) = (simd.splat_f32s(0.0), simd.splat_f32s(bias));
        for k in (0..block.width).step_by(S::F32_LANES) {
            let half = rows::<_, F>(
                [zero; OUTPUTS],
                #[inline(always)]
                |a| {
                    let mut row = [zero; POINTS];
                    for b in 0..F::A {
                        row[b] = load::<S>(&products[(a * F::A + b) * stride + k..]);
                    }
                    F::output(simd, row)
                },
            );
            for j in 0..F::M {
                let column = F::output(simd, column(&half, j));
                for i in 0..F::M {
                    let value = simd.add_f32s(column[i], bias);
                    store::<S>(&mut phases[phase(F::M, i, j, k)..], value);
                }
            }
        }
        let first = phases[phase(F::M, 0, 0, 0)] + residual.map_or(0.0, |r| r.pixel(0, 0, 0));
        watch.begin(first);
        block.scatter(simd, phases, residual, &mut watch, (y, base));
        watch
    }
}

/// `A dy A^T` for one channel: the adjoint of [`Output`].
pub(super) struct OutputAdjoint<'a, F> {
    pub(super) block: &'a Block,
    /// Begins at the channel's plane in the first image.
    pub(super) dy: &'a [f32],
    pub(super) phases: &'a mut [f32],
    pub(super) out: Rows<'a>,
    pub(super) family: PhantomData<F>,
}

impl<F: Winograd> WithSimd for OutputAdjoint<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            block,
            dy,
            phases,
            out,
            ..
        } = self;
        block.gather(simd, Identity, dy, phases);
        let zero = simd.splat_f32s(0.0);
        for k in (0..block.width).step_by(S::F32_LANES) {
            let mut half = [[zero; POINTS]; OUTPUTS];
            for i in 0..F::M {
                let mut row = [zero; OUTPUTS];
                for j in 0..F::M {
                    row[j] = load::<S>(&phases[phase(F::M, i, j, k)..]);
                }
                half[i] = F::output_adjoint(simd, row);
            }
            for b in 0..F::A {
                let column = F::output_adjoint(simd, column(&half, b));
                for a in 0..F::A {
                    out.set::<S>(a * F::A + b, k, column[a]);
                }
            }
        }
    }
}

/// What `row` says for each of a tile's rows of points. Written out: an array of vectors that is filled with zeros first
/// costs a call of `memset` each time.
#[inline(always)]
fn rows<T: Copy, F: Winograd>(none: T, row: impl Fn(usize) -> T) -> [T; POINTS] {
    let [a, b, c, d] = [row(0), row(1), row(2), row(3)];
    match F::A {
        POINTS => [a, b, c, d, row(4), row(5)],
        _ => [a, b, c, d, none, none],
    }
}

#[inline(always)]
pub(super) fn column<T: Copy, const R: usize, const C: usize>(
    rows: &[[T; C]; R],
    j: usize,
) -> [T; R] {
    let mut out = [rows[0][j]; R];
    for i in 0..R {
        out[i] = rows[i][j];
    }
    out
}
