//! Images as stacks of planes: what operators that treat each channel alike are written with.

use crate::{Dims, Image};

/// The image that `f` makes of `x`, plane by plane. `out` has as many channels as `x`.
///
/// Planes come one after the other, so that only one needs working memory; `f` runs in parallel inside.
///
/// # Panics
/// If `x` is not made of `from`, or the channels differ: that is an error in the calling code.
pub(crate) fn map(x: &Image, from: Dims, to: Dims, f: impl Fn(&[f32], &mut [f32])) -> Image {
    check(x, from);
    assert_eq!(from.c, to.c, "a plane-wise map keeps the channels");
    let mut out = Image::zeros(to.batch(x.dim().0));
    let x = x.as_standard_layout();
    let planes = x.as_slice().expect("in standard layout");
    let (m, n) = (from.h * from.w, to.h * to.w);
    for (x, out) in planes
        .chunks_exact(m)
        .zip(values(&mut out).chunks_exact_mut(n))
    {
        f(x, out);
    }
    out
}

/// The `n` images that `f` makes of `x`, plane by plane: like [`map`], but all outputs at once.
///
/// # Panics
/// As [`map`].
pub(crate) fn map_many(
    x: &Image,
    from: Dims,
    to: Dims,
    n: usize,
    f: impl Fn(&[f32], &mut [&mut [f32]]),
) -> Vec<Image> {
    check(x, from);
    assert_eq!(from.c, to.c, "a plane-wise map keeps the channels");
    let mut out = vec![Image::zeros(to.batch(x.dim().0)); n];
    let x = x.as_standard_layout();
    let planes = x.as_slice().expect("in standard layout");
    let mut outs: Vec<_> = out
        .iter_mut()
        .map(|out| values(out).chunks_exact_mut(to.h * to.w))
        .collect();
    for x in planes.chunks_exact(from.h * from.w) {
        let mut planes: Vec<&mut [f32]> = outs.iter_mut().flat_map(Iterator::next).collect();
        f(x, &mut planes);
    }
    drop(outs);
    out
}

/// `z` changed by `f` given the plane of `y` that belongs to it, plane by plane.
///
/// # Panics
/// If the images are not made of the dimensions given, or their channels or batches differ.
pub(crate) fn update(
    z: &Image,
    at: Dims,
    y: &Image,
    from: Dims,
    f: impl Fn(&[f32], &mut [f32]),
) -> Image {
    check(z, at);
    check(y, from);
    assert_eq!(
        (z.dim().0, at.c),
        (y.dim().0, from.c),
        "planes come in pairs"
    );
    let mut out = z.as_standard_layout().into_owned();
    let y = y.as_standard_layout();
    let planes = y.as_slice().expect("in standard layout");
    let (m, n) = (from.h * from.w, at.h * at.w);
    for (y, out) in planes
        .chunks_exact(m)
        .zip(values(&mut out).chunks_exact_mut(n))
    {
        f(y, out);
    }
    out
}

/// The numbers of an image that was made in standard layout.
pub(crate) fn values(x: &mut Image) -> &mut [f32] {
    x.as_slice_mut().expect("made in standard layout")
}

/// That an image is made of pictures of these dimensions.
pub(crate) fn check(x: &Image, dims: Dims) {
    assert_eq!(Dims::of(x), dims, "the image does not fit the operator");
}

/// A pixel: f32 in images, f64 within an iteration.
pub(crate) trait Sample: Copy + Into<f64> + Send + Sync {
    /// Rounded to what it holds.
    fn of(value: f64) -> Self;
}

impl Sample for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }
}

impl Sample for f64 {
    fn of(value: f64) -> f64 {
        value
    }
}
