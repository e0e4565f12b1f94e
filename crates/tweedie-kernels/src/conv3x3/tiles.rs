//! The plane cut into tiles, and tiles moved between memory and vector lanes.
//!
//! Tiles are numbered along rows, then down, then through the batch, and a block is a run of up to 48 of them: so the
//! lanes are filled whatever the size of the map. In a block, pixel column `j` of tile row `i` of every tile lies in one
//! row of lanes, the *phase* `(i, j)`.

use pulp::Simd;

use crate::elementwise::Elementwise;
use crate::gemm::{STEP, WIDEST};
use crate::shape::ConvShape;
use crate::shared::Shared;
use crate::simd::{load, prefetch, store, transpose_quads};

use super::sums::Watch;
use super::winograd::{OUTPUTS, POINTS};

/// Length of one phase row: the lanes of a block, and a vector's room on each side for one neighbour.
const ROW: usize = STEP + WIDEST + STEP;
/// Numbers needed for the phases of one channel.
pub(super) const PHASES: usize = POINTS * 4 * ROW;

/// Where phase `(i, j)` has lane `k`.
#[inline(always)]
pub(super) fn phase(m: usize, i: usize, j: usize, k: usize) -> usize {
    (i * m + j) * ROW + STEP + k
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

/// The tensor that a block is read from or written to.
#[derive(Clone, Copy)]
pub(super) struct Map {
    pub(super) channels: usize,
    /// Whether it has half the resolution: each of its pixels stands for a 2x2 block.
    pub(super) doubled: bool,
}

impl Map {
    pub(super) fn plain(channels: usize) -> Map {
        Map {
            channels,
            doubled: false,
        }
    }
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
    /// Pixels of the tiles themselves.
    pub(super) pixels: f32,
    /// Distance between channels.
    plane: usize,
    /// Rows and columns that a pixel of the tensor stands for: 1 or 2.
    side: usize,
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

    /// Tiles `first..first + len` in a tensor, in so many lanes. Offsets are those of channel 0.
    pub(super) fn block(
        &self,
        Map { channels, doubled }: Map,
        reach: Reach,
        first: usize,
        len: usize,
        lanes: usize,
    ) -> Block {
        let (m, ConvShape { height, width, .. }) = (self.m, self.shape);
        // The sides of a pixel.
        let side = if doubled { 2 } else { 1 };
        let plane = self.shape.plane() / (side * side);
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
            pixels: 0.0,
            plane,
            side,
        };
        for k in 0..len {
            let tile = first + k;
            let (row, across) = (tile / self.across, tile % self.across);
            let (image, down) = (row / self.down, row % self.down);
            for i in 0..rows {
                // Rows count from one above the tile with a halo; adding before subtracting keeps the sum unsigned.
                let y = m * down + i;
                if y >= halo && y - halo < height {
                    let row = (y - halo) / side * (width / side);
                    block.offset[i][k] = image * channels * plane + row + m / side * across;
                    block.inside[i][k] = mask(true);
                    block.last = block.last.max(block.offset[i][k]);
                }
            }
            for j in 0..m {
                block.columns[j][k] = mask(m * across + j < width);
            }
            let (below, beside) = (height - m * down, width - m * across);
            block.pixels += (below.min(m) * beside.min(m)) as f32;
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

    /// Reads one channel into phases, `f` of each pixel; what lies outside of the image is zero. `x` begins at its plane in
    /// the first image.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(
        &self,
        simd: S,
        f: impl Elementwise<1>,
        x: &[f32],
        phases: &mut [f32],
    ) {
        // Four pixels are read even where a tile hangs over the edge; only the very last ones have nothing behind them.
        let quads = self.m == 4 && S::F32_LANES >= 4 && self.last + 4 <= x.len();
        for i in 0..self.rows {
            if quads {
                self.gather_quads(simd, f, x, i, phases);
            } else {
                self.gather_pixels(simd, f, x, i, phases);
            }
        }
        if self.reach == Reach::Halo {
            let Neighbours { mut pixels, inside } = self.neighbours(x);
            for k in (0..2 * POINTS).step_by(S::F32_LANES) {
                let value = f.apply(simd, [load::<S>(&pixels[k..])]);
                let value = simd.and_f32s(value, load::<S>(&inside[k..]));
                store::<S>(&mut pixels[k..], value);
            }
            self.set_neighbours(phases, &pixels);
        }
    }

    /// Masks of pixel `(i, j)` for the lanes from `k` on.
    #[inline(always)]
    fn inside<S: Simd>(&self, simd: S, i: usize, j: usize, k: usize) -> S::f32s {
        let row = load::<S>(&self.inside[i][k..]);
        simd.and_f32s(row, load::<S>(&self.columns[j][k..]))
    }

    /// Row `i` of tiles of four: quads are put into lanes so that one 4x4 transpose sorts them into phases.
    #[inline(always)]
    fn gather_quads<S: Simd>(
        &self,
        simd: S,
        f: impl Elementwise<1>,
        x: &[f32],
        i: usize,
        phases: &mut [f32],
    ) {
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
                        quads[g] = self.quad(x, at);
                        if q == 0 {
                            prefetch(x, at + ahead);
                        }
                    }
                    vectors[q] = load::<S>(quads.as_flattened());
                }
                let k = group * STEP + first;
                let vectors = transpose_quads(simd, vectors);
                for j in 0..4 {
                    let mut value = f.apply(simd, [vectors[j]]);
                    if !self.whole[i][group] {
                        value = simd.and_f32s(value, self.inside(simd, i, j, k));
                    }
                    store::<S>(&mut phases[phase(4, i, j, k)..], value);
                }
            }
        }
    }

    /// The four pixels of a tile's row.
    #[inline(always)]
    fn quad(&self, x: &[f32], at: usize) -> [f32; 4] {
        if self.side == 2 {
            let [a, b] = x[at..at + 2].try_into().expect("two pixels");
            return [a, a, b, b];
        }
        x[at..at + 4].try_into().expect("four pixels")
    }

    #[inline(always)]
    fn gather_pixels<S: Simd>(
        &self,
        simd: S,
        f: impl Elementwise<1>,
        x: &[f32],
        i: usize,
        phases: &mut [f32],
    ) {
        for j in 0..self.m {
            let pixels = &mut phases[phase(self.m, i, j, 0)..];
            for k in 0..self.width {
                let inside = is_set(self.inside[i][k]) && is_set(self.columns[j][k]);
                pixels[k] = if inside {
                    x[self.offset[i][k] + j / self.side]
                } else {
                    0.0
                };
            }
            for k in (0..self.width).step_by(S::F32_LANES) {
                let value = f.apply(simd, [load::<S>(&pixels[k..])]);
                let value = simd.and_f32s(value, self.inside(simd, i, j, k));
                store::<S>(&mut pixels[k..], value);
            }
        }
    }

    /// The pixels beside the ends of the block; those inside of it are the neighbouring tiles' own.
    #[inline(always)]
    fn neighbours(&self, x: &[f32]) -> Neighbours {
        let last = self.len - 1;
        let after = self.m / self.side + 1;
        let ends = [(self.left[0], 0, 0), (self.right[last], last, after)];
        let mut neighbours = Neighbours {
            pixels: [0.0; 16],
            inside: [0.0; 16],
        };
        for i in 0..self.rows {
            for (side, (inside, k, shift)) in ends.into_iter().enumerate() {
                if is_set(inside) && is_set(self.inside[i][k]) {
                    let at = self.offset[i][k] + shift - 1;
                    prefetch(x, at + 2 * self.plane);
                    neighbours.pixels[2 * i + side] = x[at];
                    neighbours.inside[2 * i + side] = mask(true);
                }
            }
        }
        neighbours
    }

    #[inline(always)]
    fn set_neighbours(&self, phases: &mut [f32], pixels: &[f32; 16]) {
        let m = self.m;
        for i in 0..self.rows {
            phases[phase(m, i, m - 1, 0) - 1] = pixels[2 * i];
            phases[phase(m, i, 0, self.len)] = pixels[2 * i + 1];
        }
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
            let from = load::<S>(&phases[phase(m, i, m - 1, k) - 1..]);
            simd.and_f32s(from, load::<S>(&self.left[k..]))
        } else if j == m + 1 {
            let from = load::<S>(&phases[phase(m, i, 0, k) + 1..]);
            simd.and_f32s(from, load::<S>(&self.right[k..]))
        } else {
            load::<S>(&phases[phase(m, i, j - 1, k)..])
        }
    }

    /// Writes phases, plus `residual` at the same places, to one channel, whose plane in the first image begins at `base`.
    /// `watch` sees what it writes.
    #[inline(always)]
    pub(super) fn scatter<S: Simd, W: Watch>(
        &self,
        simd: S,
        phases: &[f32],
        residual: Option<Added<'_>>,
        watch: &mut W,
        (y, base): (&Shared<'_>, usize),
    ) {
        for i in 0..self.rows {
            for group in 0..self.width / STEP {
                if self.m == 4 && S::F32_LANES >= 4 && self.whole[i][group] {
                    self.scatter_quads(simd, phases, residual, [i, group], watch, (y, base));
                } else {
                    self.scatter_pixels(phases, residual, [i, group], watch, (y, base));
                }
            }
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "every task writes the tiles of its own block")]
    fn scatter_quads<S: Simd, W: Watch>(
        &self,
        simd: S,
        phases: &[f32],
        residual: Option<Added<'_>>,
        [i, group]: [usize; 2],
        watch: &mut W,
        (y, base): (&Shared<'_>, usize),
    ) {
        let offset = &self.offset[i].as_chunks::<STEP>().0[group];
        for first in (0..STEP).step_by(S::F32_LANES) {
            let row = |j| load::<S>(&phases[phase(4, i, j, group * STEP + first)..]);
            let mut vectors = transpose_quads(simd, [row(0), row(1), row(2), row(3)]);
            let mut quads = [[[0.0; 4]; STEP / 4]; 4];
            for q in 0..4 {
                if let Some(Added { values, block }) = residual {
                    for g in 0..S::F32_LANES / 4 {
                        let at = block.offset[i][group * STEP + first + 4 * g + q];
                        if q == 0 {
                            prefetch(values, at + 2 * block.plane);
                        }
                        quads[q][g] = block.quad(values, at);
                    }
                    vectors[q] = simd.add_f32s(vectors[q], load::<S>(quads[q].as_flattened()));
                }
                store::<S>(quads[q].as_flattened_mut(), vectors[q]);
            }
            watch.add(simd, first, vectors);
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
    fn scatter_pixels<W: Watch>(
        &self,
        phases: &[f32],
        residual: Option<Added<'_>>,
        [i, group]: [usize; 2],
        watch: &mut W,
        (y, base): (&Shared<'_>, usize),
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
                    pixel[0] =
                        phases[phase(self.m, i, j, k)] + residual.map_or(0.0, |r| r.pixel(i, j, k));
                    watch.add_one(4 * (k % STEP / 4) + j, pixel[0]);
                }
            }
        }
    }
}

/// What is added to a block on its way to memory.
#[derive(Clone, Copy)]
pub(super) struct Added<'a> {
    /// From the channel's plane in the first image on.
    pub(super) values: &'a [f32],
    /// The same tiles in its tensor.
    pub(super) block: &'a Block,
}

impl Added<'_> {
    #[inline(always)]
    pub(super) fn pixel(&self, i: usize, j: usize, k: usize) -> f32 {
        self.values[self.block.offset[i][k] + j / self.block.side]
    }
}

/// The pixels to the left and right of each row of a block, and masks of those that are inside of the image.
struct Neighbours {
    pixels: [f32; 16],
    inside: [f32; 16],
}
