//! A 3x3 convolution by Winograd transforms.
//!
//! Large maps: every task takes one block of tiles through all three steps, so that its products stay in the cache.
//! Few tiles: three parallel steps over the whole batch (transform, products, transform back), since then the filters are
//! the larger part: each group of them is transformed into a cache, used for all tiles, and forgotten. Transformed filters
//! are two to four times as large as the plain ones, so that keeping them would cost more memory and not less time.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::elementwise::{Elementwise, Identity};
use crate::film::Activated;
use crate::gemm::{PANEL, Product, STEP};
use crate::moments::Moments;
use crate::scratch::Scratch;
use crate::shape::ConvShape;
use crate::shared::Shared;
use crate::simd;

use super::sums::{Entries, Sums, Table, Watch};
use super::tiles::{Added, Block, Grid, Map, PHASES, Reach};
use super::transforms::{Input, Output, Rows};
use super::weights::{Filters, GROUP, Packed};
use super::winograd::Winograd;
use super::{After, Source};

/// With fewer blocks than this the steps run one after the other.
const FUSED_BLOCKS: usize = 8;
/// The separate products have at least this many tasks, where the channels allow it.
const TASKS: usize = 8;
/// Up to so many lanes they take input channels in slices ..
const FEW_LANES: usize = 2 * STEP;
/// .. of about so many numbers in the filters.
const SLICE: usize = 1 << 16;
/// Channels of one task of the separate transforms.
const CHANNELS: usize = 8;

/// `y = weight * x`, and what is added after; and the moments of the planes of one image, if wanted.
pub(super) fn convolve<F: Winograd>(
    source: Source<'_>,
    filters: Filters<'_>,
    after: After<'_>,
    moments: Option<&mut [Moments]>,
    y: &mut [f32],
) {
    let shape = filters.shape;
    let grid = Grid::new(shape, F::M);
    let width = block_width(shape, grid.tiles());
    let blocks: Vec<_> = (0..grid.tiles())
        .step_by(width)
        .map(|first| (first, width.min(grid.tiles() - first)))
        .collect();
    let mut table = moments
        .is_some()
        .then(|| Table::new(blocks.len(), shape.c_out));
    let run = Run::<F> {
        shape,
        source,
        filters,
        after,
        width,
        entries: table.as_mut().map(Table::entries),
        y: Shared::new(y),
        family: PhantomData,
    };
    if blocks.len() >= FUSED_BLOCKS {
        let groups = 0..run.filters.groups();
        let packed: Vec<_> = groups
            .into_par_iter()
            .map(|group| {
                let channels = run.filters.channels(group);
                run.filters.pack::<F>(channels, 0..shape.c_in)
            })
            .collect();
        blocks
            .par_iter()
            .for_each(|&(first, len)| run.fused(&grid, &packed, first, len));
    } else {
        run.staged(&grid, &blocks);
    }
    if let Some((table, moments)) = table.zip(moments) {
        table.moments(moments);
    }
}

/// Tiles of a block: as many as leave the transformed input in a cache of two megabytes, about; fewer, if that makes
/// enough blocks for tasks of their own.
fn block_width(shape: ConvShape, tiles: usize) -> usize {
    let widest = match shape.c_in {
        0..=320 => 48,
        _ => 32,
    };
    let enough = |&width: &usize| tiles.div_ceil(width) >= FUSED_BLOCKS;
    let width = [widest, 32].into_iter().find(enough).unwrap_or(widest);
    width.min(tiles.next_multiple_of(STEP))
}

struct Run<'a, F> {
    shape: ConvShape,
    source: Source<'a>,
    filters: Filters<'a>,
    after: After<'a>,
    /// Tiles of a block.
    width: usize,
    entries: Option<Entries<'a>>,
    y: Shared<'a>,
    family: PhantomData<F>,
}

/// The places of one block of tiles: in the input and in the output.
struct Place {
    /// Number of the block.
    number: usize,
    input: Block,
    output: Block,
    /// Where the residual is, if not at the output's places.
    residual: Option<Block>,
}

impl<F: Winograd> Run<'_, F> {
    const PRODUCTS: usize = F::A * F::A;

    fn fused(&self, grid: &Grid, packed: &[Packed], first: usize, len: usize) {
        let place = self.place(grid, first, len);
        let (input, output) = (self.input_stride(&place), output_stride(&place));
        let mut transformed = Scratch::take(Self::PRODUCTS * input);
        let mut products = Scratch::take(Self::PRODUCTS * output);
        let mut phases = Scratch::take(PHASES);
        let memory = Shared::new(&mut transformed);
        for c in 0..self.shape.c_in {
            self.transform_in(&place, c, memory, 0, &mut phases);
        }
        for (group, packed) in packed.iter().enumerate() {
            for a in 0..Self::PRODUCTS {
                let out = &mut products[a * output..(a + 1) * output];
                self.multiply(
                    &place,
                    packed.panels(a),
                    &transformed[a * input..],
                    out,
                    true,
                );
            }
            for o in self.filters.channels(group) {
                self.transform_out(&place, o, &products, &mut phases);
            }
        }
    }

    fn staged(&self, grid: &Grid, blocks: &[(usize, usize)]) {
        let place = |&(first, len): &(usize, usize)| self.place(grid, first, len);
        let places: Vec<_> = blocks.iter().map(place).collect();
        // The first block is the widest.
        let input = self.input_stride(&places[0]) * Self::PRODUCTS;
        let output = output_stride(&places[0]) * Self::PRODUCTS;
        let mut transformed = Scratch::take(places.len() * input);
        let mut products = Scratch::take(places.len() * self.filters.groups() * output);

        let memory = Shared::new(&mut transformed);
        (0..self.shape.c_in.div_ceil(CHANNELS))
            .into_par_iter()
            .for_each(|task| {
                let mut phases = Scratch::take(PHASES);
                for c in task * CHANNELS..self.shape.c_in.min((task + 1) * CHANNELS) {
                    for (b, place) in places.iter().enumerate() {
                        self.transform_in(place, c, memory, b * input, &mut phases);
                    }
                }
            });
        self.multiply_all(&places, &transformed, Shared::new(&mut products));
        (0..self.shape.c_out.div_ceil(CHANNELS))
            .into_par_iter()
            .for_each(|task| {
                let mut phases = Scratch::take(PHASES);
                for o in task * CHANNELS..self.shape.c_out.min((task + 1) * CHANNELS) {
                    for (b, place) in places.iter().enumerate() {
                        let at = (b * self.filters.groups() + o / GROUP) * output;
                        self.transform_out(place, o, &products[at..at + output], &mut phases);
                    }
                }
            });
    }

    #[expect(unsafe_code, reason = "the groups of different blocks interleave")]
    fn multiply_all(&self, places: &[Place], transformed: &[f32], products: Shared<'_>) {
        let (input, output) = (self.input_stride(&places[0]), output_stride(&places[0]));
        let lanes: usize = places.iter().map(|p| p.input.width).sum();
        let (some, depth) = self.portion(lanes);
        let portions = (0..self.filters.groups()).flat_map(|group| {
            let channels = self.filters.channels(group);
            channels.step_by(some).map(move |first| (group, first))
        });
        let portions: Vec<_> = portions.collect();
        portions.into_par_iter().for_each(|(group, first)| {
            let channels = self.filters.channels(group);
            let outs = first..channels.end.min(first + some);
            for from in (0..self.shape.c_in).step_by(depth) {
                let ins = from..self.shape.c_in.min(from + depth);
                let packed = self.filters.pack::<F>(outs.clone(), ins);
                for a in 0..Self::PRODUCTS {
                    for (b, place) in places.iter().enumerate() {
                        let width = place.input.width;
                        let at = b * Self::PRODUCTS * input + a * self.input_stride(place);
                        let rows = outs.len().next_multiple_of(PANEL) * width;
                        let to = (b * self.filters.groups() + group) * Self::PRODUCTS * output
                            + a * output_stride(place)
                            + (first - channels.start) * width;
                        // SAFETY: each (block, group, portion, point) has its own part, and one task.
                        let out = unsafe { products.part(to, rows) };
                        let tiles = &transformed[at + from * width..];
                        self.multiply(place, packed.panels(a), tiles, out, from == 0);
                    }
                }
            }
        });
    }

    /// Output channels of one task of the separate products, and input channels that it takes at once.
    ///
    /// As many outputs as there are lanes, so that neither filters nor tiles are fetched too often for the other's sake,
    /// but enough tasks. Where sums are few they may as well be gone through several times, and what is taken at once stays
    /// in the cache.
    fn portion(&self, lanes: usize) -> (usize, usize) {
        let ConvShape { c_in, c_out, .. } = self.shape;
        let most = (c_out / TASKS).max(1).next_multiple_of(PANEL);
        let some = lanes.clamp(2 * PANEL, GROUP).min(most);
        let slice = (SLICE / (Self::PRODUCTS * some)).next_multiple_of(STEP);
        (some, if lanes <= FEW_LANES { slice } else { c_in })
    }

    fn place(&self, grid: &Grid, first: usize, len: usize) -> Place {
        let lanes = len.next_multiple_of(STEP);
        let input = Map {
            channels: self.shape.c_in,
            doubled: self.source.doubled,
        };
        let output = Map::plain(self.shape.c_out);
        let doubled = self.after.residual.is_some_and(|r| r.doubled);
        Place {
            number: first / self.width,
            input: grid.block(input, Reach::Halo, first, len, lanes),
            output: grid.block(output, Reach::Tile, first, len, lanes),
            residual: doubled.then(|| {
                let small = Map { doubled, ..output };
                grid.block(small, Reach::Tile, first, len, lanes)
            }),
        }
    }

    /// Distance between the numbers of one point and the next.
    fn input_stride(&self, place: &Place) -> usize {
        stride(self.shape.c_in, place)
    }

    fn transform_in(
        &self,
        place: &Place,
        c: usize,
        memory: Shared<'_>,
        at: usize,
        phases: &mut [f32],
    ) {
        let x = self.source.sides.from(0, c);
        let out = Rows {
            memory,
            at: at + c * place.input.width,
            stride: self.input_stride(place),
        };
        match &self.source.films {
            None => transform_in::<F, _>(&place.input, Identity, x, phases, out),
            Some(films) => {
                transform_in::<F, _>(&place.input, Activated(films[c]), x, phases, out);
            }
        }
    }

    /// Panels of filters times as many rows of tiles as the filters have input channels.
    fn multiply(
        &self,
        place: &Place,
        (depth, panels): (usize, &[f32]),
        b: &[f32],
        out: &mut [f32],
        fresh: bool,
    ) {
        let width = place.input.width;
        let rows = panels.len() / depth;
        simd::run(Product {
            a: panels,
            b: &b[..depth * width],
            out: &mut out[..rows * width],
            depth,
            width,
            fresh,
        });
    }

    fn transform_out(&self, place: &Place, o: usize, products: &[f32], phases: &mut [f32]) {
        match &self.entries {
            None => self.transform_out_watched(place, o, products, phases, ()),
            Some(entries) => {
                let watch = Sums::default();
                let sums = self.transform_out_watched(place, o, products, phases, watch);
                entries.set(place.number, o, &sums, place.output.pixels);
            }
        }
    }

    fn transform_out_watched<W: Watch>(
        &self,
        place: &Place,
        o: usize,
        products: &[f32],
        phases: &mut [f32],
        watch: W,
    ) -> W {
        simd::run(Output::<F, W> {
            block: &place.output,
            products: &products[o % GROUP * place.output.width..],
            stride: output_stride(place),
            bias: self.after.bias.map_or(0.0, |b| b[o]),
            residual: self.after.residual.map(|residual| {
                let block = place.residual.as_ref().unwrap_or(&place.output);
                Added {
                    values: &residual.values[o * residual.plane(self.shape)..],
                    block,
                }
            }),
            phases,
            watch,
            y: &self.y,
            base: o * self.shape.plane(),
            family: PhantomData,
        })
    }
}

fn transform_in<F: Winograd, E: Elementwise<1>>(
    block: &Block,
    before: E,
    x: &[f32],
    phases: &mut [f32],
    out: Rows<'_>,
) {
    simd::run(Input::<F, E> {
        block,
        x,
        before,
        phases,
        out,
        family: PhantomData,
    });
}

fn output_stride(place: &Place) -> usize {
    stride(GROUP, place)
}

/// The odd line keeps equal lanes of different points out of the same cache sets.
fn stride(channels: usize, place: &Place) -> usize {
    channels * place.input.width + STEP
}
