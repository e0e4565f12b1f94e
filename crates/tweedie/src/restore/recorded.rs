//! What was recorded, as the operator has it: the order of its axes, and the units of pictures in [0, 1].

use super::Error;
use crate::image::Picture;
use crate::operator::{self, Operator};
use crate::{Dims, Image};

/// Black and white where nothing else is said.
pub(super) const UNIT: [f64; 2] = [0.0, 1.0];

/// The measurement, in the shape that the operator records, of pictures whose black and white are 0 and 1.
///
/// Arrays may come without the axes along which there is but one number, or as one list. Of a linear operator
/// `A(black + (white - black) x) = black*A(1) + (white - black) A(x)`.
pub(super) fn understood(
    picture: &Picture,
    operator: &dyn Operator,
    [black, white]: [f64; 2],
) -> Result<Picture, Error> {
    let expected = operator.output();
    let mut pixels = arranged(&picture.pixels, expected).ok_or(operator::Error::Shape {
        expected,
        got: picture.dims(),
    })?;
    if [black, white] != UNIT {
        if operator.linear().is_none() {
            return Err(Error::Units(operator.name()));
        }
        if black != 0.0 {
            if operator.input().c == 2 {
                return Err(Error::Black(black));
            }
            let ones = Image::from_elem(operator.input().batch(1), 1.0);
            pixels.scaled_add(-black as f32, &operator.apply(&ones));
        }
        pixels *= (1.0 / (white - black)) as f32;
    }
    let mut understood = picture.with_pixels(pixels);
    understood.alpha = picture.alpha.clone();
    understood.jpeg = picture.jpeg.clone();
    Ok(understood)
}

/// The same numbers in another shape, if no axis of more than one changes its place.
fn arranged(y: &Image, expected: Dims) -> Option<Image> {
    let sides = |dims: Dims| -> Vec<usize> {
        let sides = [dims.c, dims.h, dims.w].into_iter();
        sides.filter(|&n| n > 1).collect()
    };
    let got = Dims::of(y);
    let list = got.c == 1 && got.h == 1 && got.w == expected.len();
    (list || sides(got) == sides(expected)).then(|| {
        let y = y.as_standard_layout().into_owned();
        y.into_shape_with_order(expected.batch(1))
            .expect("as many numbers")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Gamma, Gray, GrayWeights, Hadamard, Identity, Ratio};

    /// A measurement in [-1, 1] is that in [0, 1], whatever the operator makes of a constant. Wrong: numbers scaled as if they were
    /// a picture's.
    #[test]
    fn units_are_those_of_the_clean_picture() {
        let dims = Dims::new(3, 6, 5);
        let x = Image::from_shape_fn(dims.batch(1), |(_, c, i, j)| 0.1 * ((c + i + j) as f32));
        let operators: [Box<dyn Operator>; 2] = [
            Box::new(Gray::new(dims, GrayWeights::Rgb([1.0, 2.0, 0.5])).unwrap()),
            Box::new(Hadamard::new(dims, Ratio::new(0.5).unwrap(), true, 1).unwrap()),
        ];
        for operator in operators {
            let y = Picture::new(operator.apply(&(&x * 2.0 - 1.0)));
            let found = understood(&y, operator.as_ref(), [-1.0, 1.0]).unwrap();
            let off = &found.pixels - &operator.apply(&x);
            assert!(off.iter().all(|d| d.abs() < 1e-5), "{operator:?}");
        }
        let gamma = Gamma::new(dims, 2.0).unwrap();
        let error = understood(&Picture::new(x.clone()), &gamma, [0.0, 255.0]);
        assert!(error.unwrap_err().to_string().contains("not linear"));
        assert!(understood(&Picture::new(x), &gamma, UNIT).is_ok());
        let complex = Identity::new(Dims { c: 2, ..dims }).unwrap();
        let parts = Picture::new(Image::zeros(complex.input().batch(1)));
        let error = understood(&parts, &complex, [-1.0, 1.0]);
        assert!(error.unwrap_err().to_string().contains("no black"));
        assert!(understood(&parts, &complex, [0.0, 255.0]).is_ok());
    }

    /// Wrong: rows taken for channels.
    #[test]
    fn axes_of_one_come_and_go() {
        let expected = Dims::new(3, 1, 4);
        for (c, h, w) in [(3, 1, 4), (1, 3, 4), (3, 4, 1), (1, 1, 12)] {
            let y =
                Image::from_shape_fn((1, c, h, w), |(_, c, i, j)| (100 * c + 10 * i + j) as f32);
            let arranged = arranged(&y, expected).unwrap();
            assert_eq!(arranged.dim(), (1, 3, 1, 4));
            assert!(arranged.iter().eq(y.iter()));
        }
        for shape in [(1, 4, 1, 3), (1, 3, 4, 4), (1, 1, 1, 11), (1, 2, 2, 3)] {
            assert!(
                arranged(&Image::zeros(shape), expected).is_none(),
                "{shape:?}"
            );
        }
    }
}
