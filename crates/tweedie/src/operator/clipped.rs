//! Which recorded numbers are measurements at all: a sensor at its limit says only that there was at least so much light.
//!
//! A burnt-out lamp spreads light as if it were a hundred times brighter than white. What was recorded within it is no linear
//! measurement, and next to it hardly one: only a scene brighter than any picture explains the glow there, which no prior of
//! pictures believes in. Both are left out. On synthetic night scenes (lamps of 1.5 to 8 times white, Gaussian, disk and
//! motion) leaving out two pixels around gives the best PSNR of zero to four, 6 to 20 dB above leaving out none.

use ndarray::{Array3, Axis, s};

use crate::Image;

/// From here on a number is taken for clipped: a little below full scale, since noise and files blur the limit.
const FULL: f32 = 0.99;

/// Numbers beyond this say that nothing was cut off at white.
const BEYOND: f32 = 1.001;

/// So far around what is clipped nothing is believed, in pixels each way.
const AROUND: usize = 2;

/// If more than this part would be left out, white is what the picture shows (a page, a drawing), not where it broke down.
const MOST: f64 = 0.25;

/// Which numbers are to be believed, `[channel, height, width]`; `None` if all are. Of a batch, those that are in every
/// picture.
pub(super) fn believed(y: &Image) -> Option<Array3<bool>> {
    let (_, c, h, w) = y.dim();
    if y.iter().any(|&v| v > BEYOND) {
        return None;
    }
    let mut believed = Array3::from_elem((c, h, w), true);
    for picture in y.axis_iter(Axis(0)) {
        for ((c, i, j), _) in picture.indexed_iter().filter(|(_, v)| **v >= FULL) {
            let rows = i.saturating_sub(AROUND)..(i + AROUND + 1).min(h);
            let columns = j.saturating_sub(AROUND)..(j + AROUND + 1).min(w);
            believed.slice_mut(s![c, rows, columns]).fill(false);
        }
    }
    let hidden = believed.iter().filter(|b| !**b).count();
    (hidden > 0 && hidden as f64 <= MOST * believed.len() as f64).then_some(believed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lamp is left out with what surrounds it, in its channel; a page is not, nor is a lamp in numbers that go beyond white.
    #[test]
    fn lamps_are_left_out_and_pages_are_not() {
        let mut y = Image::from_elem((1, 2, 20, 20), 0.5);
        assert!(believed(&y).is_none());
        y[[0, 1, 5, 0]] = 1.0;
        let some = believed(&y).unwrap();
        assert_eq!(some.iter().filter(|b| !**b).count(), 15);
        assert!(some[[0, 5, 0]] && !some[[1, 7, 2]] && some[[1, 8, 0]]);
        let mut whole = y.clone();
        whole[[0, 0, 9, 9]] = 1.1;
        assert!(believed(&whole).is_none());
        y.slice_mut(s![.., .., ..10, ..]).fill(1.0);
        assert!(believed(&y).is_none());
    }
}
