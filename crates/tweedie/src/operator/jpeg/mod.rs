//! JPEG: the picture as luma and differences of colour, these in fewer samples, and the DCT of each 8x8 block rounded to
//! multiples of a table (ITU T.81; libjpeg where the standard leaves it open).
//!
//! Not linear. What was recorded is known exactly, though: each coefficient lies in an interval, see [`Quantised`].

mod colours;
mod component;
mod drawn;
mod intervals;
mod spec;

use std::sync::Arc;

use component::Component;
use ndarray::{Array2, Axis};
pub use spec::{JpegSpec, Subsampling};

use super::{Error, Intervals, Loss, Operator, Quantised, not_empty, plane};
use crate::image::coarseness;
use crate::image::{self, Coefficients, Transform};
use crate::{Dims, Image};

/// `y`: what a decoder makes of the coefficients of `x`, rounded.
///
/// What a decoder makes of them may lie beyond [0, 1]; files clip it.
#[derive(Clone, Debug)]
pub struct Jpeg {
    dims: Dims,
    transform: Transform,
    components: Vec<Component>,
    file: Option<File>,
}

/// A file that the operator stands for.
#[derive(Clone, Debug)]
struct File {
    says: Arc<image::Jpeg>,
    coefficients: Coefficients,
}

impl Jpeg {
    /// That of libjpeg at a quality of 1 to 100, for grey or coloured images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel or not 1 or 3 channels, [`Error::Invalid`] for another quality.
    pub fn new(dims: Dims, quality: u8, subsampling: Subsampling) -> Result<Jpeg, Error> {
        let transform = transform_of(dims)?;
        let (luma, chroma) = spec::tables(quality)?;
        let size = (dims.h, dims.w);
        let mut components = vec![Component::new(luma, size, (1, 1))];
        if dims.c == 3 {
            let chroma = Component::new(chroma, size, subsampling.factors());
            components.extend([chroma.clone(), chroma]);
        }
        Ok(Jpeg {
            dims,
            transform,
            components,
            file: None,
        })
    }

    /// The one that made a file, with the numbers that the file holds. A grey picture has the luma of a file in colours.
    ///
    /// # Errors
    /// [`Error::Input`] as [`Jpeg::new`], [`Error::Invalid`] if the file is one of inks, its sampling is no whole number of
    /// pixels, its numbers cannot be read, or they are not those of a picture of these dimensions.
    pub fn of_file(dims: Dims, file: &Arc<image::Jpeg>) -> Result<Jpeg, Error> {
        transform_of(dims)?;
        if file.transform == Transform::Cmyk {
            let why = "a JPEG of inks (CMYK) is not undone; convert it to RGB and denoise it";
            return Err(Error::Invalid(why.into()));
        }
        let coefficients = file
            .coefficients()
            .map_err(|e| Error::Invalid(format!("the JPEG's coefficients: {e}")))?;
        let filed = file.components_as_filed();
        let components = spec::filed(&filed[..dims.c.min(filed.len())], &filed, coefficients.size)?;
        let jpeg = Jpeg {
            dims,
            transform: file.transform,
            components,
            file: Some(File {
                says: Arc::clone(file),
                coefficients,
            }),
        };
        match jpeg.fits() {
            true => Ok(jpeg),
            false => Err(Error::Invalid(format!(
                "the JPEG's coefficients are not those of a picture of {dims}"
            ))),
        }
    }

    /// Whether the file's numbers are those of such a picture.
    fn fits(&self) -> bool {
        let Some(file) = &self.file else {
            return true;
        };
        let filed = Dims::of(&file.says.as_filed(&Image::zeros(self.dims.batch(1))));
        let planes = &file.coefficients.planes;
        (filed.h, filed.w) == file.coefficients.size
            && self.components.len() == self.dims.c
            && planes.len() >= self.dims.c
            && self
                .components
                .iter()
                .zip(planes)
                .all(|(component, plane)| component.blocks() == plane.blocks)
    }

    /// The same compression of pictures of other sides, with no numbers of a file.
    pub fn of_size(&self, h: usize, w: usize) -> Jpeg {
        let components = self.components.iter();
        Jpeg {
            dims: Dims { h, w, ..self.dims },
            transform: self.transform,
            components: components.map(|c| c.of_size((h, w))).collect(),
            file: None,
        }
    }

    /// Whether several pixels share a sample of their colours.
    pub fn shares_colours(&self) -> bool {
        self.components.iter().any(|c| c.factors() != (1, 1))
    }

    /// The standard deviation of white noise, in images in [0, 1], that has as much in a coefficient of the luma as its steps are wide, by
    /// their root mean square.
    pub fn rounding(&self) -> f64 {
        let steps = &self.components[0].steps[1..];
        let square = steps.iter().map(|s| f64::from(s * s)).sum::<f64>() / steps.len() as f64;
        let luma = colours::luma(self.transform, self.components.len());
        square.sqrt() / 255.0 / luma
    }

    /// One picture as it lies in the file, which may be turned.
    fn as_filed(&self, x: &Image) -> Image {
        match &self.file {
            Some(file) => file.says.as_filed(x),
            None => x.clone(),
        }
    }

    /// The components of one picture, as they lie in the file.
    fn planes(&self, x: &Image) -> Vec<Array2<f32>> {
        let filed = self.as_filed(x);
        colours::split(filed.index_axis(Axis(0), 0), self.transform)
    }

    /// And back.
    fn picture(&self, planes: &[Array2<f32>]) -> Image {
        let x = colours::joined(planes, self.transform).insert_axis(Axis(0));
        match &self.file {
            Some(file) => file.says.as_seen(&x),
            None => x,
        }
    }
}

/// Grey or colours.
fn transform_of(dims: Dims) -> Result<Transform, Error> {
    not_empty("jpeg", dims)?;
    match dims.c {
        1 => Ok(Transform::Grey),
        3 => Ok(Transform::YCbCr),
        _ => Err(Error::Input {
            operator: "jpeg",
            expected: "one or three channels",
            got: dims,
        }),
    }
}

impl Operator for Jpeg {
    fn name(&self) -> &'static str {
        "jpeg"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.dims);
        let pictures = x.axis_chunks_iter(Axis(0), 1).map(|x| {
            let planes = self.planes(&x.to_owned());
            let components = self.components.iter().zip(&planes);
            let decoded = components.map(|(component, plane)| {
                let mut blocks = component.analysed(&component.sampled(plane.view()));
                for block in &mut blocks {
                    for (c, step) in block.iter_mut().zip(component.steps) {
                        *c = (*c / step).round() * step;
                    }
                }
                component.upsampled(&component.synthesised(blocks))
            });
            self.picture(&decoded.collect::<Vec<_>>())
        });
        let pictures: Vec<Image> = pictures.collect();
        let views: Vec<_> = pictures.iter().map(|x| x.view()).collect();
        ndarray::concatenate(Axis(0), &views).expect("pictures of a batch are alike")
    }

    /// `u`: the derivative of rounding is 0 nearly everywhere, and says nothing. As is usual it is taken for 1, as if rounding and
    /// the sampling of colours did nothing (straight through: Bengio et al. 2013, arXiv:1308.3432).
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        plane::check(x, self.dims);
        plane::check(u, self.dims);
        u.clone()
    }

    /// The decoded picture itself.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.dims);
        y.clone()
    }

    /// Each coefficient moved by as many whole steps as its rounded number is off: `h(y) - h(A(x))` with `h` the decoder, coefficient
    /// by coefficient, so that the samples of colours need not be made pixels and samples again. Coded, it has the numbers of `y`,
    /// but in blocks that reach beyond the picture, whose last pixels count several times.
    fn consistent(&self, y: &Image, x: &Image) -> Image {
        plane::check(y, self.dims);
        self.read(y).moved(x)
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..Loss::NOTHING
        }
    }

    fn quantised(&self) -> Option<&dyn Quantised> {
        Some(self)
    }
}

impl Quantised for Jpeg {
    fn intervals<'a>(&'a self, y: &Image) -> Box<dyn Intervals + 'a> {
        plane::check(y, self.dims);
        Box::new(self.read(y))
    }

    fn coarseness(&self) -> f64 {
        error_of_step(coarseness(&self.components[0].steps) / 255.0)
    }
}

/// How far decoded pictures are off, by the steps of the lowest frequencies of their luma, both for images in [0, 1]:
/// `2.27*step^0.4` in units of 1/255, which is what reduced photographs show from quality 10 to 80 (docs/jpeg.md).
pub(crate) fn error_of_step(step: f64) -> f64 {
    2.27 * (255.0 * step).powf(0.4) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};

    /// Of whole blocks, coded twice it is as coded once, and what is consistent with a measurement is coded as it, whatever it was before; what is
    /// coded so already stays. Wrong: colours that lose some of their changes between pixels and samples.
    #[test]
    fn what_is_consistent_is_coded_alike() {
        for (c, subsampling) in [
            (1, Subsampling::Full),
            (3, Subsampling::Full),
            (3, Subsampling::Half),
            (3, Subsampling::Quarter),
        ] {
            let dims = Dims::new(c, 16, 32);
            let jpeg = Jpeg::new(dims, 30, subsampling).unwrap();
            let x = Seeded::new(1, "test").normal(1, dims) * 0.2 + 0.5;
            let y = jpeg.apply(&x);
            let same = |a: &Image, b: &Image| (a - b).iter().all(|d| d.abs() < 1e-4);
            if subsampling == Subsampling::Full {
                assert!(same(&jpeg.apply(&y), &y), "{c}");
            }
            let other = Seeded::new(2, "test").normal(1, dims) * 0.2 + 0.5;
            let consistent = jpeg.consistent(&y, &other);
            assert!(same(&jpeg.apply(&consistent), &y), "{c}, {subsampling}");
            assert!(same(&jpeg.consistent(&y, &x), &x), "{c}, {subsampling}");
        }
    }
}
