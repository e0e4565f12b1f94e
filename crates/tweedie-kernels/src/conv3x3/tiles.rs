//! The plane cut into tiles, and tiles moved between memory and vector lanes.
//!
//! Tiles are numbered along rows, then down, then through the batch, and a block is a run of up to 48 of them: so the
//! lanes are filled whatever the size of the map. In a block, pixel column `j` of tile row `i` of every tile lies in one
//! row of lanes, the *phase* `(i, j)`.

use pulp::Simd;

use crate::gemm::{STEP, WIDEST};
use crate::shape::ConvShape;
use crate::shared::Shared;
use crate::simd::{load, prefetch, store, transpose_quads};

use super::winograd::{OUTPUTS, POINTS};

/// Length of one phase row: the lanes of a block, and a vector's room on each side for one neighbour.
const ROW: usize = STEP + WIDEST + STEP;
/// Numbers needed for the phases of one channel.
pub(super) const PHASES: usize = POINTS * 4 * ROW;

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
///
/// Arrays over tiles have an entry for every lane; masks have all bits set or none.
pub(super) struct Block {
    /// Lanes, a multiple of `STEP`; those from `len` on are empty.
    pub(super) width: usize,
    len: usize,
    m: usize,
    rows: usize,
    reach: Reach,
    /// Offset of the first pixel of row `i` of tile `k`; any pixel's where that row is outside of the image.
    offset: [[usize; WIDEST]; POINTS],
    /// Whether row `i` of tile `k` is inside.
    inside: [[f32; WIDEST]; POINTS],
    /// Whether pixel column `j` of tile `k` is inside.
    columns: [[f32; WIDEST]; OUTPUTS],
    /// Whether tile `k` has a neighbour on that side in its image.
    left: [f32; WIDEST],
    right: [f32; WIDEST],
    /// Whether row `i` of all tiles of a group of `STEP` is inside, with all its pixels.
    whole: [[bool; WIDEST / STEP]; POINTS],
    /// The largest offset.
    last: usize,
    /// Distance between channels.
    plane: usize,
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
        let rows = m + 2 * halo;
        let mut block = Block {
            width: lanes,
            len,
            m,
            rows,
            reach,
            offset: [[0; WIDEST]; POINTS],
            inside: [[0.0; WIDEST]; POINTS],
            columns: [[0.0; WIDEST]; OUTPUTS],
            left: [0.0; WIDEST],
            right: [0.0; WIDEST],
            whole: [[false; WIDEST / STEP]; POINTS],
            last: 0,
            plane: self.shape.plane(),
        };
        for k in 0..len {
            let tile = first + k;
            let (row, across) = (tile / self.across, tile % self.across);
            let (image, down) = (row / self.down, row % self.down);
            for i in 0..rows {
                // Rows count from one above the tile with a halo; adding before subtracting keeps the sum unsigned.
                let y = m * down + i;
                if y >= halo && y - halo < height {
                    let plane = image * channels * self.shape.plane();
                    block.offset[i][k] = plane + (y - halo) * width + m * across;
                    block.inside[i][k] = mask(true);
                    block.last = block.last.max(block.offset[i][k]);
                }
            }
            for j in 0..m {
                block.columns[j][k] = mask(m * across + j < width);
            }
            block.left[k] = mask(across > 0);
            block.right[k] = mask(across + 1 < self.across);
        }
        block.find_whole();
        block
    }
}

fn mask(set: bool) -> f32 {
    f32::from_bits(if set { u32::MAX } else { 0 })
}

#[inline(always)]
fn is_set(mask: f32) -> bool {
    mask.to_bits() != 0
}

impl Block {
    fn find_whole(&mut self) {
        for i in 0..self.rows {
            for group in 0..self.width / STEP {
                let tile =
                    |k: usize| is_set(self.inside[i][k]) && is_set(self.columns[self.m - 1][k]);
                self.whole[i][group] = (group * STEP..(group + 1) * STEP).all(tile);
            }
        }
    }

    /// Reads one channel into phases; `x` begins at its plane in the first image.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(&self, simd: S, x: &[f32], phases: &mut [f32]) {
        // Four pixels are read even where a tile hangs over the edge; only the very last ones have nothing behind them.
        let quads = self.m == 4 && S::F32_LANES >= 4 && self.last + 4 <= x.len();
        for i in 0..self.rows {
            if quads {
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
        // The same rows two channels on: too far apart for the machine to foresee.
        let ahead = 2 * self.plane;
        let groups = self.offset[i]
            .as_chunks::<STEP>()
            .0
            .iter()
            .take(self.width / STEP);
        for (group, offset) in groups.enumerate() {
            for first in (0..STEP).step_by(S::F32_LANES) {
                let mut vectors = [simd.splat_f32s(0.0); 4];
                for q in 0..4 {
                    let mut quads = [[0.0; 4]; STEP / 4];
                    for g in 0..S::F32_LANES / 4 {
                        let at = offset[first + 4 * g + q];
                        quads[g] = x[at..at + 4].try_into().expect("four pixels");
                        if q == 0 {
                            prefetch(x, at + ahead);
                        }
                    }
                    vectors[q] = load::<S>(quads.as_flattened());
                }
                let k = group * STEP + first;
                let mut vectors = transpose_quads(simd, vectors);
                if !self.whole[i][group] {
                    let inside = load::<S>(&self.inside[i][k..]);
                    for j in 0..4 {
                        let inside = simd.and_f32s(inside, load::<S>(&self.columns[j][k..]));
                        vectors[j] = simd.and_f32s(vectors[j], inside);
                    }
                }
                for j in 0..4 {
                    store::<S>(&mut phases[phase(4, i, j) + k..], vectors[j]);
                }
            }
        }
    }

    #[inline(always)]
    fn gather_pixels(&self, x: &[f32], i: usize, phases: &mut [f32]) {
        for k in 0..self.width {
            for j in 0..self.m {
                let inside = is_set(self.inside[i][k]) && is_set(self.columns[j][k]);
                phases[phase(self.m, i, j) + k] = if inside {
                    x[self.offset[i][k] + j]
                } else {
                    0.0
                };
            }
        }
    }

    /// The pixels beside the ends of the block; those inside of it are the neighbouring tiles' own.
    #[inline(always)]
    fn gather_neighbours(&self, x: &[f32], i: usize, phases: &mut [f32]) {
        let (m, last) = (self.m, self.len - 1);
        let pixel = |inside: f32, k: usize, shift: usize| {
            if is_set(inside) && is_set(self.inside[i][k]) {
                x[self.offset[i][k] + shift - 1]
            } else {
                0.0
            }
        };
        phases[phase(m, i, m - 1) - 1] = pixel(self.left[0], 0, 0);
        phases[phase(m, i, 0) + self.len] = pixel(self.right[last], last, m + 1);
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

    /// Writes phases, plus `residual` at the same places, to one channel, whose plane in the first image begins at `base`.
    #[inline(always)]
    pub(super) fn scatter<S: Simd>(
        &self,
        simd: S,
        phases: &[f32],
        residual: Option<&[f32]>,
        y: &Shared<'_>,
        base: usize,
    ) {
        for i in 0..self.rows {
            for group in 0..self.width / STEP {
                if self.m == 4 && S::F32_LANES >= 4 && self.whole[i][group] {
                    self.scatter_quads(simd, phases, residual, [i, group], y, base);
                } else {
                    self.scatter_pixels(phases, residual, [i, group], y, base);
                }
            }
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "every task writes the tiles of its own block")]
    fn scatter_quads<S: Simd>(
        &self,
        simd: S,
        phases: &[f32],
        residual: Option<&[f32]>,
        [i, group]: [usize; 2],
        y: &Shared<'_>,
        base: usize,
    ) {
        let offset = &self.offset[i].as_chunks::<STEP>().0[group];
        for first in (0..STEP).step_by(S::F32_LANES) {
            let row = |j| load::<S>(&phases[phase(4, i, j) + group * STEP + first..]);
            let vectors = transpose_quads(simd, [row(0), row(1), row(2), row(3)]);
            let mut quads = [[[0.0; 4]; STEP / 4]; 4];
            for q in 0..4 {
                let mut vector = vectors[q];
                if let Some(residual) = residual {
                    for g in 0..S::F32_LANES / 4 {
                        let at = base + offset[first + 4 * g + q];
                        if q == 0 {
                            prefetch(residual, at + 2 * self.plane);
                        }
                        quads[q][g] = residual[at..at + 4].try_into().expect("four pixels");
                    }
                    vector = simd.add_f32s(vector, load::<S>(quads[q].as_flattened()));
                }
                store::<S>(quads[q].as_flattened_mut(), vector);
            }
            for g in 0..S::F32_LANES / 4 {
                for q in 0..4 {
                    let at = base + offset[first + 4 * g + q];
                    if q == 0 {
                        y.prefetch(at + 2 * self.plane);
                    }
                    // SAFETY: tiles do not overlap, and each (block, channel) is written by one task.
                    unsafe { y.part(at, 4) }.copy_from_slice(&quads[q][g]);
                }
            }
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "every task writes the tiles of its own block")]
    fn scatter_pixels(
        &self,
        phases: &[f32],
        residual: Option<&[f32]>,
        [i, group]: [usize; 2],
        y: &Shared<'_>,
        base: usize,
    ) {
        for k in group * STEP..self.len.min((group + 1) * STEP) {
            if !is_set(self.inside[i][k]) {
                continue;
            }
            for j in 0..self.m {
                if is_set(self.columns[j][k]) {
                    let at = base + self.offset[i][k] + j;
                    // SAFETY: tiles do not overlap, and each (block, channel) is written by one task.
                    let pixel = unsafe { y.part(at, 1) };
                    pixel[0] = phases[phase(self.m, i, j) + k] + residual.map_or(0.0, |r| r[at]);
                }
            }
        }
    }
}
