//! What compressed sensing must know of the operator: how long its rows are, and which directions of the measurement it fills.

use nalgebra::DMatrix;
use ndarray::{Array1, Array2, Axis};

use crate::Image;
use crate::operator::Linear;
use crate::problem::Problem;
use crate::run::Error;

/// What was recorded.
pub(super) enum Record {
    /// Of each number of each picture the bin in which `A x + n` lay.
    Bins(Vec<Vec<[f64; 2]>>),
    /// The numbers themselves.
    Numbers(Vec<Vec<f64>>),
}

impl Record {
    /// What a problem's measurement says, and what recorded it.
    pub(super) fn of(problem: &Problem) -> Result<(&dyn Linear, Record), Error> {
        match problem.operator.binned() {
            Some(binned) => {
                let bins = binned.bins(&problem.y);
                let bins = bins.map_err(|e| Error::Unfit(e.to_string()))?;
                Ok((binned.before(), Record::Bins(bins)))
            }
            None => Ok((problem.linear(), Record::Numbers(pictures(&problem.y)))),
        }
    }
}

/// The numbers of each picture of a batch.
pub(super) fn pictures(y: &Image) -> Vec<Vec<f64>> {
    let numbers = |y: ndarray::ArrayView3<'_, f32>| y.iter().map(|&v| f64::from(v)).collect();
    y.outer_iter().map(numbers).collect()
}

/// And back, as measurements of the operator.
pub(super) fn measurements(operator: &dyn Linear, numbers: &[Vec<f64>]) -> Image {
    let all = numbers.iter().flatten().map(|&v| v as f32).collect();
    Image::from_shape_vec(operator.output().batch(numbers.len()), all).expect("a number for each")
}

/// Rows that are looked at in one go.
const CHUNK: usize = 64;
/// The most numbers of a matrix that is looked at row by row, and of one whose singular vectors are found.
const MOST: [usize; 2] = [1 << 28, 1 << 25];

/// Rows in batches, as images of the operator's input.
fn rows(operator: &dyn Linear) -> impl Iterator<Item = Image> + '_ {
    let m = operator.output().len();
    (0..m).step_by(CHUNK).map(move |first| {
        let n = CHUNK.min(m - first);
        let mut unit = Image::zeros(operator.output().batch(n));
        for (k, mut y) in unit.outer_iter_mut().enumerate() {
            let numbers = y.as_slice_mut().expect("in standard layout");
            numbers[first + k] = 1.0;
        }
        operator.adjoint(&unit)
    })
}

fn check_size(operator: &dyn Linear, most: usize, method: &str) -> Result<(), Error> {
    let (m, n) = (operator.output().len(), operator.input().len());
    Error::unless(m.saturating_mul(n) <= most, || {
        format!(
            "`{}` records {m} numbers of pictures of {n}: {method} looks at the whole matrix, which may have {most} numbers; take a \
             smaller picture or an operator whose rows are orthogonal and of one length",
            operator.name()
        )
    })
}

/// The squared length of each row.
///
/// # Errors
/// [`Error::Unfit`] where the matrix is too large to look at.
pub(super) fn lengths2(operator: &dyn Linear, method: &str) -> Result<Vec<f64>, Error> {
    if let Some(gram) = operator.gram() {
        return Ok(vec![gram; operator.output().len()]);
    }
    check_size(operator, MOST[0], method)?;
    let length2 = |row: ndarray::ArrayView3<'_, f32>| {
        let squares = row.iter().map(|&v| f64::from(v).powi(2));
        squares.sum::<f64>()
    };
    let chunk = |rows: Image| rows.outer_iter().map(length2).collect::<Vec<_>>();
    Ok(rows(operator).flat_map(chunk).collect())
}

/// The directions of the measurement that the operator fills: `A A^T = U diag(w) U^T`.
#[derive(Debug)]
pub(super) struct Directions {
    /// Left singular vectors in columns, `[measurements, directions]`; `None` if `A A^T` is a multiple of the identity.
    pub(super) u: Option<Array2<f64>>,
    /// The squared singular value of each, none negative; of a multiple of the identity one for all.
    pub(super) w: Array1<f64>,
    /// Numbers in a measurement.
    pub(super) m: usize,
}

impl Directions {
    /// By a thin singular value decomposition, in f64.
    ///
    /// # Errors
    /// [`Error::Unfit`] where the matrix is too large for it.
    pub(super) fn of(operator: &dyn Linear, method: &str) -> Result<Directions, Error> {
        let (m, n) = (operator.output().len(), operator.input().len());
        if let Some(gram) = operator.gram() {
            return Ok(Directions {
                u: None,
                w: Array1::from_elem(1, gram),
                m,
            });
        }
        check_size(operator, MOST[1], method)?;
        let mut matrix = DMatrix::zeros(m, n);
        let all = rows(operator).flat_map(|rows| {
            let rows = rows.axis_iter(Axis(0)).map(|row| row.to_owned());
            rows.collect::<Vec<_>>()
        });
        for (i, row) in all.enumerate() {
            for (j, v) in row.iter().enumerate() {
                matrix[(i, j)] = f64::from(*v);
            }
        }
        Ok(Directions::of_matrix(matrix))
    }

    /// The same of a matrix.
    pub(super) fn of_matrix(matrix: DMatrix<f64>) -> Directions {
        let m = matrix.nrows();
        let svd = matrix.svd(true, false);
        let u = svd.u.expect("left vectors were asked for");
        Directions {
            u: Some(Array2::from_shape_fn((m, u.ncols()), |(i, j)| u[(i, j)])),
            w: svd.singular_values.iter().map(|s| s * s).collect(),
            m,
        }
    }

    /// The largest squared singular value.
    pub(super) fn most(&self) -> f64 {
        self.w.iter().fold(0.0, |m, &w| m.max(w))
    }

    /// How many directions have each `w`, and how many are not filled at all.
    pub(super) fn counts(&self) -> (f64, f64) {
        match &self.u {
            None => (self.m as f64, 0.0),
            Some(u) => (1.0, (self.m - u.ncols()) as f64),
        }
    }

    /// `U diag(of(w)) U^T v`, what is not filled times `rest`.
    pub(super) fn scaled(
        &self,
        v: &Array1<f64>,
        of: impl Fn(f64) -> f64,
        rest: f64,
    ) -> Array1<f64> {
        let Some(u) = &self.u else {
            return v * of(self.w[0]);
        };
        let mut inner = u.t().dot(v);
        inner.zip_mut_with(&self.w, |v, &w| *v *= of(w) - rest);
        u.dot(&inner) + v * rest
    }
}
