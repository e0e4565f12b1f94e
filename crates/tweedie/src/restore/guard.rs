//! Kernels and noise levels that a measurement contradicts.
//!
//! Who states a blur that is a little too wide, or a file whose damage is no noise that an estimator sees, would get back
//! rings where there was a picture. The measurement's spectrum tells of both before the work
//! ([`Misfit`](crate::operator::Misfit)): the operator is then mixed with none at all, the noise taken for what it shows, and
//! both are said.

use crate::Image;
use crate::operator::Operator;
use crate::problem::Noise;

/// Noise that is this much stronger than was thought is taken in its place: only estimates are corrected.
const MORE: f64 = 1.5;

/// The operator and the noise that a measurement can be solved with, without doing harm.
pub(super) fn checked(
    operator: Box<dyn Operator>,
    noise: Noise,
    estimated: bool,
    y: &Image,
    notes: &mut Vec<String>,
) -> (Box<dyn Operator>, Noise) {
    let sigma = noise.level(y);
    let Some(misfit) = operator.misfit(y, sigma) else {
        return (operator, noise);
    };
    let mut kept = (operator, noise);
    if estimated && misfit.sigma > MORE * sigma.max(0.001) {
        notes.push(format!(
            "{:.1}/255 of the picture cannot have passed the {}: taken for its noise",
            misfit.sigma * 255.0,
            kept.0.name()
        ));
        kept.1 = Noise::White(misfit.sigma);
    }
    if let Some(softened) = (misfit.softened > 0.0)
        .then(|| kept.0.softened(misfit.softened))
        .flatten()
    {
        notes.push(format!(
            "the picture has {:.0} times more fine detail than such a {} leaves, which may be wrong: mixed with {:.0} % of \
             none (a stated boundary takes it as it is)",
            misfit.excess,
            kept.0.name(),
            100.0 * misfit.softened
        ));
        kept.0 = softened;
    }
    kept
}
