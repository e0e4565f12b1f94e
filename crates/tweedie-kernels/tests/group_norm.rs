//! Group normalisation with SiLU, and its gradients, against f64.

mod common;

use common::{noise, relative_error, threads};
use proptest::prelude::*;
use tweedie_kernels::{GroupNorm, NormGradients, concat, pool};

const EPS: f32 = 1e-5;

#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    groups: usize,
    per_group: usize,
    plane: usize,
    silu: bool,
    /// Added to all of `x`: what loses digits.
    mean: f32,
}

struct Inputs {
    x: Vec<f32>,
    dy: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Case {
    fn inputs(self) -> Inputs {
        let planes = self.batch * self.groups * self.per_group;
        let len = planes * self.plane;
        Inputs {
            x: noise(len, 1).iter().map(|v| 3.0 * v + self.mean).collect(),
            dy: noise(len, 2),
            scale: noise(planes, 3),
            shift: noise(planes, 4),
        }
    }

    /// `y`, `dx`, `dscale`, `dshift`.
    fn run(self) -> [Vec<f32>; 4] {
        let i = self.inputs();
        let (len, planes) = (i.x.len(), i.scale.len());
        let mut out = [len, len, planes, planes].map(|len| vec![f32::NAN; len]);
        let norm = GroupNorm {
            groups: self.groups,
            eps: EPS,
            scale: &i.scale,
            shift: &i.shift,
            silu: self.silu,
        };
        let [y, dx, dscale, dshift] = &mut out;
        norm.forward(self.batch, &i.x, y);
        norm.gradient(
            self.batch,
            &i.x,
            &i.dy,
            NormGradients { dx, dscale, dshift },
        );
        out
    }

    /// The same in f64, each formula as it stands in a textbook; and of what is a sum over pixels, the sum of sizes.
    fn plain(self) -> ([Vec<f64>; 4], [Vec<f64>; 2]) {
        let i = self.inputs();
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (x, dy, scale, shift) = (wide(&i.x), wide(&i.dy), wide(&i.scale), wide(&i.shift));
        let (len, planes) = (x.len(), scale.len());
        let mut out = [len, len, planes, planes].map(|len| vec![0.0; len]);
        let mut sizes = [(); 2].map(|()| vec![0.0; planes]);
        let size = self.per_group * self.plane;
        for first in (0..len).step_by(size) {
            let of = first..first + size;
            let mean = x[of.clone()].iter().sum::<f64>() / size as f64;
            let variance = x[of.clone()]
                .iter()
                .map(|v| (v - mean).powi(2))
                .sum::<f64>();
            let deviation = (variance / size as f64 + f64::from(EPS)).sqrt();
            let normed = |k: usize| (x[k] - mean) / deviation;
            let mut dnormed = vec![0.0; size];
            for k in of.clone() {
                let p = k / self.plane;
                let u = normed(k) * scale[p] + shift[p];
                let s = 1.0 / (1.0 + (-u).exp());
                let (value, slope) = match self.silu {
                    true => (u * s, s * (1.0 + u * (1.0 - s))),
                    false => (u, 1.0),
                };
                out[0][k] = value;
                let du = dy[k] * slope;
                for (i, term) in [du * normed(k), du].into_iter().enumerate() {
                    out[2 + i][p] += term;
                    sizes[i][p] += term.abs();
                }
                dnormed[k - first] = du * scale[p];
            }
            let average = dnormed.iter().sum::<f64>() / size as f64;
            let products = (0..size).map(|k| dnormed[k] * normed(first + k));
            let along = products.sum::<f64>() / size as f64;
            for k in of {
                out[1][k] = (dnormed[k - first] - average - normed(k) * along) / deviation;
            }
        }
        (out, sizes)
    }
}

fn check(case: Case, tolerance: f64) {
    let (got, (want, sizes)) = (case.run(), case.plain());
    for (name, i) in [("y", 0), ("dx", 1)] {
        let error = relative_error(&got[i], &want[i]);
        assert!(error < tolerance, "{name} of {case:?}: {error:e}");
    }
    for (i, name) in ["dscale", "dshift"].iter().enumerate() {
        let pairs = got[2 + i].iter().zip(&want[2 + i]).zip(&sizes[i]);
        for ((&got, want), size) in pairs {
            let error = (f64::from(got) - want).abs() / size;
            assert!(error < tolerance, "{name} of {case:?}: {error:e}");
        }
    }
}

#[test]
fn channels_of_two_tensors_are_those_of_their_concatenation() {
    // A group of three channels straddles the two.
    let (batch, [from_a, from_b], plane) = (2, [5, 7], 35);
    let [a, b] = [from_a, from_b].map(|c| noise(batch * c * plane, c as u64));
    let (scale, shift) = (noise(batch * 12, 3), noise(batch * 12, 4));
    let norm = GroupNorm {
        groups: 4,
        eps: EPS,
        scale: &scale,
        shift: &shift,
        silu: true,
    };
    let mut both = vec![0.0; a.len() + b.len()];
    let [mut y, mut want] = [(); 2].map(|()| vec![f32::NAN; both.len()]);
    concat(batch, &a, &b, &mut both);
    norm.forward(batch, &both, &mut want);
    norm.forward_concat(batch, [&a, &b].map(Into::into), &mut y);
    let want: Vec<f64> = want.into_iter().map(f64::from).collect();
    assert!(relative_error(&y, &want) < 3e-7);
}

#[test]
fn pooled_is_what_pooling_makes_of_it() {
    let (batch, channels, [height, width]) = (2, 6, [5, 9]);
    let x = noise(batch * channels * 4 * height * width, 1);
    let (scale, shift) = (noise(batch * channels, 2), noise(batch * channels, 3));
    let norm = GroupNorm {
        groups: 3,
        eps: EPS,
        scale: &scale,
        shift: &shift,
        silu: true,
    };
    let mut normed = vec![f32::NAN; x.len()];
    let [mut y, mut want] = [(); 2].map(|()| vec![f32::NAN; x.len() / 4]);
    norm.forward(batch, &x, &mut normed);
    pool(height, width, 0.25, &normed, &mut want);
    norm.forward_pool(batch, [height, width], (&x).into(), &mut y);
    assert!(y == want);
}

const FFHQ: Case = Case {
    batch: 1,
    groups: 32,
    per_group: 4,
    plane: 64 * 64,
    silu: true,
    mean: 0.0,
};

#[test]
fn agrees_with_the_textbook_where_the_mean_is_large() {
    // The mean itself is known to 6e-8 of 100 only, where the deviation is 1.7.
    check(
        Case {
            mean: 100.0,
            ..FFHQ
        },
        3e-6,
    );
    check(FFHQ, 1e-6);
}

#[test]
fn a_constant_group_is_its_bias() {
    let (x, mut y) = ([7.5; 12], [f32::NAN; 12]);
    let norm = GroupNorm {
        groups: 1,
        eps: EPS,
        scale: &[2.0, 3.0],
        shift: &[0.25, -1.0],
        silu: false,
    };
    norm.forward(1, &x, &mut y);
    assert_eq!(y[..6], [0.25; 6]);
    assert_eq!(y[6..], [-1.0; 6]);
}

#[test]
fn same_bits_with_any_number_of_threads() {
    let [one, two, five] = [1, 2, 5].map(|n| threads(n, || FFHQ.run()));
    assert!(one == two && one == five);
}

#[test]
#[should_panic(expected = "12 channels of 1 images are no 8 groups")]
fn groups_must_divide_the_channels() {
    let norm = GroupNorm {
        groups: 8,
        eps: EPS,
        scale: &[1.0; 12],
        shift: &[0.0; 12],
        silu: true,
    };
    norm.forward(1, &[0.0; 24], &mut [0.0; 24]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn agrees_at_any_size(
        batch in 1_usize..4, groups in 1_usize..6, per_group in 1_usize..5, plane in 3_usize..700,
        silu: bool, mean in -3.0_f32..3.0,
    ) {
        check(Case { batch, groups, per_group, plane, silu, mean }, 4e-6);
    }
}
