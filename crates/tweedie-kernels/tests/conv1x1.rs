//! The 1x1 convolution and its gradients against plain f64 loops.

mod common;

use common::{noise, relative_error, threads};
use proptest::prelude::*;
use tweedie_kernels::{ConvShape, concat, conv1x1};

fn shape(batch: usize, c_in: usize, c_out: usize, height: usize, width: usize) -> ConvShape {
    ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
    }
}

fn inputs(s: ConvShape) -> (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>) {
    (
        noise(s.x_len(), 1),
        noise(s.c_in * s.c_out, 2),
        noise(s.c_out, 3),
        noise(s.y_len(), 4),
    )
}

/// Output, gradients to input and weight.
fn run(s: ConvShape) -> [Vec<f32>; 3] {
    let (x, w, b, dy) = inputs(s);
    let mut out = [s.y_len(), s.x_len(), w.len()].map(|len| vec![f32::NAN; len]);
    conv1x1::forward(s, &x, &w, Some(&b), &mut out[0]);
    conv1x1::input_gradient(s, &dy, &w, &mut out[1]);
    conv1x1::weight_gradient(s, &x, &dy, &mut out[2]);
    out
}

#[test]
fn channels_of_two_tensors_are_those_of_their_concatenation() {
    let s = ConvShape {
        batch: 3,
        c_in: 12,
        c_out: 9,
        height: 7,
        width: 11,
    };
    let (_, w, bias, _) = inputs(s);
    let [a, b] = [5, 7].map(|c| noise(s.batch * c * s.plane(), c as u64));
    let mut x = vec![0.0; s.x_len()];
    let [mut y, mut want] = [(); 2].map(|()| vec![f32::NAN; s.y_len()]);
    concat(s.batch, &a, &b, &mut x);
    conv1x1::forward(s, &x, &w, Some(&bias), &mut want);
    conv1x1::forward_concat(s, &a, &b, &w, Some(&bias), &mut y);
    assert!(y == want);
}

fn naive(s: ConvShape) -> [Vec<f64>; 3] {
    let (x, w, b, dy) = inputs(s);
    let p = s.plane();
    let mut y: Vec<f64> = (0..s.y_len())
        .map(|i| f64::from(b[i / p % s.c_out]))
        .collect();
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    for n in 0..s.batch {
        for o in 0..s.c_out {
            for c in 0..s.c_in {
                for k in 0..p {
                    let (i, j, l) = (
                        (n * s.c_in + c) * p + k,
                        (n * s.c_out + o) * p + k,
                        o * s.c_in + c,
                    );
                    y[j] += f64::from(x[i]) * f64::from(w[l]);
                    dx[i] += f64::from(dy[j]) * f64::from(w[l]);
                    dw[l] += f64::from(dy[j]) * f64::from(x[i]);
                }
            }
        }
    }
    [y, dx, dw]
}

fn worst_error(s: ConvShape) -> f64 {
    run(s)
        .iter()
        .zip(&naive(s))
        .map(|(a, b)| relative_error(a, b))
        .fold(0.0, f64::max)
}

#[test]
fn agrees_with_plain_loops() {
    for s in [
        shape(2, 256, 128, 16, 16),
        shape(16, 64, 64, 1, 1),
        shape(1, 300, 70, 13, 31),
        shape(3, 130, 200, 5, 7),
        shape(1, 1, 1, 1, 1),
    ] {
        let error = worst_error(s);
        assert!(error < 2e-6, "{s:?}: {error:e}");
    }
}

#[test]
fn same_bits_with_any_number_of_threads() {
    for s in [
        shape(16, 256, 128, 16, 16),
        shape(16, 64, 64, 1, 1),
        shape(3, 130, 200, 5, 7),
    ] {
        let [one, two, five] = [1, 2, 5].map(|n| threads(n, || run(s)));
        assert!(one == two && one == five, "{s:?}");
    }
}

#[test]
#[should_panic(expected = "`y` has 9 numbers")]
fn a_wrong_length_panics() {
    conv1x1::forward(
        shape(1, 1, 1, 3, 4),
        &[0.0; 12],
        &[0.0],
        None,
        &mut [0.0; 9],
    );
}

proptest! {
    #[test]
    fn agrees_at_any_size(n in 1_usize..5, c_in in 1_usize..90, c_out in 1_usize..90, h in 1_usize..12, w in 1_usize..12) {
        let s = shape(n, c_in, c_out, h, w);
        let error = worst_error(s);
        prop_assert!(error < 2e-6, "{s:?}: {error:e}");
    }
}
