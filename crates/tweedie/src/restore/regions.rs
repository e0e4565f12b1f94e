//! Holes that are small beside their picture: only what lies around them is restored.
//!
//! What is known stays, so that a prior's answer in a hole depends on what is within its reach of the hole, and hardly on
//! anything beyond. The holes are parted by rows and columns that are free of them, and each part is cut out with a margin. It
//! lies whole blocks of the network from the picture's edges, so that the network sees the same blocks as in the whole.

use std::ops::Range;

use ndarray::{ArrayView2, Axis, s};

use crate::operator::Mask;
use crate::prior::Parts;

/// Rows and columns.
pub(super) type Region = [Range<usize>; 2];

/// A part of the picture that is not worth leaving out.
const WHOLE: f64 = 0.8;

/// What is to be restored of a picture with holes, in parts that do not overlap and hold all of them; none if it is the whole
/// picture.
///
/// The margin is that of the prior, but at least so many pixels as the largest hole is wide, for what is to fill it is found
/// around it.
pub(super) fn around(mask: &Mask, parts: Parts) -> Vec<Region> {
    let hidden = mask.hidden();
    let margin = parts.margin.max(2 * mask.depth());
    let margin = margin.next_multiple_of(parts.multiple);
    let mut regions = Vec::new();
    let (h, w) = hidden.dim();
    // Margins that meet are one region's.
    split(
        hidden.view(),
        [0, 0],
        2 * (margin + parts.multiple),
        &mut regions,
    );
    let grown = |[rows, columns]: Region| {
        [(rows, h), (columns, w)].map(|(range, n)| with_margin(range, n, margin, parts.multiple))
    };
    let regions: Vec<Region> = regions.into_iter().map(grown).collect();
    let pixels: usize = regions.iter().map(|[r, c]| r.len() * c.len()).sum();
    match pixels as f64 > WHOLE * (h * w) as f64 {
        true => Vec::new(),
        false => regions,
    }
}

/// A range of `0..n` with its margin, as far as there is one, whole multiples from both ends.
fn with_margin(range: Range<usize>, n: usize, margin: usize, multiple: usize) -> Range<usize> {
    let start = range.start.saturating_sub(margin) / multiple * multiple;
    let after = n.saturating_sub(range.end + margin) / multiple * multiple;
    start..n - after
}

/// Adds the boxes that hold what is set in a part of a picture which begins at `origin`: parted wherever `gap` rows or columns
/// are free, again and again.
fn split(set: ArrayView2<'_, bool>, origin: [usize; 2], gap: usize, boxes: &mut Vec<Region>) {
    let lines = [0, 1].map(|axis| runs(set, Axis(axis), gap));
    let [rows, columns] = &lines;
    if rows.len() == 1 && columns.len() == 1 {
        let at = |i: usize| origin[i] + lines[i][0].start..origin[i] + lines[i][0].end;
        boxes.push([at(0), at(1)]);
        return;
    }
    for row in rows {
        for column in columns {
            let part = set.slice(s![row.clone(), column.clone()]);
            let origin = [origin[0] + row.start, origin[1] + column.start];
            split(part, origin, gap, boxes);
        }
    }
}

/// The lines along an axis that hold something, with gaps of less than `gap` lines closed.
fn runs(set: ArrayView2<'_, bool>, axis: Axis, gap: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, line) in set.axis_iter(axis).enumerate() {
        if !line.iter().any(|&s| s) {
            continue;
        }
        match runs.last_mut() {
            Some(last) if i - last.end < gap => last.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::Dims;

    const PARTS: Parts = Parts {
        margin: 16,
        multiple: 8,
    };

    fn mask(h: usize, w: usize, hidden: impl Fn(usize, usize) -> bool) -> Mask {
        let known = Array3::from_shape_fn((1, h, w), |(_, i, j)| f32::from(!hidden(i, j)));
        Mask::new(Dims::new(3, h, w), known.view(), 0.5).unwrap()
    }

    /// Far holes have regions of their own, near ones share one; each lies whole blocks from all edges.
    #[test]
    fn holes_are_parted_where_they_are_far_apart() {
        let spots = [(40, 50), (44, 61), (40, 250), (240, 150)];
        let mask = mask(301, 303, |i, j| spots.contains(&(i, j)));
        let regions = around(&mask, PARTS);
        assert_eq!(
            regions,
            [[24..61, 32..79], [24..61, 232..271], [224..261, 128..167],]
        );
        for [rows, columns] in regions {
            assert!(rows.start % 8 == 0 && (301 - rows.end) % 8 == 0);
            assert!(columns.start % 8 == 0 && (303 - columns.end) % 8 == 0);
        }
    }

    /// The margin grows with the hole. Wrong: that of the prior alone.
    #[test]
    fn large_holes_have_large_margins() {
        let hole = 150..190;
        let mask = mask(400, 400, |i, j| hole.contains(&i) && hole.contains(&j));
        assert_eq!(around(&mask, PARTS), [[104..232, 104..232]]);
    }

    #[test]
    fn scattered_holes_are_the_whole_picture() {
        let everywhere = mask(200, 200, |i, j| i % 20 == 0 && j % 30 == 0);
        assert!(around(&everywhere, PARTS).is_empty());
        let middle = mask(40, 40, |i, j| i == 20 && j == 20);
        assert!(around(&middle, PARTS).is_empty());
    }
}
