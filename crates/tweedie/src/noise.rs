//! Where every random number comes from.
//!
//! A run owns one [`NoiseSource`]. [`Seeded`] is counter-based: draw number `k` of picture `n` is a function of the seed,
//! the stream's name, `k` and `n` alone, so that a result depends neither on the number of threads nor on the other
//! pictures of a batch, and so that what is drawn for one purpose tells nothing of what is drawn for another.
//! Tests inject [`Zeros`] or a [`Unit`] vector to read a sampler's mean and variance exactly.
//!
//! Streams in use: "measurement" and "photons" (the noise that [`degrade`](crate::restore::degrade) adds), "mask" and "kernel" (random
//! ones), "matrix", "rows" and "scramble" (of compressed sensing), "phase" (where phase retrieval begins), "method" (what methods and
//! samplers draw).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::{Dims, Image};

/// A stream of random images.
pub trait NoiseSource: Send {
    /// `batch` images of independent N(0, 1) values.
    fn normal(&mut self, batch: usize, dims: Dims) -> Image;

    /// Begins anew, as for a run whose first picture is number `picture`. Sources without pictures go on as they are.
    fn restart(&mut self, _picture: usize) {}
}

/// Reproducible noise from a seed (ChaCha8, one stream for each draw, picture and block of values).
#[derive(Clone, Debug)]
pub struct Seeded {
    key: [u8; 32],
    draw: u64,
    first: usize,
}

/// Values drawn from one stream; many streams can be filled in parallel.
const BLOCK: usize = 1 << 16;

impl Seeded {
    /// Noise that the seed and the purpose decide.
    ///
    /// # Panics
    /// If the name of the stream is longer than 24 bytes, which is an error in the calling code.
    pub fn new(seed: u64, stream: &str) -> Seeded {
        Seeded {
            key: key(seed, stream),
            draw: 0,
            first: 0,
        }
    }

    /// The same for a batch whose first picture is number `first` of a larger one: it is drawn as there.
    pub fn from_picture(self, first: usize) -> Seeded {
        Seeded { first, ..self }
    }
}

/// A generator for numbers that are no images, of the same seed and purpose.
pub(crate) fn generator(seed: u64, stream: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(key(seed, stream))
}

/// The seed, then the name: no two purposes share a key, whatever their seeds.
fn key(seed: u64, stream: &str) -> [u8; 32] {
    assert!(stream.len() <= 24, "a stream's name has at most 24 bytes");
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..8 + stream.len()].copy_from_slice(stream.as_bytes());
    key
}

impl NoiseSource for Seeded {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        let mut out = Image::zeros(dims.batch(batch));
        let draw = self.draw;
        self.draw += 1;
        for (n, mut picture) in out.outer_iter_mut().enumerate() {
            let picture_number = (self.first + n) as u64;
            let values = picture.as_slice_mut().expect("a fresh array is contiguous");
            values
                .par_chunks_mut(BLOCK)
                .enumerate()
                .for_each(|(block, chunk)| {
                    let mut rng = ChaCha8Rng::from_seed(self.key);
                    // 24 bits of draw, 16 of picture, 24 of block: far beyond what a run uses.
                    rng.set_stream((draw << 40) ^ (picture_number << 24) ^ block as u64);
                    chunk.fill_with(|| StandardNormal.sample(&mut rng));
                });
        }
        out
    }

    fn restart(&mut self, picture: usize) {
        self.draw = 0;
        self.first = picture;
    }
}

/// No noise at all: a sampler that is affine in its noise then returns its mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zeros;

impl NoiseSource for Zeros {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        Image::zeros(dims.batch(batch))
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
}
