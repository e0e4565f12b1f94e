//! The 3x3 convolution and its gradients against plain f64 loops.

mod common;

use common::{noise, relative_error, threads};
use proptest::prelude::*;
use tweedie_kernels::conv3x3::{self, NormConv, Residual};
use tweedie_kernels::{ConvShape, GroupNorm, Moments, Planes, bias_gradient, split, spread};

/// Each tap as `(dy, dx, index)`, with the range of rows and columns where it stays inside of the image.
fn for_each_tap(s: ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    for y in 0..s.height {
        for x in 0..s.width {
            for k in 0..9 {
                let (sy, sx) = (y + k / 3, x + k % 3);
                if (1..=s.height).contains(&sy) && (1..=s.width).contains(&sx) {
                    f(y * s.width + x, (sy - 1) * s.width + sx - 1, k);
                }
            }
        }
    }
}

/// Calls `f(n, o, c)` for all images and pairs of channels.
fn for_each_pair(s: ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    for n in 0..s.batch {
        for o in 0..s.c_out {
            for c in 0..s.c_in {
                f(n, o, c);
            }
        }
    }
}

fn naive_forward(s: ConvShape, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f64> {
    let p = s.plane();
    let mut y: Vec<f64> = (0..s.y_len())
        .map(|i| f64::from(bias[i / p % s.c_out]))
        .collect();
    for_each_pair(s, |n, o, c| {
        for_each_tap(s, |to, from, k| {
            y[(n * s.c_out + o) * p + to] +=
                f64::from(x[(n * s.c_in + c) * p + from]) * f64::from(w[(o * s.c_in + c) * 9 + k]);
        });
    });
    y
}

fn naive_input_gradient(s: ConvShape, dy: &[f32], w: &[f32]) -> Vec<f64> {
    let p = s.plane();
    let mut dx = vec![0.0; s.x_len()];
    for_each_pair(s, |n, o, c| {
        for_each_tap(s, |to, from, k| {
            dx[(n * s.c_in + c) * p + from] +=
                f64::from(dy[(n * s.c_out + o) * p + to]) * f64::from(w[(o * s.c_in + c) * 9 + k]);
        });
    });
    dx
}

fn naive_weight_gradient(s: ConvShape, x: &[f32], dy: &[f32]) -> Vec<f64> {
    let p = s.plane();
    let mut dw = vec![0.0; 9 * s.c_in * s.c_out];
    for_each_pair(s, |n, o, c| {
        for_each_tap(s, |to, from, k| {
            dw[(o * s.c_in + c) * 9 + k] += f64::from(dy[(n * s.c_out + o) * p + to])
                * f64::from(x[(n * s.c_in + c) * p + from]);
        });
    });
    dw
}

/// All results of one shape: output, gradients to input, weight and bias.
fn run(s: ConvShape) -> [Vec<f32>; 4] {
    let (x, w, b, dy) = inputs(s);
    // Not zeros: what is left of earlier contents would show.
    let mut out = [s.y_len(), s.x_len(), w.len(), b.len()].map(|len| vec![f32::NAN; len]);
    conv3x3::forward(s, &x, &w, Some(&b), &mut out[0]);
    conv3x3::input_gradient(s, &dy, &w, &mut out[1]);
    conv3x3::weight_gradient(s, &x, &dy, &mut out[2]);
    bias_gradient(s.batch, s.plane(), &dy, &mut out[3]);
    out
}

fn inputs(s: ConvShape) -> (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>) {
    (
        noise(s.x_len(), 1),
        noise(9 * s.c_in * s.c_out, 2),
        noise(s.c_out, 3),
        noise(s.y_len(), 4),
    )
}

/// Largest relative L2 error of the four results.
fn worst_error(s: ConvShape) -> f64 {
    let (x, w, b, dy) = inputs(s);
    let [y, dx, dw, db] = run(s);
    let p = s.plane();
    let naive_db: Vec<f64> = (0..s.c_out)
        .map(|o| {
            (0..s.batch)
                .flat_map(|n| &dy[(n * s.c_out + o) * p..][..p])
                .map(|&v| f64::from(v))
                .sum()
        })
        .collect();
    [
        relative_error(&y, &naive_forward(s, &x, &w, &b)),
        relative_error(&dx, &naive_input_gradient(s, &dy, &w)),
        relative_error(&dw, &naive_weight_gradient(s, &x, &dy)),
        relative_error(&db, &naive_db),
    ]
    .into_iter()
    .inspect(|e| print!("{e:.1e} "))
    .fold(0.0, f64::max)
}

const fn shape(batch: usize, c_in: usize, c_out: usize, height: usize, width: usize) -> ConvShape {
    ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
    }
}

/// Layers of the photo network, and sizes at which the tiles do not fit.
const SHAPES: [ConvShape; 16] = [
    shape(4, 64, 64, 32, 32),
    shape(4, 128, 128, 16, 16),
    shape(4, 256, 256, 8, 8),
    shape(4, 12, 64, 32, 32),
    shape(4, 64, 12, 32, 32),
    shape(1, 64, 64, 50, 61),
    shape(1, 64, 64, 97, 130),
    shape(2, 40, 70, 31, 33),
    shape(1, 3, 5, 1, 1),
    shape(2, 2, 3, 11, 17),
    shape(3, 1, 1, 1, 9),
    shape(2, 2, 3, 7, 1),
    shape(1, 17, 9, 3, 3),
    shape(1, 80, 130, 5, 6),
    shape(1, 512, 512, 4, 4),
    shape(1, 300, 130, 5, 6),
];

/// All of them, or under Miri, a hundred times slower, the small ones.
fn shapes() -> impl Iterator<Item = ConvShape> {
    let small = |s: &ConvShape| s.x_len() * s.c_out < 5000;
    SHAPES.into_iter().filter(move |s| !cfg!(miri) || small(s))
}

#[test]
fn agrees_with_plain_loops() {
    for s in shapes() {
        let error = worst_error(s);
        println!(" {s:?}");
        assert!(error < 3e-6, "{s:?}: {error:e}");
    }
}

#[test]
fn same_bits_with_any_number_of_threads() {
    for s in shapes() {
        let [one, two, five] = [1, 2, 5].map(|n| threads(n, || run(s)));
        assert!(one == two && one == five, "{s:?}");
    }
}

#[test]
fn a_residual_is_added_to_the_result() {
    for s in shapes() {
        let (x, w, b, residual) = inputs(s);
        let (mut y, mut with) = (vec![f32::NAN; s.y_len()], vec![f32::NAN; s.y_len()]);
        conv3x3::forward(s, &x, &w, Some(&b), &mut y);
        conv3x3::forward_add(s, &x, &w, &b, &residual, &mut with);
        y.iter_mut().zip(residual).for_each(|(y, r)| *y += r);
        assert!(y == with, "{s:?}");
    }
}

/// Moments of each plane, in f64.
fn plain_moments(y: &[f32], plane: usize) -> Vec<[f64; 2]> {
    let of = |y: &[f32]| {
        let count = y.len() as f64;
        let mean = y.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let deviations = y.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
        [mean, deviations]
    };
    y.chunks_exact(plane).map(of).collect()
}

/// The mean by the deviation's size: what a normalisation will make of it.
fn assert_moments(got: &[Moments], y: &[f32], s: ConvShape) {
    let want = plain_moments(y, s.plane());
    assert_eq!(got.len(), want.len());
    for (got, [mean, deviations]) in got.iter().zip(want) {
        let size = (deviations / s.plane() as f64).sqrt() + 1e-6 * mean.abs();
        assert!(
            (got.mean - mean).abs() <= 1e-5 * size,
            "{s:?}: mean {} {mean}",
            got.mean
        );
        let error = (got.deviations - deviations).abs();
        assert!(
            error <= 1e-5 * deviations + 1e-9 * mean * mean,
            "{s:?}: {error:e} of {deviations}"
        );
    }
}

#[test]
fn moments_are_those_of_the_result() {
    for s in shapes() {
        let (x, w, mut b, _) = inputs(s);
        // A mean far from zero would cost digits.
        b.iter_mut().for_each(|b| *b += 300.0);
        let (mut y, mut with) = (vec![f32::NAN; s.y_len()], vec![f32::NAN; s.y_len()]);
        conv3x3::forward(s, &x, &w, Some(&b), &mut y);
        let moments = conv3x3::forward_moments(s, &x, &w, &b, &mut with);
        assert!(y == with, "{s:?}");
        assert_moments(&moments, &y, s);
    }
}

#[test]
fn a_normalisation_happens_on_the_way_in() {
    for s in shapes() {
        let (x, w, b, residual) = inputs(s);
        let (scale, shift) = (noise(s.batch * s.c_in, 5), noise(s.batch * s.c_in, 6));
        let norm = GroupNorm {
            groups: if s.c_in.is_multiple_of(4) { 4 } else { 1 },
            eps: 1e-5,
            scale: &scale,
            shift: &shift,
            silu: true,
        };
        let mut normed = vec![f32::NAN; s.x_len()];
        norm.forward(s.batch, &x, &mut normed);
        let mut want = naive_forward(s, &normed, &w, &b);
        want.iter_mut()
            .zip(&residual)
            .for_each(|(y, r)| *y += f64::from(*r));
        let first = s.c_in / 3;
        let [mut left, mut right] =
            [first, s.c_in - first].map(|c| vec![0.0; s.batch * c * s.plane()]);
        split(s.batch, &x, &mut left, &mut right);
        let known: Vec<_> = right.chunks_exact(s.plane()).map(Moments::of).collect();
        let right = Planes {
            values: &right,
            moments: Some(&known),
        };
        for x in [[(&x).into(), Planes::NONE], [(&left).into(), right]] {
            let conv = NormConv {
                shape: s,
                norm,
                weight: &w,
                bias: &b,
                residual: Some(Residual {
                    values: &residual,
                    doubled: false,
                }),
            };
            let mut y = vec![f32::NAN; s.y_len()];
            let moments = conv.forward(x, &mut y);
            let error = relative_error(&y, &want);
            assert!(error < 3e-6, "{s:?}: {error:e}");
            assert_moments(&moments, &y, s);
        }
    }
}

#[test]
fn half_the_resolution_is_as_good_as_its_upsampling() {
    let even = |s: &ConvShape| s.height.is_multiple_of(2) && s.width.is_multiple_of(2);
    for s in shapes()
        .filter(even)
        .chain([shape(2, 3, 5, 10, 26), shape(1, 32, 32, 50, 62)])
    {
        let (_, w, b, _) = inputs(s);
        let [x, residual] = [(s.x_len(), 1), (s.y_len(), 2)].map(|(len, i)| noise(len / 4, i));
        let up = |small: &[f32]| {
            let mut large = vec![f32::NAN; 4 * small.len()];
            spread(s.height / 2, s.width / 2, 1.0, small, &mut large);
            large
        };
        let [mut y, mut want] = [(); 2].map(|()| vec![f32::NAN; s.y_len()]);
        conv3x3::forward_moments(s, &up(&x), &w, &b, &mut want);
        conv3x3::forward_doubled(s, &x, &w, &b, &mut y);
        assert!(y == want, "{s:?}");

        let (scale, shift) = (noise(s.batch * s.c_in, 5), noise(s.batch * s.c_in, 6));
        let norm = GroupNorm {
            groups: 1,
            eps: 1e-5,
            scale: &scale,
            shift: &shift,
            silu: true,
        };
        let x = noise(s.x_len(), 7);
        let large = up(&residual);
        let residuals = [(&large, false), (&residual, true)];
        let [want, y] = residuals.map(|(values, doubled)| {
            let residual = Some(Residual { values, doubled });
            let conv = NormConv {
                shape: s,
                norm,
                weight: &w,
                bias: &b,
                residual,
            };
            let mut y = vec![f32::NAN; s.y_len()];
            conv.forward([(&x).into(), Planes::NONE], &mut y);
            y
        });
        assert!(y == want, "residual of {s:?}");
    }
}

#[test]
#[should_panic(expected = "`x` has 9 numbers")]
fn a_wrong_length_panics() {
    conv3x3::forward(
        shape(1, 1, 1, 3, 4),
        &[0.0; 9],
        &[0.0; 9],
        None,
        &mut [0.0; 12],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn agrees_at_any_size(n in 1_usize..4, c_in in 1_usize..36, c_out in 1_usize..70, h in 1_usize..24, w in 1_usize..24) {
        let s = shape(n, c_in, c_out, h, w);
        let error = worst_error(s);
        prop_assert!(error < 3e-6, "{s:?}: {error:e}");
    }

    #[test]
    fn input_gradient_is_the_adjoint(n in 1_usize..3, c_in in 1_usize..20, c_out in 1_usize..20, h in 1_usize..40, w in 1_usize..40) {
        let s = shape(n, c_in, c_out, h, w);
        let (x, weight, _, dy) = inputs(s);
        let (mut y, mut dx) = (vec![0.0; s.y_len()], vec![0.0; s.x_len()]);
        conv3x3::forward(s, &x, &weight, None, &mut y);
        conv3x3::input_gradient(s, &dy, &weight, &mut dx);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let norm = |a: &[f32]| dot(a, a).sqrt();
        prop_assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 3e-6 * norm(&y) * norm(&dy));
    }
}
