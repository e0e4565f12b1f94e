//! Where every random number comes from.
//!
//! A run owns one [`NoiseSource`]. [`Seeded`] is counter-based: draw number `k` of picture `n` is a function of the seed,
//! `k` and `n` alone, so that a result depends neither on the number of threads nor on the other pictures of a batch.
//! Tests inject [`Zeros`] or a [`Unit`] vector to read a sampler's mean and variance exactly.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rayon::prelude::*;

use crate::{Dims, Image};

/// A stream of random images.
pub trait NoiseSource: Send {
    /// `batch` images of independent N(0, 1) values.
    fn normal(&mut self, batch: usize, dims: Dims) -> Image;

    /// `batch` images of independent values, uniform on [0, 1).
    fn uniform(&mut self, batch: usize, dims: Dims) -> Image;
}

/// Reproducible noise from a seed (ChaCha8, one stream for each draw, picture and block of values).
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
    draw: u64,
}

/// Values drawn from one stream; many streams can be filled in parallel.
const BLOCK: usize = 1 << 16;

impl Seeded {
    /// Noise that the seed decides.
    pub fn new(seed: u64) -> Seeded {
        Seeded { seed, draw: 0 }
    }

    fn fill<D: Distribution<f32> + Copy + Sync>(
        &mut self,
        d: D,
        batch: usize,
        dims: Dims,
    ) -> Image {
        let mut out = Image::zeros(dims.batch(batch));
        let draw = self.draw;
        self.draw += 1;
        for (n, mut picture) in out.outer_iter_mut().enumerate() {
            let values = picture.as_slice_mut().expect("a fresh array is contiguous");
            values
                .par_chunks_mut(BLOCK)
                .enumerate()
                .for_each(|(block, chunk)| {
                    let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                    // 24 bits of draw, 16 of picture, 24 of block: far beyond what a run uses.
                    rng.set_stream((draw << 40) ^ ((n as u64) << 24) ^ block as u64);
                    chunk.fill_with(|| d.sample(&mut rng));
                });
        }
        out
    }
}

impl NoiseSource for Seeded {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        self.fill(StandardNormal, batch, dims)
    }

    fn uniform(&mut self, batch: usize, dims: Dims) -> Image {
        self.fill(StandardUniform, batch, dims)
    }
}

/// No noise at all: a sampler that is affine in its noise then returns its mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zeros;

impl NoiseSource for Zeros {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        Image::zeros(dims.batch(batch))
    }

    fn uniform(&mut self, batch: usize, dims: Dims) -> Image {
        Image::from_elem(dims.batch(batch), 0.5)
    }
}

/// Zeros but for a single one: the response to it is a column of an affine sampler's noise-to-output map.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    draw: usize,
    index: usize,
    drawn: usize,
}

impl Unit {
    /// A one at flat position `index` of draw number `draw`, both from 0.
    pub fn new(draw: usize, index: usize) -> Unit {
        Unit {
            draw,
            index,
            drawn: 0,
        }
    }

    /// How many draws were made so far.
    pub fn drawn(&self) -> usize {
        self.drawn
    }
}

impl NoiseSource for Unit {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        let mut out = Image::zeros(dims.batch(batch));
        if self.drawn == self.draw {
            out.as_slice_mut().expect("a fresh array is contiguous")[self.index] = 1.0;
        }
        self.drawn += 1;
        out
    }

    fn uniform(&mut self, batch: usize, dims: Dims) -> Image {
        Zeros.uniform(batch, dims)
    }
}
