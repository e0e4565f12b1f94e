//! Compressed sensing block by block: the same few random sums of each 32x32 pixels.

use ndarray::Array2;

use super::dense::{add, dot};
use super::matrix::orthonormal;
use super::ratio::Ratio;
use super::sensed::{OrthonormalRows, Sensed};
use super::{Error, not_empty};
use crate::Dims;

/// The rows of a random rotation, for each block of each channel (Gan 2007, "Block compressed sensing of natural images"; DDNM).
///
/// Where the sides are no multiples of the block's, those at the right and bottom edges are smaller, with rows of their own, so that
/// `A A^T = I` for any size.
pub type Blocks = Sensed<Blockwise>;

/// The rows of a plane's blocks.
#[derive(Debug)]
pub struct Blockwise {
    /// Columns of the plane.
    width: usize,
    /// One for each size of block.
    kinds: Vec<Rotation>,
    /// All blocks of a plane, row by row.
    places: Vec<Place>,
    /// Measurements of a plane.
    rows: usize,
}

/// Orthonormal rows for blocks of one size.
#[derive(Debug)]
struct Rotation {
    h: usize,
    w: usize,
    /// `[measurements, pixels of the block]`.
    rows: Array2<f32>,
}

/// A block.
#[derive(Clone, Copy, Debug)]
struct Place {
    top: usize,
    left: usize,
    kind: usize,
    /// Where its measurements begin.
    first: usize,
}

/// The longest side of a block: its vectors are found in seconds.
const MOST: usize = 64;

impl Blocks {
    /// For images of these dimensions, blocks of `side` pixels a side, and so many measurements for each pixel.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] for sides outside of 1 to 64 or a ratio above 1.
    pub fn new(input: Dims, side: usize, ratio: Ratio, seed: u64) -> Result<Blocks, Error> {
        not_empty("matrix", input)?;
        if !(1..=MOST).contains(&side) {
            return Err(Error::Invalid(format!(
                "a block has 1 to {MOST} pixels a side, not {side}"
            )));
        }
        let mut kinds: Vec<Rotation> = Vec::new();
        let mut places = Vec::new();
        let mut first = 0;
        for top in (0..input.h).step_by(side) {
            for left in (0..input.w).step_by(side) {
                let (h, w) = (side.min(input.h - top), side.min(input.w - left));
                let known = kinds.iter().position(|kind| (kind.h, kind.w) == (h, w));
                let kind = match known {
                    Some(kind) => kind,
                    None => {
                        let rows = ratio.within("blocks", h * w)?;
                        let stream = ((h as u64) << 8) | w as u64;
                        kinds.push(Rotation {
                            h,
                            w,
                            rows: rotation(h * w, rows, seed, stream),
                        });
                        kinds.len() - 1
                    }
                };
                places.push(Place {
                    top,
                    left,
                    kind,
                    first,
                });
                first += kinds[kind].rows.nrows();
            }
        }
        let by = Blockwise {
            width: input.w,
            kinds,
            places,
            rows: first,
        };
        Sensed::of(input, by)
    }
}

/// So many rows of a random rotation of `n` numbers.
fn rotation(n: usize, rows: usize, seed: u64, stream: u64) -> Array2<f32> {
    let columns = orthonormal(n, rows, seed, stream);
    let rows = columns.t().mapv(|v| v as f32);
    rows.as_standard_layout().into_owned()
}

impl OrthonormalRows for Blockwise {
    const NAME: &'static str = "matrix";

    fn rows(&self) -> usize {
        self.rows
    }

    fn measure(&self, x: &[f32], y: &mut [f32]) {
        let mut block = Vec::new();
        for place in &self.places {
            let kind = &self.kinds[place.kind];
            block.clear();
            for i in place.top..place.top + kind.h {
                block.extend_from_slice(&x[i * self.width + place.left..][..kind.w]);
            }
            let rows = kind.rows.outer_iter();
            for (y, row) in y[place.first..].iter_mut().zip(rows) {
                *y = dot(row.as_slice().expect("in rows"), &block) as f32;
            }
        }
    }

    fn back_project(&self, u: &[f32], x: &mut [f32]) {
        let mut block = Vec::new();
        for place in &self.places {
            let kind = &self.kinds[place.kind];
            block.clear();
            block.resize(kind.h * kind.w, 0.0);
            for (&u, row) in u[place.first..].iter().zip(kind.rows.outer_iter()) {
                add(&mut block, row.as_slice().expect("in rows"), u.into());
            }
            for (i, line) in block.chunks_exact(kind.w).enumerate() {
                let to = &mut x[(place.top + i) * self.width + place.left..][..kind.w];
                to.iter_mut().zip(line).for_each(|(to, &v)| *to = v as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::operator::{Linear, Operator};

    /// A pixel is seen by its own block alone, and blocks of one size by the same rows.
    #[test]
    fn blocks_are_measured_alike() {
        let dims = Dims::new(2, 10, 14);
        let blocks = Blocks::new(dims, 4, Ratio::new(0.5).unwrap(), 1).unwrap();
        // 2x3 whole ones; to the right 4x2, below 2x4, and a corner of 2x2.
        let plane = 6 * 8 + 2 * 4 + 3 * 4 + 2;
        assert_eq!(blocks.output(), Dims::new(2, 1, plane));
        let seen = |c, i, j| {
            let mut x = Image::zeros(dims.batch(1));
            x[[0, c, i, j]] = 1.0;
            let y = blocks.apply(&x);
            let there: Vec<usize> = (0..2 * plane)
                .filter(|&k| y.as_slice().unwrap()[k] != 0.0)
                .collect();
            let values: Vec<f32> = there.iter().map(|&k| y.as_slice().unwrap()[k]).collect();
            (there, values)
        };
        let (first, values) = seen(0, 1, 2);
        assert_eq!(first, (0..8).collect::<Vec<_>>());
        // Four blocks a row, the last of them smaller.
        let (below, same) = seen(0, 5, 6);
        let start = 3 * 8 + 4 + 8;
        assert_eq!(below, (start..start + 8).collect::<Vec<_>>());
        assert_eq!(values, same);
        let (other, same) = seen(1, 1, 2);
        assert_eq!(other[0], plane);
        assert_eq!(values, same);
        let u = Image::from_shape_fn(blocks.output().batch(1), |(_, c, _, k)| {
            (c * 100 + k) as f32
        });
        let again = blocks.apply(&blocks.adjoint(&u));
        assert!((&again - &u).iter().all(|d| d.abs() < 1e-3));
        for (side, ratio) in [(0, 0.5), (65, 0.5), (4, 1.5)] {
            assert!(Blocks::new(dims, side, Ratio::new(ratio).unwrap(), 1).is_err());
        }
    }
}
