//! Several measurements of one image.

use serde::{Deserialize, Serialize};

use super::spec::{Described, Flags};
use super::{Error, Linear, Loss, Operator, Spec, plane};
use crate::level::Range;
use crate::{Dims, Image};

/// `A = [A_1; A_2; ..]`: each operator sees the same image, and what they record lies in the channels of one measurement,
/// one after the other; as a single row of numbers where their heights or widths differ.
#[derive(Debug)]
pub struct Stack {
    parts: Vec<Box<dyn Operator>>,
    output: Dims,
}

impl Stack {
    /// Of the operators in this order.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, or they take images of different dimensions.
    pub fn new(parts: Vec<Box<dyn Operator>>) -> Result<Stack, Error> {
        let Some(first) = parts.first() else {
            return Err(Error::Invalid("a stack needs at least one operator".into()));
        };
        if let Some(other) = parts.iter().find(|p| p.input() != first.input()) {
            return Err(Error::Invalid(format!(
                "the operators of a stack see one image, not one of {} and one of {}",
                first.input(),
                other.input()
            )));
        }
        let Dims { h, w, .. } = first.output();
        let alike = parts.iter().all(|p| (p.output().h, p.output().w) == (h, w));
        let output = match alike {
            true => Dims::new(parts.iter().map(|p| p.output().c).sum(), h, w),
            false => Dims::new(1, 1, parts.iter().map(|p| p.output().len()).sum()),
        };
        Ok(Stack { parts, output })
    }

    /// What `f` makes of each operator, as one measurement.
    fn join<'a>(&'a self, batch: usize, f: impl Fn(&'a dyn Operator) -> Image) -> Image {
        let mut out = Image::zeros(self.output.batch(batch));
        let mut first = 0;
        for part in &self.parts {
            let n = part.output().len();
            let numbers = f(part.as_ref());
            for (mut out, y) in out.outer_iter_mut().zip(numbers.outer_iter()) {
                let all = out.as_slice_mut().expect("in standard layout");
                let to = all[first..first + n].iter_mut();
                to.zip(&y).for_each(|(to, &y)| *to = y);
            }
            first += n;
        }
        out
    }

    /// The part of a measurement that each operator recorded.
    fn split(&self, y: &Image) -> Vec<Image> {
        plane::check(y, self.output);
        let y = y.as_standard_layout();
        let pictures = y.as_slice().expect("in standard layout");
        let mut first = 0;
        let mut part = |dims: Dims| {
            let range = first..first + dims.len();
            first = range.end;
            let pictures = pictures.chunks_exact(self.output.len());
            let numbers = pictures.flat_map(|y| &y[range.clone()]).copied();
            Image::from_shape_vec(dims.batch(y.dim().0), numbers.collect())
                .expect("as many numbers as the operator records")
        };
        self.parts.iter().map(|p| part(p.output())).collect()
    }

    /// The sum of what `f` makes of each operator and its part of a measurement.
    fn sum<'a>(&'a self, y: &Image, f: impl Fn(&'a dyn Operator, &Image) -> Image) -> Image {
        let mut out = Image::zeros(self.input().batch(y.dim().0));
        for (part, y) in self.parts.iter().zip(self.split(y)) {
            out += &f(part.as_ref(), &y);
        }
        out
    }
}

/// A stack for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackSpec {
    /// One beside the other.
    pub of: Vec<Spec>,
}

impl Described for StackSpec {
    const SUMMARY: &'static str =
        "several operators side by side: several measurements of one picture";
    const EXAMPLE: &'static str =
        "of = [{ kind = 'blur', kernel = 'box:3' }, { kind = 'blur', kernel = 'motion:5:0' }]";

    fn from_flags(flags: &Flags<'_>) -> Result<StackSpec, Error> {
        Err(flags.file_only())
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let parts = self.of.iter().map(|spec| spec.build(input));
        Ok(Box::new(Stack::new(parts.collect::<Result<_, _>>()?)?))
    }

    fn files(&mut self) -> Vec<&mut std::path::PathBuf> {
        self.of.iter_mut().flat_map(Spec::files).collect()
    }

    /// For operators that all record images of one size, each as many channels.
    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        let n = self.of.len().max(1);
        let each = Dims {
            c: output.c / n,
            ..output
        };
        let inputs = self.of.iter().map(|spec| spec.input_for(each));
        let inputs: Vec<Dims> = inputs.collect::<Result<_, _>>()?;
        match inputs.first() {
            Some(first) if each.c * n == output.c && inputs.iter().all(|d| d == first) => {
                Ok(*first)
            }
            _ => Err(Error::Invalid(format!(
                "{output} (channels x height x width) are not the measurements of a stack of {n}"
            ))),
        }
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }

    fn records_pictures(&self) -> bool {
        self.of.iter().all(Spec::records_pictures)
    }
}

impl Operator for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn input(&self) -> Dims {
        self.parts[0].input()
    }

    fn output(&self) -> Dims {
        self.output
    }

    fn apply(&self, x: &Image) -> Image {
        self.join(x.dim().0, |part| part.apply(x))
    }

    fn vjp(&self, x: &Image, u: &Image) -> Image {
        self.sum(u, |part, u| part.vjp(x, u))
    }

    /// The mean of the operators' guesses.
    fn guess(&self, y: &Image) -> Image {
        self.sum(y, |part, y| part.guess(y)) / self.parts.len() as f32
    }

    /// The mean of what each makes of it.
    fn consistent(&self, y: &Image, x: &Image) -> Image {
        match self.linear() {
            Some(linear) => linear.project(y, x),
            None => self.sum(y, |part, y| part.consistent(y, x)) / self.parts.len() as f32,
        }
    }

    /// What no operator sees.
    fn loss(&self) -> Loss {
        let blurs = |loss: Loss| loss.detail || loss.scales;
        let losses = self.parts.iter().map(|p| p.loss());
        losses
            .reduce(|a, b| Loss {
                detail: blurs(a) && blurs(b),
                faded: a.faded.min(b.faded),
                pixels: a.pixels && b.pixels,
                scales: a.scales && b.scales,
                colours: a.colours && b.colours,
                mixed: a.mixed && b.mixed,
                frequencies: a.frequencies && b.frequencies,
            })
            .expect("a stack has an operator")
    }

    fn range(&self) -> Range {
        self.parts[0].range()
    }

    fn linear(&self) -> Option<&dyn Linear> {
        let all = self.parts.iter().all(|p| p.linear().is_some());
        all.then_some(self as &dyn Linear)
    }
}

impl Linear for Stack {
    fn pixelwise(&self) -> bool {
        // Side by side in the channels, and not a row of numbers.
        let Dims { h, w, .. } = self.input();
        let mut linear = self.parts.iter().map(|part| part.linear());
        let alone = |part: Option<&dyn Linear>| part.is_some_and(|part| part.pixelwise());
        (self.output.h, self.output.w) == (h, w) && linear.all(alone)
    }

    fn adjoint(&self, u: &Image) -> Image {
        let adjoint = |part: &dyn Operator, u: &Image| {
            let linear = part.linear().expect("only a linear stack is asked");
            linear.adjoint(u)
        };
        self.sum(u, adjoint)
    }
}
