//! Several degradations one after the other.

use ndarray::Array2;

use super::{Error, Operator, cg, plane};
use crate::{Dims, Image};

/// `A = A_n ... A_2 A_1`, the first step first.
///
/// A first step with `A_1 A_1^T = c I` (gray, average pooling, identity) leaves a closed form closed: with B the rest,
/// `A A^T = c B B^T`, so that the prox of the whole is that of B at `rho/c`. Everything else is left to conjugate
/// gradients. Gray commutes with whatever treats the channels alike: put it first.
#[derive(Debug)]
pub struct Compose {
    steps: Vec<Box<dyn Operator>>,
}

impl Compose {
    /// The steps in the order in which they happen.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, [`Error::Chain`] if two do not fit together.
    pub fn new(steps: Vec<Box<dyn Operator>>) -> Result<Compose, Error> {
        if steps.is_empty() {
            return Err(Error::Invalid("a chain needs at least one step".into()));
        }
        for (i, pair) in steps.windows(2).enumerate() {
            let (expected, got) = (pair[1].input(), pair[0].output());
            if expected != got {
                return Err(Error::Chain {
                    step: i + 2,
                    expected,
                    got,
                });
            }
        }
        Ok(Compose { steps })
    }

    fn chain(&self) -> Chain<'_> {
        Chain { steps: &self.steps }
    }
}

/// A part of the steps, at least one.
#[derive(Debug)]
struct Chain<'a> {
    steps: &'a [Box<dyn Operator>],
}

impl Chain<'_> {
    /// The first step and its `c`, if it has one and is not the last.
    fn split(&self) -> Option<(&dyn Operator, f64, Chain<'_>)> {
        let (first, rest) = self.steps.split_first()?;
        let c = first.gram()?;
        (!rest.is_empty()).then_some((first.as_ref(), c, Chain { steps: rest }))
    }

    fn single(&self) -> Option<&dyn Operator> {
        match self.steps {
            [only] => Some(only.as_ref()),
            _ => None,
        }
    }
}

impl Operator for Chain<'_> {
    fn input(&self) -> Dims {
        self.steps[0].input()
    }

    fn output(&self) -> Dims {
        self.steps[self.steps.len() - 1].output()
    }

    fn apply(&self, x: &Image) -> Image {
        let first = self.steps[0].apply(x);
        self.steps[1..].iter().fold(first, |x, step| step.apply(&x))
    }

    fn adjoint(&self, u: &Image) -> Image {
        let (last, rest) = (
            &self.steps[self.steps.len() - 1],
            &self.steps[..self.steps.len() - 1],
        );
        let last = last.adjoint(u);
        rest.iter().rev().fold(last, |u, step| step.adjoint(&u))
    }

    fn pseudo_inverse(&self, y: &Image) -> Image {
        if let Some(only) = self.single() {
            return only.pseudo_inverse(y);
        }
        if let Some((first, _, rest)) = self.split() {
            // (B G)^+ = G^+ B^+ where the rows of G are orthogonal and of one length.
            return first.pseudo_inverse(&rest.pseudo_inverse(y));
        }
        cg::pseudo_inverse(self, y, cg::Params::default()).0
    }

    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        if let Some(only) = self.single() {
            return only.prox_within(y, z, rho, params);
        }
        if let Some((first, c, rest)) = self.split() {
            // With G the first step: z + G^T (B-prox of y around G z - G z)/c.
            let seen = first.apply(z);
            let mut change = rest.prox_within(y, &seen, rho / c, params);
            change.zip_mut_with(&seen, |p, &g| {
                *p = ((f64::from(*p) - f64::from(g)) / c) as f32
            });
            return z + &first.adjoint(&change);
        }
        cg::prox(self, y, z, rho, params).0
    }

    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.output());
        self.steps
            .iter()
            .rev()
            .fold(y.clone(), |y, step| step.guess(&y))
    }

    fn is_identity(&self) -> bool {
        self.steps.iter().all(|step| step.is_identity())
    }

    fn recorded(&self) -> Option<Array2<bool>> {
        self.steps[self.steps.len() - 1].recorded()
    }

    fn gram(&self) -> Option<f64> {
        self.steps.iter().map(|step| step.gram()).product()
    }
}

impl Operator for Compose {
    fn input(&self) -> Dims {
        self.chain().input()
    }

    fn output(&self) -> Dims {
        self.chain().output()
    }

    fn is_identity(&self) -> bool {
        self.chain().is_identity()
    }

    fn recorded(&self) -> Option<Array2<bool>> {
        self.chain().recorded()
    }

    fn apply(&self, x: &Image) -> Image {
        self.chain().apply(x)
    }

    fn adjoint(&self, u: &Image) -> Image {
        self.chain().adjoint(u)
    }

    fn pseudo_inverse(&self, y: &Image) -> Image {
        self.chain().pseudo_inverse(y)
    }

    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        self.chain().prox_within(y, z, rho, params)
    }

    /// The steps' guesses, the last step's first.
    fn guess(&self, y: &Image) -> Image {
        self.chain().guess(y)
    }

    fn tikhonov(&self, y: &Image, lambda: f64) -> Image {
        match self.chain().single() {
            Some(only) => only.tikhonov(y, lambda),
            None => super::tikhonov::solve(self, y, lambda, cg::Params::default()).0,
        }
    }

    fn gram(&self) -> Option<f64> {
        self.chain().gram()
    }
}
