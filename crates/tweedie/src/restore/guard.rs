//! Kernels and noise levels that a measurement contradicts.
//!
//! Who states a blur that is a little too wide, or a file whose damage is no noise that an estimator sees, would get back
//! rings where there was a picture. The measurement's spectrum tells of both before the work
//! ([`Misfit`](crate::operator::Misfit)): the operator is then mixed with none at all, the noise taken for what it shows, and
//! both are said.
//!
//! What that overlooks shows in the result. A kernel that is too wide overshoots: it drives numbers to black or white where the
//! picture has nothing near that is nearly as dark or bright. Letters and lines become black on white too, but beside paper and strokes
//! that already were. Then the data get less weight. And a result that does not explain the measurement is none.

use ndarray::{Axis, s};

use crate::Image;
use crate::operator::Operator;
use crate::problem::{Noise, Problem};

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
    if (estimated || misfit.found) && misfit.sigma > MORE * sigma.max(0.001) {
        notes.push(format!(
            "{:.1}/255 of the picture cannot have passed the {}{}: taken for its noise",
            misfit.sigma * 255.0,
            kept.0.name(),
            match misfit.found {
                true => " as it was found from it",
                false => "",
            }
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

/// So many times a result that overshoots is made again.
pub(super) const AGAIN: usize = 2;

/// The part of the numbers that a restoration may drive to black or white, and from afar. On the development set, 192 pixels a side,
/// wrong kernels lost more than 5 dB in 15 of 84 restorations, of which both tell 13; true ones drove 0.9 % at most from afar. On pages,
/// screenshots and drawings true ones drove up to 20 % there, but 1.6 % at most from afar, where both were more than allowed, but for a
/// drawing that was black and white.
const OVERSHOT: f64 = 0.025;
const OVERSHOT_FROM_AFAR: f64 = 0.017;

/// From afar: nothing within so many pixels of the first guess comes so near to the limit.
const AROUND: usize = 6;
const NEAR: f32 = 16.0 / 255.0;

/// A picture of which more than this part is black or white is a page or a drawing, and thin lines become so too.
const PAGE: f64 = 0.25;

/// How many times rougher a result may be than the first guess. Sharp photographs are at most 10 times rougher than they are
/// behind a disk of 6, 5 times behind one of 3; restorations are smoother than photographs.
const ROUGH: f64 = 8.0;

/// Neighbours differ by that much in any file, by rounding: half a step of 8 bits.
const ROUNDED: f64 = 0.5 / 255.0;

/// Whether what was recorded is known to lie in intervals: neither a kernel nor white noise.
fn rounds(problem: &Problem) -> bool {
    problem.operator.quantised().is_some() || problem.operator.binned().is_some()
}

/// Why a result of undoing a blur or enlarging cannot be right, if it overshoots. What rounded the numbers is read from the file
/// and cannot be wrong. Where one result did, that the picture is none of black and white is known, and what the next drives there counts
/// from near, too.
pub(super) fn overshot(problem: &Problem, x: &Image, again: bool) -> Option<String> {
    let loss = problem.operator.loss();
    if !(loss.detail || loss.scales) || rounds(problem) {
        return None;
    }
    let guess = problem.operator.guess(&problem.y);
    let before = at_limits(&guess);
    let driven = at_limits(x) - before;
    let rougher = variation(x) / variation(&guess).max(ROUNDED);
    let of_greys = || again || before <= PAGE && from_afar(x, &guess) > OVERSHOT_FROM_AFAR;
    match () {
        () if driven > OVERSHOT && of_greys() => {
            Some(format!("{:.0} % of it went black or white", 100.0 * driven))
        }
        () if rougher > ROUGH => Some(format!("it is {rougher:.0} times rougher")),
        () => None,
    }
}

/// The noise with which a result that overshot is made again: the data's weight falls with its square.
pub(super) fn weaker(noise: Noise, y: &Image) -> Noise {
    Noise::White(3.0 * noise.level(y).max(2.0 / 255.0))
}

/// A residual is so many times the noise where the measurement is not explained.
const UNEXPLAINED: f64 = 3.0;

/// That a result does not explain the measurement, by the median residual: what is burnt out or damaged need not be explained.
pub(super) fn unexplained(problem: &Problem, x: &Image) -> Option<String> {
    if rounds(problem) {
        return None;
    }
    let mut sizes: Vec<f32> = problem.residual(x).iter().map(|r| r.abs()).collect();
    let middle = sizes.len() / 2;
    // Of white noise two thirds of its standard deviation.
    let left = f64::from(*sizes.select_nth_unstable_by(middle, f32::total_cmp).1) / 0.6745;
    let sigma = problem.sigma();
    (left > UNEXPLAINED * sigma.max(1.0 / 255.0)).then(|| {
        format!(
            "the result explains the measurement to {:.1}/255 only, of which noise is {:.1}/255: do not trust it, or take more \
             steps or another method",
            left * 255.0,
            sigma * 255.0
        )
    })
}

/// The part of the numbers that are as dark or bright as can be.
fn at_limits(x: &Image) -> f64 {
    let limits = x.iter().filter(|&&v| at_limit(v)).count();
    limits as f64 / x.len() as f64
}

fn at_limit(v: f32) -> bool {
    !(0.002..=0.998).contains(&v)
}

/// The part of the numbers that became as dark or bright as can be from afar.
fn from_afar(x: &Image, guess: &Image) -> f64 {
    let (_, _, h, w) = guess.dim();
    let near = |i: usize, n: usize| i.saturating_sub(AROUND)..(i + AROUND + 1).min(n);
    let afar = |b, c, i, j| {
        let limit = x[[b, c, i, j]].clamp(0.0, 1.0).round();
        let far = |v: &f32| (v - limit).abs() > NEAR;
        let around = s![b, c, near(i, h), near(j, w)];
        far(&guess[[b, c, i, j]]) && guess.slice(around).iter().all(far)
    };
    let limits = x.indexed_iter().filter(|(_, v)| at_limit(**v));
    let from_afar = limits.filter(|&((b, c, i, j), _)| afar(b, c, i, j));
    from_afar.count() as f64 / x.len() as f64
}

/// Mean difference of neighbours.
fn variation(x: &Image) -> f64 {
    let along = |axis: Axis| -> f64 {
        let n = x.len_of(axis);
        let (one, next) = (
            x.slice_axis(axis, (..n - 1).into()),
            x.slice_axis(axis, (1..).into()),
        );
        let sum = ndarray::Zip::from(&one)
            .and(&next)
            .fold(0.0, |sum, a, b| sum + f64::from((a - b).abs()));
        sum / x.len() as f64
    };
    along(Axis(2)) + along(Axis(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::noise::{NoiseSource, Seeded};
    use crate::operator::{Blur, Boundary, Identity, Jpeg, Kernel, Subsampling};

    const DIMS: Dims = Dims::new(1, 48, 48);

    fn stripes(contrast: f32) -> Image {
        Image::from_shape_fn(DIMS.batch(1), |(_, _, i, j)| {
            0.5 + contrast * if (i / 8 + j / 6) % 2 == 0 { 1.0 } else { -1.0 }
        })
    }

    fn blurred(x: &Image) -> Problem {
        let kernel = Kernel::disk(2.0).unwrap();
        let blur = Blur::new(DIMS, kernel, Boundary::Symmetric).unwrap();
        Problem::new(blur.apply(x), Box::new(blur), 0.01).unwrap()
    }

    /// The truth is no overshoot; ten times its contrast is, and so are its ripples a pixel apart. Of noise alone nothing is said:
    /// whoever removes too little sees it.
    #[test]
    fn rings_are_seen_and_edges_are_none() {
        let truth = stripes(0.3);
        let problem = blurred(&truth);
        assert_eq!(overshot(&problem, &truth, false), None);
        let loud = (&truth - 0.5) * 10.0 + 0.5;
        assert!(overshot(&problem, &loud, false).unwrap().contains("100 %"));
        let ripples =
            Image::from_shape_fn(
                truth.raw_dim(),
                |(_, _, i, j)| {
                    if (i + j) % 2 == 0 { 0.95 } else { 0.05 }
                },
            );
        assert!(
            overshot(&problem, &ripples, false)
                .unwrap()
                .contains("rougher")
        );
        let same = Identity::new(DIMS).unwrap();
        let noise = Problem::new(truth.clone(), Box::new(same), 0.01).unwrap();
        assert_eq!(overshot(&noise, &loud, false), None);
    }

    /// What is black beside black, and white beside white, is a page's; ripples that become so between greys are not. Wrong: all that
    /// became black or white, of which pages that are blurred have 13 %.
    #[test]
    fn pages_are_black_and_white_by_nature() {
        let page = |ink: f32| {
            Image::from_shape_fn(DIMS.batch(1), |(_, _, i, j)| match (i / 8, j % 12) {
                (1 | 3, 0..6) => ink,
                _ => 0.98,
            })
        };
        let problem = blurred(&page(0.02));
        let sharp = |ink: f32, paper: f32| page(ink).mapv(|v| if v > 0.9 { paper } else { v });
        assert!(at_limits(&sharp(0.0, 1.0)) - at_limits(&problem.y) > 0.9);
        assert_eq!(overshot(&problem, &sharp(0.0, 1.0), false), None);
        let grey = blurred(&page(0.5));
        assert!(overshot(&grey, &sharp(0.0, 1.0), false).is_some());
        let drawing = page(0.3).mapv(|v| if v > 0.9 { 1.0 } else { v });
        assert_eq!(overshot(&blurred(&drawing), &sharp(0.0, 1.0), false), None);
    }

    /// A JPEG's rounding is known, and a picture of one colour is not rough for a step of 8 bits. Wrong: 39.7 dB in place of 42.1 dB for a
    /// JPEG of quality 98, and 3110 times rougher.
    #[test]
    fn what_files_round_is_no_overshoot() {
        let flat = Image::from_elem(DIMS.batch(1), 0.5);
        let checks = |low: f32, high: f32| {
            Image::from_shape_fn(DIMS.batch(1), |(_, _, i, j)| match (i + j) % 2 {
                0 => high,
                _ => low,
            })
        };
        let jpeg = Jpeg::new(DIMS, 98, Subsampling::Full).unwrap();
        let problem = Problem::new(flat.clone(), Box::new(jpeg), Noise::Exact).unwrap();
        assert_eq!(overshot(&problem, &checks(0.0, 1.0), false), None);
        let step = 1.0 / 255.0;
        assert_eq!(
            overshot(&blurred(&flat), &checks(0.5, 0.5 + step), false),
            None
        );
        assert!(overshot(&blurred(&flat), &checks(0.5, 0.5 + 10.0 * step), false).is_some());
    }

    /// A residual as large as the noise is one; a constant tenth of full scale is not, nor is a lamp that nobody explains a reason
    /// to doubt the rest.
    #[test]
    fn what_is_not_explained_is_said() {
        let truth = stripes(0.3);
        let mut problem = blurred(&truth);
        problem
            .y
            .scaled_add(0.01, &Seeded::new(1, "test").normal(1, DIMS));
        assert_eq!(unexplained(&problem, &truth), None);
        assert!(unexplained(&problem, &(&truth + 0.1)).is_some());
        problem.y.slice_mut(ndarray::s![.., .., ..12, ..]).fill(1.0);
        assert_eq!(unexplained(&problem, &truth), None);
        assert_eq!(weaker(Noise::White(0.01), &truth), Noise::White(0.03));
        assert_eq!(weaker(Noise::Exact, &truth), Noise::White(6.0 / 255.0));
    }
}
