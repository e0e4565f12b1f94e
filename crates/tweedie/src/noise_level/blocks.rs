//! What is looked at of a picture to tell its noise: how much there is in its 8x8 blocks, in three bands of frequency, grey and
//! colour apart; and how evenly it is spread over the frequencies of a band, which noise is and detail is not.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};

/// Side of a block.
pub(super) const SIDE: usize = 8;
/// Numbers in a block.
const AREA: usize = SIDE * SIDE;
/// Most blocks that are looked at; more change nothing but the time.
const MOST: usize = 12_000;
/// Least blocks that must be left for saturated ones to be left out.
const LEAST: usize = 60;
/// Largest share of saturated values in a block.
const SATURATED: f64 = 0.1;
/// Added to each energy, so that none is zero: the square of a fifth of a step of 8 bits.
const FLOOR: f64 = (0.2 / 255.0) * (0.2 / 255.0);
/// Bands of frequency, by the sum of a coefficient's two indices; below lies what shading may be.
pub(crate) const BANDS: [std::ops::RangeInclusive<usize>; 3] = [2..=3, 4..=6, 7..=14];
/// How many coefficients each has.
pub(crate) const COUNTS: [f64; 3] = [7.0, 18.0, 36.0];
/// The grey and two differences of colours, orthogonal.
pub(crate) const OPPONENT: [[f32; 3]; 3] = [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]];
/// Grey and colour, in three bands each.
pub(super) const LEVELS: usize = 6;
/// Which quantiles of the blocks are told.
const QUANTILES: [f64; 6] = [0.01, 0.03, 0.1, 0.25, 0.5, 0.75];
/// Shares of the blocks, the evenest first, of which mean and spread are told; and the least number of blocks.
const EVENEST: [f64; 2] = [0.02, 0.1];
const LEAST_EVEN: usize = 12;
/// Numbers that tell of a set of blocks.
pub(super) const FEATURES: usize = (QUANTILES.len() + 3 * EVENEST.len() + 1) * LEVELS + 2;

/// A block: logarithms of its level in 1/255, and how evenly that is spread, in each band of grey and colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    level: [f64; LEVELS],
    evenness: [f64; LEVELS],
    /// Its mean value.
    pub(super) mean: f64,
    saturated: f64,
}

/// The blocks of a picture.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) all: Vec<Block>,
    grey: bool,
}

impl Blocks {
    /// Of a picture `[1 or 3, height, width]`, those without an unknown pixel.
    pub(super) fn of(picture: ArrayView3<'_, f32>, known: ArrayView2<'_, bool>) -> Blocks {
        let (c, h, w) = picture.dim();
        let grey = c != 3;
        let mut all = Vec::new();
        if h >= SIDE && w >= SIDE {
            let planes = opponent(picture);
            let step = step(h, w);
            let dct = dct();
            for i in (0..=h - SIDE).step_by(step) {
                for j in (0..=w - SIDE).step_by(step) {
                    let here = ndarray::s![i..i + SIDE, j..j + SIDE];
                    if known.slice(here).iter().all(|&k| k) {
                        let here = ndarray::s![.., i..i + SIDE, j..j + SIDE];
                        all.push(block(picture.slice(here), planes.slice(here), &dct));
                    }
                }
            }
        }
        let mut blocks = Blocks { all, grey };
        let fresh = |b: &Block| b.saturated <= SATURATED;
        if blocks.all.iter().filter(|b| fresh(b)).count() >= LEAST {
            blocks.all.retain(fresh);
        }
        blocks
    }

    /// Some of them.
    pub(super) fn with(&self, all: Vec<Block>) -> Blocks {
        Blocks {
            all,
            grey: self.grey,
        }
    }

    /// What the regression is told; `None` of fewer than 12 blocks.
    pub(super) fn features(&self) -> Option<Vec<f64>> {
        let n = self.all.len();
        if n < LEAST_EVEN {
            return None;
        }
        let mut features = Vec::with_capacity(FEATURES);
        let levels: Vec<Vec<f64>> = (0..LEVELS)
            .map(|g| sorted(self.all.iter().map(|b| b.level[g])))
            .collect();
        for q in QUANTILES {
            features.extend(levels.iter().map(|sorted| quantile(sorted, q)));
        }
        let mut order: Vec<&Block> = self.all.iter().collect();
        order.sort_by(|a, b| self.score(a).total_cmp(&self.score(b)));
        for share in EVENEST {
            let m = ((share * n as f64) as usize).max(LEAST_EVEN).min(n);
            let of = |f: &dyn Fn(&Block, usize) -> f64| -> Vec<f64> {
                let sum = |g| order[..m].iter().map(|b| f(b, g)).sum::<f64>();
                (0..LEVELS).map(|g| sum(g) / m as f64).collect()
            };
            let mean = of(&|b, g| b.level[g]);
            let spread = of(&|b, g| (b.level[g] - mean[g]).powi(2));
            features.extend(&mean);
            features.extend(spread.iter().map(|v| v.sqrt()));
            features.extend(of(&|b, g| b.evenness[g]));
        }
        features.extend((0..LEVELS).map(|g| {
            let evenness = sorted(self.all.iter().map(|b| b.evenness[g]));
            quantile(&evenness, 0.5)
        }));
        features.push((n as f64).ln() / 5.0);
        features.push(f64::from(u8::from(self.grey)));
        Some(features)
    }

    /// The level, for pictures in [0, 1], that the flattest hundredth of the blocks has at most in each band of the grey.
    pub(super) fn flattest(&self) -> [f64; LEVELS / 2] {
        std::array::from_fn(|g| {
            let levels = sorted(self.all.iter().map(|b| b.level[g]));
            quantile(&levels, QUANTILES[0]).exp() / 255.0
        })
    }

    /// How much there is in a block.
    fn score(&self, block: &Block) -> f64 {
        let bands = if self.grey { LEVELS / 2 } else { LEVELS };
        block.level[..bands].iter().sum()
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Linear between the two nearest.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (below, part) = (at as usize, at.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}

/// Distance of blocks: odd, so that all phases of a JPEG's grid are met.
fn step(h: usize, w: usize) -> usize {
    let count = |step: usize| ((h - SIDE) / step + 1) * ((w - SIDE) / step + 1);
    let fits = |step: &usize| count(*step) <= MOST;
    (3..)
        .step_by(2)
        .find(fits)
        .expect("one block remains at last")
}

/// The grey, and two differences of colours, orthonormal.
fn opponent(picture: ArrayView3<'_, f32>) -> Array3<f32> {
    if picture.dim().0 != 3 {
        return picture.slice(ndarray::s![..1, .., ..]).to_owned();
    }
    let planes = OPPONENT.map(|row| {
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        let weighed = |c: usize| picture.index_axis(Axis(0), c).mapv(|v| v * row[c] / length);
        weighed(0) + weighed(1) + weighed(2)
    });
    ndarray::stack(Axis(0), &planes.each_ref().map(|p| p.view())).expect("planes are alike")
}

/// The orthonormal DCT-II of a block, as a matrix of its rows.
pub(crate) fn dct() -> Array2<f32> {
    Array2::from_shape_fn((SIDE, SIDE), |(k, i)| {
        let scale = if k == 0 { 1.0 } else { 2.0 } / SIDE as f64;
        let phase = std::f64::consts::PI * (i as f64 + 0.5) * k as f64 / SIDE as f64;
        (scale.sqrt() * phase.cos()) as f32
    })
}

fn block(values: ArrayView3<'_, f32>, planes: ArrayView3<'_, f32>, dct: &Array2<f32>) -> Block {
    let n = values.len() as f64;
    let saturated = values.iter().filter(|&&v| v <= 0.0 || v >= 1.0).count() as f64 / n;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let bands: Vec<[(f64, f64); 3]> = planes.outer_iter().map(|p| band_energies(p, dct)).collect();
    let colours = if bands.len() == 3 {
        &bands[1..]
    } else {
        &bands[..1]
    };
    let mut block = Block {
        level: [0.0; LEVELS],
        evenness: [0.0; LEVELS],
        mean,
        saturated,
    };
    for g in 0..LEVELS {
        let of = if g < 3 { &bands[..1] } else { colours };
        let average = |f: fn(&(f64, f64)) -> f64| {
            of.iter().map(|b| f(&b[g % 3])).sum::<f64>() / of.len() as f64
        };
        let log_energy = (average(|b| b.0) + FLOOR).ln();
        block.level[g] = 0.5 * log_energy + 255.0f64.ln();
        block.evenness[g] = 0.5 * (average(|b| b.1) - log_energy);
    }
    block
}

/// In each band the mean of the squared coefficients, and of their logarithms.
fn band_energies(plane: ArrayView2<'_, f32>, dct: &Array2<f32>) -> [(f64, f64); 3] {
    let coefficients = dct.dot(&plane).dot(&dct.t());
    let mut energies = [(0.0, 0.0); 3];
    let mut counts = [0usize; 3];
    for ((u, v), &c) in coefficients.indexed_iter() {
        if let Some(band) = BANDS.iter().position(|band| band.contains(&(u + v))) {
            let power = f64::from(c).powi(2);
            energies[band].0 += power;
            energies[band].1 += (power + FLOOR).ln();
            counts[band] += 1;
        }
    }
    debug_assert_eq!(counts.iter().sum::<usize>(), AREA - 3);
    for (energy, count) in energies.iter_mut().zip(counts) {
        energy.0 /= count as f64;
        energy.1 /= count as f64;
    }
    energies
}
