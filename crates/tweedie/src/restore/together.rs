//! Several measurements of one picture, a file each.

use ndarray::{Axis, concatenate};

use super::Error;
use crate::Image;
use crate::image::Picture;
use crate::operator::{self, StackSpec};

/// One measurement of several, as a stack of operators records it: their channels one after the other, with what travels with the
/// first. If one has colours, all are taken with three channels.
///
/// # Errors
/// [`Error::Operator`] if there is none, or they are of different sizes.
pub fn together(pictures: &[Picture]) -> Result<Picture, Error> {
    let wrong = |why: String| Error::Operator(operator::Error::Invalid(why));
    let first = pictures
        .first()
        .ok_or_else(|| wrong("there are no measurements to take together".into()))?;
    let colours = pictures.iter().any(|p| p.with_file_channels().dims().c > 1);
    let pixels = |picture: &Picture| match colours {
        true => picture.with_file_channels().pixels,
        false => picture.pixels.clone(),
    };
    let all: Vec<Image> = pictures.iter().map(pixels).collect();
    let size = |x: &Image| (x.dim().2, x.dim().3);
    if let Some(other) = all.iter().find(|x| size(x) != size(&all[0])) {
        let ((h, w), (h2, w2)) = (size(&all[0]), size(other));
        return Err(wrong(format!(
            "measurements of one picture are of one size here, not {w} x {h} and {w2} x {h2} pixels"
        )));
    }
    let views: Vec<_> = all.iter().map(|x| x.view()).collect();
    let joined = concatenate(Axis(1), &views).expect("of one size");
    Ok(first.with_pixels(joined))
}

/// The pictures that the operators of a stack recorded, one each: what [`together`] takes. `None` if their channels are not alike in
/// number, or they lie in a row of numbers.
pub fn apart(y: &Picture, stack: &StackSpec) -> Option<Vec<Picture>> {
    let n = stack.of.len();
    let channels = y.dims().c;
    if n == 0 || !channels.is_multiple_of(n) || ![1, 3].contains(&(channels / n)) {
        return None;
    }
    let parts = y.pixels.axis_chunks_iter(Axis(1), channels / n);
    Some(parts.map(|part| y.with_pixels(part.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::noise::{NoiseSource, Seeded};

    fn picture(c: usize, h: usize, seed: u64) -> Picture {
        Picture::new(Seeded::new(seed, "test").normal(1, Dims::new(c, h, 4)))
    }

    /// Together and apart again they are what they were; greys among colours have three channels. Wrong: channels of one exposure
    /// among those of another.
    #[test]
    fn exposures_come_apart_as_they_were() {
        let stack: StackSpec = toml::from_str("of = [{kind = 'gray'}, {kind = 'gray'}]").unwrap();
        let two = [picture(3, 5, 1), picture(3, 5, 2)];
        let one = together(&two).unwrap();
        assert_eq!(one.dims(), Dims::new(6, 5, 4));
        assert_eq!(apart(&one, &stack).unwrap(), two);
        let mut grey = picture(1, 5, 3);
        grey.grey_as_rgb = true;
        let mixed = together(&[two[0].clone(), grey.clone()]).unwrap();
        assert_eq!(mixed.dims().c, 6);
        assert_eq!(together(&[grey.clone(), grey]).unwrap().dims().c, 6);
        let plain = [picture(1, 5, 3), picture(1, 5, 4)];
        assert_eq!(together(&plain).unwrap().dims().c, 2);
        assert!(together(&[]).is_err() && apart(&two[0], &stack).is_none());
        let error = together(&[picture(1, 5, 1), picture(1, 6, 1)]);
        assert!(error.unwrap_err().to_string().contains("4 x 5 and 4 x 6"));
    }
}
