//! Pixels from many places, joined without seams.
//!
//! What was copied from a brighter part of the picture stands out, however well its texture fits. So the steps from pixel to
//! pixel are copied and not the values, as they are where either of the two comes from, and of all pictures the one that has
//! these steps most nearly, and continues what is known, is taken (Perez, Gangnet and Blake 2003, "Poisson image editing").

use ndarray::{ArrayViewMut2, ArrayViewMut3};

use super::cg;

/// A step of a thousandth of the first mismatch is not seen.
const CLOSELY: cg::Params = cg::Params {
    tolerance: 1e-3,
    iterations: 400,
};

/// Gives each hidden pixel of a picture `[channel, height, width]` what belongs there, of which `from` says where it lies: for
/// each pixel, by rows, the index of a known one, its own if it is known.
pub(super) fn joined(mut picture: ArrayViewMut3<'_, f32>, hidden: &[bool], from: &[usize]) {
    let (_, h, w) = picture.dim();
    let seams = Seams::new(h, w, hidden, from);
    picture.outer_iter_mut().for_each(|plane| seams.join(plane));
}

struct Seams<'a> {
    h: usize,
    w: usize,
    hidden: &'a [bool],
    from: &'a [usize],
    /// The hidden pixels, and the number of each among them.
    pixels: Vec<usize>,
    number: Vec<usize>,
}

impl<'a> Seams<'a> {
    fn new(h: usize, w: usize, hidden: &'a [bool], from: &'a [usize]) -> Seams<'a> {
        let pixels: Vec<usize> = (0..h * w).filter(|&i| hidden[i]).collect();
        let mut number = vec![0; h * w];
        for (n, &i) in pixels.iter().enumerate() {
            number[i] = n;
        }
        Seams {
            h,
            w,
            hidden,
            from,
            pixels,
            number,
        }
    }

    /// The pixel that lies so many rows and columns from another, if there is one.
    fn beside(&self, i: usize, (dy, dx): (isize, isize)) -> Option<usize> {
        let y = (i / self.w)
            .checked_add_signed(dy)
            .filter(|&y| y < self.h)?;
        let x = (i % self.w)
            .checked_add_signed(dx)
            .filter(|&x| x < self.w)?;
        Some(y * self.w + x)
    }

    /// A pixel's neighbours, each with the way there.
    fn neighbours(&self, i: usize) -> impl Iterator<Item = ((isize, isize), usize)> + '_ {
        let ways = [(-1, 0), (0, -1), (0, 1), (1, 0)].into_iter();
        ways.filter_map(move |way| Some((way, self.beside(i, way)?)))
    }

    /// How much values ought to change from a hidden pixel to its neighbour: the mean of what they do where each of the two
    /// comes from; `None` if there nothing is known beside it.
    fn step(&self, values: &[f64], i: usize, way: (isize, isize), j: usize) -> Option<f64> {
        let (p, q) = (self.from[i], self.from[j]);
        let known = |k: &usize| !self.hidden[*k];
        let there = self.beside(p, way).filter(known);
        let there = there.map(|next| values[next] - values[p]);
        let back = self.beside(q, (-way.0, -way.1)).filter(known);
        let back = back.map(|before| values[q] - values[before]);
        match (there, back) {
            (Some(there), Some(back)) => Some(0.5 * (there + back)),
            (one, other) => one.or(other),
        }
    }

    fn join(&self, mut plane: ArrayViewMut2<'_, f32>) {
        let known: Vec<f64> = plane.iter().map(|&v| f64::from(v)).collect();
        let copied = |i: usize| known[self.from[i]];
        let misfit = |&i: &usize| {
            let ways = self.neighbours(i).map(|(way, j)| {
                let step = copied(j) - copied(i);
                self.step(&known, i, way, j)
                    .map_or(0.0, |wanted| step - wanted)
            });
            ways.sum::<f64>()
        };
        let misfits = self.pixels.iter().map(misfit).collect();
        let (change, _) = cg::solve(
            |v, out| self.laplacian(v, out),
            cg::unconditioned,
            misfits,
            CLOSELY,
        );
        let (least, most) = range(&known, self.hidden);
        for (&i, change) in self.pixels.iter().zip(change) {
            let value = (copied(i) + change).clamp(least, most);
            plane[[i / self.w, i % self.w]] = value as f32;
        }
    }

    /// For each hidden pixel by how much it differs from its neighbours in all, where the known ones are 0.
    fn laplacian(&self, v: &[f64], out: &mut [f64]) {
        for ((&i, out), &own) in self.pixels.iter().zip(out).zip(v) {
            let others = self.neighbours(i).map(|(_, j)| match self.hidden[j] {
                true => own - v[self.number[j]],
                false => own,
            });
            *out = others.sum();
        }
    }
}

/// The least and the largest known value.
fn range(values: &[f64], hidden: &[bool]) -> (f64, f64) {
    let known = values.iter().zip(hidden).filter(|(_, hidden)| !**hidden);
    known.fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), (&v, _)| (least.min(v), most.max(v)),
    )
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    /// A slope is filled from two sides that are 0.2 brighter and darker: it comes back whole, for its steps are right. Wrong:
    /// values that are copied, off by 0.1 and more.
    #[test]
    fn copies_of_other_brightness_make_no_seam() {
        let (h, w) = (24, 60);
        let slope = |i: usize, j: usize| 0.3 + 0.005 * (i + j) as f32;
        let mut picture = Array3::from_shape_fn((1, h, w), |(_, i, j)| slope(i, j));
        let inside = |i: usize, j: usize| (8..16).contains(&i) && (24..36).contains(&j);
        let hidden: Vec<bool> = (0..h * w).map(|i| inside(i / w, i % w)).collect();
        let from: Vec<usize> = (0..h * w)
            .map(|i| match (hidden[i], i % w < 30) {
                (false, _) => i,
                (true, true) => i - 20,
                (true, false) => i + 20,
            })
            .collect();
        for (i, _) in hidden.iter().enumerate().filter(|(_, h)| **h) {
            picture[[0, i / w, i % w]] = 0.0;
        }
        joined(picture.view_mut(), &hidden, &from);
        for ((_, i, j), v) in picture.indexed_iter() {
            let off = (v - slope(i, j)).abs();
            assert!(off < 1e-3, "({i}, {j}): off by {off}");
        }
    }
}
