//! What a measurement cannot tell apart: a picture and the same turned or moved.

use ndarray::{Axis, s};

use super::{Error, check};
use crate::Image;
use crate::fft::{Complex, Fft2};

/// `x` turned by half a turn and moved, as it lies nearest to `truth`: of phase retrieval, whose answer is one of these. Pictures of
/// a batch are aligned each by itself, all channels of one alike. What is moved out at an edge comes in at the other.
///
/// # Errors
/// [`Error`] if the shapes differ or a value is NaN.
pub fn aligned(truth: &Image, x: &Image) -> Result<Image, Error> {
    check(truth, x)?;
    let mut out = x.clone();
    let pairs = truth.axis_chunks_iter(Axis(0), 1);
    for (truth, mut out) in pairs.zip(out.axis_chunks_iter_mut(Axis(0), 1)) {
        let (truth, straight) = (truth.to_owned(), out.to_owned());
        let turned = straight.slice(s![.., .., ..;-1, ..;-1]).to_owned();
        let [a, b] = [straight, turned].map(|x| moved(&truth, x));
        out.assign(if b.1 > a.1 { &b.0 } else { &a.0 });
    }
    Ok(out)
}

/// `x` as it lies best on `truth`, and its product with that: the nearest of pictures of one norm has the largest.
fn moved(truth: &Image, x: Image) -> (Image, f64) {
    let (_, _, h, w) = x.dim();
    let fft = Fft2::new(h, w);
    let spectrum = |x: &Image, c: usize| {
        let plane: Vec<f32> = x.slice(s![0, c, .., ..]).iter().copied().collect();
        fft.forward(&plane, w)
    };
    let mut product = vec![Complex::ZERO; fft.half() * h];
    for c in 0..x.dim().1 {
        let (a, b) = (spectrum(truth, c), spectrum(&x, c));
        for (sum, (a, b)) in product.iter_mut().zip(a.iter().zip(&b)) {
            *sum += a * b.conj();
        }
    }
    let mut products = vec![0.0; h * w];
    fft.inverse(product, &mut products, w, |to, v| *to = v);
    let best = products
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1));
    let (at, &value) = best.expect("there is a pixel");
    let (down, right) = (at / w, at % w);
    let rolled = Image::from_shape_fn(x.raw_dim(), |(n, c, i, j)| {
        x[[n, c, (i + h - down) % h, (j + w - right) % w]]
    });
    (rolled, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::noise::{NoiseSource, Seeded};

    /// Turned, moved and both; what is straight stays. Wrong: rows and columns exchanged, a move the other way.
    #[test]
    fn what_was_turned_and_moved_comes_back() {
        let truth = Seeded::new(1, "test").normal(1, Dims::new(3, 7, 10));
        let roll = |x: &Image, by: [usize; 2]| {
            Image::from_shape_fn(x.raw_dim(), |(n, c, i, j)| {
                x[[n, c, (i + by[0]) % 7, (j + by[1]) % 10]]
            })
        };
        let turned = truth.slice(s![.., .., ..;-1, ..;-1]).to_owned();
        for x in [&truth, &turned] {
            for by in [[0, 0], [2, 0], [0, 3], [5, 9]] {
                assert_eq!(aligned(&truth, &roll(x, by)).unwrap(), truth, "{by:?}");
            }
        }
        let batch = ndarray::concatenate(Axis(0), &[truth.view(), turned.view()]).unwrap();
        let twice = ndarray::concatenate(Axis(0), &[truth.view(), truth.view()]).unwrap();
        assert_eq!(aligned(&twice, &batch).unwrap(), twice);
        assert!(aligned(&truth, &batch).is_err());
    }
}
