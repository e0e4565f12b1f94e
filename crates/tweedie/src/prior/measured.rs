//! A linear measurement, written out number by number: what closed forms of a likelihood take.

use ndarray::Array2;

use super::Error;
use super::gaussian::flatten;
use crate::Image;
use crate::problem::Problem;

/// `y = A x0 + n`, `n ~ N(0, variance*I)`, of flattened pictures, in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    rows: Array2<f64>,
    measurements: Array2<f64>,
    variance: f64,
}

/// The most numbers of a matrix, 128 MiB of them.
const MOST: usize = 1 << 24;

impl Measured {
    /// A problem's measurement, with the matrix that its linear operator is.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the operator is not linear or the matrix too large.
    pub fn new(problem: &Problem) -> Result<Measured, Error> {
        let operator = problem.operator.as_ref();
        let (d, m) = (operator.input().len(), operator.output().len());
        if operator.linear().is_none() || d.saturating_mul(m.max(d)) > MOST {
            return Err(Error::Invalid(format!(
                "a likelihood in closed form is of a linear operator between few numbers, not of {d} and {m}"
            )));
        }
        let mut columns = Array2::zeros((d, m));
        for (i, mut column) in columns.outer_iter_mut().enumerate() {
            let mut unit = Image::zeros(operator.input().batch(1));
            unit.as_slice_mut().expect("a new image is contiguous")[i] = 1.0;
            column.assign(&flatten(&operator.apply(&unit)).row(0));
        }
        Ok(Measured {
            rows: columns.reversed_axes(),
            measurements: flatten(&problem.y),
            variance: problem.sigma().powi(2),
        })
    }

    /// `A`, a row for each number that is measured.
    pub(super) fn rows(&self) -> &Array2<f64> {
        &self.rows
    }

    /// `y`, a row for each picture.
    pub(super) fn measurements(&self) -> &Array2<f64> {
        &self.measurements
    }

    /// That of the noise.
    pub(super) fn variance(&self) -> f64 {
        self.variance
    }
}
