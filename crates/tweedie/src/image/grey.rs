//! Grey pictures in files of three channels.
//!
//! Scanners and editors save them so. Restored in colours they would get coloured noise, and estimates of noise, which compare
//! channels, would go astray.

use ndarray::{Array3, ArrayView2, ArrayView3, Axis, Zip};

/// Whether three channels are one grey.
pub(super) enum Grey {
    /// There is a colour, or there is one channel already.
    No,
    /// All are equal.
    Exactly,
    /// They are equal but for a rounding; the grey that was rounded, `[1, height, width]`.
    Nearly(Array3<f32>),
}

/// The most by which rounding luma and differences of colour separates channels that were equal.
const ROUNDING: f32 = 2.001 / 255.0;

/// Looks at `planes`, `[channel, height, width]` in [0, 1], wherever alpha lets them be seen. `chroma` tells whether they were stored
/// as luma and differences of colour, and rounded so.
pub(super) fn grey(
    planes: ArrayView3<'_, f32>,
    alpha: Option<ArrayView2<'_, f32>>,
    chroma: bool,
) -> Grey {
    if planes.dim().0 != 3 {
        return Grey::No;
    }
    let [r, g, b] = [0, 1, 2].map(|c| planes.index_axis(Axis(0), c));
    let spread = |r: f32, g: f32, b: f32| r.max(g).max(b) - r.min(g).min(b);
    let far = if chroma { ROUNDING } else { 0.0 };
    let mut exactly = true;
    let within = Zip::indexed(r).and(g).and(b).all(|at, &r, &g, &b| {
        let apart = match alpha.is_some_and(|alpha| alpha[at] <= 0.0) {
            true => 0.0,
            false => spread(r, g, b),
        };
        exactly &= apart == 0.0;
        apart <= far
    });
    match (within, exactly) {
        (false, _) => Grey::No,
        (true, true) => Grey::Exactly,
        // The file holds a luma in whole numbers, from which the channels were made.
        (true, false) => {
            let luma = |r: &f32, g: &f32, b: &f32| 0.299 * r + 0.587 * g + 0.114 * b;
            let luma = Zip::from(r).and(g).and(b).map_collect(luma);
            Grey::Nearly(
                luma.mapv(|v| (v * 255.0).round() / 255.0)
                    .insert_axis(Axis(0)),
            )
        }
    }
}
