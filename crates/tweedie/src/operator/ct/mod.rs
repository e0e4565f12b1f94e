//! Computed tomography with parallel rays: the Radon transform.

mod fbp;
mod projector;

use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags};
use super::{Error, Linear, Loss, Operator, not_empty, plane};
use crate::{Dims, Image};
use projector::Projector;

/// The most angles, and the most detectors.
const MAX: usize = 16384;

/// `y[k, t] = integral of x along the ray t at angle k`: a sinogram, `[angles, detectors]` for each channel.
///
/// Rays lie a pixel apart around the picture's middle; at angle 0 they run from top to bottom. The longer side of the picture
/// is the unit of length, so that a white picture's integral along it is 1. The adjoint is the exact transpose (a matched pair).
#[derive(Clone, Debug, PartialEq)]
pub struct Ct {
    input: Dims,
    angles: Vec<f64>,
    detectors: usize,
    /// Radians that an angle stands for.
    step: f64,
    projector: Projector,
}

impl Ct {
    /// For pictures of these dimensions: so many angles over an arc in degrees, so many detectors.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no pixel, [`Error::Invalid`] for numbers out of bounds.
    pub fn new(input: Dims, angles: usize, arc: f64, detectors: usize) -> Result<Ct, Error> {
        not_empty("ct", input)?;
        check(angles, arc)?;
        if !(1..=MAX).contains(&detectors) {
            return Err(Error::Invalid(format!(
                "a scanner has 1 to {MAX} detectors, not {detectors}"
            )));
        }
        let step = arc.to_radians() / angles as f64;
        let angles: Vec<f64> = (0..angles).map(|k| k as f64 * step).collect();
        let unit = 1.0 / input.h.max(input.w) as f64;
        Ok(Ct {
            projector: Projector::new((input.h, input.w), &angles, detectors, unit),
            input,
            angles,
            detectors,
            step,
        })
    }
}

fn check(angles: usize, arc: f64) -> Result<(), Error> {
    if !(1..=MAX).contains(&angles) {
        return Err(Error::Invalid(format!(
            "tomography takes 1 to {MAX} angles, not {angles}"
        )));
    }
    match arc > 0.0 && arc <= 180.0 {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "the arc of tomography is above 0 and up to 180 degrees, not {arc}"
        ))),
    }
}

/// As many detectors as see all of a picture from everywhere: its diagonal in pixels.
fn diagonal(h: usize, w: usize) -> usize {
    (h as f64).hypot(w as f64).ceil() as usize
}

/// CT for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CtSpec {
    /// Angles, evenly over the arc; the last lies a step before its end.
    pub angles: usize,
    /// The arc in degrees, up to 180.
    #[serde(default = "half_turn")]
    pub arc: f64,
    /// Detectors, a pixel apart; as many as the picture's diagonal is long if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectors: Option<usize>,
}

fn half_turn() -> f64 {
    180.0
}

impl CtSpec {
    fn detectors(&self, input: Dims) -> usize {
        self.detectors.unwrap_or(diagonal(input.h, input.w))
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|_| Error::Invalid(format!("`{text}` is no number that fits here")))
}

impl Described for CtSpec {
    const SUMMARY: &'static str =
        "computed tomography: line integrals at some angles (parallel rays)";
    const EXAMPLE: &'static str = "angles = 24";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "angles",
            value: "N",
            help: "How many directions are looked along, evenly over the arc",
            example: "60",
            default: Some("60"),
            check: |text| check(number(text)?, 180.0),
        },
        Flag {
            name: "arc",
            value: "DEGREES",
            help: "The arc over which they lie, up to 180",
            example: "120",
            default: Some("180"),
            check: |text| check(1, number(text)?),
        },
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<CtSpec, Error> {
        let [angles, arc] = CtSpec::FLAGS else {
            unreachable!("there are two flags")
        };
        Ok(CtSpec {
            angles: number(flags.text(angles)?)?,
            arc: number(flags.text(arc)?)?,
            detectors: None,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let detectors = self.detectors(input);
        Ok(Box::new(Ct::new(input, self.angles, self.arc, detectors)?))
    }

    fn records_pictures(&self) -> bool {
        false
    }

    /// Not told by a sinogram.
    fn input_for(&self, _: Dims) -> Result<Dims, Error> {
        Err(Error::Invalid(
            "a sinogram does not tell the picture's size: say it, as in --size 512x384".into(),
        ))
    }
}

impl Operator for Ct {
    fn name(&self) -> &'static str {
        "ct"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        Dims::new(self.input.c, self.angles.len(), self.detectors)
    }

    fn apply(&self, x: &Image) -> Image {
        let project = |plane: &[f32], out: &mut [f32]| self.projector.forward(plane, out);
        plane::map(x, self.input, self.output(), project)
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// Filtered back-projection.
    fn guess(&self, y: &Image) -> Image {
        let size = (self.input.h, self.input.w);
        let longest = size.0.max(size.1) as f32;
        let back = |rays: &[f32], out: &mut [f32]| {
            fbp::reconstructed(rays, &self.angles, self.step, size, out);
        };
        // Line integrals in pixels are so much larger.
        plane::map(&(y * longest), self.output(), self.input, back)
    }

    fn loss(&self) -> Loss {
        Loss {
            frequencies: true,
            ..Loss::NOTHING
        }
    }

    /// A sinogram is smooth: what is rough in it is noise, as in a picture.
    fn noise_in(&self, y: &Image) -> Option<f64> {
        crate::noise_level::estimate(y, None).ok()
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Ct {
    fn adjoint(&self, u: &Image) -> Image {
        let back = |rays: &[f32], out: &mut [f32]| self.projector.adjoint(rays, out);
        plane::map(u, self.output(), self.input, back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of pixels that count by the part of them that it covers (8x8 points).
    fn disk(dims: Dims, [x0, y0]: [f64; 2], radius: f64) -> Image {
        let middle = |n: usize| (n as f64 - 1.0) / 2.0;
        Image::from_shape_fn(dims.batch(1), |(_, _, i, j)| {
            let inside = |k: usize| {
                let at = |k: usize| (k as f64 + 0.5) / 8.0 - 0.5;
                let x = j as f64 + at(k % 8) - middle(dims.w) - x0;
                let y = middle(dims.h) - i as f64 + at(k / 8) - y0;
                usize::from(x.hypot(y) < radius)
            };
            (0..64).map(inside).sum::<usize>() as f32 / 64.0
        })
    }

    /// Chords of a disk beside the middle, `2 sqrt(r^2 - (s - s0)^2)` with `s0 = x0 cos a + y0 sin a`. Wrong: another sense of
    /// rotation, `y` down, detectors half a pixel aside.
    #[test]
    fn a_disk_has_the_chords_that_it_should() {
        let (dims, at, radius) = (Dims::new(1, 65, 80), [11.0, -7.0], 14.0);
        let ct = Ct::new(dims, 36, 180.0, 104).unwrap();
        let y = ct.apply(&disk(dims, at, radius));
        let (mut worst, mut sum) = (0.0, 0.0);
        for (k, angle) in ct.angles.iter().enumerate() {
            for t in 0..104 {
                let s = t as f64 - 51.5 - at[0] * angle.cos() - at[1] * angle.sin();
                let chord = 2.0 * (radius * radius - s * s).max(0.0).sqrt() / 80.0;
                let error = (f64::from(y[[0, 0, k, t]]) - chord).abs();
                // Where a ray only touches the disk its pixels show.
                if s.abs() < radius - 2.0 {
                    worst = f64::max(worst, error);
                }
                sum += error;
            }
        }
        assert!(
            worst < 0.006 && sum / (36.0 * 104.0) < 0.001,
            "{worst} {sum}"
        );
    }

    /// A disk comes back as one: inside 1, outside 0, to 0.06 where its edge rings and to 0.01 in the mean. Wrong: half of the
    /// angular step, a sampled ramp (which loses the mean), the unit of length forgotten.
    #[test]
    fn filtered_back_projection_inverts() {
        let (dims, at, radius) = (Dims::new(1, 72, 65), [6.0, 9.0], 17.0);
        let ct = Ct::new(dims, 180, 180.0, diagonal(72, 65)).unwrap();
        let back = ct.guess(&ct.apply(&disk(dims, at, radius)));
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for ((_, _, i, j), &v) in back.indexed_iter() {
            let away = (j as f64 - 32.0 - at[0]).hypot(35.5 - i as f64 - at[1]);
            match away {
                _ if away < radius - 3.0 => inside.push(f64::from(v) - 1.0),
                _ if away > radius + 3.0 => outside.push(f64::from(v)),
                _ => {}
            }
        }
        for errors in [inside, outside] {
            assert!(errors.iter().all(|e| e.abs() < 0.06));
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            assert!(mean.abs() < 0.01, "{mean}");
        }
    }

    /// All of a picture is seen from everywhere, unless something else is said; what cannot be is refused.
    #[test]
    fn detectors_span_the_diagonal() {
        let spec = |text: &str| toml::from_str::<CtSpec>(text);
        let clean = Dims::new(1, 12, 20);
        for (text, detectors) in [("angles = 7", 24), ("angles = 7\ndetectors = 9", 9)] {
            let operator = spec(text).unwrap().build(clean).unwrap();
            assert_eq!(operator.output(), Dims::new(1, 7, detectors));
        }
        // Every pixel is seen at each angle, with the weight of its shadow.
        let ct = Ct::new(clean, 7, 180.0, 24).unwrap();
        let ones = ct.adjoint(&Image::ones((1, 1, 7, 24)));
        assert!(
            ones.iter()
                .all(|&v| (v - 7.0 / 20.0).abs() < 0.15 * 7.0 / 20.0)
        );
        for text in [
            "angles = 0",
            "angles = 9\narc = 270.0",
            "angles = 9\ndetectors = 0",
        ] {
            assert!(spec(text).unwrap().build(clean).is_err(), "{text}");
        }
    }
}
