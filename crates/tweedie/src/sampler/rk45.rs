//! The probability-flow ODE by steps that find their own length: the embedded pair of order 5(4) of Dormand and Prince 1980,
//! as Song et al. 2021 (arXiv:2011.13456, section 4.3) and rectified flows (Liu et al. 2023, arXiv:2209.03003) take it.
//!
//! ```text
//! k_i = v(x + h*sum_j a_ij*k_j, t + c_i*h),   i = 1..7;   next = x + h*sum b_i*k_i,   k_7 = v(next): k_1 of the next step
//! err = RMS of |h*sum e_i*k_i|/(atol + rtol*max(|x|, |next|));      taken if err <= 1
//! h  <- h*clamp(0.9*err^(-1/5), 0.2, 10),  no longer after a step that was not taken
//! ```
//!
//! The curve is followed on the straight path `a = 1 - t`, `b = t`, where it is least bent: of the grid only the ends count.
//! From the last level the estimate of the clean image is taken. Each picture of a batch goes at its own pace, so that pictures
//! do not see each other. The first step's length is that of Hairer, Norsett and Wanner (1993, section II.4).
//!
//! Evaluations are bounded: where they run out, the estimate of the clean image is taken from there, and that is said.

use ndarray::{Axis, Zip, s};
use serde::{Deserialize, Serialize};

use super::Sampler;
use crate::Image;
use crate::grid::{Error as GridError, Grid, MAX_STEPS, Schedule};
use crate::level::{Level, Range};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

const C: [f64; 7] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
const A: [&[f64]; 7] = [
    &[],
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
    ],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
/// Order 5 less order 4.
const E: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Settings of RK45. By default as published: tolerances of 1e-5 along the straight path from pure noise to `t = 1e-3`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rk45 {
    /// Levels, of which only the ends count.
    pub grid: Grid,
    /// Error that is allowed a step, for each unit of what is computed.
    pub rtol: f64,
    /// Error that is allowed a step, for data in [-1, 1].
    pub atol: f64,
    /// The most evaluations for a picture.
    pub max_evaluations: usize,
}

impl Default for Rk45 {
    fn default() -> Rk45 {
        Rk45 {
            grid: Grid::all(Schedule::flow(1000)),
            rtol: 1e-5,
            atol: 1e-5,
            max_evaluations: 2000,
        }
    }
}

impl Described for Rk45 {
    const CARD: Card = Card {
        summary: "steps that find their own length for the accuracy that is asked for; deterministic",
        paper: "Dormand and Prince 1980; Song et al. 2021, arXiv:2011.13456",
    };

    /// So many evaluations at the most.
    fn with_steps(mut self, steps: usize) -> Rk45 {
        self.max_evaluations = steps;
        self
    }

    /// At the most.
    fn nfe(&self, _: &PriorCard) -> usize {
        self.max_evaluations
    }
}

/// The level of the straight path at time `t`.
fn level(t: f64, range: Range) -> Level {
    Level {
        a: 1.0 - t,
        b: range.half * t,
    }
}

impl Rk45 {
    /// The times of the grid's ends, the noisiest first.
    fn ends(&self, card: &PriorCard) -> Result<(f64, f64), Error> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        Error::unless(positive(self.rtol) && positive(self.atol), || {
            "the tolerances of RK45 must be positive".into()
        })?;
        if !(1..=MAX_STEPS).contains(&self.max_evaluations) {
            return Err(GridError::Steps(self.max_evaluations).into());
        }
        let levels = self.grid.levels(card)?;
        let time = |l: &Level| l.sigma() / (card.range.half + l.sigma());
        Ok((time(&levels[0]), time(&levels[levels.len() - 1])))
    }

    /// `x*f` for each picture of the batch alone.
    fn each(x: &Image, mut f: impl FnMut(Image) -> Result<Image, Error>) -> Result<Image, Error> {
        let mut out = x.clone();
        for (n, mut to) in out.outer_iter_mut().enumerate() {
            let one = x.slice(s![n..n + 1, .., .., ..]).to_owned();
            to.assign(&f(one)?.index_axis(Axis(0), 0));
        }
        Ok(out)
    }
}

/// One picture on its way.
struct Way<'a> {
    settings: &'a Rk45,
    prior: &'a dyn Prior,
    range: Range,
    x: Image,
    t: f64,
    /// Evaluations that are left.
    left: usize,
}

impl Way<'_> {
    /// The velocity `E[eps - x0 | x]`, and `x0`.
    fn velocity(&mut self, x: &Image, t: f64, run: &mut Run<'_>) -> Result<(Image, Image), Error> {
        let level = level(t, self.range);
        self.left -= 1;
        let x0 = run.denoise(self.prior, x, level)?;
        let mut v = level.eps_from_x0(x, &x0) * self.range.half as f32;
        v -= &x0;
        Ok((v, x0))
    }

    /// The error that is allowed: RMS of `d` in units of it, at two images of which the larger counts.
    fn rms(&self, d: &Image, x: &Image, next: &Image) -> f64 {
        let (atol, rtol) = (self.settings.atol * self.range.half, self.settings.rtol);
        // The middle of the range is no part of the size.
        let middle = (1.0 - self.t) * self.range.center;
        let size = |v: f32| (f64::from(v) - middle).abs();
        let mut sum = 0.0;
        Zip::from(d).and(x).and(next).for_each(|&d, &x, &next| {
            let allowed = atol + rtol * size(x).max(size(next));
            sum += (f64::from(d) / allowed).powi(2);
        });
        (sum / d.len() as f64).sqrt()
    }

    /// The length of the first step.
    fn first_step(&mut self, k: &Image, to: f64, run: &mut Run<'_>) -> Result<f64, Error> {
        let whole = to - self.t;
        let x = self.x.clone();
        let middle = ((1.0 - self.t) * self.range.center) as f32;
        let d0 = self.rms(&x.mapv(|v| v - middle), &x, &x);
        let d1 = self.rms(k, &x, &x);
        let h0 = (0.01 * d0 / d1.max(1e-10)).min(whole.abs()) * whole.signum();
        let mut there = x.clone();
        there.scaled_add(h0 as f32, k);
        let (k2, _) = self.velocity(&there, self.t + h0, run)?;
        let d2 = self.rms(&(&k2 - k), &x, &x) / h0.abs();
        let h1 = (0.01 / d1.max(d2).max(1e-10)).powf(0.2);
        Ok((100.0 * h0.abs()).min(h1).min(whole.abs()) * whole.signum())
    }

    /// Follows the curve to time `to`, as far as evaluations last; one is kept.
    fn follow(&mut self, to: f64, run: &mut Run<'_>) -> Result<(), Error> {
        if self.left < 9 || self.t == to {
            return self.told(to, run);
        }
        let x = self.x.clone();
        let (mut k1, _) = self.velocity(&x, self.t, run)?;
        let mut h = self.first_step(&k1, to, run)?;
        let mut rejected = false;
        while self.t != to && self.left > 6 {
            let end = match (to - self.t).abs() <= h.abs() * (1.0 + 1e-9) {
                true => to,
                false => self.t + h,
            };
            h = end - self.t;
            let (next, k7, x0, err) = self.try_step(&k1, h, run)?;
            let factor = (0.9 * err.powf(-0.2)).clamp(0.2, if rejected { 1.0 } else { 10.0 });
            rejected = err > 1.0;
            if rejected {
                run.poll(&x0)?;
            } else {
                (self.x, self.t, k1) = (next, end, k7);
                run.show(&x0, level(end, self.range))?;
            }
            h *= factor;
        }
        self.told(to, run)
    }

    /// Where the step leads, the velocity and the estimate there, and the error.
    fn try_step(
        &mut self,
        k1: &Image,
        h: f64,
        run: &mut Run<'_>,
    ) -> Result<(Image, Image, Image, f64), Error> {
        let mut k = vec![k1.clone()];
        let (mut next, mut seen) = (self.x.clone(), None);
        for (row, c) in A.iter().zip(C).skip(1) {
            next = self.x.clone();
            add(&mut next, h, row, &k);
            let (v, x0) = self.velocity(&next.clone(), self.t + c * h, run)?;
            k.push(v);
            seen = Some(x0);
        }
        let mut off = Image::zeros(next.raw_dim());
        add(&mut off, h, &E, &k);
        let err = self.rms(&off, &self.x, &next);
        let last = k.pop().expect("seven slopes");
        Ok((next, last, seen.expect("seven estimates"), err))
    }

    /// Says that the end was not reached.
    fn told(&self, to: f64, run: &mut Run<'_>) -> Result<(), Error> {
        if self.t != to {
            run.note(format!(
                "{} evaluations do not reach the end of the curve at this tolerance: the picture is the estimate from sigma {:.3}",
                self.settings.max_evaluations,
                level(self.t, self.range).sigma()
            ));
        }
        Ok(())
    }
}

/// `x += h*sum c_i*k_i`.
fn add(x: &mut Image, h: f64, c: &[f64], k: &[Image]) {
    for (c, k) in c.iter().zip(k).filter(|(c, _)| **c != 0.0) {
        x.scaled_add((h * c) as f32, k);
    }
}

impl Sampler for Rk45 {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        Ok(level(self.ends(card)?.0, card.range))
    }

    fn decode(&self, prior: &dyn Prior, x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let (first, last) = self.ends(prior.card())?;
        run.begin(None);
        Rk45::each(&x, |x| {
            let mut way = self.way(prior, x, first);
            way.follow(last, run)?;
            let level = level(way.t, way.range);
            let x0 = run.denoise(prior, &way.x, level)?;
            run.show(&x0, level)?;
            Ok(x0)
        })
    }

    /// The picture counts as one of the lowest level, whose noise is not to be seen.
    fn encode(&self, prior: &dyn Prior, x: &Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let (first, last) = self.ends(prior.card())?;
        let a = level(last, prior.card().range).a as f32;
        run.begin(None);
        Rk45::each(x, |x| {
            let mut way = self.way(prior, x * a, last);
            way.follow(first, run)?;
            match way.t == first {
                true => Ok(way.x),
                false => Err(Error::Unfit(format!(
                    "{} evaluations do not take the picture up to noise; allow more, or larger tolerances",
                    self.max_evaluations
                ))),
            }
        })
    }
}

impl Rk45 {
    fn way<'a>(&'a self, prior: &'a dyn Prior, x: Image, t: f64) -> Way<'a> {
        Way {
            settings: self,
            prior,
            range: prior.card().range,
            x,
            t,
            left: self.max_evaluations,
        }
    }
}
