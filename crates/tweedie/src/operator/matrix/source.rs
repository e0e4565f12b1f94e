//! Which matrix: as settings, and on the command line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::blocks::Blocks;
use super::super::ratio::{self, Ratio};
use super::super::spec::{Described, Flag, Flags};
use super::{Error, Matrix, Operator, check_columns};
use crate::Dims;
use crate::arrays::MatrixFile;

/// A matrix for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "matrix", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MatrixSpec {
    /// Independent numbers of N(0, 1/rows).
    Gaussian {
        /// Measurements for each number of the image.
        ratio: Ratio,
        /// Decides the numbers.
        #[serde(default)]
        seed: u64,
    },
    /// Each block of each channel by the same random orthonormal rows.
    Blocks {
        /// Measurements for each pixel.
        ratio: Ratio,
        /// Pixels a side; smaller at the right and bottom edges where the sides are no multiples.
        #[serde(default = "usual_block")]
        block: usize,
        /// Decides the numbers.
        #[serde(default)]
        seed: u64,
    },
    /// Singular values that fall evenly on a logarithmic scale.
    IllConditioned {
        /// Measurements for each number of the image.
        ratio: Ratio,
        /// How many times larger the largest singular value is than the least.
        #[serde(default = "usual_condition")]
        condition: f64,
        /// As the published code has it: the condition is that of `A A^T`.
        #[serde(default)]
        as_coded: bool,
        /// Decides the numbers.
        #[serde(default)]
        seed: u64,
    },
    /// Gaussian, with rows and columns that are like their neighbours.
    Correlated {
        /// Measurements for each number of the image.
        ratio: Ratio,
        /// That of neighbours, 0 to 0.999.
        #[serde(default = "usual_correlation")]
        correlation: f64,
        /// As the published code has it: the root of each entry in the place of the matrix's.
        #[serde(default)]
        as_coded: bool,
        /// Decides the numbers.
        #[serde(default)]
        seed: u64,
    },
    /// From a file.
    File {
        /// A NumPy array of measurements x numbers of the image, `.npy`.
        path: PathBuf,
    },
}

fn usual_block() -> usize {
    32
}

fn usual_condition() -> f64 {
    1000.0
}

fn usual_correlation() -> f64 {
    0.4
}

/// The kinds that are no file.
const KINDS: [&str; 4] = ["gaussian", "blocks", "ill-conditioned", "correlated"];

impl MatrixSpec {
    /// The matrix of a file, whose size is checked before its numbers are read.
    fn from_file(path: &std::path::Path, input: Dims) -> Result<Matrix, Error> {
        let wrong = |e: crate::files::Error| Error::File {
            path: e.path,
            why: e.why,
        };
        let file = MatrixFile::open(path).map_err(wrong)?;
        check_columns(file.size.1, input).map_err(|e| Error::File {
            path: path.to_owned(),
            why: e.to_string(),
        })?;
        Matrix::new(input, file.read().map_err(wrong)?)
    }
}

impl Described for MatrixSpec {
    const SUMMARY: &'static str = "sums over all pixels by a matrix: gaussian, blocks, ill-conditioned, correlated, or a file";
    const EXAMPLE: &'static str = "matrix = 'gaussian'\nratio = 0.5";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "matrix",
            value: "MATRIX",
            help: "Matrix: `gaussian`, `blocks` (orthonormal rows for each 32x32 pixels), `ill-conditioned`, `correlated`, or a NumPy \
                   file FILE.npy of measurements x numbers of the image",
            example: "blocks",
            default: None,
            check: |text| kind(text).map(drop),
        },
        ratio::FLAG,
        Flag {
            name: "condition",
            value: "NUMBER",
            help: "Of an ill-conditioned matrix, how many times larger the largest singular value is than the least; 1000 if not given",
            example: "1e4",
            default: None,
            check: |text| number(text).map(drop),
        },
        Flag {
            name: "correlation",
            value: "PART",
            help: "Of a correlated matrix, the correlation of neighbours, 0 to 0.999; 0.4 if not given",
            example: "0.8",
            default: None,
            check: |text| number(text).map(drop),
        },
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<MatrixSpec, Error> {
        let [matrix, ratio, condition, correlation] = MatrixSpec::FLAGS else {
            unreachable!("there are four");
        };
        let which = kind(flags.text(matrix)?)?;
        let given = |flag: &Flag, of: &str| -> Result<Option<f64>, Error> {
            match (flags.get)(flag.name) {
                Some(text) if which == of => number(text).map(Some),
                Some(_) => Err(Error::Invalid(format!(
                    "--{} is for the matrix `{of}`, not for `{which}`; leave it out",
                    flag.name
                ))),
                None => Ok(None),
            }
        };
        let condition = given(condition, "ill-conditioned")?;
        let correlation = given(correlation, "correlated")?;
        let seed = flags.seed;
        Ok(match which {
            "gaussian" => MatrixSpec::Gaussian {
                ratio: flags.need(ratio)?,
                seed,
            },
            "blocks" => MatrixSpec::Blocks {
                ratio: flags.need(ratio)?,
                block: usual_block(),
                seed,
            },
            "ill-conditioned" => MatrixSpec::IllConditioned {
                ratio: flags.need(ratio)?,
                condition: condition.unwrap_or_else(usual_condition),
                as_coded: false,
                seed,
            },
            "correlated" => MatrixSpec::Correlated {
                ratio: flags.need(ratio)?,
                correlation: correlation.unwrap_or_else(usual_correlation),
                as_coded: false,
                seed,
            },
            file => {
                if (flags.get)("ratio").is_some() {
                    return Err(Error::Invalid(
                        "a matrix from a file has as many rows as it has; leave --ratio out".into(),
                    ));
                }
                MatrixSpec::File { path: file.into() }
            }
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        super::not_empty("matrix", input)?;
        let n = input.len();
        Ok(match *self {
            MatrixSpec::Gaussian { ratio, seed } => {
                Box::new(Matrix::gaussian(input, ratio.of(n), seed)?)
            }
            MatrixSpec::Blocks { ratio, block, seed } => {
                Box::new(Blocks::new(input, block, ratio, seed)?)
            }
            MatrixSpec::IllConditioned {
                ratio,
                condition,
                as_coded,
                seed,
            } => Box::new(Matrix::ill_conditioned(
                input,
                ratio.of(n),
                condition,
                as_coded,
                seed,
            )?),
            MatrixSpec::Correlated {
                ratio,
                correlation,
                as_coded,
                seed,
            } => Box::new(Matrix::correlated(
                input,
                ratio.of(n),
                correlation,
                as_coded,
                seed,
            )?),
            MatrixSpec::File { ref path } => Box::new(MatrixSpec::from_file(path, input)?),
        })
    }

    fn input_for(&self, _: Dims) -> Result<Dims, Error> {
        Err(ratio::no_size("matrix"))
    }

    fn records_pictures(&self) -> bool {
        false
    }

    /// The numbers of all channels are summed.
    fn treats_channels_alike(&self) -> bool {
        matches!(self, MatrixSpec::Blocks { .. })
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        match self {
            MatrixSpec::File { path } => vec![path],
            _ => Vec::new(),
        }
    }
}

/// The name of a kind, or of a file.
fn kind(text: &str) -> Result<&str, Error> {
    match KINDS.contains(&text) || text.ends_with(".npy") {
        true => Ok(text),
        false => Err(Error::Invalid(format!(
            "there is no matrix `{text}`; there are {}, and files that end in .npy",
            KINDS.join(", ")
        ))),
    }
}

fn number(text: &str) -> Result<f64, Error> {
    text.trim()
        .parse()
        .map_err(|_| Error::Invalid(format!("`{text}` is no number, such as 0.8 or 1e4")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};

    use crate::operator::Spec;

    #[test]
    fn flags_make_each_kind() {
        let spec = |given: &[(&str, &'static str)]| {
            let get = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            MatrixSpec::from_flags(&Flags {
                operator: "matrix",
                get: &get,
                seed: 3,
            })
            .map_err(|e| e.to_string())
        };
        let text = |given: &[(&str, &'static str)]| toml::to_string(&spec(given).unwrap()).unwrap();
        for (given, expected) in [
            (
                &[("matrix", "gaussian"), ("ratio", "0.25")][..],
                "matrix = \"gaussian\"\nratio = 0.25\nseed = 3\n",
            ),
            (
                &[
                    ("matrix", "ill-conditioned"),
                    ("ratio", "25%"),
                    ("condition", "1e4"),
                ],
                "matrix = \"ill-conditioned\"\nratio = 0.25\ncondition = 10000.0\nas_coded = false\nseed = 3\n",
            ),
            (
                &[("matrix", "a.npy")],
                "matrix = \"file\"\npath = \"a.npy\"\n",
            ),
        ] {
            assert_eq!(text(given), expected);
            let back: MatrixSpec = toml::from_str(expected).unwrap();
            assert_eq!(back, spec(given).unwrap());
        }
        for (given, part) in [
            (&[("matrix", "toeplitz")][..], "no matrix `toeplitz`"),
            (&[("matrix", "gaussian")], "needs --ratio"),
            (&[("matrix", "blocks"), ("ratio", "2")], ""),
            (
                &[("matrix", "gaussian"), ("ratio", "0.5"), ("condition", "9")],
                "leave it out",
            ),
            (
                &[("matrix", "a.npy"), ("ratio", "0.5")],
                "leave --ratio out",
            ),
            (&[], "needs --matrix"),
        ] {
            let error = match spec(given) {
                Ok(spec) => spec.build(Dims::new(1, 8, 8)).unwrap_err().to_string(),
                Err(e) => e,
            };
            assert!(error.contains(part), "{error}");
        }
        assert!(
            toml::from_str::<Spec>("kind = 'matrix'\nmatrix = 'gaussian'\nratio = 0.5\nblock = 3")
                .is_err()
        );
    }

    /// A file is a matrix if its columns are the image's numbers, which is known before they are read.
    #[test]
    fn matrices_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let spec = MatrixSpec::File { path: path.clone() };
        let build = || spec.build(Dims::new(1, 2, 3)).map_err(|e| e.to_string());
        assert!(
            build()
                .unwrap_err()
                .contains("a.npy: there is no such file")
        );
        let write = |shape: &[usize], v: f32| {
            let array = ArrayD::from_elem(IxDyn(shape), v);
            crate::arrays::write(&path, &array, crate::image::Overwrite::Allow).unwrap();
        };
        write(&[4, 6], 0.5);
        assert_eq!(build().unwrap().output(), Dims::new(1, 1, 4));
        write(&[4, 5], 0.5);
        assert!(build().unwrap_err().contains("5 columns"));
        write(&[24], 0.5);
        assert!(build().unwrap_err().contains("rows x columns"));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(150);
        std::fs::write(&path, &bytes).unwrap();
        assert!(build().is_err());
    }
}
