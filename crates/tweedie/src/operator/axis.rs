//! Sparse linear maps along one axis: resizing, padding, pooling. A separable operator is a pair of them.

use rayon::prelude::*;

use super::Boundary;

/// A sparse matrix of `outputs` rows by `inputs` columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    inputs: usize,
    /// Where each row's entries end in `entries`.
    ends: Vec<usize>,
    /// Column and weight, row by row.
    entries: Vec<(usize, f64)>,
}

impl Axis {
    /// The matrix whose row `i` is `row(i)`: columns below `inputs` with their weights. Repeated columns are added up.
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        row: impl Fn(usize) -> Vec<(usize, f64)>,
    ) -> Axis {
        let (mut ends, mut entries) = (Vec::with_capacity(outputs), Vec::new());
        for i in 0..outputs {
            let first = entries.len();
            let mut new = row(i);
            new.sort_unstable_by_key(|&(column, _)| column);
            for (column, weight) in new {
                debug_assert!(column < inputs, "a column outside the matrix");
                match entries[first..].last_mut() {
                    Some((last, sum)) if *last == column => *sum += weight,
                    _ => entries.push((column, weight)),
                }
            }
            ends.push(entries.len());
        }
        Axis {
            inputs,
            ends,
            entries,
        }
    }

    /// Columns.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Rows.
    pub(crate) fn outputs(&self) -> usize {
        self.ends.len()
    }

    /// The entries of row `i`, by column.
    pub(crate) fn row(&self, i: usize) -> &[(usize, f64)] {
        let first = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.entries[first..self.ends[i]]
    }

    /// The transposed matrix.
    pub(crate) fn transpose(&self) -> Axis {
        let mut columns = vec![Vec::new(); self.inputs];
        for i in 0..self.outputs() {
            for &(column, weight) in self.row(i) {
                columns[column].push((i, weight));
            }
        }
        Axis::new(self.outputs(), self.inputs, |i| columns[i].clone())
    }

    /// `M M^T`, row by row: `outputs` squared numbers.
    pub(crate) fn gram(&self) -> Vec<f64> {
        let n = self.outputs();
        let columns = self.transpose();
        let mut gram = vec![0.0; n * n];
        for i in 0..n {
            for &(column, weight) in self.row(i) {
                for &(j, other) in columns.row(column) {
                    gram[i * n + j] += weight * other;
                }
            }
        }
        gram
    }

    /// The picture extended beyond its ends by `before` and `after` values.
    pub(crate) fn pad(n: usize, before: usize, after: usize, boundary: Boundary) -> Axis {
        Axis::new(n, n + before + after, |i| {
            vec![(boundary.index(i as i64 - before as i64, n), 1.0)]
        })
    }

    /// Means of blocks of `factor` values; the last block has what is left.
    pub(crate) fn pool(n: usize, factor: usize) -> Axis {
        Axis::new(n, n.div_ceil(factor), |i| {
            let block = i * factor..((i + 1) * factor).min(n);
            let weight = 1.0 / block.len() as f64;
            block.map(|j| (j, weight)).collect()
        })
    }

    /// Means of `outputs` parts of equal length; a value that lies in two of them counts for each by its share.
    pub(crate) fn pool_to(n: usize, outputs: usize) -> Axis {
        let length = n as f64 / outputs as f64;
        Axis::new(n, outputs, |i| {
            let (start, end) = (i as f64 * length, (i + 1) as f64 * length);
            let share = |j: usize| (end.min((j + 1) as f64) - start.max(j as f64)) / length;
            let touched = start.floor() as usize..(end.ceil() as usize).min(n);
            // A share that is rounding is none.
            let shares = touched.map(|j| (j, share(j)));
            shares.filter(|&(_, share)| share > 1e-12).collect()
        })
    }

    /// MATLAB's `imresize(x, 1/factor, 'bicubic')`, see [`Axis::bicubic_to`].
    pub(crate) fn bicubic_down(n: usize, factor: usize) -> Axis {
        Axis::bicubic_to(n, n.div_ceil(factor), factor as f64)
    }

    /// MATLAB's bicubic `imresize` to `outputs` values that lie `scale` apart: Keys' cubic with a = -0.5 widened by the
    /// scale, its weights made to sum to one, centred on `u = (i + 1/2) scale - 1/2`, the edge repeated outside.
    pub(crate) fn bicubic_to(n: usize, outputs: usize, scale: f64) -> Axis {
        Axis::new(n, outputs, |i| {
            let centre = (i as f64 + 0.5) * scale - 0.5;
            cubic_row(n, centre, scale)
        })
    }

    /// Bicubic interpolation (Keys, a = -0.5) of `n` values to `outputs`, where input `j` lies at `scale*j + offset`.
    pub(crate) fn bicubic_up(n: usize, outputs: usize, scale: f64, offset: f64) -> Axis {
        Axis::new(n, outputs, |i| {
            cubic_row(n, (i as f64 - offset) / scale, 1.0)
        })
    }
}

/// Weights of Keys' cubic, `width` times as wide as a pixel, around `centre`. The edge is repeated outside.
fn cubic_row(n: usize, centre: f64, width: f64) -> Vec<(usize, f64)> {
    let first = (centre - 2.0 * width).ceil() as i64;
    let last = (centre + 2.0 * width).floor() as i64;
    let weights: Vec<f64> = (first..=last)
        .map(|j| cubic((centre - j as f64) / width))
        .collect();
    let sum: f64 = weights.iter().sum();
    (first..=last)
        .zip(weights)
        .filter(|&(_, weight)| weight != 0.0)
        .map(|(j, weight)| (Boundary::Symmetric.index(j, n), weight / sum))
        .collect()
}

/// Keys' cubic (Keys 1981, eq. 15) with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        A * (((x - 5.0) * x + 8.0) * x - 4.0)
    } else {
        0.0
    }
}

/// `V X H^T` of a plane `X` with `h.inputs()` columns, handed to `put` value by value.
pub(crate) fn apply<T, U>(
    v: &Axis,
    h: &Axis,
    plane: &[T],
    out: &mut [U],
    put: impl Fn(&mut U, f64) + Sync,
) where
    T: Copy + Into<f64> + Sync,
    U: Send,
{
    let width = h.outputs();
    let mut rows = vec![0.0; v.inputs() * width];
    rows.par_chunks_mut(width)
        .zip(plane.par_chunks(h.inputs()))
        .for_each(|(out, row)| {
            for (i, to) in out.iter_mut().enumerate() {
                *to = h
                    .row(i)
                    .iter()
                    .map(|&(j, weight)| weight * row[j].into())
                    .sum();
            }
        });
    out.par_chunks_mut(width).enumerate().for_each_init(
        || vec![0.0; width],
        |line, (i, out)| {
            line.fill(0.0);
            for &(j, weight) in v.row(i) {
                for (sum, &value) in line.iter_mut().zip(&rows[j * width..]) {
                    *sum += weight * value;
                }
            }
            for (to, &value) in out.iter_mut().zip(line.iter()) {
                put(to, value);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published weights of MATLAB's antialiased bicubic at an inner row, by offset from `factor*i`, to 6 decimals.
    /// Catches a = -0.75, a missing antialias and a phase off by half a pixel, each of which moves a weight by > 0.01.
    #[test]
    fn bicubic_rows_are_those_of_imresize() {
        let half = |first: i64, left: &[f64], middle: &[f64]| {
            let all = left.iter().chain(middle).chain(left.iter().rev());
            (first, all.copied().collect::<Vec<f64>>())
        };
        let four = [
            -0.001709, -0.010986, -0.018311, -0.011963, 0.022705, 0.097412, 0.181885, 0.240967,
        ];
        let two = [-0.011719, -0.035156, 0.113281, 0.433594];
        let three = [-0.012346, -0.024691, 0.0, 0.111111, 0.259259];
        for (factor, (first, weights)) in [
            (4, half(-6, &four, &[])),
            (2, half(-3, &two, &[])),
            (3, half(-4, &three, &[0.333333])),
        ] {
            let axis = Axis::bicubic_down(20 * factor, factor);
            let mut row = vec![0.0; 20 * factor];
            for &(j, weight) in axis.row(10) {
                row[j] = weight;
            }
            let start = (10 * factor as i64 + first) as usize;
            for (k, &expected) in weights.iter().enumerate() {
                assert!(
                    (row[start + k] - expected).abs() < 1e-6,
                    "x{factor}, offset {}: {} is not {expected}",
                    first + k as i64,
                    row[start + k]
                );
                row[start + k] = 0.0;
            }
            assert!(
                row.iter().all(|w| w.abs() < 1e-12),
                "x{factor}: more weights"
            );
        }
    }

    /// At the edge the symmetric extension folds the outer weights back: row 0 of x2 on 8 values.
    #[test]
    fn bicubic_folds_at_the_edge() {
        let axis = Axis::bicubic_down(8, 2);
        let expected = [
            0.433594 + 0.113281,
            0.433594 - 0.035156,
            0.113281 - 0.011719,
            -0.035156,
            -0.011719,
        ];
        assert_eq!(axis.row(0).len(), expected.len());
        for (k, (&(j, weight), e)) in axis.row(0).iter().zip(expected).enumerate() {
            assert_eq!(j, k);
            assert!((weight - e).abs() < 1e-6, "{weight} is not {e}");
        }
    }

    #[test]
    fn pooling_averages_a_partial_block_over_what_there_is() {
        let axis = Axis::pool(5, 2);
        assert_eq!(axis.outputs(), 3);
        assert_eq!(axis.row(2), [(4, 1.0)]);
        assert_eq!(axis.row(0), [(0, 0.5), (1, 0.5)]);
    }

    /// 5 values to 2: the middle one counts half for each.
    #[test]
    fn pooling_shares_a_value_between_two_parts() {
        let axis = Axis::pool_to(5, 2);
        assert_eq!(axis.row(0), [(0, 0.4), (1, 0.4), (2, 0.2)]);
        assert_eq!(axis.row(1), [(2, 0.2), (3, 0.4), (4, 0.4)]);
        assert_eq!(Axis::pool_to(12, 4), Axis::pool(12, 3));
    }

    /// Both phases reproduce a straight line away from the edges; a wrong phase shifts it by half a pixel or more.
    #[test]
    fn upsampling_keeps_straight_lines_in_place() {
        for (factor, offset) in [(4, 1.5), (3, 1.0), (2, 0.5), (4, 0.0), (3, 0.0)] {
            let n = 10;
            let low: Vec<f64> = (0..n).map(|j| (factor * j) as f64 + offset).collect();
            let axis = Axis::bicubic_up(n, factor * n, factor as f64, offset);
            for i in 2 * factor..(n - 3) * factor {
                let value: f64 = axis.row(i).iter().map(|&(j, w)| w * low[j]).sum();
                assert!(
                    (value - i as f64).abs() < 1e-12,
                    "x{factor} + {offset} at {i}"
                );
            }
        }
    }

    #[test]
    fn transpose_and_gram_match_the_dense_matrix() {
        let axis = Axis::bicubic_down(11, 3);
        let (m, n) = (axis.outputs(), axis.inputs());
        let mut dense = vec![0.0; m * n];
        for i in 0..m {
            axis.row(i).iter().for_each(|&(j, w)| dense[i * n + j] = w);
        }
        let back = axis.transpose();
        for j in 0..n {
            back.row(j)
                .iter()
                .for_each(|&(i, w)| assert_eq!(w, dense[i * n + j]));
        }
        for (k, g) in axis.gram().iter().enumerate() {
            let sum: f64 = (0..n)
                .map(|j| dense[k / m * n + j] * dense[k % m * n + j])
                .sum();
            assert!((g - sum).abs() < 1e-15);
        }
    }
}
