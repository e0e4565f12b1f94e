//! MRI for pictures of any size, and for a measurement that tells how it was made.

use std::path::PathBuf;
use std::str::FromStr;

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::{Coils, Mri, Pictures, Sampling, coils};
use crate::fft::Complex;
use crate::image::Picture;
use crate::operator::spec::{Described, Flag, Flags, parses};
use crate::operator::{Error, Operator};
use crate::{Dims, Image};

/// A picture's greatest magnitude is to be near 1: measurements whose first guess is brighter or darker than this are in other
/// units. What is not sampled dims a guess, and the loudest pixels of a few are brighter than the picture.
const BRIGHTNESS: std::ops::Range<f64> = 0.05..3.0;

/// MRI for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MriSpec {
    /// Which places of k-space are sampled.
    #[serde(default = "measured")]
    pub sampling: Sampling,
    /// The coils that see the picture.
    #[serde(default)]
    pub coils: Coils,
    /// What pictures are.
    #[serde(default)]
    pub pictures: Pictures,
    /// Decides what is random.
    #[serde(default)]
    pub seed: u64,
}

fn measured() -> Sampling {
    Sampling::Measured
}

impl FromStr for Pictures {
    type Err = Error;

    fn from_str(text: &str) -> Result<Pictures, Error> {
        match text {
            "real" => Ok(Pictures::Real),
            "complex" => Ok(Pictures::Complex),
            _ => Err(Error::Invalid(format!(
                "pictures are real or complex, not `{text}`"
            ))),
        }
    }
}

impl MriSpec {
    fn maps(&self, input: Dims) -> Result<Option<Vec<Vec<Complex>>>, Error> {
        match &self.coils {
            Coils::One => Ok(None),
            Coils::Simulated(n) => Ok(Some(coils::simulated(*n, input.h, input.w))),
            Coils::File(path) => coils::stored(path, input.h, input.w).map(Some),
            Coils::Calibrated => Err(Error::Invalid(
                "calibrated coils are found from a measurement; to make one, say simulated:8"
                    .into(),
            )),
        }
    }

    /// How many coils saw a measurement of so many channels.
    fn coils_of(&self, channels: usize) -> usize {
        match &self.coils {
            Coils::One => 1,
            Coils::Simulated(n) => *n,
            // Of one picture: the maps of a file must be as many.
            Coils::Calibrated | Coils::File(_) => channels / 2,
        }
    }
}

impl Described for MriSpec {
    const SUMMARY: &'static str =
        "MRI: some places of k-space, by one coil or several; of real pictures or complex ones";
    const EXAMPLE: &'static str = "sampling = 'gaussian1d:2'\ncoils = 'simulated:2'";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "sampling",
            value: "SAMPLING",
            help: "Which places of k-space are sampled: `uniform1d:A`, `gaussian1d:A`, `gaussian2d:A` or `poisson:A` with an \
                   acceleration A and perhaps `:C`, the calibration area's part of each side; `full`; a picture, white where it \
                   is sampled; or `measured`, wherever a measurement is not 0",
            example: "gaussian1d:4",
            default: Some("measured"),
            check: parses::<Sampling>,
        },
        Flag {
            name: "coils",
            value: "COILS",
            help: "The coils that see the picture: `one`, `simulated:N`, `calibrated` from the measurement's calibration area, or the .npy file of their sensitivities, complex, coils x height x width",
            example: "calibrated",
            default: Some("one"),
            check: parses::<Coils>,
        },
        Flag {
            name: "pictures",
            value: "KIND",
            help: "What the pictures are: `real`, for priors of photographs, or `complex`, real and imaginary part in two channels",
            example: "complex",
            default: Some("real"),
            check: parses::<Pictures>,
        },
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<MriSpec, Error> {
        let [sampling, coils, pictures] = MriSpec::FLAGS else {
            unreachable!("there are three flags")
        };
        Ok(MriSpec {
            sampling: flags.need(sampling)?,
            coils: flags.need(coils)?,
            pictures: flags.need(pictures)?,
            seed: flags.seed,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let places = self.sampling.places(input.h, input.w, self.seed)?;
        let maps = self.maps(input)?;
        Ok(Box::new(Mri::new(input, self.pictures, places, maps)?))
    }

    /// Where k-space was sampled, and what the coils are, a measurement can tell itself.
    fn build_for(
        &self,
        picture: &Picture,
        notes: &mut Vec<String>,
    ) -> Result<Box<dyn Operator>, Error> {
        let y = &picture.pixels;
        let input = self.input_for(picture.dims())?;
        let places = match &self.sampling {
            Sampling::Measured => sampled(y)?,
            other => other.places(input.h, input.w, self.seed)?,
        };
        let scanner = |places, maps| Mri::new(input, self.pictures, places, maps);
        let mri = match &self.coils {
            Coils::Calibrated => {
                let maps = coils::calibrated(y, &places)?;
                scanner(places, Some(maps))?.calibrated()
            }
            _ => scanner(places, self.maps(input)?)?,
        };
        check_units(&mri, y)?;
        let share = mri.sampled() as f64 / mri.places().len() as f64;
        let coils = match mri.coils() {
            1 => "1 coil".to_owned(),
            n => format!("{n} coils"),
        };
        notes.push(format!(
            "{:.1} % of k-space is sampled, by {coils}",
            100.0 * share
        ));
        Ok(Box::new(mri))
    }

    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        let each = 2 * self.coils_of(output.c);
        if self.coils == Coils::One && ![1, 3].contains(&(output.c / 2)) {
            return Err(Error::Invalid(format!(
                "what {} coils recorded cannot be seen by one; say what they are, as `calibrated`, or the file of their maps",
                output.c / 2
            )));
        }
        match each > 0 && output.c.is_multiple_of(each) {
            true => Ok(Dims {
                c: output.c / each * self.pictures.channels(),
                ..output
            }),
            false => Err(Error::Invalid(format!(
                "k-space has two channels for each coil, real and imaginary part; {} do not fit `coils = \"{}\"`{}",
                output.c,
                self.coils,
                match self.coils {
                    Coils::Calibrated | Coils::File(_) => "",
                    _ => " (`calibrated` takes as many as there are)",
                }
            ))),
        }
    }

    fn records_pictures(&self) -> bool {
        false
    }

    fn treats_channels_alike(&self) -> bool {
        self.pictures == Pictures::Real
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        let mut files = Vec::new();
        if let Sampling::File(path) = &mut self.sampling {
            files.push(path);
        }
        if let Coils::File(path) = &mut self.coils {
            files.push(path);
        }
        files
    }
}

/// Where some channel is not 0.
fn sampled(y: &Image) -> Result<Array2<bool>, Error> {
    let channels = y.index_axis(Axis(0), 0);
    let places = channels.map_axis(Axis(0), |channels| channels.iter().any(|&v| v != 0.0));
    match places.iter().any(|&p| p) {
        true => Ok(places),
        false => Err(Error::Invalid(
            "all of k-space is 0: nothing was measured".into(),
        )),
    }
}

/// That the picture is about as bright as pictures are.
fn check_units(mri: &Mri, y: &Image) -> Result<(), Error> {
    let guess = mri.guess(y);
    let brightest = guess.iter().fold(0.0, |m: f32, v| m.max(v.abs()));
    match BRIGHTNESS.contains(&f64::from(brightest)) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "k-space is in other units: the picture that it shows peaks at {brightest:.2e} and not near 1; divide it by that \
             (models/brain/kspace.py does)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> MriSpec {
        toml::from_str(text).unwrap()
    }

    /// What NumPy writes of complex64 numbers, whose last axis here is of pairs.
    fn complex_npy(values: &ndarray::ArrayD<f32>) -> Vec<u8> {
        let [c, h, w] = [0, 1, 2].map(|axis| values.shape()[axis]);
        let header =
            format!("{{'descr': '<c8', 'fortran_order': False, 'shape': ({c}, {h}, {w}), }}");
        let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((length as u16).to_le_bytes());
        bytes.extend(format!("{header:<0$}\n", length - 1).bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        bytes
    }

    /// A measurement tells where it was sampled, how many coils saw it, and what they are; what cannot be is refused. Wrong: a
    /// place that happens to be 0 in one channel taken for one that was not sampled.
    #[test]
    fn a_measurement_tells_how_it_was_made() {
        let dims = Dims::new(1, 32, 48);
        let made = spec("sampling = 'gaussian1d:2'\ncoils = 'simulated:3'\nseed = 4");
        let operator = made.build(dims).unwrap();
        let x = Image::from_shape_fn(dims.batch(1), |(_, _, i, j)| {
            0.5 + 0.4 * (0.3 * i as f32).sin() * (0.2 * j as f32).cos()
        });
        let mut y = operator.apply(&x);
        y[[0, 2, 16, 24]] = 0.0;
        let file = Picture::new(y);
        let mut notes = Vec::new();
        let found = spec("coils = 'calibrated'")
            .build_for(&file, &mut notes)
            .unwrap();
        assert_eq!(found.recorded(), operator.recorded());
        assert_eq!(found.output(), operator.output());
        assert_eq!(notes, ["50.0 % of k-space is sampled, by 3 coils"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("maps.npy");
        let sides = |n: usize| ndarray::Array4::from_elem((3, 32, n, 2), 0.5).into_dyn();
        let stored = spec(&format!("coils = '{}'", path.display()));
        for (n, fits) in [(48, true), (47, false)] {
            let text = complex_npy(&sides(n));
            std::fs::write(&path, text).unwrap();
            assert_eq!(stored.build_for(&file, &mut notes).is_ok(), fits);
        }
        let complex = spec("coils = 'calibrated'\npictures = 'complex'");
        assert_eq!(complex.input_for(file.dims()).unwrap().c, 2);
        assert!(
            spec("coils = 'simulated:4'")
                .input_for(file.dims())
                .is_err()
        );
        assert!(spec("coils = 'calibrated'").build(dims).is_err());
        let one = spec("coils = 'one'").input_for(Dims { c: 8, ..dims });
        assert!(one.unwrap_err().to_string().contains("what 4 coils"));
        let nothing = Picture::new(Image::zeros(file.pixels.raw_dim()));
        let error = spec("coils = 'calibrated'").build_for(&nothing, &mut notes);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("nothing was measured")
        );
        assert!(spec("").build(dims).is_err());
        let dim = Picture::new(file.pixels.mapv(|v| 1e-5 * v));
        let error = spec("coils = 'calibrated'")
            .build_for(&dim, &mut notes)
            .unwrap_err();
        assert!(error.to_string().contains("other units"), "{error}");
        assert!(toml::from_str::<MriSpec>("coil = 'one'").is_err());
    }
}
