//! SiLU and FiLM + SiLU with their gradients, against f64.

mod common;

use common::{noise, relative_error, threads};
use proptest::prelude::*;
use tweedie_kernels::{
    FilmGradients, film_silu, film_silu_gradient, silu, silu_gradient, silu_gradient_add,
};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn slope(x: f64) -> f64 {
    sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))
}

fn wide(v: &[f32]) -> Vec<f64> {
    v.iter().map(|&v| f64::from(v)).collect()
}

#[test]
fn silu_is_exact_to_a_few_ulps_everywhere() {
    let x: Vec<f32> = (-160_000..160_000).map(|i| i as f32 * 5e-4).collect();
    let (mut y, mut slopes) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
    silu(&x, &mut y);
    silu_gradient(&x, &vec![1.0; x.len()], &mut slopes);
    for ((x, y), s) in wide(&x).into_iter().zip(y).zip(slopes) {
        let want = x * sigmoid(x);
        assert!(
            (f64::from(y) - want).abs() <= 6e-7 * want.abs(),
            "silu({x}) = {y}, not {want}"
        );
        assert!(
            (f64::from(s) - slope(x)).abs() <= 6e-7,
            "slope({x}) = {s}, not {}",
            slope(x)
        );
    }
}

#[test]
fn a_residual_is_added_to_the_gradient() {
    let [x, dy, residual] = [1, 2, 3].map(|seed| noise(100_003, seed));
    let [mut dx, mut with] = [(); 2].map(|()| vec![f32::NAN; x.len()]);
    silu_gradient(&x, &dy, &mut dx);
    silu_gradient_add(&x, &dy, &residual, &mut with);
    dx.iter_mut().zip(residual).for_each(|(dx, r)| *dx += r);
    assert!(dx == with);
}

#[test]
fn extremes() {
    let x = [0.0, -0.0, 1e30, -1e30, f32::INFINITY, f32::NAN];
    let mut y = [1.0; 6];
    silu(&x, &mut y);
    assert_eq!(y[..3], [0.0, 0.0, 1e30]);
    assert!(
        y[3].abs() < 1e-7 && y[4] == f32::INFINITY && y[5].is_nan(),
        "{y:?}"
    );
}

/// Catches x exp(-x), which overflows below -84 although the slope there is 0.
#[test]
fn slopes_are_flat_far_out() {
    let x = [-83.0, -85.0, -90.0, -1e3, -1e30, 85.0, 1e3, 1e30];
    let mut slopes = [f32::NAN; 8];
    silu_gradient(&x, &[1.0; 8], &mut slopes);
    for (x, slope) in x.into_iter().zip(slopes) {
        let want = if x > 0.0 { 1.0 } else { 0.0 };
        assert!((slope - want).abs() < 1e-6, "slope({x}) = {slope}");
    }
}

/// Output and gradients to `x`, `scale` and `shift`.
fn film(planes: usize, plane: usize) -> [Vec<f32>; 4] {
    let (x, scale, shift, dy) = film_inputs(planes, plane);
    let mut out = [x.len(), x.len(), planes, planes].map(|len| vec![f32::NAN; len]);
    let [y, dx, dscale, dshift] = &mut out;
    film_silu(&x, &scale, &shift, y);
    film_silu_gradient(
        &x,
        &scale,
        &shift,
        &dy,
        FilmGradients { dx, dscale, dshift },
    );
    out
}

fn film_inputs(planes: usize, plane: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>) {
    let large = |v: Vec<f32>| v.into_iter().map(|v| 4.0 * v).collect();
    (
        large(noise(planes * plane, 1)),
        noise(planes, 2),
        noise(planes, 3),
        noise(planes * plane, 4),
    )
}

proptest! {
    #[test]
    fn film_agrees_with_plain_loops(planes in 1_usize..20, plane in 1_usize..3000) {
        let (x, scale, shift, dy) = film_inputs(planes, plane);
        let [y, dx, dscale, dshift] = film(planes, plane);
        let u: Vec<f64> = wide(&x).iter().enumerate()
            .map(|(i, x)| x * (1.0 + f64::from(scale[i / plane])) + f64::from(shift[i / plane])).collect();
        let du: Vec<f64> = u.iter().zip(wide(&dy)).map(|(&u, dy)| dy * slope(u)).collect();
        let want: Vec<f64> = u.iter().map(|&u| u * sigmoid(u)).collect();
        prop_assert!(relative_error(&y, &want) < 1e-6);
        let want: Vec<f64> = du.iter().enumerate().map(|(i, du)| du * (1.0 + f64::from(scale[i / plane]))).collect();
        prop_assert!(relative_error(&dx, &want) < 1e-6);
        for p in 0..planes {
            let of = p * plane..(p + 1) * plane;
            let size: f64 = du[of.clone()].iter().map(|v| v.abs()).sum();
            let want: f64 = du[of.clone()].iter().sum();
            prop_assert!((f64::from(dshift[p]) - want).abs() <= 1e-6 * size);
            let want: f64 = of.map(|i| du[i] * f64::from(x[i])).sum();
            prop_assert!((f64::from(dscale[p]) - want).abs() <= 4e-6 * size);
        }
    }
}

#[test]
fn same_bits_with_any_number_of_threads() {
    for (planes, plane) in [(1024, 64), (37, 1001), (3, 100_000)] {
        let [one, two, five] = [1, 2, 5].map(|n| threads(n, || film(planes, plane)));
        assert!(one == two && one == five);
    }
}

#[test]
#[should_panic(expected = "`y` has 3 numbers")]
fn a_wrong_length_panics() {
    silu(&[0.0; 4], &mut [0.0; 3]);
}
