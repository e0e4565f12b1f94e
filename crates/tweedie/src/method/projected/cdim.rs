//! CDIM: DDIM, whose image at each level is moved until its residual is one that the forward process could have made (Jayaram,
//! Kemelmacher-Shlizerman, Seitz and Thickstun 2025, arXiv:2411.00359, algorithm 1).
//!
//! ```text
//! x_s = a_s*x0 + b_s*eps                                                          DDIM, no fresh noise
//! while |y - A x_s|^2 > mean_s + c*std_s, at most K times:
//!     x_s = x_s - step*grad |y - A E[x0 | x_s]|^2                                the shortest step that ends in the band
//! ```
//!
//! with the mean and deviation that the forward process gives the residual ([`Band`]). Steps through the network are taken only where
//! the residual asks for them, and as long as it does. The authors' code searches the step on a grid of lengths; the residual along a
//! line is a parabola, so here it is solved for. Traces are estimated by the same probes in every run (the code draws new ones at
//! each test). The code's last level leaves its noise in the result; here the last step is to the clean image, where an exact
//! measurement is put in its place.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::batch::{add_each, dots};
use crate::grid::{Grid, MAX_STEPS, Subset};
use crate::level::{Level, walk};
use crate::method::projected::band::Band;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of CDIM. By default those of the authors' code, with 25 levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cdim {
    /// The levels that are visited.
    pub grid: Grid,
    /// `c`: how many standard deviations above its mean a residual may be.
    pub width: f64,
    /// `K`: the most steps through the network at one level.
    pub most: usize,
    /// What the first level is made from.
    pub start: Start,
}

impl Default for Cdim {
    fn default() -> Cdim {
        Cdim {
            grid: Grid::ddpm(Subset::Uniform { steps: 25 }),
            width: 0.1,
            most: 20,
            start: Start::Auto,
        }
    }
}

impl Described for Cdim {
    const CARD: Card = Card {
        summary: "DDIM with gradients through the network only while the residual is larger than noise explains: few of them",
        paper: "Jayaram et al. 2025, arXiv:2411.00359",
    };

    fn with_steps(mut self, steps: usize) -> Cdim {
        self.grid = self.grid.with_steps(steps);
        self
    }

    /// Those that are certain; residuals ask for more.
    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Cdim {
    fn tuned(task: &Task) -> Cdim {
        Cdim::default().with_steps(task.steps.unwrap_or(15))
    }
}

/// The least `step >= 0` with `square - 2*step*p + step^2*q <= edge`, or where there is none the step that comes closest.
fn shortest(square: f64, p: f64, q: f64, edge: f64) -> f64 {
    let beyond = square - edge;
    if beyond <= 0.0 || p <= 0.0 {
        return 0.0;
    }
    match p * p - q * beyond {
        reached if reached >= 0.0 => beyond / (p + reached.sqrt()),
        _ => p / q,
    }
}

impl Cdim {
    /// `x` at a level, moved into the band.
    fn moved(
        &self,
        prior: &dyn Prior,
        band: &Band<'_>,
        mut x: Image,
        level: Level,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let linear = band.problem.linear();
        let edges = band.edge(level);
        for _ in 0..self.most {
            let r = band.residual(&x, level.a);
            let squares = dots(&r, &r);
            if squares
                .iter()
                .zip(&edges)
                .all(|(square, edge)| square <= edge)
            {
                break;
            }
            let (estimate, pullback) = run.estimate_with_pullback(prior, &x, level)?;
            let pulled = pullback(&linear.adjoint(&band.problem.residual(&estimate.x0)));
            let direction = pulled.map_err(|e| run.failed(e))?;
            let along = linear.apply(&direction);
            let (p, q) = (dots(&r, &along), dots(&along, &along));
            let steps: Vec<f64> = (0..p.len())
                .map(|n| shortest(squares[n], p[n], q[n], edges[n]))
                .collect();
            add_each(&mut x, &steps, &direction);
            run.poll(&estimate.x0)?;
            if steps.iter().all(|&step| step == 0.0) {
                break;
            }
        }
        Ok(x)
    }
}

impl Method for Cdim {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear, Need::Pullback]
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        Error::unless(self.width.is_finite() && self.most <= MAX_STEPS, || {
            format!("the band must be finite, and have at most {MAX_STEPS} steps")
        })?;
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        let band = Band::new(problem, range.center, self.width);
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (t, s) in walk(&levels) {
            let x0 = run.denoise(prior, &x, t)?;
            run.show(&x0, t)?;
            if s == Level::CLEAN {
                let rho = (problem.sigma_floored(range) / t.sigma()).powi(2);
                return Ok(match problem.exact() {
                    true => problem.settle(&x0, rho).into(),
                    false => x0.into(),
                });
            }
            let eps = t.eps_from_x0(&x, &x0);
            x = self.moved(prior, &band, s.mix(&x0, &eps), s, run)?;
        }
        unreachable!("a walk ends at the clean level")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::projected::band::tests::{DIMS, measured, operators, prior};
    use crate::noise::{NoiseSource, Seeded};

    /// The step ends at the edge, or where the parabola is lowest; none is taken in the band or uphill. Wrong: the larger root, which
    /// goes through the band and out of it.
    #[test]
    fn steps_are_the_shortest() {
        // |r - s*d|^2 with r = (3, 4) and d = (1, 1): 25 - 14 s + 2 s^2, lowest at 3.5, where it is 0.5.
        let at = |s: f64| 25.0 - 14.0 * s + 2.0 * s * s;
        let step = shortest(25.0, 7.0, 2.0, 5.0);
        assert!((at(step) - 5.0).abs() < 1e-12 && step < 3.5, "{step}");
        assert_eq!(shortest(25.0, 7.0, 2.0, 0.1), 3.5);
        assert_eq!(shortest(25.0, 7.0, 2.0, 25.0), 0.0);
        assert_eq!(shortest(25.0, -7.0, 2.0, 5.0), 0.0);
    }

    /// After the steps at a level the residual is in its band, and an image that was in it is left alone. Wrong: a direction from the
    /// residual of the noisy image, or its sign.
    #[test]
    fn images_are_moved_into_the_band() {
        let prior = prior();
        for sigma in [0.0, 0.1] {
            for operator in operators() {
                let (problem, x0) = measured(operator, 2, sigma);
                let band = Band::new(&problem, 0.5, 0.1);
                let level = Level::vp(0.9, 0.5);
                let z = Seeded::new(3, "z").normal(2, DIMS);
                let far = level.mix(&Image::from_elem(DIMS.batch(2), 0.9), &z);
                let mut run = Run::new(1);
                let method = Cdim::default();
                let x = method.moved(&prior, &band, far, level, &mut run).unwrap();
                let nfe = run.nfe();
                assert!((1..=20).contains(&nfe), "{nfe}");
                let r = band.residual(&x, level.a);
                for (square, edge) in dots(&r, &r).iter().zip(band.edge(level)) {
                    assert!(*square < edge * 1.0001, "{square} of {edge}");
                }
                let near = level.mix(&x0, &(&z * 0.5));
                let same = method
                    .moved(&prior, &band, near.clone(), level, &mut run)
                    .unwrap();
                assert!(same == near && run.nfe() == nfe);
            }
        }
    }
}
