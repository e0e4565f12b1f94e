//! Methods that were made for linear operators, on those that are not.

use tweedie::level::Level;
use tweedie::method::{Best, Mcg, Method, Pigdm, Start};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Downsample, Hdr, Linear, Loss, Operator};
use tweedie::prior::{Card, Error, Estimate, Prior, Pullback};
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Dims, Image};

use crate::fixture::{White, measured_by};

const DIMS: Dims = Dims::new(1, 6, 8);

/// A linear operator that does not say so, and guesses by its pseudo-inverse.
#[derive(Debug)]
struct Hidden(Downsample);

impl Operator for Hidden {
    fn name(&self) -> &'static str {
        "hidden"
    }

    fn input(&self) -> Dims {
        self.0.input()
    }

    fn output(&self) -> Dims {
        self.0.output()
    }

    fn apply(&self, x: &Image) -> Image {
        self.0.apply(x)
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.0.adjoint(u)
    }

    fn guess(&self, y: &Image) -> Image {
        self.0.pseudo_inverse(y)
    }

    fn loss(&self) -> Loss {
        self.0.loss()
    }
}

/// Both ways to say what a linear operator is give one answer, without noise and, where all singular values are 1, with it. Wrong: a
/// derivative of the operator besides, the guess of the residual in the place of the difference of guesses.
#[test]
fn pigdm_by_a_guess_is_pigdm_by_a_pseudo_inverse() {
    let prior = White::any();
    let average = || Downsample::average(DIMS, 2).unwrap();
    let settings = Pigdm {
        start: Start::Noise,
        ..Pigdm::default()
    };
    let settings = tweedie::method::Settings::from(settings).with_steps(10);
    let solved = |operator: Box<dyn Operator>| {
        let problem = measured_by(operator, 0.0);
        let result = settings
            .as_dyn()
            .restore(&prior, &problem, &mut Run::new(3));
        result.unwrap().x
    };
    let off = solved(Box::new(Hidden(average()))) - solved(Box::new(average()));
    assert!(off.iter().all(|d| d.abs() < 1e-4), "{off:?}");
}

/// What MCG ends with explains an exact measurement of what is not linear, as the estimate that it ends at. Wrong: the consistent
/// picture scaled by a level that is not reached.
#[test]
fn mcg_ends_where_the_measurement_is_explained() {
    let prior = White::any();
    let settings = tweedie::method::Settings::from(Mcg::default()).with_steps(20);
    for operator in [
        Box::new(Hidden(Downsample::average(DIMS, 2).unwrap())) as Box<dyn Operator>,
        Box::new(Hdr::new(DIMS, 2.0, 0.5).unwrap()),
    ] {
        let problem = measured_by(operator, 0.0);
        let x = settings
            .as_dyn()
            .restore(&prior, &problem, &mut Run::new(3));
        let left = problem.residual(&x.unwrap().x);
        let grey = problem.residual(&Image::from_elem(DIMS.batch(1), 0.5));
        let size = |x: &Image| x.mapv(|v| v * v).sum().sqrt();
        assert!(
            size(&left) < 0.5 * size(&grey),
            "{}: {} of {}",
            problem.operator.name(),
            size(&left),
            size(&grey)
        );
    }
}

/// A prior whose answers are noise, so that runs differ.
#[derive(Debug)]
struct Fickle(Card);

impl Prior for Fickle {
    fn card(&self) -> &Card {
        &self.0
    }

    fn estimate(&self, x: &Image, _: Level) -> Result<Estimate, Error> {
        Ok(x.mapv(|v| v.rem_euclid(1.0)).into())
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        Ok((
            self.estimate(x, level)?,
            Box::new(|v: &Image| Ok(v.clone())),
        ))
    }
}

/// Of each picture the run that explains it best, as good as the best of the runs by themselves, and it is the run's own picture.
/// Wrong: the last run, the best run of the whole batch.
#[test]
fn the_best_of_several_runs_is_kept() {
    let prior = Fickle(Card {
        channels: vec![1],
        ..Card::any()
    });
    let hdr = Hdr::new(DIMS, 3.0, 0.5).unwrap();
    let y = Seeded::new(1, "test")
        .normal(2, DIMS)
        .mapv(|v| (0.5 + 0.3 * v).clamp(0.0, 1.0));
    let problem = Problem::new(y, Box::new(hdr), 0.3).unwrap();
    let of = tweedie::method::Settings::named("dps")
        .unwrap()
        .with_steps(3);
    let left = |x: &Image| -> Vec<f32> {
        let off = problem.residual(x);
        off.outer_iter().map(|x| x.mapv(|v| v * v).sum()).collect()
    };
    let draws = tweedie::method::Draws { n: 5, of: &of };
    let all = draws.batch(&prior, &problem, &mut Run::new(7)).unwrap();
    let best = Best {
        runs: 5,
        of: Box::new(of.clone()),
    };
    let x = best.restore(&prior, &problem, &mut Run::new(7)).unwrap().x;
    let runs: Vec<Vec<f32>> = all
        .axis_chunks_iter(ndarray::Axis(0), 2)
        .map(|x| left(&x.to_owned()))
        .collect();
    let least = |n: usize| runs.iter().map(|run| run[n]).fold(f32::MAX, f32::min);
    assert_eq!(left(&x), [least(0), least(1)]);
    assert!(runs.iter().any(|run| run[0] > 1.01 * least(0)));
}
