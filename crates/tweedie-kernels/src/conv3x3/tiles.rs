//! The plane cut into tiles, and tiles moved between memory and vector lanes.
//!
//! Tiles are numbered along rows, then down, then through the batch, and a block is a run of up to 48 of them: so the
//! lanes are filled whatever the size of the map. In a block, pixel column `j` of tile row `i` of every tile lies in one
//! row of lanes, the *phase* `(i, j)`.

use pulp::Simd;

use crate::gemm::{STEP, WIDEST};
use crate::shape::ConvShape;
use crate::shared::Shared;
use crate::simd::{load, store, transpose_quads};

use super::winograd::POINTS;

/// Length of one phase row: the lanes of a block, and a vector's room on each side for one neighbour.
const ROW: usize = STEP + WIDEST + STEP;
/// Numbers needed for the phases of one channel.
pub(super) const PHASES: usize = POINTS * 4 * ROW;
/// Marks a pixel row outside of the image.
const OUTSIDE: usize = usize::MAX;

/// Where the lanes of phase `(i, j)` begin.
#[inline(always)]
pub(super) fn phase(m: usize, i: usize, j: usize) -> usize {
    (i * m + j) * ROW + STEP
}

/// How the planes of a convolution are cut into tiles of `m` by `m`.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    shape: ConvShape,
    m: usize,
    /// Tiles in one image: down, across.
    down: usize,
    across: usize,
}

/// Which pixel rows of a tile a block covers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reach {
    /// The tile and one pixel around it: the input of a convolution.
    Halo,
    /// The tile itself: its output.
    Tile,
}

/// A run of tiles: where in memory their rows are.
pub(super) struct Block {
    /// Lanes, a multiple of `STEP`; those from `len` on are empty.
    pub(super) width: usize,
    len: usize,
    m: usize,
    rows: usize,
    reach: Reach,
    /// Offset of the first pixel of row `i` of tile `k`, or `OUTSIDE`.
    offset: [[usize; WIDEST]; POINTS],
    /// Pixel columns of tile `k` that are inside of the image.
    columns: [usize; WIDEST],
    /// All bits set where a tile has a neighbour on that side in its image, else none.
    left: [f32; WIDEST],
    right: [f32; WIDEST],
}

impl Grid {
    pub(super) fn new(shape: ConvShape, m: usize) -> Self {
        Self {
            shape,
            m,
            down: shape.height.div_ceil(m),
            across: shape.width.div_ceil(m),
        }
    }

    pub(super) fn tiles(&self) -> usize {
        self.shape.batch * self.down * self.across
    }

    /// Tiles `first..first + len` in a tensor of so many channels, in so many lanes. Offsets are those of channel 0.
    pub(super) fn block(
        &self,
        channels: usize,
        reach: Reach,
        first: usize,
        len: usize,
        lanes: usize,
    ) -> Block {
        let (m, ConvShape { height, width, .. }) = (self.m, self.shape);
        let halo = usize::from(reach == Reach::Halo);
        let mut block = Block {
            width: lanes,
            len,
            m,
            rows: m + 2 * halo,
            reach,
            offset: [[OUTSIDE; WIDEST]; POINTS],
            columns: [0; WIDEST],
            left: [0.0; WIDEST],
            right: [0.0; WIDEST],
        };
        let all_bits = f32::from_bits(u32::MAX);
        for k in 0..len {
            let tile = first + k;
            let (row, across) = (tile / self.across, tile % self.across);
            let (image, down) = (row / self.down, row % self.down);
            for i in 0..block.rows {
                // Rows count from one above the tile with a halo; the sum stays unsigned by adding before subtracting.
                let y = m * down + i;
                if y >= halo && y - halo < height {
                    block.offset[i][k] =
                        image * channels * self.shape.plane() + (y - halo) * width + m * across;
                }
            }
            block.columns[k] = m.min(width - m * across);
            block.left[k] = if across > 0 { all_bits } else { 0.0 };
            block.right[k] = if across + 1 < self.across {
                all_bits
            } else {
                0.0
            };
        }
        block
    }
}

impl Block {
    /// Reads one channel into phases; `x` begins at its plane in the first image.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(&self, simd: S, x: &[f32], phases: &mut [f32]) {
        for i in 0..self.rows {
            if self.m == 4 && S::F32_LANES >= 4 {
                self.gather_quads(simd, x, i, phases);
            } else {
                self.gather_pixels(x, i, phases);
            }
            if self.reach == Reach::Halo {
                self.gather_neighbours(x, i, phases);
            }
        }
    }

    /// Row `i` of tiles of four: quads are put into lanes so that one 4x4 transpose sorts them into phases.
    #[inline(always)]
    fn gather_quads<S: Simd>(&self, simd: S, x: &[f32], i: usize, phases: &mut [f32]) {
        let lanes = S::F32_LANES;
        for k in (0..self.width).step_by(lanes) {
            let mut vectors = [simd.splat_f32s(0.0); 4];
            for (q, vector) in vectors.iter_mut().enumerate() {
                let mut pieces = [0.0_f32; 16];
                for (g, piece) in pieces[..lanes]
                    .as_chunks_mut::<4>()
                    .0
                    .iter_mut()
                    .enumerate()
                {
                    *piece = self.quad(x, i, k + 4 * g + q);
                }
                *vector = load::<S>(&pieces);
            }
            for (j, vector) in transpose_quads(simd, vectors).into_iter().enumerate() {
                store::<S>(&mut phases[phase(4, i, j) + k..], vector);
            }
        }
    }

    /// Four pixels of row `i` of tile `k`, zeros outside of the image.
    #[inline(always)]
    fn quad(&self, x: &[f32], i: usize, k: usize) -> [f32; 4] {
        let at = self.offset[i][k];
        if at == OUTSIDE {
            return [0.0; 4];
        }
        if self.columns[k] == 4 {
            return x[at..at + 4].try_into().expect("four pixels");
        }
        let mut quad = [0.0; 4];
        quad[..self.columns[k]].copy_from_slice(&x[at..at + self.columns[k]]);
        quad
    }

    #[inline(always)]
    fn gather_pixels(&self, x: &[f32], i: usize, phases: &mut [f32]) {
        for k in 0..self.width {
            let at = self.offset[i][k];
            for j in 0..self.m {
                let inside = at != OUTSIDE && j < self.columns[k];
                phases[phase(self.m, i, j) + k] = if inside { x[at + j] } else { 0.0 };
            }
        }
    }

    /// The pixels beside the ends of the block; those inside of it are the neighbouring tiles' own.
    #[inline(always)]
    fn gather_neighbours(&self, x: &[f32], i: usize, phases: &mut [f32]) {
        let (m, last) = (self.m, self.len - 1);
        let pixel = |inside: bool, k: usize, shift: usize| {
            let at = self.offset[i][k];
            if inside && at != OUTSIDE {
                x[at + shift - 1]
            } else {
                0.0
            }
        };
        phases[phase(m, i, m - 1) - 1] = pixel(self.left[0].to_bits() != 0, 0, 0);
        phases[phase(m, i, 0) + self.len] = pixel(self.right[last].to_bits() != 0, last, m + 1);
    }

    /// Pixel column `j - 1` of row `i` for the lanes from `k` on, after a gather with a halo.
    #[inline(always)]
    pub(super) fn pixel<S: Simd>(
        &self,
        simd: S,
        phases: &[f32],
        i: usize,
        j: usize,
        k: usize,
    ) -> S::f32s {
        let m = self.m;
        if j == 0 {
            let from = load::<S>(&phases[phase(m, i, m - 1) + k - 1..]);
            simd.and_f32s(from, load::<S>(&self.left[k..]))
        } else if j == m + 1 {
            let from = load::<S>(&phases[phase(m, i, 0) + k + 1..]);
            simd.and_f32s(from, load::<S>(&self.right[k..]))
        } else {
            load::<S>(&phases[phase(m, i, j - 1) + k..])
        }
    }

    /// Writes phases to one channel, whose plane in the first image begins at `base`.
    #[inline(always)]
    pub(super) fn scatter<S: Simd>(&self, simd: S, phases: &[f32], y: &Shared<'_>, base: usize) {
        for i in 0..self.rows {
            if self.m == 4 && S::F32_LANES >= 4 {
                self.scatter_quads(simd, phases, i, y, base);
            } else {
                for k in 0..self.len {
                    let mut quad = [0.0; 4];
                    for j in 0..self.m {
                        quad[j] = phases[phase(self.m, i, j) + k];
                    }
                    self.put(i, k, quad, y, base);
                }
            }
        }
    }

    #[inline(always)]
    fn scatter_quads<S: Simd>(
        &self,
        simd: S,
        phases: &[f32],
        i: usize,
        y: &Shared<'_>,
        base: usize,
    ) {
        let lanes = S::F32_LANES;
        for k in (0..self.len).step_by(lanes) {
            let row = |j| load::<S>(&phases[phase(4, i, j) + k..]);
            let vectors = transpose_quads(simd, [row(0), row(1), row(2), row(3)]);
            for (q, vector) in vectors.into_iter().enumerate() {
                let mut pieces = [0.0; 16];
                store::<S>(&mut pieces, vector);
                for (g, piece) in pieces[..lanes].as_chunks::<4>().0.iter().enumerate() {
                    self.put(i, k + 4 * g + q, *piece, y, base);
                }
            }
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "every task writes the tiles of its own block")]
    fn put(&self, i: usize, k: usize, quad: [f32; 4], y: &Shared<'_>, base: usize) {
        let at = self.offset[i][k];
        if at == OUTSIDE {
            return;
        }
        // SAFETY: tiles do not overlap, and each (block, channel) is written by one task.
        if self.columns[k] == 4 {
            unsafe { y.part(base + at, 4) }.copy_from_slice(&quad);
        } else {
            let columns = self.columns[k];
            unsafe { y.part(base + at, columns) }.copy_from_slice(&quad[..columns]);
        }
    }
}
