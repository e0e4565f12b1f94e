//! Moments of what a convolution writes, found on the way to memory.

use pulp::Simd;
use rayon::prelude::*;

use crate::moments::Moments;
use crate::scratch::Scratch;
use crate::shared::Shared;
use crate::simd::{load, store};

/// Numbers of one entry: origin, sum, sum of squares, count.
const ENTRY: usize = 4;

/// An entry for each block of tiles and output channel.
pub(super) struct Table {
    entries: Scratch,
    channels: usize,
}

impl Table {
    pub(super) fn new(blocks: usize, channels: usize) -> Table {
        Table {
            entries: Scratch::take(ENTRY * blocks * channels),
            channels,
        }
    }

    pub(super) fn entries(&mut self) -> Entries<'_> {
        Entries {
            channels: self.channels,
            memory: Shared::new(&mut self.entries),
        }
    }

    /// Those of each channel, of all blocks together.
    pub(super) fn moments(&self, to: &mut [Moments]) {
        let rows = self.entries.as_chunks::<ENTRY>().0;
        to.par_iter_mut().enumerate().for_each(|(channel, to)| {
            let blocks = rows.iter().skip(channel).step_by(self.channels);
            *to = Moments::merge(blocks.map(|&[origin, sum, squares, count]| {
                let [sum, squares, count] = [sum, squares, count].map(f64::from);
                (count, Moments::around(origin, sum, squares, count))
            }));
        });
    }
}

/// Where the blocks write their entries.
pub(super) struct Entries<'a> {
    memory: Shared<'a>,
    channels: usize,
}

impl Entries<'_> {
    #[expect(unsafe_code, reason = "tasks have blocks, or channels")]
    pub(super) fn set(&self, block: usize, channel: usize, sums: &Sums, count: f32) {
        let at = ENTRY * (block * self.channels + channel);
        let [sum, squares] = [&sums.sum, &sums.squares].map(|lanes| lanes.iter().sum());
        // SAFETY: each block and channel is transformed by one task.
        unsafe { self.memory.part(at, ENTRY) }.copy_from_slice(&[sums.origin, sum, squares, count]);
    }
}

/// Sees the pixels that are written of one block and channel.
pub(super) trait Watch {
    /// One of the pixels.
    fn begin(&mut self, first: f32);
    /// Four vectors of pixels, in the lanes from `first` on.
    fn add<S: Simd>(&mut self, simd: S, first: usize, pixels: [S::f32s; 4]);
    /// One pixel.
    fn add_one(&mut self, lane: usize, pixel: f32);
}

/// Looks away.
impl Watch for () {
    #[inline(always)]
    fn begin(&mut self, _: f32) {}
    #[inline(always)]
    fn add<S: Simd>(&mut self, _: S, _: usize, _: [S::f32s; 4]) {}
    #[inline(always)]
    fn add_one(&mut self, _: usize, _: f32) {}
}

/// Sums over the pixels, in sixteen lanes.
#[derive(Default)]
pub(super) struct Sums {
    /// One of the pixels: around zero, digits are lost where the mean is large.
    origin: f32,
    sum: [f32; 16],
    squares: [f32; 16],
}

impl Watch for Sums {
    #[inline(always)]
    fn begin(&mut self, first: f32) {
        self.origin = first;
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, first: usize, pixels: [S::f32s; 4]) {
        let origin = simd.splat_f32s(self.origin);
        let mut sum = load::<S>(&self.sum[first..]);
        let mut squares = load::<S>(&self.squares[first..]);
        for i in 0..4 {
            let pixel = simd.sub_f32s(pixels[i], origin);
            sum = simd.add_f32s(sum, pixel);
            squares = simd.mul_add_e_f32s(pixel, pixel, squares);
        }
        store::<S>(&mut self.sum[first..], sum);
        store::<S>(&mut self.squares[first..], squares);
    }

    #[inline(always)]
    fn add_one(&mut self, lane: usize, pixel: f32) {
        let pixel = pixel - self.origin;
        self.sum[lane] += pixel;
        self.squares[lane] += pixel * pixel;
    }
}
