//! An operator whose measurement is weighted, number by number: how noise that differs from pixel to pixel is made white.

use std::sync::Arc;

use ndarray::Array2;

use super::{Linear, Loss, Operator};
use crate::level::Range;
use crate::{Dims, Image};

/// `y = w * A(x)`, with a positive weight for each number of the measurement, the same shape as it.
#[derive(Debug)]
pub(crate) struct Weighted {
    of: Arc<dyn Operator>,
    weights: Image,
}

impl Weighted {
    /// # Panics
    /// If the weights are not of the measurement's shape.
    pub(crate) fn new(of: Arc<dyn Operator>, weights: Image) -> Weighted {
        assert_eq!(Dims::of(&weights), of.output(), "a weight for each number");
        Weighted { of, weights }
    }

    fn inner(&self) -> &dyn Linear {
        self.of.linear().expect("only a linear operator is asked")
    }
}

impl Operator for Weighted {
    fn name(&self) -> &'static str {
        self.of.name()
    }

    fn input(&self) -> Dims {
        self.of.input()
    }

    fn output(&self) -> Dims {
        self.of.output()
    }

    fn apply(&self, x: &Image) -> Image {
        self.of.apply(x) * &self.weights
    }

    fn vjp(&self, x: &Image, u: &Image) -> Image {
        self.of.vjp(x, &(u * &self.weights))
    }

    fn guess(&self, y: &Image) -> Image {
        self.of.guess(&(y / &self.weights))
    }

    fn consistent(&self, y: &Image, x: &Image) -> Image {
        match self.linear() {
            Some(linear) => linear.project(y, x),
            None => self.of.consistent(&(y / &self.weights), x),
        }
    }

    fn loss(&self) -> Loss {
        self.of.loss()
    }

    fn range(&self) -> Range {
        self.of.range()
    }

    fn recorded(&self) -> Option<Array2<bool>> {
        self.of.recorded()
    }

    fn linear(&self) -> Option<&dyn Linear> {
        self.of.linear().map(|_| self as &dyn Linear)
    }
}

/// Without closed forms: those of the operator are lost, and conjugate gradients take their place.
impl Linear for Weighted {
    fn adjoint(&self, u: &Image) -> Image {
        self.inner().adjoint(&(u * &self.weights))
    }

    fn pixelwise(&self) -> bool {
        self.inner().pixelwise()
    }
}
