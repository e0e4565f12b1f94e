//! Ancestral sampling in which a part of the image is put in its place at each level: the loop of `projection`, RePaint, ILVR and
//! SDEdit.

use crate::Image;
use crate::level::{Level, Transition, walk};
use crate::method::projected::jumps::{Jumps, Move, downs};
use crate::prior::Prior;
use crate::problem::Problem;
use crate::run::{Error, Run};
use crate::sampler::Variance;

/// Where on its way an image is when a part of it may be put in its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// About to be denoised, at this level.
    Asked(Level),
    /// Made from the level of this index, at the next one, or clean.
    Reached(usize, Level),
}

/// A walk of ancestral steps.
pub(super) struct Ancestral<'a> {
    pub(super) levels: &'a [Level],
    pub(super) jumps: Jumps,
    pub(super) variance: Variance,
    pub(super) clamp: bool,
}

impl Ancestral<'_> {
    /// From `x` at the first level down to the clean image; `put` changes the image before and after each step. The run has
    /// been told how many steps there are.
    pub(super) fn walk(
        &self,
        prior: &dyn Prior,
        mut x: Image,
        run: &mut Run<'_>,
        mut put: impl FnMut(Image, Place, &mut Run<'_>) -> Image,
    ) -> Result<Image, Error> {
        self.variance.check(prior.card())?;
        let hops: Vec<_> = walk(self.levels)
            .map(|(t, s)| Transition::new(t, s))
            .collect();
        for step in self.jumps.moves(self.levels.len()) {
            x = match step {
                Move::Down(i) => {
                    let hop = &hops[i];
                    x = put(x, Place::Asked(hop.t), run);
                    let mut estimate = run.estimate(prior, &x, hop.t)?;
                    if self.clamp {
                        prior.card().range.clamp(&mut estimate.x0);
                    }
                    let next = self.variance.step(hop, &x, &estimate, run);
                    let next = put(next, Place::Reached(i, hop.s), run);
                    run.show(&estimate.x0, hop.t)?;
                    next
                }
                Move::Up(from, to) => up(self.levels[to], self.levels[from], x, run),
            };
        }
        Ok(x)
    }

    /// How many steps there will be.
    pub(super) fn steps(&self) -> usize {
        downs(&self.jumps.moves(self.levels.len()))
    }
}

/// Back up from `s` to the noisier `t`, by the forward process.
pub(super) fn up(t: Level, s: Level, x: Image, run: &mut Run<'_>) -> Image {
    let hop = Transition::new(t, s);
    run.add_noise(x * hop.ratio as f32, hop.var.sqrt())
}

/// `x` with what is measured replaced by a copy of the measurement as noisy as the level:
/// `(I - A^+ A) x + A^+ y_s` with `y_s = a*y + b*A z`.
pub(super) fn noised_data(problem: &Problem, x: Image, level: Level, run: &mut Run<'_>) -> Image {
    let mut y = &problem.y * level.a as f32;
    if level.b > 0.0 {
        let z = run.normal_like(&x);
        y.scaled_add(level.b as f32, &problem.operator.apply(&z));
    }
    problem.linear().project(&y, &x)
}
