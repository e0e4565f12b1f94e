//! Gaussian matrices, and those that are made of them.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::super::dense::{BLOCK, Rows};
use super::Error;
use crate::noise::generator;

/// A matrix that is a function of its seed: each block of a row is a stream of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaussian {
    rows: usize,
    columns: usize,
    seed: u64,
}

/// The most numbers that are made anew each time: 2^36, minutes for each product.
const MOST: usize = 1 << 36;

impl Gaussian {
    pub(super) fn new(rows: usize, columns: usize, seed: u64) -> Result<Gaussian, Error> {
        let n = rows.checked_mul(columns);
        match n {
            Some(n) if (1..=MOST).contains(&n) => Ok(Gaussian {
                rows,
                columns,
                seed,
            }),
            _ => Err(Error::Invalid(format!(
                "a Gaussian matrix of {rows} x {columns} is more than can be worked with; take hadamard, or the matrix `blocks`"
            ))),
        }
    }

    pub(super) fn stored(&self) -> Array2<f32> {
        let mut all = Array2::zeros((self.rows, self.columns));
        let numbers = all.as_slice_mut().expect("in rows");
        let rows = numbers.par_chunks_mut(self.columns).enumerate();
        rows.for_each(|(i, row)| {
            for (b, part) in row.chunks_mut(BLOCK).enumerate() {
                self.draw(i, b, part);
            }
        });
        all
    }

    fn draw(&self, row: usize, block: usize, to: &mut [f32]) {
        let scale = (1.0 / (self.rows as f64).sqrt()) as f32;
        let mut rng: ChaCha8Rng = generator(self.seed, "matrix");
        // 2^24 blocks of 4096 numbers are more than the longest row has.
        rng.set_stream(((row as u64) << 24) | block as u64);
        to.fill_with(|| {
            let number: f32 = StandardNormal.sample(&mut rng);
            scale * number
        });
    }
}

impl Rows for Gaussian {
    fn part(&self, row: usize, first: usize, n: usize, with: &mut dyn FnMut(&[f32])) {
        let mut numbers = [0.0; BLOCK];
        self.draw(row, first / BLOCK, &mut numbers[..n]);
        with(&numbers[..n]);
    }
}

/// Independent numbers of N(0, 1), in f64, from a stream of their own.
pub(super) fn normal(rows: usize, columns: usize, seed: u64, stream: u64) -> Vec<f64> {
    let mut rng = generator(seed, "matrix");
    // Beyond those of the rows.
    rng.set_stream((1 << 63) | stream);
    let draw = |_| StandardNormal.sample(&mut rng);
    (0..rows * columns).map(draw).collect()
}

/// See [`Matrix::correlated`](super::Matrix::correlated).
pub(super) fn correlated(
    rows: usize,
    columns: usize,
    correlation: f64,
    as_coded: bool,
    seed: u64,
) -> Result<Array2<f32>, Error> {
    if !(0.0..=0.999).contains(&correlation) {
        return Err(Error::Invalid(format!(
            "a correlation is a number from 0 to 0.999, not {correlation}"
        )));
    }
    let mut entries = Gaussian::new(rows, columns, seed)?.stored();
    let along: fn(&mut [f64], f64) = if as_coded { entrywise_root } else { root };
    let numbers = entries.as_slice_mut().expect("in rows");
    numbers.par_chunks_mut(columns).for_each(|row| {
        let mut line: Vec<f64> = row.iter().map(|&v| v.into()).collect();
        along(&mut line, correlation);
        row.iter_mut().zip(line).for_each(|(to, v)| *to = v as f32);
    });
    for mut column in entries.columns_mut() {
        let mut line: Vec<f64> = column.iter().map(|&v| v.into()).collect();
        along(&mut line, correlation);
        column
            .iter_mut()
            .zip(line)
            .for_each(|(to, v)| *to = v as f32);
    }
    Ok(entries)
}

/// The triangular root of `c^|i-j|` times a line: a first-order recursion.
fn root(line: &mut [f64], c: f64) {
    let fresh = (1.0 - c * c).sqrt();
    for i in 1..line.len() {
        line[i] = c * line[i - 1] + fresh * line[i];
    }
}

/// `c^(|i-j|/2)` times a line, which is what comes from the left, plus what comes from the right.
fn entrywise_root(line: &mut [f64], c: f64) {
    let c = c.sqrt();
    let mut right = line.to_vec();
    for i in (0..line.len().saturating_sub(1)).rev() {
        right[i] += c * right[i + 1];
    }
    let mut left = 0.0;
    for (v, right) in line.iter_mut().zip(right) {
        let own = *v;
        *v = right + c * left;
        left = own + c * left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the matrices themselves. Wrong: a neighbour counted twice.
    #[test]
    fn recursions_are_products() {
        let (n, c) = (7, 0.6f64);
        for at in 0..n {
            let unit = || {
                (0..n)
                    .map(|i| f64::from(u8::from(i == at)))
                    .collect::<Vec<_>>()
            };
            let mut line = unit();
            entrywise_root(&mut line, c);
            for (i, v) in line.iter().enumerate() {
                let expected = c.powf(i.abs_diff(at) as f64 / 2.0);
                assert!((v - expected).abs() < 1e-12, "{line:?}");
            }
        }
        let columns: Vec<Vec<f64>> = (0..n)
            .map(|at| {
                let mut line: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == at))).collect();
                root(&mut line, c);
                line
            })
            .collect();
        for i in 0..n {
            for j in 0..n {
                let product: f64 = columns.iter().map(|l| l[i] * l[j]).sum();
                let expected = c.powi(i.abs_diff(j) as i32);
                assert!((product - expected).abs() < 1e-12, "{i} {j}: {product}");
            }
        }
    }
}
