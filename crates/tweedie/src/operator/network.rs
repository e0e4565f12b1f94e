//! A trained network as an operator: what a camera does where nobody has a formula, but pairs of pictures to learn from.
//!
//! DPS (Chung et al. 2023, appendix D) and those after it undo the "non-linear blur" of such a network (Tran et al. 2021). Any
//! method that asks for no more than a vector-Jacobian product does.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::imitated::{Imitated, Motion};
use super::spec::{Described, Flag, Flags};
use super::{BlurSpec, Error, KernelSpec, Loss, NonlinearBlur, Operator, plane};
use crate::checkpoint::{self, Model};
use crate::prior::{Network, Prior};
use crate::{Device, Dims, Image};

/// `y = F(x, k)`: a network that is shown a picture and, as further channels, the motion that blurs it.
#[derive(Debug)]
pub struct Learned {
    network: Network,
    /// Three planes, in [0, 1].
    told: Image,
    /// What the network imitates, from which it has no more than a first guess.
    truth: NonlinearBlur,
}

impl Learned {
    /// For images of these dimensions, of one or three channels.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the model is no operator, [`Error::Input`] for other channels, and those of [`Imitated::truth`]; for
    /// a motion that is shorter or longer than it learned.
    pub fn new(input: Dims, model: &Model, motion: Motion) -> Result<Learned, Error> {
        let imitated = model.spec.imitates.as_ref().ok_or_else(|| {
            Error::Invalid("this model is a prior (--prior), and no operator: its description has no `imitates`".into())
        })?;
        check_motion(imitated, motion)?;
        if ![1, 3].contains(&input.c) {
            return Err(Error::Input {
                operator: "network",
                expected: "grey or coloured pictures",
                got: input,
            });
        }
        let truth = imitated.truth(input, motion)?;
        let network = Network::of(model, &Device::flex());
        Ok(Learned {
            network: network.map_err(|e| Error::Invalid(e.to_string()))?,
            told: imitated.told(motion, input),
            truth,
        })
    }

    /// The network, shown the motion beside each picture of a batch.
    fn asked<'a>(&'a self, x: &Image) -> impl Prior + use<'a> {
        plane::check(x, self.input());
        let (n, c, h, w) = x.dim();
        let told = self
            .told
            .broadcast((n, 3, h, w))
            .expect("one picture's planes");
        self.network.beside(&told.to_owned(), c)
    }
}

fn check_motion(imitated: &Imitated, motion: Motion) -> Result<(), Error> {
    let [least, most] = imitated.length;
    match (least..=most).contains(&motion.length) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "the network learned motions of {least} to {most} pixels, not of {}",
            motion.length
        ))),
    }
}

/// A network as an operator, for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedSpec {
    /// The model file; the embedded camera if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// The motion, `motion:LENGTH:ANGLE`.
    pub kernel: KernelSpec,
}

/// What stands for the embedded network on the command line.
const EMBEDDED: &str = "embedded";

/// What to say where another kernel or none is told.
const MOTION: &str = "the network is told a straight motion: --kernel motion:LENGTH:ANGLE";

const NETWORK: Flag = Flag {
    name: "network",
    value: "FILE",
    help: "The model file of a network that is an operator; it runs on the CPU",
    example: "camera.safetensors",
    default: Some(EMBEDDED),
    check: |_| Ok(()),
};

impl Described for LearnedSpec {
    const SUMMARY: &'static str = "a trained network: blur by a motion behind a camera's response, learned from pairs; not linear";
    const EXAMPLE: &'static str = "kernel = 'motion:5:30'";
    const FLAGS: &'static [Flag] = &[BlurSpec::FLAGS[0], NETWORK];

    fn from_flags(flags: &Flags<'_>) -> Result<LearnedSpec, Error> {
        if (flags.get)("kernel").is_none() {
            return Err(Error::Invalid(MOTION.into()));
        }
        let file = Some(flags.text(&NETWORK)?).filter(|file| *file != EMBEDDED);
        Ok(LearnedSpec {
            model: file.map(PathBuf::from),
            kernel: flags.need(&BlurSpec::FLAGS[0])?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let KernelSpec::Motion { length, angle } = self.kernel else {
            return Err(Error::Invalid(MOTION.into()));
        };
        let model = match &self.model {
            None => Model::camera().map_err(|e| Error::Invalid(e.to_string()))?,
            Some(path) => Model::open(path).map_err(|e| Error::File {
                path: path.clone(),
                why: match e {
                    checkpoint::Error::Io { source, .. } => source.to_string(),
                    other => other.to_string(),
                },
            })?,
        };
        Ok(Box::new(Learned::new(
            input,
            &model,
            Motion { length, angle },
        )?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        self.model.iter_mut().collect()
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }
}

impl Operator for Learned {
    fn name(&self) -> &'static str {
        "network"
    }

    fn input(&self) -> Dims {
        self.truth.input()
    }

    fn output(&self) -> Dims {
        self.truth.output()
    }

    fn apply(&self, x: &Image) -> Image {
        let asked = self.asked(x);
        asked
            .estimate(x, self.network.only_level())
            .expect("networks answer pictures of this size")
            .x0
    }

    /// Backwards through the network.
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        plane::check(u, self.output());
        let asked = self.asked(x);
        let (_, pullback) = asked
            .estimate_with_pullback(x, self.network.only_level())
            .expect("networks answer pictures of this size");
        pullback(u).expect("the answer depends on the picture")
    }

    /// That of the blur which the network imitates.
    fn guess(&self, y: &Image) -> Image {
        self.truth.guess(y)
    }

    fn loss(&self) -> Loss {
        self.truth.loss()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image;
    use crate::metric::psnr;

    fn at(length: f64, angle: f64) -> LearnedSpec {
        LearnedSpec {
            model: None,
            kernel: KernelSpec::Motion { length, angle },
        }
    }

    /// On a photograph the embedded network records what it imitates, at short and long motions to all sides, and not what another
    /// motion would: it heeds what it is told. Wrong: planes in another order, range or direction of turning.
    #[test]
    fn the_embedded_camera_is_what_it_imitates() {
        let photo = include_bytes!("../../../../examples/photos/coffee.png");
        let photo = image::decode(photo, &image::Limits::default())
            .unwrap()
            .pixels;
        let photo = photo
            .slice(ndarray::s![.., .., 40..137, 60..171])
            .to_owned();
        let dims = Dims::of(&photo);
        let imitated = Model::camera().unwrap().spec.imitates.unwrap();
        for (length, angle) in [(3.0, 0.0), (6.0, 60.0), (9.0, 100.0), (14.0, 170.0)] {
            let record = |angle: f64| {
                imitated
                    .truth(dims, Motion { length, angle })
                    .unwrap()
                    .apply(&photo)
            };
            let learned = at(length, angle).build(dims).unwrap().apply(&photo);
            let near = psnr(&record(angle), &learned).unwrap();
            let other = psnr(&record(-angle + 90.0), &learned).unwrap();
            assert!(
                near > 36.0 && near > other + 3.0,
                "{length}, {angle}: {near}, {other}"
            );
        }
    }

    #[test]
    fn what_it_cannot_do_is_said() {
        let build = |spec: LearnedSpec, c| {
            spec.build(Dims::new(c, 9, 8))
                .map(drop)
                .map_err(|e| e.to_string())
        };
        assert!(build(at(5.0, 30.0), 1).is_ok());
        assert!(
            build(at(5.0, 30.0), 4)
                .unwrap_err()
                .contains("grey or coloured")
        );
        assert!(
            build(at(20.0, 30.0), 3)
                .unwrap_err()
                .contains("1 to 15 pixels")
        );
        let disk = LearnedSpec {
            model: None,
            kernel: KernelSpec::Disk { radius: 2.0 },
        };
        assert!(build(disk, 3).unwrap_err().contains("motion:LENGTH:ANGLE"));
        let motion = Motion {
            length: 5.0,
            angle: 0.0,
        };
        let prior = Learned::new(Dims::new(3, 9, 8), &Model::photo().unwrap(), motion);
        assert!(prior.unwrap_err().to_string().contains("--prior"));
        let operator = Network::new(&Model::camera().unwrap(), &Device::default());
        assert!(
            operator
                .unwrap_err()
                .to_string()
                .contains("--operator network")
        );
        let wrong = Imitated {
            length: [5.0, 2.0],
            response: 2.2,
            gain: 1.0,
        };
        assert!(wrong.check().is_err());
    }
}
