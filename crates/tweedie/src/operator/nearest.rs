//! Filling unknown pixels with the nearest known one.

use rayon::prelude::*;

/// Fills the unknown pixels of a plane with rows of length `w`; without any known pixel, with mid-gray.
///
/// Distances are exact: Felzenszwalb and Huttenlocher 2012, "Distance transforms of sampled functions", section 2, the
/// lower envelope of parabolas, here for its arguments. Of two nearest, the one more to the left or above is taken.
pub(crate) fn fill(plane: &mut [f32], known: &[bool], w: usize) {
    // In each row the nearest known column, if any.
    let columns: Vec<Option<usize>> = known.par_chunks(w).flat_map_iter(nearest_in_row).collect();
    let h = plane.len() / w;
    let source: Vec<Vec<Option<usize>>> = (0..w)
        .into_par_iter()
        .map(|x| nearest_in_column(&columns, x, w, h))
        .collect();
    let from = plane.to_vec();
    plane.par_chunks_mut(w).enumerate().for_each(|(y, row)| {
        for (x, value) in row.iter_mut().enumerate() {
            *value = source[x][y].map_or(0.5, |i| from[i]);
        }
    });
}

/// For each pixel of a row the nearest known one in it; the left one of two.
fn nearest_in_row(known: &[bool]) -> Vec<Option<usize>> {
    let mut nearest: Vec<Option<usize>> = Vec::with_capacity(known.len());
    let mut last = None;
    for (x, &k) in known.iter().enumerate() {
        last = if k { Some(x) } else { last };
        nearest.push(last);
    }
    let mut next: Option<usize> = None;
    for x in (0..known.len()).rev() {
        next = if known[x] { Some(x) } else { next };
        nearest[x] = match (nearest[x], next) {
            (Some(left), Some(right)) if right - x < x - left => Some(right),
            (None, right) => right,
            (left, _) => left,
        };
    }
    nearest
}

/// For each pixel of column `x` the index in the plane of the nearest known pixel, given those of each row.
fn nearest_in_column(
    columns: &[Option<usize>],
    x: usize,
    w: usize,
    h: usize,
) -> Vec<Option<usize>> {
    // Parabolas (vertex row, height) on the envelope, and the first row from which each is the lowest.
    let mut hull: Vec<(i64, i64, i64)> = Vec::new();
    for row in 0..h {
        let Some(column) = columns[row * w + x] else {
            continue;
        };
        let (q, f) = (row as i64, (column.abs_diff(x) as i64).pow(2));
        let mut start = 0;
        while let Some(&(p, g, from)) = hull.last() {
            // The new parabola is strictly lower from the row after floor of the crossing.
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
    (0..h)
        .map(|row| {
            while at + 1 < hull.len() && hull[at + 1].2 <= row as i64 {
                at += 1;
            }
            let q = hull.get(at)?.0 as usize;
            columns[q * w + x].map(|column| q * w + column)
        })
        .collect()
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
            fill(&mut plane, &known, w);
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
        fill(&mut plane, &[false; 6], 3);
        assert_eq!(plane, [0.5; 6]);
    }
}
