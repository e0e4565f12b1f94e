//! Several degradations one after the other.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::spec::{Described, Flags};
use super::{Error, Gain, Linear, Loss, Margins, Operator, Spec, Spectrum, cg, plane};
use crate::level::Range;
use crate::{Dims, Image};

/// `A = A_n ... A_2 A_1`, the first step first.
///
/// A first step with `A_1 A_1^T = c I` (gray, average pooling, identity) leaves a closed form closed: with B the rest,
/// `A A^T = c B B^T`, so that the singular values are the root of `c` times those of B, and the vectors `A_1^T V/sqrt(c)`.
/// Everything else is left to conjugate gradients. Gray commutes with whatever treats the channels alike: put it first.
#[derive(Debug)]
pub struct Compose {
    first: Box<dyn Operator>,
    /// What follows; another chain if it is more than one step.
    rest: Option<Box<dyn Operator>>,
}

impl Compose {
    /// The steps in the order in which they happen.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, [`Error::Chain`] if two do not fit together.
    pub fn new(steps: Vec<Box<dyn Operator>>) -> Result<Compose, Error> {
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
        let none = || Error::Invalid("a chain needs at least one step".into());
        let mut last_first = steps.into_iter().rev();
        let last = last_first.next().ok_or_else(none)?;
        let mut rest = None;
        let mut first = last;
        for step in last_first {
            rest = Some(match rest {
                None => first,
                some => Box::new(Compose { first, rest: some }) as Box<dyn Operator>,
            });
            first = step;
        }
        Ok(Compose { first, rest })
    }

    /// First step and rest as linear operators.
    fn linear_parts(&self) -> Option<(&dyn Linear, Option<&dyn Linear>)> {
        let rest = match &self.rest {
            Some(rest) => Some(rest.linear()?),
            None => None,
        };
        Some((self.first.linear()?, rest))
    }

    /// The same, where only linear chains come.
    fn parts(&self) -> (&dyn Linear, Option<&dyn Linear>) {
        self.linear_parts().expect("only a linear chain is asked")
    }

    /// First step, its `c`, and rest, where the first leaves closed forms closed.
    fn split(&self) -> Option<(&dyn Linear, f64, &dyn Linear)> {
        let (first, rest) = self.parts();
        Some((first, first.gram()?, rest?))
    }
}

/// A chain for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposeSpec {
    /// One after the other.
    pub steps: Vec<Spec>,
}

impl ComposeSpec {
    /// The steps with gray moved to the front, if it commutes with all before it.
    pub(super) fn ordered(&self) -> Vec<&Spec> {
        let mut order: Vec<&Spec> = self.steps.iter().collect();
        let gray = self.steps.iter().position(|s| matches!(s, Spec::Gray(_)));
        if let Some(at) = gray
            && self.steps[..at].iter().all(Spec::treats_channels_alike)
        {
            order[..=at].rotate_right(1);
        }
        order
    }
}

impl Described for ComposeSpec {
    const SUMMARY: &'static str = "any chain of operators, one after the other";
    const EXAMPLE: &'static str =
        "steps = [{ kind = 'blur', kernel = 'box:3' }, { kind = 'downsample', factor = 2 }]";

    fn from_flags(flags: &Flags<'_>) -> Result<ComposeSpec, Error> {
        Err(flags.file_only())
    }

    /// Gray is moved to the front past the steps that treat channels alike: the measurement is the same, it costs a third,
    /// and closed forms stay closed.
    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let mut operators: Vec<Box<dyn Operator>> = Vec::with_capacity(self.steps.len());
        let mut dims = input;
        for step in self.ordered() {
            let operator = step.build(dims)?;
            dims = operator.output();
            operators.push(operator);
        }
        Ok(Box::new(Compose::new(operators)?))
    }

    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        let mut last_first = self.ordered().into_iter().rev();
        last_first.try_fold(output, |dims, step| step.input_for(dims))
    }

    fn undone(&self) -> ComposeSpec {
        ComposeSpec {
            steps: self.steps.iter().map(Spec::undone).collect(),
        }
    }

    fn treats_channels_alike(&self) -> bool {
        self.steps.iter().all(Spec::treats_channels_alike)
    }

    fn files(&mut self) -> Vec<&mut std::path::PathBuf> {
        self.steps.iter_mut().flat_map(Spec::files).collect()
    }

    fn channels_recorded(&self) -> Option<usize> {
        self.steps.iter().find_map(Spec::channels_recorded)
    }

    /// What the last step records, or a step before it that mixes pixels: then the last one sees no picture.
    fn records_pictures(&self) -> bool {
        self.steps.iter().all(Spec::records_pictures)
    }

    fn records_grey(&self) -> bool {
        self.steps.iter().any(Spec::records_grey)
    }
}

impl Operator for Compose {
    fn name(&self) -> &'static str {
        "compose"
    }

    fn input(&self) -> Dims {
        self.first.input()
    }

    fn output(&self) -> Dims {
        self.rest.as_ref().unwrap_or(&self.first).output()
    }

    fn apply(&self, x: &Image) -> Image {
        let x = self.first.apply(x);
        match &self.rest {
            Some(rest) => rest.apply(&x),
            None => x,
        }
    }

    fn vjp(&self, x: &Image, u: &Image) -> Image {
        match &self.rest {
            Some(rest) => self.first.vjp(x, &rest.vjp(&self.first.apply(x), u)),
            None => self.first.vjp(x, u),
        }
    }

    /// The steps' guesses, the last step's first.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.output());
        match &self.rest {
            Some(rest) => self.first.guess(&rest.guess(y)),
            None => self.first.guess(y),
        }
    }

    /// The last step's first: what it had to see, then what that was made of.
    fn consistent(&self, y: &Image, x: &Image) -> Image {
        match (self.linear_parts(), &self.rest) {
            (Some(_), _) => self.project(y, x),
            (None, Some(rest)) => {
                let seen = rest.consistent(y, &self.first.apply(x));
                self.first.consistent(&seen, x)
            }
            (None, None) => self.first.consistent(y, x),
        }
    }

    fn loss(&self) -> Loss {
        match &self.rest {
            Some(rest) => self.first.loss().and(rest.loss()),
            None => self.first.loss(),
        }
    }

    fn range(&self) -> Range {
        self.first.range()
    }

    fn noise_in(&self, y: &Image) -> Option<f64> {
        self.rest.as_ref().unwrap_or(&self.first).noise_in(y)
    }

    fn recorded(&self) -> Option<Array2<bool>> {
        self.rest.as_ref().unwrap_or(&self.first).recorded()
    }

    /// Those of the first step around those of the rest, which may see a smaller picture.
    fn margins(&self) -> Margins {
        let outer = self.first.margins();
        let Some(rest) = &self.rest else {
            return outer;
        };
        let (seen, small) = (outer.within(self.first.input()), rest.input());
        let larger = |f: fn(Dims) -> usize| seen.map_or(1, |seen| f(seen).div_ceil(f(small)));
        outer.and(rest.margins().scaled(larger(|d| d.h), larger(|d| d.w)))
    }

    /// The product of those of the steps.
    fn lipschitz(&self) -> Option<f64> {
        let rest = self
            .rest
            .as_ref()
            .map_or(Some(1.0), |rest| rest.lipschitz());
        Some(self.first.lipschitz()? * rest?)
    }

    fn linear(&self) -> Option<&dyn Linear> {
        self.linear_parts().map(|_| self as &dyn Linear)
    }
}

impl Linear for Compose {
    fn adjoint(&self, u: &Image) -> Image {
        match self.parts() {
            (first, Some(rest)) => first.adjoint(&rest.adjoint(u)),
            (first, None) => first.adjoint(u),
        }
    }

    fn pixelwise(&self) -> bool {
        match self.parts() {
            (first, Some(rest)) => first.pixelwise() && rest.pixelwise(),
            (first, None) => first.pixelwise(),
        }
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        match self.parts() {
            (first, None) => first.spectrum(),
            _ => {
                let (_, _, rest) = self.split()?;
                rest.spectrum().map(|_| self as &dyn Spectrum)
            }
        }
    }

    fn pseudo_inverse(&self, y: &Image) -> Image {
        if let (only, None) = self.parts() {
            return only.pseudo_inverse(y);
        }
        match self.split() {
            // (B G)^+ = G^+ B^+ where the rows of G are orthogonal and of one length.
            Some((first, _, rest)) => first.pseudo_inverse(&rest.pseudo_inverse(y)),
            None => cg::pseudo_inverse(self, y, cg::Params::default()).0,
        }
    }

    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        if let (only, None) = self.parts() {
            return only.prox_within(y, z, rho, params);
        }
        let Some((first, c, rest)) = self.split() else {
            return cg::prox(self, y, z, rho, params).0;
        };
        // With G the first step: z + G^T (B-prox of y around G z - G z)/c.
        let seen = first.apply(z);
        let mut change = rest.prox_within(y, &seen, rho / c, params);
        change.zip_mut_with(&seen, |p, &g| {
            *p = ((f64::from(*p) - f64::from(g)) / c) as f32;
        });
        z + &first.adjoint(&change)
    }

    fn tikhonov(&self, y: &Image, lambda: f64) -> Image {
        match self.parts() {
            (only, None) => only.tikhonov(y, lambda),
            _ => super::tikhonov::solve(self, y, lambda, cg::Params::default()).0,
        }
    }

    fn gram(&self) -> Option<f64> {
        match self.parts() {
            (first, Some(rest)) => Some(first.gram()? * rest.gram()?),
            (first, None) => first.gram(),
        }
    }

    fn isometry(&self) -> Option<f64> {
        match self.parts() {
            (first, Some(rest)) => Some(first.gram()? * rest.isometry()?),
            (first, None) => first.isometry(),
        }
    }
}

impl Compose {
    /// What [`Spectrum`] is made of: [`Compose::split`] with the rest's spectrum.
    fn inner(&self) -> (&dyn Linear, f64, &dyn Spectrum) {
        let (first, c, rest) = self.split().expect("only then is there a spectrum");
        let rest = rest.spectrum().expect("only then is there a spectrum");
        (first, c, rest)
    }
}

impl Spectrum for Compose {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let (first, c, rest) = self.inner();
        // Of what the first step sees, the difference to what becomes of what it does not.
        let change: Vec<_> = gains
            .iter()
            .map(|gain| move |s: f64| gain(c.sqrt() * s) - gain(0.0))
            .collect();
        let change: Vec<Gain<'_>> = change.iter().map(|g| g as _).collect();
        let seen = rest.image(&first.apply(x), &change);
        let lift = |(seen, gain): (Image, &Gain<'_>)| {
            let mut out = first.adjoint(&seen) * (1.0 / c) as f32;
            out.scaled_add(gain(0.0) as f32, x);
            out
        };
        seen.into_iter().zip(gains).map(lift).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let (first, c, rest) = self.inner();
        let scaled: Vec<_> = gains
            .iter()
            .map(|gain| move |s: f64| gain(c.sqrt() * s) / c.sqrt())
            .collect();
        let scaled: Vec<Gain<'_>> = scaled.iter().map(|g| g as _).collect();
        let back = rest.back(y, &scaled);
        back.iter().map(|x| first.adjoint(x)).collect()
    }

    fn norm(&self) -> f64 {
        let (_, c, rest) = self.inner();
        c.sqrt() * rest.norm()
    }
}
