//! What there is to see of an image: of a complex one, whose channels are real and imaginary parts, the magnitudes.

use crate::Image;
use crate::level::Range;
use crate::operator::Operator;

/// An image of what the operator takes, as a picture.
pub(super) fn seen(operator: &dyn Operator, x: Image) -> Image {
    match operator.range() {
        Range::IMAGE => x,
        _ => magnitude(&x),
    }
}

/// What can be seen of a measurement without a prior: the operator's first guess.
pub(super) fn at_first(operator: &dyn Operator, y: &Image) -> Image {
    seen(operator, operator.margins().crop(operator.guess(y)))
}

fn magnitude(x: &Image) -> Image {
    let (n, c, h, w) = x.dim();
    Image::from_shape_fn((n, c / 2, h, w), |(n, c, i, j)| {
        x[[n, 2 * c, i, j]].hypot(x[[n, 2 * c + 1, i, j]])
    })
}
