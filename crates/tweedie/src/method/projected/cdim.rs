//! CDIM: DDIM, whose image at each level is moved until its residual is one that the forward process could have made (Jayaram,
//! Kemelmacher-Shlizerman, Seitz and Thickstun 2025, arXiv:2411.00359, algorithm 1).
//!
//! ```text
//! x_s = a_s*x0 + b_s*eps                                                          DDIM, no fresh noise
//! while |y - A x_s|^2 > mean_s + c*std_s, at most K times:
//!     x_s = x_s - step*grad |y - A E[x0 | x_s]|^2                                the shortest step that ends in the band
//!
//! mean_s = (1 - a)^2 |y|^2 + m*sigma_y^2 (1 - (1 - a)^2) + b^2 tr(A A^T)            of |y - A x_s|^2 for x_s = a*x0 + b*z
//! var_s  = 2 (b^4 tr((A A^T)^2) + 2 b^2 sigma_y^2 tr(A A^T) + m*sigma_y^4)
//!        + 4 (1 - a)^2 (b^2 (|A^T y|^2 - sigma_y^2 tr(A A^T)) + sigma_y^2 (|y|^2 - m*sigma_y^2))
//! ```
//!
//! Steps through the network are taken only where the residual asks for them, and as long as it does. For data in [-1, 1]: here `y`
//! and `x` are taken around the middle of the range. The authors' code searches the step on a grid of lengths; the residual along a
//! line is a parabola, so here it is solved for. Traces are estimated by the same probes in every run (the code draws new ones at
//! each test). The code's last level leaves its noise in the result; here the last step is to the clean image, where an exact
//! measurement is put in its place.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, MAX_STEPS, Subset};
use crate::level::{Level, walk};
use crate::method::projected::pictures::{dots, push};
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::noise::{NoiseSource, Seeded};
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
        Cdim::default().with_steps(task.steps.unwrap_or(25))
    }
}

/// What the residual of a noisy image is, and how large the forward process would make it.
struct Band<'a> {
    problem: &'a Problem,
    /// The middle of the range as a measurement.
    middle: Image,
    /// `|y|^2` and `|A^T y|^2` of each picture.
    energy: Vec<f64>,
    seen: Vec<f64>,
    /// How many numbers are measured, `tr(A A^T)`, `tr((A A^T)^2)`.
    m: f64,
    trace: f64,
    trace2: f64,
    width: f64,
}

impl<'a> Band<'a> {
    fn new(problem: &'a Problem, center: f64, width: f64) -> Band<'a> {
        let linear = problem.linear();
        let gray = Image::from_elem(linear.input().batch(problem.batch()), center as f32);
        let middle = linear.apply(&gray);
        let y = &problem.y - &middle;
        let back = linear.adjoint(&y);
        let mut band = Band {
            problem,
            energy: dots(&y, &y),
            seen: dots(&back, &back),
            middle,
            m: 0.0,
            trace: 0.0,
            trace2: 0.0,
            width,
        };
        // E |A^T z|^2 = tr(A A^T) and E |A A^T z|^2 = tr((A A^T)^2) for white z; one number each where there are few.
        let (dims, few) = (linear.output(), linear.output().len() <= PROBES);
        let probes = if few { dims.len() } else { PROBES };
        let mut noise = Seeded::new(0, "probes");
        for k in 0..probes {
            let z = match few {
                true => unit(dims.batch(1), k),
                false => noise.normal(1, dims) * (1.0 / probes as f32).sqrt(),
            };
            let back = linear.adjoint(&z);
            let again = linear.apply(&back);
            band.trace += dots(&back, &back)[0];
            band.trace2 += dots(&again, &again)[0];
            // What no image changes is not measured: hidden pixels.
            let measured = again.iter().filter(|&&v| v != 0.0).count() as f64;
            band.m = if few {
                band.m + measured.min(1.0)
            } else {
                measured
            };
        }
        band
    }

    /// `y - A x`, with `x` and `y` around the middle.
    fn residual(&self, x: &Image, a: f64) -> Image {
        let mut r = self.problem.residual(x);
        r.scaled_add((a - 1.0) as f32, &self.middle);
        r
    }

    /// The largest `|y - A x|^2` of each picture.
    fn edge(&self, level: Level) -> Vec<f64> {
        let (c, b) = ((1.0 - level.a).powi(2), level.b * level.b);
        let v = self.problem.sigma().powi(2);
        let white = b * b * self.trace2 + 2.0 * b * v * self.trace + self.m * v * v;
        let edge = |(energy, seen): (&f64, &f64)| {
            let mean = c * energy + self.m * v * (1.0 - c) + b * self.trace;
            let signal = b * (seen - v * self.trace) + v * (energy - self.m * v);
            mean + self.width * (2.0 * white + 4.0 * c * signal).max(0.0).sqrt()
        };
        self.energy.iter().zip(&self.seen).map(edge).collect()
    }
}

/// Probes for a trace. Of `m` numbers the estimate is off by about `sqrt(2/(m*PROBES))`, an eighth of the residual's own deviation.
const PROBES: usize = 64;

/// A single one, at place `k`.
fn unit(dim: (usize, usize, usize, usize), k: usize) -> Image {
    let mut z = Image::zeros(dim);
    z.as_slice_mut().expect("in standard layout")[k] = 1.0;
    z
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
            push(&mut x, &steps, &direction);
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
    use ndarray::Array4;
    use rustfft::num_complex::Complex64;

    use super::*;
    use crate::Dims;
    use crate::level::Range;
    use crate::operator::{Blur, Boundary, Kernel, Mask, Operator};
    use crate::prior::Stationary;

    const DIMS: Dims = Dims::new(1, 12, 10);

    /// Independent pixels of N(0.5, 0.2^2).
    fn prior() -> Stationary {
        let power = Array4::from_elem((DIMS.h, DIMS.w, 1, 1), Complex64::from(0.04));
        Stationary::new(&[0.5], &power, Range::IMAGE).unwrap()
    }

    fn operators() -> [Box<dyn Operator>; 2] {
        let kernel = Kernel::gaussian(1.0, None).unwrap();
        let blur = Blur::new(DIMS, kernel, Boundary::Circular).unwrap();
        [
            Box::new(blur),
            Box::new(Mask::random(DIMS, 0.5, 3).unwrap()),
        ]
    }

    /// `n` measurements of one image, with noise where anything is measured; and the image, as often.
    fn measured(operator: Box<dyn Operator>, n: usize, sigma: f64) -> (Problem, Image) {
        let x0 = prior().sample(1, &mut Seeded::new(1, "truth"));
        let x0 = x0.broadcast(DIMS.batch(n)).unwrap().to_owned();
        let seen = operator.apply(&Image::ones(DIMS.batch(1)));
        let seen = seen.mapv(|v| f32::from(u8::from(v != 0.0)));
        let noise = Seeded::new(2, "noise").normal(n, operator.output()) * &seen;
        let y = operator.apply(&x0) + noise * sigma as f32;
        (Problem::new(y, operator, sigma).unwrap(), x0)
    }

    /// The law of the residual of noisy images, drawn a few thousand times: its mean and its deviation, with noise and without, for a
    /// blur and a mask, whose hidden pixels are not measured. Wrong: `(1 - a)^2` in the place of what it leaves of 1 before the
    /// noise; `m` the length of `y`; traces of `A` for those of `A A^T`; pictures that are not around the middle.
    #[test]
    fn the_band_is_that_of_the_forward_process() {
        let n = 3000;
        for k in 0..2 {
            for sigma in [0.0, 0.1] {
                let (problem, x0) = measured(operators().into_iter().nth(k).unwrap(), n, sigma);
                for level in [Level::vp(0.2, 0.5), Level::ve(0.3), Level::vp(0.9, 0.5)] {
                    let z = Seeded::new(3, "z").normal(n, DIMS);
                    let band = |width| Band::new(&problem, 0.5, width);
                    let r = band(0.0).residual(&level.mix(&x0, &z), level.a);
                    let squares = dots(&r, &r);
                    let mean = |v: &[f64]| v.iter().sum::<f64>() / n as f64;
                    let found = mean(&squares);
                    let spread: Vec<f64> = squares.iter().map(|s| (s - found).powi(2)).collect();
                    let (least, most) =
                        (mean(&band(0.0).edge(level)), mean(&band(1.0).edge(level)));
                    let what = format!("operator {k}, noise {sigma}, {level:?}");
                    assert!(
                        (found / least - 1.0).abs() < 0.015,
                        "{what}: {found} {least}"
                    );
                    let (found, told) = (mean(&spread).sqrt(), most - least);
                    assert!((found / told - 1.0).abs() < 0.08, "{what}: {found} {told}");
                }
            }
        }
    }

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
