//! Does the noise depend on brightness? Blocks of like brightness are asked apart, and a line is laid through the answers.

use super::blocks::{Block, Blocks, LEVELS};
use super::effective;
use super::regression::{self, Levels};
use crate::problem::Noise;

/// Most parts of the blocks, and the least blocks of a part.
const PARTS: usize = 6;
const PART: usize = 150;
/// What a level is unsure by beyond what the regression says.
const DOUBT: f64 = 0.05;
/// By how many standard deviations a line must rise or fall to be believed, and how much the standard deviation of the noise
/// must change over the brightness that the picture has. What falls may also be what clipping leaves, and is believed less.
const RISE: f64 = 5.5;
const FALL: f64 = 8.0;
const CHANGE: f64 = 1.35;

/// Brightness, variance, and how much that counts.
struct Answer {
    mean: f64,
    variance: f64,
    weight: f64,
}

/// The law `a + b*x` of the noise's variance, if it is plainly one.
pub(super) fn fit(blocks: &Blocks) -> Option<Noise> {
    let answers = answers(blocks)?;
    let (a, b, error) = line(&answers)?;
    let [darkest, brightest] = [answers.first()?.mean, answers.last()?.mean];
    let [dark, bright] = [darkest, brightest].map(|x| a + b * x);
    let (least, most) = (dark.min(bright), dark.max(bright));
    let sure = b > RISE * error || b < -FALL * error;
    if !(sure && least > 0.0 && (most / least).sqrt() > CHANGE) {
        return None;
    }
    // Between what was seen and black or white the line may cross zero, which no noise does.
    let floor = 0.1 * least;
    Some(match b > 0.0 {
        true if a >= 0.0 => Noise::Poisson { a, b },
        true => Noise::Poisson {
            a: 0.0,
            b: bright / brightest,
        },
        false if a + b > floor => Noise::Poisson { a, b },
        false => Noise::Poisson { a, b: floor - a },
    })
}

/// The answers of the parts, the darkest first; `None` of fewer than two.
fn answers(blocks: &Blocks) -> Option<Vec<Answer>> {
    let mut order: Vec<&Block> = blocks.all.iter().collect();
    order.sort_by(|p, q| p.mean.total_cmp(&q.mean));
    let parts = (order.len() / PART).min(PARTS);
    if parts < 2 {
        return None;
    }
    let bounds: Vec<usize> = (0..=parts).map(|i| i * order.len() / parts).collect();
    let part = |w: &[usize]| -> Option<Answer> {
        let these = &order[w[0]..w[1]];
        let part = blocks.with(these.iter().map(|&&b| b).collect());
        let levels: Levels = regression::levels(&part)?;
        let (sigma, _) = effective(&levels);
        let doubt = levels.doubt.iter().sum::<f64>() / LEVELS as f64;
        let variance = (sigma * sigma).max(1e-9);
        Some(Answer {
            mean: these.iter().map(|b| b.mean).sum::<f64>() / these.len() as f64,
            variance,
            weight: 1.0 / (2.0 * (doubt * doubt + DOUBT * DOUBT) * variance * variance),
        })
    };
    bounds.windows(2).map(part).collect()
}

/// Weighted least squares: `a`, `b` and the standard deviation of `b`.
fn line(answers: &[Answer]) -> Option<(f64, f64, f64)> {
    let sum = |f: &dyn Fn(&Answer) -> f64| answers.iter().map(|p| p.weight * f(p)).sum::<f64>();
    let (w, x, xx) = (sum(&|_| 1.0), sum(&|p| p.mean), sum(&|p| p.mean * p.mean));
    let (v, xv) = (sum(&|p| p.variance), sum(&|p| p.mean * p.variance));
    let det = w * xx - x * x;
    if det <= 1e-6 * w * xx {
        return None;
    }
    let b = (w * xv - x * v) / det;
    Some(((v - b * x) / w, b, (w / det).sqrt()))
}
