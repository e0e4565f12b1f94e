//! Softmax attention over the positions of a small map (Vaswani et al. 2017), forward and gradient.
//!
//! Of one head, with `q`, `k`, `v` each `[depth, tokens]`: `out[:, i] = sum over j of v[:, j] * p[j, i]`, where `p[:, i]`
//! is the softmax of `k^T q[:, i] / sqrt(depth)`. Queries are taken in blocks that fill vector lanes, so that scores lie
//! as `[key][query lane]`, softmax runs over rows, and the second product finds its right factor as it is. The whole
//! matrix of scores never exists.

use pulp::Simd;
use rayon::prelude::*;

use crate::elementwise::{Elementwise, exp, map};
use crate::gemm::{AddProduct, DEPTH, PANEL, Product, STEP, Transpose, column_blocks};
use crate::scratch::Scratch;
use crate::shape::check;
use crate::simd;

/// Queries of a block: one `DEPTH`, so that the gradient's sums over queries are [`AddProduct`]s.
const LANES: usize = DEPTH;

/// Sizes of an attention: `q`, `k`, `v` and the output are each `[heads, depth, tokens]`, heads counted through the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Heads of all images.
    pub heads: usize,
    /// Channels of one head.
    pub depth: usize,
    /// Positions.
    pub tokens: usize,
}

impl AttentionShape {
    /// Length of `q`, of `k`, of `v` and of the output.
    pub fn len(&self) -> usize {
        self.heads * self.head()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn head(&self) -> usize {
        self.depth * self.tokens
    }

    fn scale(&self) -> f32 {
        1.0 / (self.depth as f32).sqrt()
    }

    /// Head `i` of a tensor.
    fn of<'a>(&self, tensor: &'a [f32], i: usize) -> &'a [f32] {
        &tensor[i * self.head()..(i + 1) * self.head()]
    }
}

/// Writes the attention of each head to `out`, which is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn attention(shape: AttentionShape, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32]) {
    for (name, len) in [
        ("q", q.len()),
        ("k", k.len()),
        ("v", v.len()),
        ("out", out.len()),
    ] {
        check(name, len, shape.len());
    }
    if shape.is_empty() {
        return;
    }
    out.par_chunks_mut(shape.head())
        .enumerate()
        .for_each(|(i, out)| {
            let head = Head::new(shape, [q, k, v].map(|t| shape.of(t, i)));
            let values = pack(head.v, shape.depth, shape.tokens, false);
            let mut weights = Scratch::take(shape.tokens * LANES);
            let mut queries = Scratch::take(shape.depth * LANES);
            let mut result = Scratch::take(shape.depth * LANES);
            for first in (0..shape.tokens).step_by(LANES) {
                head.weights(first, &mut queries, &mut weights);
                product(&values, &weights, &mut result, shape.tokens);
                head.scatter(&result, first, out);
            }
        });
}

/// The gradients to `q`, `k` and `v`, each overwritten, from the gradient to the output.
///
/// # Panics
/// If a length does not fit the shape.
pub fn attention_gradient(
    shape: AttentionShape,
    [q, k, v]: [&[f32]; 3],
    dy: &[f32],
    [dq, dk, dv]: [&mut [f32]; 3],
) {
    for len in [q, k, v, dy, dq, dk, dv].map(|t| t.len()) {
        check("q, k, v, their gradients or dy", len, shape.len());
    }
    if shape.is_empty() {
        return;
    }
    let size = shape.head();
    let heads = dq
        .par_chunks_mut(size)
        .zip(dk.par_chunks_mut(size))
        .zip(dv.par_chunks_mut(size));
    heads.enumerate().for_each(|(i, ((dq, dk), dv))| {
        let head = Head::new(shape, [q, k, v].map(|t| shape.of(t, i)));
        head.gradient(shape.of(dy, i), [dq, dk, dv]);
    });
}

/// One head.
struct Head<'a> {
    shape: AttentionShape,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// `k^T`, packed.
    keys: Scratch,
}

impl<'a> Head<'a> {
    fn new(shape: AttentionShape, [q, k, v]: [&'a [f32]; 3]) -> Self {
        let keys = pack(k, shape.depth, shape.tokens, true);
        Self {
            shape,
            q,
            k,
            v,
            keys,
        }
    }

    /// `p[key][lane]` for the queries from `first` on.
    fn weights(&self, first: usize, queries: &mut [f32], weights: &mut [f32]) {
        self.gather(self.q, first, queries);
        let scale = self.shape.scale();
        queries.iter_mut().for_each(|v| *v *= scale);
        product(&self.keys, queries, weights, self.shape.depth);
        simd::run(
            #[inline(always)]
            || softmax(weights.as_chunks_mut::<LANES>().0),
        );
    }

    /// With `p` recomputed block by block: `dv = dy p^T`; `ds = p (dp - sum of p dp)` with `dp = v^T dy`; then
    /// `dq = k ds` and `dk = q ds^T`, both over sqrt(depth).
    fn gradient(&self, dy: &[f32], [dq, dk, dv]: [&mut [f32]; 3]) {
        let AttentionShape { depth, tokens, .. } = self.shape;
        let values = pack(self.v, depth, tokens, true);
        let keys = pack(self.k, depth, tokens, false);
        let rows = tokens.next_multiple_of(PANEL);
        let [mut queries, mut dout, mut part] = [(); 3].map(|()| Scratch::take(depth * LANES));
        let [mut weights, mut scores] = [(); 2].map(|()| Scratch::take(rows * LANES));
        // The gradients to keys and values, as [column block][token][channel].
        let mut sums = [(); 2].map(|()| Scratch::take(rows * depth.next_multiple_of(STEP)));
        // Rows that fill the last panel up.
        weights[tokens * LANES..].fill(0.0);
        scores[tokens * LANES..].fill(0.0);
        for first in (0..tokens).step_by(LANES) {
            self.weights(first, &mut queries, &mut weights[..tokens * LANES]);
            self.gather(dy, first, &mut dout);
            product(&values, &dout, &mut scores[..tokens * LANES], depth);
            simd::run(
                #[inline(always)]
                || softmax_gradient(weights.as_chunks().0, scores.as_chunks_mut().0),
            );
            // `queries` came scaled, so `dk` needs no factor.
            accumulate(&scores, &queries, &mut sums[0], depth, first == 0);
            accumulate(&weights, &dout, &mut sums[1], depth, first == 0);
            product(&keys, &scores[..tokens * LANES], &mut part, tokens);
            let scale = self.shape.scale();
            part.iter_mut().for_each(|v| *v *= scale);
            self.scatter(&part, first, dq);
        }
        for (sum, to) in sums.iter().zip([dk, dv]) {
            for (at, width) in column_blocks(depth.next_multiple_of(STEP)) {
                for c in at..depth.min(at + width) {
                    let to = &mut to[c * tokens..(c + 1) * tokens];
                    for (j, to) in to.iter_mut().enumerate() {
                        *to = sum[at * rows + j * width + c - at];
                    }
                }
            }
        }
    }

    /// Tokens from `first` on as lanes; zeros beyond the last.
    fn gather(&self, from: &[f32], first: usize, lanes: &mut [f32]) {
        let len = LANES.min(self.shape.tokens - first);
        let rows = from.chunks_exact(self.shape.tokens);
        for (lanes, row) in lanes.chunks_exact_mut(LANES).zip(rows) {
            lanes[..len].copy_from_slice(&row[first..first + len]);
            lanes[len..].fill(0.0);
        }
    }

    /// The reverse.
    fn scatter(&self, lanes: &[f32], first: usize, to: &mut [f32]) {
        let len = LANES.min(self.shape.tokens - first);
        let rows = to.chunks_exact_mut(self.shape.tokens);
        for (row, lanes) in rows.zip(lanes.chunks_exact(LANES)) {
            row[first..first + len].copy_from_slice(&lanes[..len]);
        }
    }
}

/// A `[depth, tokens]` matrix, or its transpose, as the left factor of a product.
fn pack(matrix: &[f32], depth: usize, tokens: usize, transpose: bool) -> Scratch {
    if transpose {
        crate::gemm::pack(tokens, depth, |j, c| matrix[c * tokens + j])
    } else {
        crate::gemm::pack(depth, tokens, |c, j| matrix[c * tokens + j])
    }
}

fn product(a: &[f32], b: &[f32], out: &mut [f32], depth: usize) {
    simd::run(Product {
        a,
        b: &b[..depth * LANES],
        out,
        depth,
        width: LANES,
        fresh: true,
    });
}

/// Softmax down each column.
#[inline(always)]
fn softmax(rows: &mut [[f32; LANES]]) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    for row in rows.iter() {
        for (largest, &v) in largest.iter_mut().zip(row) {
            *largest = if v > *largest { v } else { *largest };
        }
    }
    let mut total = [0.0; LANES];
    for row in rows.iter_mut() {
        let scores = *row;
        map(Exp, [&scores, &largest], row);
        for l in 0..LANES {
            total[l] += row[l];
        }
    }
    let inverse = total.map(|t| 1.0 / t);
    for row in rows {
        row.iter_mut().zip(inverse).for_each(|(v, i)| *v *= i);
    }
}

/// `exp(score - largest)`
#[derive(Clone, Copy)]
struct Exp;

impl Elementwise<2> for Exp {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, [score, largest]: [S::f32s; 2]) -> S::f32s {
        exp(simd, simd.sub_f32s(score, largest))
    }
}

/// Turns the gradient to weights `p` into that to scores.
#[inline(always)]
fn softmax_gradient(p: &[[f32; LANES]], dp: &mut [[f32; LANES]]) {
    let mut along = [0.0; LANES];
    for (p, dp) in p.iter().zip(&*dp) {
        for l in 0..LANES {
            along[l] += p[l] * dp[l];
        }
    }
    for (p, dp) in p.iter().zip(dp) {
        for l in 0..LANES {
            dp[l] = p[l] * (dp[l] - along[l]);
        }
    }
}

/// `sum[token][c] += sum over lanes of a[token][lane] * b[c][lane]`, or `=` if `fresh`; `sum` in column blocks.
fn accumulate(a: &[f32], b: &[f32], sum: &mut [f32], depth: usize, fresh: bool) {
    let rows = a.len() / LANES;
    for (at, width) in column_blocks(depth.next_multiple_of(STEP)) {
        let mut columns = [0.0; LANES * crate::gemm::WIDEST];
        let columns = &mut columns[..LANES * width];
        for c in (at..depth.min(at + width)).step_by(STEP) {
            let mut from = [0.0; STEP * LANES];
            let there = &b[c * LANES..depth.min(c + STEP) * LANES];
            from[..there.len()].copy_from_slice(there);
            simd::run(Transpose {
                from: &from,
                to: columns,
                width,
                at: c - at,
            });
        }
        simd::run(AddProduct {
            a,
            b: columns,
            out: &mut sum[at * rows..(at + width) * rows],
            width,
            fresh,
        });
    }
}
