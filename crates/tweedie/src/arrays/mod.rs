//! NumPy's arrays, `.npy` and `.npz`: measurements that are no pictures, and matrices.
//!
//! Files are untrusted. A header's shape is compared with the length of the file, and with the memory that is free, before memory
//! is taken; Python objects, NaN and infinite numbers are refused. Numbers are read as f32, whatever they are stored as (whole or
//! floating, of 1 to 8 bytes, of either byte order, rows or columns first), and written as f32.

mod header;
mod npy;
mod npz;

pub use npy::{MatrixFile, bytes, read, write};
pub use npz::{Archive, Member, archive};

use ndarray::{ArrayD, Axis, Ix4};

use crate::Image;

/// Numbers from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// In rows. Of complex numbers the last axis holds real and imaginary part.
    pub values: ArrayD<f32>,
    /// Whether they are complex.
    pub complex: bool,
    /// What stands for white if they are a picture's: 255 for bytes, 65535 for words, 1 for all others.
    pub white: f32,
}

impl Array {
    /// As one image: rows and columns, also with channels before them, and a batch of one before these; a list of numbers is one
    /// row. Of complex channels the real and the imaginary part are two channels, one after the other.
    ///
    /// # Errors
    /// In words, if it has another shape.
    pub fn into_image(self) -> Result<Image, String> {
        let shape = self.values.shape().to_vec();
        let mut values = self.values;
        let axes = shape.len() - usize::from(self.complex);
        if axes > 4 || axes == 4 && shape[0] != 1 {
            return Err(format!(
                "an array of {} is no measurement: it takes channels x height x width",
                shown(&shape[..axes])
            ));
        }
        // One column of many coils or channels is no picture of one channel.
        if let (3, [h, w, c @ (1 | 3 | 4)]) = (axes, &shape[..axes])
            && *h > if *c == 1 { 16 } else { 4 }
            && *w > 4
        {
            return Err(format!(
                "its shape is {}: channels come first; transpose it (2, 0, 1)",
                shown(&shape)
            ));
        }
        for _ in axes..4 {
            values = values.insert_axis(Axis(0));
        }
        if self.complex {
            // [1, c, h, w, 2] to [1, c, 2, h, w] to [1, 2c, h, w].
            let turned = values.permuted_axes(vec![0, 1, 4, 2, 3]);
            let shape = turned.shape().to_vec();
            let joined = (1, 2 * shape[1], shape[3], shape[4]);
            let rows = turned.as_standard_layout().into_owned();
            let image = rows.into_shape_with_order(joined);
            return Ok(image.expect("as many numbers"));
        }
        let image = values.into_dimensionality::<Ix4>();
        Ok(image.expect("it has four axes"))
    }
}

/// `3 x 4`.
fn shown(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    match sides.is_empty() {
        true => "no axis".to_owned(),
        false => sides.join(" x "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], complex: bool) -> Array {
        let n: usize = shape.iter().product();
        Array {
            values: ArrayD::from_shape_vec(shape, (0..n).map(|v| v as f32).collect()).unwrap(),
            complex,
            white: 1.0,
        }
    }

    /// Wrong: the batch or the channels left out, pictures of NumPy's other layout taken for many channels.
    #[test]
    fn shapes_of_measurements() {
        for (shape, image) in [
            (&[7][..], (1, 1, 1, 7)),
            (&[5, 7], (1, 1, 5, 7)),
            (&[3, 5, 7], (1, 3, 5, 7)),
            (&[1, 3, 5, 7], (1, 3, 5, 7)),
            (&[3, 1, 3], (1, 3, 1, 3)),
        ] {
            assert_eq!(array(shape, false).into_image().unwrap().dim(), image);
        }
        for shape in [&[2, 3, 5, 7][..], &[1, 1, 1, 5, 7], &[5, 7, 3]] {
            let error = array(shape, false).into_image().unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    /// Real and imaginary part of a channel are neighbours.
    #[test]
    fn complex_numbers_are_two_channels() {
        let image = array(&[2, 1, 3, 2], true).into_image().unwrap();
        assert_eq!(image.dim(), (1, 4, 1, 3));
        let row = |c: usize| -> Vec<f32> { image.index_axis(Axis(1), c).iter().copied().collect() };
        assert_eq!(row(0), [0.0, 2.0, 4.0]);
        assert_eq!(row(1), [1.0, 3.0, 5.0]);
        assert_eq!(row(2), [6.0, 8.0, 10.0]);
    }
}
