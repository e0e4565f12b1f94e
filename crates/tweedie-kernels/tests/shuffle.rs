//! Pixel shuffles.

mod common;

use common::noise;
use proptest::prelude::*;
use tweedie_kernels::{pixel_shuffle, pixel_unshuffle};

#[test]
fn channels_are_ordered_by_row_then_column() {
    let x: Vec<f32> = (0..8).map(|i| i as f32).collect();
    let mut y = [0.0; 8];
    pixel_unshuffle(1, 2, &x, &mut y);
    assert_eq!(y, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
}

#[test]
#[should_panic(expected = "12 numbers are not planes of 8")]
fn a_wrong_size_panics() {
    pixel_unshuffle(1, 2, &[0.0; 12], &mut [0.0; 12]);
}

proptest! {
    #[test]
    fn shuffle_inverts_unshuffle(planes in 0_usize..5, h in 1_usize..20, w in 1_usize..70) {
        let x = noise(planes * 4 * h * w, 1);
        let (mut y, mut back) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        pixel_unshuffle(h, w, &x, &mut y);
        for (i, &y) in y.iter().enumerate() {
            let (column, row, channel, plane) = (i % w, i / w % h, i / (w * h) % 4, i / (4 * w * h));
            prop_assert_eq!(y, x[(plane * 2 * h + 2 * row + channel / 2) * 2 * w + 2 * column + channel % 2]);
        }
        pixel_shuffle(h, w, &y, &mut back);
        prop_assert_eq!(x, back);
    }
}
