//! Colours behind full transparency.
//!
//! They are whatever the program that saved the picture left there, black or white or garbage. A network that sees them takes
//! them for edges, and what is visible beside them gets a fringe. So they are replaced by what the visible neighbours suggest:
//! averages over ever larger blocks (push), from which the blocks without a visible pixel are filled again (pull), as in S. J.
//! Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.3.

use std::borrow::Cow;

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis, Zip};

use super::Picture;

impl Picture {
    /// The picture with the colours of its invisible pixels (alpha 0) made of those of the visible ones around them, so that
    /// they cannot bleed into what is seen. Pixels that are seen, if only a little, keep theirs. Without hidden pixels, or
    /// without visible ones, it is as it was.
    pub fn hidden_filled(&self) -> Cow<'_, Picture> {
        let Some(alpha) = &self.alpha else {
            return Cow::Borrowed(self);
        };
        let hidden = alpha.iter().filter(|&&a| a <= 0.0).count();
        let fits = alpha.dim() == (self.dims().h, self.dims().w);
        if hidden == 0 || hidden == alpha.len() || !fits {
            return Cow::Borrowed(self);
        }
        let mut filled = self.clone();
        for plane in filled.pixels.index_axis_mut(Axis(0), 0).outer_iter_mut() {
            fill(plane, alpha.view());
        }
        Cow::Owned(filled)
    }
}

/// Fills a plane where its weights are 0.
fn fill(mut plane: ArrayViewMut2<'_, f32>, weights: ArrayView2<'_, f32>) {
    let (h, w) = plane.dim();
    // Weighted values and weights.
    let mut sums = Array3::zeros((2, h, w));
    Zip::from(sums.index_axis_mut(Axis(0), 0))
        .and(&plane)
        .and(weights)
        .for_each(|s, &v, &a| *s = v * a.max(0.0));
    sums.index_axis_mut(Axis(0), 1)
        .assign(&weights.mapv(|a| a.max(0.0)));
    let coarse = means(&halved(&sums));
    Zip::indexed(&mut plane).and(weights).for_each(|at, v, &a| {
        if a <= 0.0 {
            *v = between(&coarse, at);
        }
    });
}

/// The weighted mean of each 2x2 block of which `sums` holds values and weights; without any, what is around says it.
fn means(sums: &Array3<f32>) -> Array2<f32> {
    let (_, h, w) = sums.dim();
    let coarse = (h * w > 1).then(|| means(&halved(sums)));
    Array2::from_shape_fn((h, w), |at| {
        let weight = sums[(1, at.0, at.1)];
        match &coarse {
            Some(coarse) if weight <= 0.0 => between(coarse, at),
            _ => sums[(0, at.0, at.1)] / weight,
        }
    })
}

/// Sums over blocks of 2x2, cut off at the edge.
fn halved(sums: &Array3<f32>) -> Array3<f32> {
    let (c, h, w) = sums.dim();
    Array3::from_shape_fn((c, h.div_ceil(2), w.div_ceil(2)), |(c, i, j)| {
        let rows = 2 * i..(2 * i + 2).min(h);
        rows.flat_map(|y| (2 * j..(2 * j + 2).min(w)).map(move |x| (y, x)))
            .map(|(y, x)| sums[(c, y, x)])
            .sum()
    })
}

/// The value of a plane of half the size at a pixel, bilinear.
fn between(coarse: &Array2<f32>, (i, j): (usize, usize)) -> f32 {
    let (h, w) = coarse.dim();
    // The nearer of the two blocks counts three times as much: their centres are 1/4 and 3/4 of a block away.
    let pair = |at: usize, n: usize| {
        let near = at / 2;
        let far = match at.is_multiple_of(2) {
            true => near.saturating_sub(1),
            false => near + 1,
        };
        [(near, 0.75), (far.min(n - 1), 0.25)]
    };
    let rows = pair(i, h).into_iter();
    rows.flat_map(|(y, a)| pair(j, w).map(move |(x, b)| a * b * coarse[(y, x)]))
        .sum()
}
