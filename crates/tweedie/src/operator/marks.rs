//! Which pixels a mask picture marks.
//!
//! Editors save masks in many ways: as 0 and 255, as 0 and 1, in the colours of a palette, in any colour on a transparent layer,
//! with soft edges, as JPEG. So a pixel's mark is relative: how bright it is (its brightest channel) between the darkest and the
//! brightest pixel of the mask, or, where the file is transparent in parts and what is painted is of one kind, how opaque. What
//! is covered only in part is marked too, since the rest of it is what is to vanish.

use std::fmt;

use ndarray::{Array2, Axis, Zip};

use super::nearest;
use crate::image::Picture;

/// Which shade of a mask picture marks the holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holes {
    /// White is to be filled, as in inpainting tools.
    #[default]
    White,
    /// Black is to be filled, as in the literature, whose `m` is 1 at known pixels.
    Black,
}

impl std::str::FromStr for Holes {
    type Err = super::Error;

    fn from_str(text: &str) -> Result<Holes, super::Error> {
        match text {
            "white" => Ok(Holes::White),
            "black" => Ok(Holes::Black),
            _ => Err(super::Error::Invalid(format!(
                "`{text}` is no shade of holes: write white or black"
            ))),
        }
    }
}

impl Holes {
    /// The other shade.
    pub(super) fn other(self) -> Holes {
        match self {
            Holes::White => Holes::Black,
            Holes::Black => Holes::White,
        }
    }
}

impl fmt::Display for Holes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Holes::White => "white",
            Holes::Black => "black",
        })
    }
}

/// Part of the range from which a pixel is marked. A pixel that is covered less than that shows what covers it no more.
const LEAST: f32 = 0.05;

/// The same where the unmarked is not clean, as in masks that were JPEG files.
const LEAST_OF_NOISY: f32 = 0.25;

/// A range of less is that of label numbers (0, 1, 2, ...), of which every one but the lowest marks.
const LABELS: f32 = 8.0 / 255.0;

/// Marked pixels of a mask picture, `[height, width]`: those brighter than `threshold` (0 to 1) where there is one. Nothing is
/// marked by a picture of one shade.
pub(super) fn marked(picture: &Picture, holes: Holes, threshold: Option<f32>) -> Array2<bool> {
    let shade = shade(picture);
    if let Some(threshold) = threshold {
        return shade.mapv(|v| (v > threshold) == (holes == Holes::White));
    }
    let (low, high) = range(shade.iter().copied());
    let span = high - low;
    let mark = |v: f32| match holes {
        Holes::White => (v - low) / span,
        Holes::Black => (high - v) / span,
    };
    let marks = shade.mapv(mark);
    let least = match span {
        // Of one shade: 0/0, which is no mark.
        _ if span < LABELS => 0.0,
        _ if noisy(&marks) => LEAST_OF_NOISY,
        _ => LEAST,
    };
    marks.mapv(|m| m > least)
}

/// Whether more pixels are hardly marked than half marked: an edge, however soft, has more of the latter.
fn noisy(marks: &Array2<f32>) -> bool {
    let count = |least: f32, most: f32| marks.iter().filter(|&&m| m > least && m <= most).count();
    count(0.0, 0.1) > count(0.1, 0.9)
}

/// How bright each pixel is, or how opaque.
fn shade(picture: &Picture) -> Array2<f32> {
    let planes = picture.pixels.index_axis(Axis(0), 0);
    let bright = planes.map_axis(Axis(0), |c| c.iter().copied().fold(0.0, f32::max));
    let Some(alpha) = &picture.alpha else {
        return bright;
    };
    let (least, most) = range(alpha.iter().copied());
    if least == most {
        return bright;
    }
    let seen = bright.iter().zip(alpha).filter(|(_, a)| **a > 0.5);
    let (dark, light) = range(seen.map(|(v, _)| *v));
    // Black and white paint says more than where there is paint.
    match dark < 0.25 * light {
        true => Zip::from(&bright).and(alpha).map_collect(|v, a| v * a),
        false => alpha.clone(),
    }
}

fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    })
}

/// What of a picture is not quite opaque.
pub(super) fn transparent(alpha: &Array2<f32>) -> Array2<bool> {
    alpha.mapv(|a| 1.0 - a > LEAST)
}

/// The marks with all pixels up to `by` pixels from one.
pub(super) fn grown(marks: Array2<bool>, by: usize) -> Array2<bool> {
    if by == 0 || !marks.iter().any(|&m| m) {
        return marks;
    }
    let far = nearest::distances(marks.view());
    far.mapv(|d| d <= by as f32)
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    /// A disk of radius 6 in 24x24 pixels: how much of each pixel it covers, hard or soft.
    fn cover(soft: f32) -> Array2<f32> {
        Array2::from_shape_fn((24, 24), |(i, j)| {
            let d = (i as f32 - 11.5).hypot(j as f32 - 11.5);
            ((6.0 - d) / soft + 0.5).clamp(0.0, 1.0)
        })
    }

    fn disk() -> Array2<bool> {
        cover(1e-3).mapv(|c| c > 0.5)
    }

    /// `background + cover*(paint - background)`, in 8 bits.
    fn picture(cover: &Array2<f32>, background: [f32; 3], paint: [f32; 3]) -> Picture {
        let (h, w) = cover.dim();
        Picture::new(Array4::from_shape_fn((1, 3, h, w), |(_, c, i, j)| {
            let v = background[c] + cover[[i, j]] * (paint[c] - background[c]);
            (v * 255.0).round() / 255.0
        }))
    }

    fn grey(v: f32) -> [f32; 3] {
        [v; 3]
    }

    /// Labels, palettes, colours, and white for the rest. Wrong: brightness above one half.
    #[test]
    fn two_values_mark_by_the_brighter() {
        for (background, paint) in [
            (grey(0.0), grey(1.0)),
            (grey(0.0), grey(1.0 / 255.0)),
            (grey(0.0), [128.0 / 255.0, 0.0, 0.0]),
            (grey(0.0), [0.0, 0.0, 1.0]),
            (grey(0.1), grey(0.4)),
        ] {
            let mask = picture(&cover(1e-3), background, paint);
            assert_eq!(marked(&mask, Holes::White, None), disk(), "{paint:?}");
            assert_eq!(marked(&mask, Holes::Black, None), disk().mapv(|m| !m));
        }
        let labels = cover(1e-3).mapv(|c| (2.0 * c).round());
        let mut labels = picture(&labels, grey(0.0), grey(1.0 / 255.0));
        labels.pixels[[0, 0, 11, 11]] = 1.0 / 255.0;
        assert_eq!(marked(&labels, Holes::White, None), disk());
    }

    #[test]
    fn one_shade_marks_nothing_and_a_threshold_is_kept_to() {
        for v in [0.0, 0.5, 1.0] {
            let mask = picture(&cover(1e-3), grey(v), grey(v));
            assert!(marked(&mask, Holes::White, None).iter().all(|&m| !m));
            assert!(marked(&mask, Holes::Black, None).iter().all(|&m| !m));
        }
        let mask = picture(&cover(1e-3), grey(0.0), grey(0.4));
        let none = marked(&mask, Holes::White, Some(0.5));
        assert!(none.iter().all(|&m| !m));
        assert_eq!(marked(&mask, Holes::White, Some(0.3)), disk());
        let black = marked(&mask, Holes::Black, Some(0.3));
        assert_eq!(black, disk().mapv(|m| !m));
    }

    /// Whatever shows a twentieth of what is to vanish is marked, of either shade.
    #[test]
    fn soft_edges_belong_to_the_hole() {
        let soft = cover(6.0);
        let expected = soft.mapv(|c| (c * 255.0).round() / 255.0 > LEAST);
        let mask = picture(&soft, grey(0.0), grey(1.0));
        assert_eq!(marked(&mask, Holes::White, None), expected);
        let mask = picture(&soft, grey(1.0), grey(0.0));
        assert_eq!(marked(&mask, Holes::Black, None), expected);
    }

    /// The ringing of a JPEG around an edge, up to a tenth of the range, is not filled.
    #[test]
    fn ringing_is_no_hole() {
        let mut mask = picture(&cover(1e-3), grey(0.0), grey(1.0));
        for ((_, _, i, j), v) in mask.pixels.indexed_iter_mut() {
            let ripple = [0.0, 0.09, 0.02, 0.06][(3 * i + j) % 4];
            *v = if *v > 0.5 { 1.0 - ripple } else { ripple };
        }
        assert_eq!(marked(&mask, Holes::White, None), disk());
    }

    /// Paint of any colour on a transparent layer, black too; black and white paint counts by its shade.
    #[test]
    fn painted_layers_count_by_their_alpha() {
        for paint in [grey(1.0), grey(0.0), [0.8, 0.1, 0.1]] {
            let mut mask = picture(&cover(1e-3), grey(1.0), paint);
            mask.alpha = Some(cover(1e-3));
            assert_eq!(marked(&mask, Holes::White, None), disk(), "{paint:?}");
        }
        let mut mask = picture(&cover(1e-3), grey(0.0), grey(1.0));
        let mut alpha = Array2::ones((24, 24));
        alpha[[0, 0]] = 0.0;
        mask.alpha = Some(alpha);
        assert_eq!(marked(&mask, Holes::White, None), disk());
        mask.alpha = Some(Array2::ones((24, 24)));
        assert_eq!(marked(&mask, Holes::White, None), disk());
    }

    /// A pixel grows to a disk. Wrong: to a square, or by one pixel less.
    #[test]
    fn marks_grow_by_so_many_pixels() {
        let mut one = Array2::from_elem((9, 9), false);
        one[[4, 4]] = true;
        let marks = grown(one.clone(), 2);
        assert_eq!(marks.iter().filter(|&&m| m).count(), 13);
        assert!(marks[[4, 6]] && !marks[[3, 6]]);
        assert_eq!(grown(one.clone(), 0), one);
    }
}
