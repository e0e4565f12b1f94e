//! Filling unknown pixels with the nearest known one.

use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

use super::plane;
use crate::{Dims, Image};

/// No pixel.
const NONE: u32 = u32::MAX;

/// `x` with each unknown pixel like the nearest known one of its channel; in a channel without any, mid-gray. `known` is
/// `[1 or channels, height, width]`.
pub(crate) fn filled(x: &Image, known: &Array3<bool>) -> Image {
    let Dims { c, h, w } = Dims::of(x);
    let known = known.as_standard_layout();
    let channels = known.axis_iter(Axis(0));
    let nearest: Vec<Nearest> = channels
        .map(|known| Nearest::new(known.as_slice().expect("in standard layout"), w))
        .collect();
    let mut out = x.as_standard_layout().into_owned();
    let planes = plane::values(&mut out).chunks_exact_mut(h * w);
    for (i, plane) in planes.enumerate() {
        nearest[i % c % nearest.len()].fill(plane);
    }
    out
}

/// How far each pixel of a plane `[height, width]` is from the nearest that is set, in pixels; infinite without any.
pub(crate) fn distances(set: ArrayView2<'_, bool>) -> Array2<f32> {
    let (h, w) = set.dim();
    let set = set.as_standard_layout();
    let nearest = Nearest::new(set.as_slice().expect("in standard layout"), w);
    Array2::from_shape_fn((h, w), |(y, x)| match nearest.source[x * h + y] {
        NONE => f32::INFINITY,
        i => {
            let (row, column) = (i as usize / w, i as usize % w);
            (y.abs_diff(row) as f32).hypot(x.abs_diff(column) as f32)
        }
    })
}

/// How far the pixel that is farthest from all that are set is from them, in pixels.
pub(crate) fn depth(set: ArrayView2<'_, bool>) -> f32 {
    distances(set).fold(0.0, |deepest, &d| d.max(deepest))
}

/// For every pixel of a plane, the known one that is nearest.
///
/// Distances are exact: Felzenszwalb and Huttenlocher 2012, "Distance transforms of sampled functions", section 2, the
/// lower envelope of parabolas, here for its arguments. Of two nearest, the one more to the left or above is taken.
pub(crate) struct Nearest {
    w: usize,
    /// Index of the nearest known pixel, by column: that of pixel (y, x) is at `x*h + y`.
    source: Vec<u32>,
}

impl Nearest {
    /// For planes with rows of length `w`, of fewer than 2^32 - 1 pixels.
    pub(crate) fn new(known: &[bool], w: usize) -> Nearest {
        let h = known.len() / w;
        // In each row the nearest known column.
        let columns: Vec<u32> = known.par_chunks(w).flat_map_iter(nearest_in_row).collect();
        let source = (0..w)
            .into_par_iter()
            .flat_map_iter(|x| nearest_in_column(&columns, x, w, h))
            .collect();
        Nearest { w, source }
    }

    /// Gives each unknown pixel the value of the nearest known one; without any, mid-gray.
    pub(crate) fn fill(&self, plane: &mut [f32]) {
        let (from, h) = (plane.to_vec(), plane.len() / self.w);
        let rows = plane.par_chunks_mut(self.w).enumerate();
        rows.for_each(|(y, row)| {
            for (x, value) in row.iter_mut().enumerate() {
                let source = self.source[x * h + y];
                *value = from.get(source as usize).copied().unwrap_or(0.5);
            }
        });
    }
}

/// For each pixel of a row the nearest known column in it; the left one of two.
fn nearest_in_row(known: &[bool]) -> Vec<u32> {
    let mut nearest = Vec::with_capacity(known.len());
    let mut last = NONE;
    for (x, &k) in known.iter().enumerate() {
        last = if k { x as u32 } else { last };
        nearest.push(last);
    }
    let mut next = NONE;
    for x in (0..known.len()).rev() {
        next = if known[x] { x as u32 } else { next };
        let left = nearest[x];
        // A distance to none is larger than any.
        let far = |column: u32| match column {
            NONE => usize::MAX,
            column => x.abs_diff(column as usize),
        };
        nearest[x] = if far(next) < far(left) { next } else { left };
    }
    nearest
}

/// For each pixel of column `x` the index in the plane of the nearest known pixel, given those of each row.
fn nearest_in_column(columns: &[u32], x: usize, w: usize, h: usize) -> Vec<u32> {
    // Parabolas (vertex row, height) on the envelope, and the first row from which each is the lowest.
    let mut hull: Vec<(i64, i64, i64)> = Vec::new();
    for row in 0..h {
        let column = columns[row * w + x];
        if column == NONE {
            continue;
        }
        let (q, f) = (row as i64, (i64::from(column) - x as i64).pow(2));
        let mut start = 0;
        while let Some(&(p, g, from)) = hull.last() {
            // The new parabola is strictly lower from the row after the crossing.
            start = ((f + q * q) - (g + p * p)).div_euclid(2 * (q - p)) + 1;
            if start > from {
                break;
            }
            hull.pop();
            start = 0;
        }
        if start < h as i64 {
            hull.push((q, f, start));
        }
    }
    let mut at = 0;
    let source = |row: usize| {
        while hull.get(at + 1).is_some_and(|next| next.2 <= row as i64) {
            at += 1;
        }
        let Some(&(q, _, _)) = hull.get(at) else {
            return NONE;
        };
        let row = q as usize * w;
        (row + columns[row + x] as usize) as u32
    };
    (0..h).map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against trying every known pixel: the distance must be the least.
    #[test]
    fn distances_are_the_least() {
        for (h, w, every) in [(1, 9, 4), (9, 1, 4), (13, 17, 23), (20, 11, 7), (6, 6, 40)] {
            let known: Vec<bool> = (0..h * w).map(|i| (i * i + 3 * i) % every == 0).collect();
            // A pixel's value is its index, so that the filled plane says where it was taken from.
            let mut plane: Vec<f32> = (0..h * w).map(|i| i as f32).collect();
            Nearest::new(&known, w).fill(&mut plane);
            let distance = |i: usize, j: usize| {
                (i / w).abs_diff(j / w).pow(2) + (i % w).abs_diff(j % w).pow(2)
            };
            for (i, &from) in plane.iter().enumerate() {
                let from = from as usize;
                let least = (0..h * w)
                    .filter(|&j| known[j])
                    .map(|j| distance(i, j))
                    .min();
                assert!(known[from], "taken from an unknown pixel");
                assert_eq!(Some(distance(i, from)), least, "{h}x{w}, pixel {i}");
            }
        }
    }

    #[test]
    fn nothing_known_is_mid_gray() {
        let mut plane = vec![9.0; 6];
        Nearest::new(&[false; 6], 3).fill(&mut plane);
        assert_eq!(plane, [0.5; 6]);
    }
}
