//! Small matrix products on packed blocks: the inner loops of every convolution.
//!
//! A block of columns is 16, 32 or 48 numbers wide, that is one to three AVX-512 vectors; eight rows of it are kept in
//! registers (four where there are only sixteen registers).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::scratch::Scratch;
use crate::simd::{load, prefetch, store, transpose_quads};

/// Rows of the left factor that are packed together.
pub(crate) const PANEL: usize = 8;
/// Column blocks are a multiple of this wide, ..
pub(crate) const STEP: usize = 16;
/// .. and at most this.
pub(crate) const WIDEST: usize = 48;
/// Depth of one block of [`AddProduct`].
pub(crate) const DEPTH: usize = 32;

/// Cuts columns, a multiple of `STEP`, into blocks: where each begins and how wide it is. As few as possible, and none
/// narrow beside a wide one.
pub(crate) fn column_blocks(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let width = match columns - at {
            0 => return None,
            64 => 32,
            left => left.min(WIDEST),
        };
        at += width;
        Some((at - width, width))
    })
}

/// A matrix as `[panel][column][PANEL]`, the left factor of [`Product`]; rows are filled up with zeros to whole panels.
pub(crate) fn pack(
    rows: usize,
    columns: usize,
    value: impl Fn(usize, usize) -> f32 + Sync,
) -> Scratch {
    let mut packed = Scratch::take(rows.next_multiple_of(PANEL) * columns);
    packed
        .par_chunks_mut((PANEL * columns).max(1))
        .enumerate()
        .for_each(|(panel, out)| {
            for (column, out) in out.chunks_exact_mut(PANEL).enumerate() {
                for (r, out) in out.iter_mut().enumerate() {
                    let row = panel * PANEL + r;
                    *out = if row < rows { value(row, column) } else { 0.0 };
                }
            }
        });
    packed
}

/// `out[r][j] += sum over k of a[k][r] * b[k][j]`; `=` in place of `+=` if `fresh`.
pub(crate) struct Product<'a> {
    /// `[panel][depth][PANEL]`: the rows of `out` in panels.
    pub(crate) a: &'a [f32],
    /// `[depth][width]`
    pub(crate) b: &'a [f32],
    /// `[rows][width]`. The last panel may have fewer rows than `PANEL`.
    pub(crate) out: &'a mut [f32],
    pub(crate) depth: usize,
    pub(crate) width: usize,
    pub(crate) fresh: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.width {
            16 => self.blocks::<S, 16>(simd),
            32 => self.blocks::<S, 32>(simd),
            48 => self.blocks::<S, 48>(simd),
            other => unreachable!("blocks are 16, 32 or 48 wide, not {other}"),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const W: usize>(self, simd: S) {
        let (a, _) = self.a.as_chunks::<PANEL>();
        let b = &self.b.as_chunks::<W>().0[..self.depth];
        let (out, _) = self.out.as_chunks_mut::<W>();
        for (out, a) in out.chunks_mut(PANEL).zip(a.chunks_exact(self.depth)) {
            // Two columns at a time spare a few per cent, where the compiler still finds registers for all sums.
            if S::REGISTER_COUNT >= 32 {
                product_rows::<S, W, 8, 2>(simd, a, b, out, 0, self.fresh);
            } else {
                product_rows::<S, W, 4, 1>(simd, a, b, out, 0, self.fresh);
                product_rows::<S, W, 4, 1>(simd, a, b, out, 4, self.fresh);
            }
        }
    }
}

#[inline(always)]
fn product_rows<S: Simd, const W: usize, const R: usize, const U: usize>(
    simd: S,
    a: &[[f32; PANEL]],
    b: &[[f32; W]],
    out: &mut [[f32; W]],
    r0: usize,
    fresh: bool,
) {
    let vectors = W / S::F32_LANES;
    if vectors.is_multiple_of(3) {
        for j in (0..vectors).step_by(3) {
            product_tile::<S, W, R, 3, U>(simd, a, b, out, r0, j, fresh);
        }
    } else if vectors.is_multiple_of(2) {
        for j in (0..vectors).step_by(2) {
            product_tile::<S, W, R, 2, U>(simd, a, b, out, r0, j, fresh);
        }
    } else {
        for j in 0..vectors {
            product_tile::<S, W, R, 1, U>(simd, a, b, out, r0, j, fresh);
        }
    }
}

/// `R` rows times `V` vectors from vector `j` on, all in registers, `U` columns of `a` at a time.
#[inline(always)]
fn product_tile<S: Simd, const W: usize, const R: usize, const V: usize, const U: usize>(
    simd: S,
    a: &[[f32; PANEL]],
    b: &[[f32; W]],
    out: &mut [[f32; W]],
    r0: usize,
    j: usize,
    fresh: bool,
) {
    let mut sum = [[simd.splat_f32s(0.0); V]; R];
    if !fresh {
        for r in 0..R {
            if let Some(out) = out.get(r0 + r) {
                sum[r].copy_from_slice(&S::as_simd_f32s(out).0[j..j + V]);
            }
        }
    }
    let panel = a.as_flattened();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<U>(), b.as_chunks::<U>());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        // Line by line the next panel, which lies behind this one: filters are too many for the cache.
        let k = i * U;
        if k.is_multiple_of(STEP / PANEL) {
            prefetch(panel, panel.len() + k * PANEL);
        }
        for u in 0..U {
            add_outer(simd, &a[u], &b[u], r0, j, &mut sum);
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        add_outer(simd, a, b, r0, j, &mut sum);
    }
    for r in 0..R {
        if let Some(out) = out.get_mut(r0 + r) {
            S::as_mut_simd_f32s(out).0[j..j + V].copy_from_slice(&sum[r]);
        }
    }
}

/// Adds the products of `R` numbers and `V` vectors.
#[inline(always)]
fn add_outer<S: Simd, const W: usize, const R: usize, const V: usize>(
    simd: S,
    a: &[f32; PANEL],
    b: &[f32; W],
    r0: usize,
    j: usize,
    sum: &mut [[S::f32s; V]; R],
) {
    let b = &S::as_simd_f32s(b).0[j..j + V];
    for r in 0..R {
        let a = simd.splat_f32s(a[r0 + r]);
        for v in 0..V {
            sum[r][v] = simd.mul_add_e_f32s(a, b[v], sum[r][v]);
        }
    }
}

/// `out[r][j] += sum over t of a[r][t] * b[t][j]`, with `DEPTH` values of `t`; `=` in place of `+=` if `fresh`.
pub(crate) struct AddProduct<'a> {
    /// `[rows][DEPTH]`, rows a multiple of `PANEL`.
    pub(crate) a: &'a [f32],
    /// `[DEPTH][width]`
    pub(crate) b: &'a [f32],
    /// `[rows][width]`
    pub(crate) out: &'a mut [f32],
    pub(crate) width: usize,
    pub(crate) fresh: bool,
}

impl WithSimd for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.width {
            16 => self.blocks::<S, 16>(simd),
            32 => self.blocks::<S, 32>(simd),
            48 => self.blocks::<S, 48>(simd),
            other => unreachable!("blocks are 16, 32 or 48 wide, not {other}"),
        }
    }
}

impl AddProduct<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const W: usize>(self, simd: S) {
        let (a, _) = self.a.as_chunks::<DEPTH>();
        let (b, _) = self.b.as_chunks::<W>();
        let b: &[[f32; W]; DEPTH] = b.try_into().expect("`b` is DEPTH rows");
        let (out, _) = self.out.as_chunks_mut::<W>();
        if S::REGISTER_COUNT >= 32 {
            for (out, a) in out
                .as_chunks_mut::<8>()
                .0
                .iter_mut()
                .zip(a.as_chunks::<8>().0)
            {
                add_rows::<S, W, 8>(simd, a, b, out, self.fresh);
            }
        } else {
            for (out, a) in out
                .as_chunks_mut::<4>()
                .0
                .iter_mut()
                .zip(a.as_chunks::<4>().0)
            {
                add_rows::<S, W, 4>(simd, a, b, out, self.fresh);
            }
        }
    }
}

#[inline(always)]
fn add_rows<S: Simd, const W: usize, const R: usize>(
    simd: S,
    a: &[[f32; DEPTH]; R],
    b: &[[f32; W]; DEPTH],
    out: &mut [[f32; W]; R],
    fresh: bool,
) {
    let vectors = W / S::F32_LANES;
    if vectors.is_multiple_of(3) {
        for j in (0..vectors).step_by(3) {
            add_tile::<S, W, R, 3>(simd, a, b, out, j, fresh);
        }
    } else if vectors.is_multiple_of(2) {
        for j in (0..vectors).step_by(2) {
            add_tile::<S, W, R, 2>(simd, a, b, out, j, fresh);
        }
    } else {
        for j in 0..vectors {
            add_tile::<S, W, R, 1>(simd, a, b, out, j, fresh);
        }
    }
}

#[inline(always)]
fn add_tile<S: Simd, const W: usize, const R: usize, const V: usize>(
    simd: S,
    a: &[[f32; DEPTH]; R],
    b: &[[f32; W]; DEPTH],
    out: &mut [[f32; W]; R],
    j: usize,
    fresh: bool,
) {
    let mut sum = [[simd.splat_f32s(0.0); V]; R];
    if !fresh {
        for r in 0..R {
            sum[r].copy_from_slice(&S::as_simd_f32s(&out[r]).0[j..j + V]);
        }
    }
    for t in 0..DEPTH {
        let b = &S::as_simd_f32s(&b[t]).0[j..j + V];
        for r in 0..R {
            let a = simd.splat_f32s(a[r][t]);
            for v in 0..V {
                sum[r][v] = simd.mul_add_e_f32s(a, b[v], sum[r][v]);
            }
        }
    }
    for r in 0..R {
        S::as_mut_simd_f32s(&mut out[r]).0[j..j + V].copy_from_slice(&sum[r]);
    }
}

/// Transposes sixteen rows of `DEPTH` numbers into columns `at..at + 16` of rows that are `width` apart.
pub(crate) struct Transpose<'a> {
    /// `[16][DEPTH]`
    pub(crate) from: &'a [f32],
    /// `[DEPTH][width]`
    pub(crate) to: &'a mut [f32],
    pub(crate) width: usize,
    pub(crate) at: usize,
}

impl WithSimd for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            from,
            to,
            width,
            at,
        } = self;
        let (from, _) = from.as_chunks::<DEPTH>();
        let from: &[[f32; DEPTH]; STEP] = from.try_into().expect("sixteen rows");
        let lanes = S::F32_LANES;
        if lanes < 4 {
            for (t, row) in to.chunks_exact_mut(width).enumerate() {
                for (value, from) in row[at..at + STEP].iter_mut().zip(from) {
                    *value = from[t];
                }
            }
            return;
        }
        for t in (0..DEPTH).step_by(lanes) {
            for (g, quad) in from.as_chunks::<4>().0.iter().enumerate() {
                let rows = [
                    load::<S>(&quad[0][t..]),
                    load::<S>(&quad[1][t..]),
                    load::<S>(&quad[2][t..]),
                    load::<S>(&quad[3][t..]),
                ];
                for (j, vector) in transpose_quads(simd, rows).into_iter().enumerate() {
                    let mut pieces = [0.0; 16];
                    store::<S>(&mut pieces, vector);
                    for (l, piece) in pieces[..lanes].as_chunks::<4>().0.iter().enumerate() {
                        let start = (t + 4 * l + j) * width + at + 4 * g;
                        to[start..start + 4].copy_from_slice(piece);
                    }
                }
            }
        }
    }
}
