//! A head of ellipses, for examples that bring their own data.

use tweedie::{Dims, Image};

/// Ten ellipses of the phantom of Shepp and Logan (1974), with the greys of Toft (1996): what each adds, its half axes, its middle
/// (to the right and up, the picture reaching 1 to all sides), its turn in degrees.
const ELLIPSES: [(f64, [f64; 2], [f64; 2], f64); 10] = [
    (1.0, [0.69, 0.92], [0.0, 0.0], 0.0),
    (-0.8, [0.6624, 0.874], [0.0, -0.0184], 0.0),
    (-0.2, [0.11, 0.31], [0.22, 0.0], -18.0),
    (-0.2, [0.16, 0.41], [-0.22, 0.0], 18.0),
    (0.1, [0.21, 0.25], [0.0, 0.35], 0.0),
    (0.1, [0.046, 0.046], [0.0, 0.1], 0.0),
    (0.1, [0.046, 0.046], [0.0, -0.1], 0.0),
    (0.1, [0.046, 0.023], [-0.08, -0.605], 0.0),
    (0.1, [0.023, 0.023], [0.0, -0.606], 0.0),
    (0.1, [0.023, 0.046], [0.06, -0.605], 0.0),
];

/// Points a side of which a pixel is the mean.
const POINTS: usize = 4;

/// The phantom in `side` by `side` pixels, grey, in [0, 1].
pub(crate) fn head(side: usize) -> Image {
    let at = |i: usize, k: usize| {
        2.0 * (i as f64 + (k as f64 + 0.5) / POINTS as f64) / side as f64 - 1.0
    };
    Image::from_shape_fn(Dims::new(1, side, side).batch(1), |(_, _, i, j)| {
        let points = (0..POINTS * POINTS).map(|k| grey(at(j, k % POINTS), -at(i, k / POINTS)));
        (points.sum::<f64>() / (POINTS * POINTS) as f64) as f32
    })
}

fn grey(x: f64, y: f64) -> f64 {
    let inside = |&&(_, [a, b], [x0, y0], turn): &&(f64, [f64; 2], [f64; 2], f64)| {
        let (sin, cos) = turn.to_radians().sin_cos();
        let (dx, dy) = (x - x0, y - y0);
        let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
        (u / a).powi(2) + (v / b).powi(2) <= 1.0
    };
    ELLIPSES.iter().filter(inside).map(|e| e.0).sum()
}
