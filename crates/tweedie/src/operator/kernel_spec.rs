//! The short texts that describe kernels.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::kernel::{MAX_SIDE, check_size};
use super::{Error, Kernel, read};

/// A kernel in a few words, as the command line and settings files have it.
///
/// | text | kernel |
/// |---|---|
/// | `gaussian:STD[:SIZE]` | [`Kernel::gaussian`] |
/// | `gaussian:ALONG,ACROSS,ANGLE[:SIZE]` | [`Kernel::oriented_gaussian`] |
/// | `motion:LENGTH:ANGLE` | [`Kernel::motion`] |
/// | `box:N` | [`Kernel::uniform`] |
/// | `disk:R` | [`Kernel::disk`] |
/// | `motion-random:SIZE:INTENSITY:SEED` | [`Kernel::random_motion`] |
/// | anything else | a file: a picture, or rows of numbers with commas or blanks between them |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KernelSpec {
    /// `gaussian:STD[:SIZE]`.
    Gaussian {
        /// Standard deviation in pixels.
        std: f64,
        /// Taps a side.
        size: Option<usize>,
    },
    /// `gaussian:ALONG,ACROSS,ANGLE[:SIZE]`.
    OrientedGaussian {
        /// Standard deviation along the angle, in pixels.
        along: f64,
        /// And across it.
        across: f64,
        /// Angle in degrees, counter-clockwise from the horizontal.
        angle: f64,
        /// Taps a side.
        size: Option<usize>,
    },
    /// `motion:LENGTH:ANGLE`.
    Motion {
        /// Length in pixels.
        length: f64,
        /// Angle in degrees.
        angle: f64,
    },
    /// `box:N`.
    Box {
        /// Taps a side.
        size: usize,
    },
    /// `disk:R`.
    Disk {
        /// Radius in pixels.
        radius: f64,
    },
    /// `motion-random:SIZE:INTENSITY:SEED`.
    MotionRandom {
        /// Taps a side.
        size: usize,
        /// How winding, 0 to 1.
        intensity: f64,
        /// Decides which.
        seed: u64,
    },
    /// A file.
    File(PathBuf),
}

impl KernelSpec {
    /// The file, if it is one.
    pub(super) fn file(&mut self) -> Option<&mut PathBuf> {
        match self {
            KernelSpec::File(path) => Some(path),
            _ => None,
        }
    }

    /// The kernel; reads the file, if it is one. Of a picture with a grey background, the background is subtracted.
    ///
    /// # Errors
    /// Those of the constructors of [`Kernel`], and [`Error::File`] if a file is missing, empty, too large or neither a
    /// picture nor a table of numbers.
    pub fn build(&self) -> Result<Kernel, Error> {
        self.build_and_tell(&mut Vec::new())
    }

    /// The same, with a note of a background that was subtracted.
    ///
    /// # Errors
    /// Those of [`KernelSpec::build`].
    pub fn build_and_tell(&self, notes: &mut Vec<String>) -> Result<Kernel, Error> {
        match self {
            KernelSpec::Gaussian { std, size } => Kernel::gaussian(*std, *size),
            KernelSpec::OrientedGaussian {
                along,
                across,
                angle,
                size,
            } => Kernel::oriented_gaussian(*along, *across, *angle, *size),
            KernelSpec::Motion { length, angle } => Kernel::motion(*length, *angle),
            KernelSpec::Box { size } => Kernel::uniform(*size),
            KernelSpec::Disk { radius } => Kernel::disk(*radius),
            KernelSpec::MotionRandom {
                size,
                intensity,
                seed,
            } => Kernel::random_motion(*size, *intensity, *seed),
            KernelSpec::File(path) => {
                let (taps, background) = read::taps(path, MAX_SIDE, |(h, w)| check_size(h, w))?;
                notes.extend(background.map(|level| {
                    format!(
                        "the kernel's background is not black but {:.0}/255: subtracted",
                        level * 255.0
                    )
                }));
                Kernel::new(taps).map_err(|e| Error::File {
                    path: path.clone(),
                    why: e.to_string(),
                })
            }
        }
    }
}

impl FromStr for KernelSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<KernelSpec, Error> {
        let wrong = |why: String| Error::KernelText {
            text: text.to_owned(),
            why,
        };
        if text.trim().is_empty() {
            return Err(wrong("it is empty".into()));
        }
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let form = match name {
            "gaussian" if text.contains(',') => "gaussian:ALONG,ACROSS,ANGLE[:SIZE]",
            "gaussian" => "gaussian:STD[:SIZE]",
            "motion" => "motion:LENGTH:ANGLE",
            "box" => "box:N",
            "disk" => "disk:R",
            "motion-random" => "motion-random:SIZE:INTENSITY:SEED",
            _ => return Ok(KernelSpec::File(text.into())),
        };
        let values: Vec<&str> = parts.collect();
        let form_is = || wrong(format!("the form is {form}"));
        let spec = match (name, values.as_slice()) {
            ("gaussian", [three, size @ ..]) if three.contains(',') && size.len() < 2 => {
                let three: Vec<Option<f64>> = three.split(',').map(number).collect();
                let [Some(along), Some(across), Some(angle)] = *three.as_slice() else {
                    return Err(form_is());
                };
                let size = size.first().map(|size| number(size).ok_or_else(form_is));
                KernelSpec::OrientedGaussian {
                    along,
                    across,
                    angle,
                    size: size.transpose()?,
                }
            }
            ("gaussian", [std]) => KernelSpec::Gaussian {
                std: number(std).ok_or_else(form_is)?,
                size: None,
            },
            ("gaussian", [std, size]) => KernelSpec::Gaussian {
                std: number(std).ok_or_else(form_is)?,
                size: Some(number(size).ok_or_else(form_is)?),
            },
            ("motion", [length, angle]) => KernelSpec::Motion {
                length: number(length).ok_or_else(form_is)?,
                angle: number(angle).ok_or_else(form_is)?,
            },
            ("box", [size]) => KernelSpec::Box {
                size: number(size).ok_or_else(form_is)?,
            },
            ("disk", [radius]) => KernelSpec::Disk {
                radius: number(radius).ok_or_else(form_is)?,
            },
            ("motion-random", [size, intensity, seed]) => KernelSpec::MotionRandom {
                size: number(size).ok_or_else(form_is)?,
                intensity: number(intensity).ok_or_else(form_is)?,
                seed: number(seed).ok_or_else(form_is)?,
            },
            _ => return Err(form_is()),
        };
        Ok(spec)
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

impl fmt::Display for KernelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelSpec::Gaussian { std, size: None } => write!(f, "gaussian:{std}"),
            KernelSpec::Gaussian {
                std,
                size: Some(size),
            } => write!(f, "gaussian:{std}:{size}"),
            KernelSpec::OrientedGaussian {
                along,
                across,
                angle,
                size,
            } => {
                write!(f, "gaussian:{along},{across},{angle}")?;
                size.map_or(Ok(()), |size| write!(f, ":{size}"))
            }
            KernelSpec::Motion { length, angle } => write!(f, "motion:{length}:{angle}"),
            KernelSpec::Box { size } => write!(f, "box:{size}"),
            KernelSpec::Disk { radius } => write!(f, "disk:{radius}"),
            KernelSpec::MotionRandom {
                size,
                intensity,
                seed,
            } => write!(f, "motion-random:{size}:{intensity}:{seed}"),
            KernelSpec::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl TryFrom<String> for KernelSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<KernelSpec, Error> {
        text.parse()
    }
}

impl From<KernelSpec> for String {
    fn from(spec: KernelSpec) -> String {
        spec.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let built = text.parse::<KernelSpec>().and_then(|spec| spec.build());
        built.unwrap_err().to_string()
    }

    #[test]
    fn texts_come_back() {
        for text in [
            "gaussian:3",
            "gaussian:0.5:7",
            "gaussian:3,1,45",
            "gaussian:20,1,0:9",
            "motion:15.5:-30",
            "box:9",
            "disk:2.5",
            "motion-random:61:0.5:42",
            "kernels/shake 1.png",
        ] {
            let spec: KernelSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<KernelSpec>(&json).unwrap(), spec);
        }
    }

    #[test]
    fn wrong_texts_say_what_is_wrong() {
        assert_eq!(error(" "), "` ` is not a kernel: it is empty");
        for text in [
            "gaussian",
            "gaussian:x",
            "gaussian:1:2:3",
            "gaussian:1:-3",
            "gaussian:1:2.5",
        ] {
            assert!(
                error(text).ends_with("the form is gaussian:STD[:SIZE]"),
                "{text}"
            );
        }
        assert!(error("motion:5").contains("motion:LENGTH:ANGLE"));
        for text in [
            "gaussian:3,1",
            "gaussian:3,1,x",
            "gaussian:3,1,0:9:9",
            "gaussian:3,1,0:x",
        ] {
            assert!(
                error(text).ends_with("the form is gaussian:ALONG,ACROSS,ANGLE[:SIZE]"),
                "{text}"
            );
        }
        assert!(error("gaussian:3,0,0").contains("standard deviation"));
        for text in [
            "gaussian:0",
            "gaussian:NaN",
            "gaussian:inf",
            "gaussian:-1",
            "disk:0",
            "motion:0.5:0",
            "motion:5:inf",
        ] {
            assert!(!error(text).contains("the form"), "{text}: {}", error(text));
        }
        for text in [
            "box:0",
            "box:1024",
            "gaussian:500",
            "gaussian:1e300",
            "disk:1e9",
            "motion:1e12:3",
        ] {
            assert!(
                error(text).contains("too large") || text == "box:0",
                "{text}: {}",
                error(text)
            );
        }
        assert!(
            error("gausian:3").contains("known descriptions"),
            "{}",
            error("gausian:3")
        );
    }

    #[test]
    fn kernels_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = |content: &str| {
            std::fs::write(path("kernel.txt"), content).unwrap();
            KernelSpec::File(path("kernel.txt"))
                .build()
                .map_err(|e| e.to_string())
        };
        let k = text("# a comment\n1, 2\t3\n\n 0;0 6 # the last\n").unwrap();
        assert_eq!(k.size(), (2, 3));
        assert_eq!(k.taps()[[1, 2]], 0.5);
        assert!(text("").unwrap_err().contains("empty"));
        assert!(
            text("1 2\n3")
                .unwrap_err()
                .contains("line 2: 1 numbers, but 2 above")
        );
        assert!(
            text("1 two")
                .unwrap_err()
                .contains("line 1: `two` is not a number")
        );
        assert!(text("NaN 1").unwrap_err().contains("NaN"));
        assert!(text("0 0").unwrap_err().contains("positive sum"));
        let long = vec!["1"; 1024].join(" ");
        assert!(text(&long).unwrap_err().contains("too large"));
        std::fs::write(path("kernel.txt"), [0xff, 0xfe, 0x00]).unwrap();
        assert!(KernelSpec::File(path("kernel.txt")).build().is_err());

        // Sixteen bits count: 1 of 65535 is not rounded away.
        let values = vec![0u16, 1, 65534, 0, 0, 0];
        let picture = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 2, values).unwrap();
        picture.save(path("k.png")).unwrap();
        let k = KernelSpec::File(path("k.png")).build().unwrap();
        assert_eq!(k.size(), (2, 3));
        assert!((k.taps()[[0, 1]] * 65535.0 - 1.0).abs() < 1e-3);
        image::GrayImage::new(1200, 2)
            .save(path("wide.png"))
            .unwrap();
        let e = KernelSpec::File(path("wide.png")).build().unwrap_err();
        assert!(matches!(e, Error::KernelSize { width: 1200, .. }), "{e}");
        image::GrayImage::new(3, 3).save(path("black.png")).unwrap();
        let e = KernelSpec::File(path("black.png")).build().unwrap_err();
        assert!(
            e.to_string()
                .contains("black.png: the kernel's weights sum to 0"),
            "{e}"
        );
    }
}
