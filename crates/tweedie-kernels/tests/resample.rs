//! Pooling, upsampling and concatenation against plain loops.

mod common;

use common::noise;
use proptest::prelude::*;
use tweedie_kernels::{concat, pool, split, spread};

proptest! {
    #[test]
    fn pool_and_spread_are_what_they_say(planes in 1_usize..5, h in 1_usize..20, w in 1_usize..20) {
        let (fine, coarse) = (noise(planes * 4 * h * w, 1), noise(planes * h * w, 2));
        let (mut down, mut up) = (vec![f32::NAN; coarse.len()], vec![f32::NAN; fine.len()]);
        pool(h, w, 0.25, &fine, &mut down);
        spread(h, w, 3.0, &coarse, &mut up);
        for (i, &value) in up.iter().enumerate() {
            let (p, y, x) = (i / (4 * h * w), i / (2 * w) % (2 * h), i % (2 * w));
            prop_assert_eq!(value, 3.0 * coarse[(p * h + y / 2) * w + x / 2]);
        }
        for (i, &value) in down.iter().enumerate() {
            let (p, y, x) = (i / (h * w), i / w % h, i % w);
            let at = |dy: usize, dx: usize| f64::from(fine[(p * 2 * h + 2 * y + dy) * 2 * w + 2 * x + dx]);
            let mean = (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0;
            prop_assert!((f64::from(value) - mean).abs() < 2e-7);
        }
    }

    #[test]
    fn concat_puts_channels_in_order_and_split_takes_them_apart(
        batch in 1_usize..4, ca in 0_usize..5, cb in 1_usize..5, plane in 1_usize..50,
    ) {
        let (a, b) = (noise(batch * ca * plane, 1), noise(batch * cb * plane, 2));
        let mut y = vec![f32::NAN; a.len() + b.len()];
        concat(batch, &a, &b, &mut y);
        for n in 0..batch {
            let image = &y[n * (ca + cb) * plane..(n + 1) * (ca + cb) * plane];
            prop_assert_eq!(&image[..ca * plane], &a[n * ca * plane..(n + 1) * ca * plane]);
            prop_assert_eq!(&image[ca * plane..], &b[n * cb * plane..(n + 1) * cb * plane]);
        }
        let (mut a2, mut b2) = (vec![f32::NAN; a.len()], vec![f32::NAN; b.len()]);
        split(batch, &y, &mut a2, &mut b2);
        prop_assert!(a == a2 && b == b2);
    }
}

#[test]
#[should_panic(expected = "the larger side")]
fn sizes_must_fit() {
    pool(2, 2, 1.0, &[0.0; 15], &mut [0.0; 4]);
}
