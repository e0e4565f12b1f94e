//! One component of a JPEG: from pixels to DCT coefficients and back, with its sampling (ITU T.81, annex A.3; libjpeg's
//! `jcsample.c`, `jcprepct.c` and `jdsample.c`).

use std::f32::consts::PI;
use std::sync::LazyLock;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// A block of 8x8 numbers, row by row.
pub(super) type Block = [f32; 64];

/// A component of pictures of one size, in units of 1/255 of the range.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Component {
    /// Of the coefficients.
    pub(super) steps: Block,
    /// Rows and columns of the picture.
    size: (usize, usize),
    /// Rows and columns of pixels in a sample.
    factors: (usize, usize),
    /// Rows and columns of samples that hold something of the picture.
    samples: (usize, usize),
}

/// Eight cosines, orthonormal: row `u` has `u` half waves.
static COSINES: LazyLock<[[f32; 8]; 8]> = LazyLock::new(|| {
    std::array::from_fn(|u| {
        let scale = if u == 0 { 0.125f32.sqrt() } else { 0.5 };
        std::array::from_fn(|x| scale * ((2 * x + 1) as f32 * u as f32 * PI / 16.0).cos())
    })
});

impl Component {
    pub(super) fn new(steps: Block, size: (usize, usize), factors: (usize, usize)) -> Component {
        let samples = (size.0.div_ceil(factors.0), size.1.div_ceil(factors.1));
        Component {
            steps,
            size,
            factors,
            samples,
        }
    }

    /// Rows and columns of pixels in a sample.
    pub(super) fn factors(&self) -> (usize, usize) {
        self.factors
    }

    /// The same component of pictures of another size.
    pub(super) fn of_size(&self, size: (usize, usize)) -> Component {
        Component::new(self.steps, size, self.factors)
    }

    /// Blocks down and across.
    pub(super) fn blocks(&self) -> (usize, usize) {
        (self.samples.0.div_ceil(8), self.samples.1.div_ceil(8))
    }

    /// The rows of pixels of each row of samples, one after the other: those beyond the edge are the last row again, and so are
    /// rows of samples.
    fn rows(&self) -> Vec<usize> {
        let (n, factor) = (self.size.0, self.factors.0);
        let sample = |r: usize| factor * r.min(self.samples.0 - 1);
        (0..8 * self.blocks().0)
            .flat_map(|r| (0..factor).map(move |i| (sample(r) + i).min(n - 1)))
            .collect()
    }

    /// The same for columns, of which the last pixel alone is repeated.
    fn columns(&self) -> Vec<usize> {
        let all = 8 * self.blocks().1 * self.factors.1;
        (0..all).map(|c| c.min(self.size.1 - 1)).collect()
    }

    /// The means of the pixels of each sample, for whole blocks.
    pub(super) fn sampled(&self, plane: ArrayView2<'_, f32>) -> Array2<f32> {
        let (fy, fx) = self.factors;
        let (rows, columns) = (self.rows(), self.columns());
        let scale = 1.0 / (fy * fx) as f32;
        Array2::from_shape_fn((rows.len() / fy, columns.len() / fx), |(r, c)| {
            let down = &rows[fy * r..fy * (r + 1)];
            let across = &columns[fx * c..fx * (c + 1)];
            let sum: f32 = down
                .iter()
                .map(|&y| across.iter().map(|&x| plane[(y, x)]).sum::<f32>())
                .sum();
            scale * sum
        })
    }

    /// Adds to each pixel the mean of the samples that it is part of: the least change by which the samples of a picture become so
    /// much more. (At the edges, where pixels count several times, it takes several rounds.)
    pub(super) fn add(&self, samples: &Array2<f32>, plane: &mut Array2<f32>) {
        let (fy, fx) = self.factors;
        let mut sums: Array2<f32> = Array2::zeros(self.size);
        let (rows, columns) = (self.rows(), self.columns());
        for (i, &y) in rows.iter().enumerate() {
            for (j, &x) in columns.iter().enumerate() {
                sums[(y, x)] += samples[(i / fy, j / fx)];
            }
        }
        let times = |places: &[usize], n: usize| {
            let mut times = vec![0f32; n];
            places.iter().for_each(|&at| times[at] += 1.0);
            times
        };
        let (down, across) = (times(&rows, self.size.0), times(&columns, self.size.1));
        for ((y, x), v) in plane.indexed_iter_mut() {
            *v += sums[(y, x)] / (down[y] * across[x]);
        }
    }

    /// Pixels from samples, as libjpeg has them by default: those of twice as many rows or columns lie a quarter of a sample off,
    /// and are interpolated; others are repeated.
    pub(super) fn upsampled(&self, samples: &Array2<f32>) -> Array2<f32> {
        let (h, w) = self.size;
        let (rows, columns) = (
            neighbours(h, self.samples.0, self.factors.0),
            neighbours(w, self.samples.1, self.factors.1),
        );
        Array2::from_shape_fn((h, w), |(y, x)| {
            let ((y0, y1), (x0, x1)) = (rows[y], columns[x]);
            let row = |r: usize| 0.75 * samples[(r, x0)] + 0.25 * samples[(r, x1)];
            0.75 * row(y0) + 0.25 * row(y1)
        })
    }

    /// The samples that [`Component::upsampled`] made a plane of: what interpolation has mixed is found step by step, each of which
    /// leaves at most three quarters of what was wrong.
    pub(super) fn downsampled(&self, plane: &Array2<f32>) -> Array2<f32> {
        let mut samples = self.sampled(plane.view());
        if self.factors != (1, 1) {
            for _ in 0..48 {
                let off = plane - &self.upsampled(&samples);
                samples += &self.sampled(off.view());
            }
        }
        samples
    }

    /// The coefficients of samples, block by block.
    pub(super) fn analysed(&self, samples: &Array2<f32>) -> Vec<Block> {
        let (down, across) = self.blocks();
        let mut blocks = vec![[0.0; 64]; down * across];
        let each = blocks.par_iter_mut().enumerate();
        each.for_each(|(k, block)| {
            let (top, left) = (8 * (k / across), 8 * (k % across));
            let pixels: Block = std::array::from_fn(|i| samples[(top + i / 8, left + i % 8)]);
            *block = transformed(&pixels, |u, x| COSINES[u][x]);
        });
        blocks
    }

    /// The samples of coefficients.
    pub(super) fn synthesised(&self, mut blocks: Vec<Block>) -> Array2<f32> {
        let (down, across) = self.blocks();
        let each = blocks.par_iter_mut();
        each.for_each(|block| *block = transformed(block, |x, u| COSINES[u][x]));
        Array2::from_shape_fn((8 * down, 8 * across), |(y, x)| {
            blocks[(y / 8) * across + x / 8][8 * (y % 8) + x % 8]
        })
    }
}

/// The sample that a pixel lies in, and the nearest beside it.
fn neighbours(pixels: usize, samples: usize, factor: usize) -> Vec<(usize, usize)> {
    let beside = |at: usize| match (factor, at % 2) {
        (2, 0) => (at / 2, (at / 2).saturating_sub(1)),
        (2, _) => (at / 2, (at / 2 + 1).min(samples - 1)),
        _ => (at / factor, at / factor),
    };
    (0..pixels).map(beside).collect()
}

/// `M X M^T` for a matrix of 8x8.
fn transformed(block: &Block, matrix: impl Fn(usize, usize) -> f32) -> Block {
    let half: Block = std::array::from_fn(|i| {
        let (row, u) = (i / 8, i % 8);
        (0..8).map(|k| matrix(u, k) * block[8 * row + k]).sum()
    });
    std::array::from_fn(|i| {
        let (v, column) = (i / 8, i % 8);
        (0..8).map(|k| matrix(v, k) * half[8 * k + column]).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(h: usize, w: usize) -> Array2<f32> {
        Array2::from_shape_fn((h, w), |(y, x)| {
            ((37 * y + 91 * x + y * x) % 256) as f32 - 128.0
        })
    }

    /// Wrong: a scale that is not orthonormal, `u` and `v` swapped.
    #[test]
    fn coefficients_are_those_of_the_standard() {
        let component = Component::new([1.0; 64], (8, 8), (1, 1));
        let wave = Array2::from_shape_fn((8, 8), |(_, x)| {
            100.0 * ((2 * x + 1) as f32 * 3.0 * PI / 16.0).cos()
        });
        let block = component.analysed(&wave)[0];
        // A.3.3: 1/4 C(u) C(v) sum, with C(0) = 1/sqrt(2): here 1/4 * 0.7071 * 100 * 4 * 8.
        for (k, &value) in block.iter().enumerate() {
            let expected = if k == 3 { 565.685 } else { 0.0 };
            assert!((value - expected).abs() < 0.01, "{k}: {value}");
        }
    }

    /// There and back, of sides that fill no block. Wrong: a neighbour on the wrong side, an edge that is not repeated.
    #[test]
    fn samples_are_found_again() {
        for (size, factors) in [
            ((17, 21), (1, 1)),
            ((17, 21), (2, 2)),
            ((9, 16), (1, 2)),
            ((8, 9), (2, 4)),
        ] {
            let component = Component::new([1.0; 64], size, factors);
            let samples = component.sampled(plane(size.0, size.1).view());
            let again = component.synthesised(component.analysed(&samples));
            assert!((&again - &samples).iter().all(|v| v.abs() < 1e-3));
            let found = component.downsampled(&component.upsampled(&samples));
            let worst = (&found - &samples).fold(0f32, |m, v| m.max(v.abs()));
            assert!(worst < 0.01, "{size:?} {factors:?}: {worst}");
        }
    }

    /// A change of samples is what they change by. Wrong: sums in the place of means.
    #[test]
    fn what_is_added_arrives() {
        let component = Component::new([1.0; 64], (16, 32), (2, 2));
        let mut plane = plane(16, 32);
        let before = component.sampled(plane.view());
        let change = before.mapv(|v| 0.1 * v + 1.0);
        component.add(&change, &mut plane);
        let off = component.sampled(plane.view()) - before - change;
        assert!(off.iter().all(|v| v.abs() < 1e-3), "{off:?}");
    }
}
