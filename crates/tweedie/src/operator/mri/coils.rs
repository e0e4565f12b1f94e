//! How sensitive each coil is where.
//!
//! Maps are scaled so that the squares of all coils sum to 1: the picture is then the root of the sum of squares of the coils'
//! pictures, and the operator's norm at most 1.

use std::f64::consts::{FRAC_PI_2, PI, TAU};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::{Array2, ArrayView4, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::espirit;
use super::sampling::calibration_area;
use crate::Image;
use crate::arrays;
use crate::fft::{CentredFft2, Complex};
use crate::operator::Error;

/// The most coils of one picture.
pub(super) const MAX_COILS: usize = 128;

/// How far the loops of simulated coils lie from the middle, where the picture reaches 1 to all sides, and their height above it.
const RADIUS: f64 = 1.5;

/// Calibration lines that maps are made of, at most: they are smooth, and more lines would show the picture itself.
pub(super) const LINES: usize = 32;

/// Where the coils' sensitivities come from, as a text: `one`, `simulated:N`, `calibrated`, or the file of an array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Coils {
    /// One coil that is equally sensitive everywhere.
    #[default]
    One,
    /// So many loops on a circle around the picture, 1 to 128 (`simulated`).
    Simulated(usize),
    /// As many as the measurement has, from its own calibration area (`calibrated`).
    Calibrated,
    /// An array `[coils, height, width]` of complex numbers, `.npy`; it is scaled as all maps are.
    File(PathBuf),
}

impl FromStr for Coils {
    type Err = Error;

    fn from_str(text: &str) -> Result<Coils, Error> {
        let wrong = || {
            Error::Invalid(format!(
                "`{text}` names no coils; there are one, simulated:N with 1 to {MAX_COILS}, calibrated, and the .npy file \
                 of an array"
            ))
        };
        if let Some(n) = text.strip_prefix("simulated:") {
            let n = n.parse().ok().filter(|n| (1..=MAX_COILS).contains(n));
            return n.map(Coils::Simulated).ok_or_else(wrong);
        }
        match text {
            "one" => Ok(Coils::One),
            "calibrated" => Ok(Coils::Calibrated),
            file if file.ends_with(".npy") => Ok(Coils::File(file.into())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Coils {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Coils::One => f.write_str("one"),
            Coils::Simulated(n) => write!(f, "simulated:{n}"),
            Coils::Calibrated => f.write_str("calibrated"),
            Coils::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl TryFrom<String> for Coils {
    type Error = Error;

    fn try_from(text: String) -> Result<Coils, Error> {
        text.parse()
    }
}

impl From<Coils> for String {
    fn from(coils: Coils) -> String {
        coils.to_string()
    }
}

/// The maps of `n` loops on a circle around a picture of `h` by `w`, one after the other.
///
/// Each falls off with the distance from it and turns its phase around it, as the field of a wire does (Biot and Savart).
pub(super) fn simulated(n: usize, h: usize, w: usize) -> Vec<Vec<Complex>> {
    let place = |i: usize, n: usize| (2 * i + 1) as f64 / n as f64 - 1.0;
    let field = |c: usize, i: usize| {
        let angle = TAU * c as f64 / n as f64;
        let [y, x] = [place(i / w, h), place(i % w, w)];
        let [dy, dx] = [y - RADIUS * angle.sin(), x - RADIUS * angle.cos()];
        // Towards the loop the phase is the same for all of them.
        let phase = dy.atan2(dx) - angle - PI;
        Complex::from_polar(1.0 / dy.hypot(dx), phase)
    };
    let maps = (0..n).map(|c| (0..h * w).map(|i| field(c, i)).collect());
    normalised(maps.collect())
}

/// The maps of a file for pictures of `h` by `w`.
///
/// # Errors
/// [`Error::File`] if it cannot be read or holds something else.
pub(super) fn stored(path: &Path, h: usize, w: usize) -> Result<Vec<Vec<Complex>>, Error> {
    let fail = |why: String| Error::File {
        path: path.to_owned(),
        why,
    };
    let array = arrays::read(path).map_err(|e| fail(e.why))?;
    if !array.complex {
        return Err(fail(
            "the sensitivities of coils are complex numbers".into(),
        ));
    }
    let image = array.into_image().map_err(fail)?;
    let (_, channels, height, width) = image.dim();
    if (height, width) != (h, w) || channels > 2 * MAX_COILS {
        return Err(fail(format!(
            "it holds {} maps of {height} x {width} (height x width); wanted are up to {MAX_COILS} of {h} x {w}",
            channels / 2
        )));
    }
    let pairs = image.axis_chunks_iter(Axis(1), 2);
    let maps = pairs.map(|pair| super::pairs(&pair.index_axis(Axis(0), 0)));
    Ok(normalised(maps.collect()))
}

/// Maps whose squares sum to 1, or to 0 where all are.
pub(super) fn normalised(mut maps: Vec<Vec<Complex>>) -> Vec<Vec<Complex>> {
    let n = maps.first().map_or(0, Vec::len);
    let sizes: Vec<f64> = (0..n)
        .map(|i| maps.iter().map(|map| map[i].norm_sqr()).sum::<f64>().sqrt())
        .collect();
    for map in &mut maps {
        for (v, &size) in map.iter_mut().zip(&sizes) {
            *v = if size > 0.0 { *v / size } else { Complex::ZERO };
        }
    }
    maps
}

/// The coils of a measurement `[1, 2*coils, height, width]`, from the block around its middle in which all of k-space is
/// sampled ([`espirit`]), at most 32 lines to each side.
///
/// The phase of the picture itself, as far as it is smooth, is taken for the coils', so that what is left to be found is nearly real
/// and positive: that is why a real picture can explain a scan.
///
/// # Errors
/// [`Error::Invalid`] if fewer than 4 lines to a side are whole.
pub(super) fn calibrated(y: &Image, places: &Array2<bool>) -> Result<Vec<Vec<Complex>>, Error> {
    let (_, _, h, w) = y.dim();
    let area = calibration_area(places);
    let area = area.filter(|[rows, columns]| {
        let enough = |n: usize, of: usize| n >= 4.min(of);
        enough(rows.len(), h) && enough(columns.len(), w)
    });
    let area = area.ok_or_else(|| {
        Error::Invalid(
            "k-space has no calibration area (a whole block of 4 x 4 places around its middle) to find the coils from"
                .into(),
        )
    })?;
    Ok(espirit::maps(y, &area, rough(y, &area)))
}

/// What each coil shows at a low resolution, faded out (Hann) so that it does not ring, divided by the root of the sum of squares of
/// all (McKenzie et al. 2002, "Self-calibrating parallel imaging with automatic coil sensitivity extraction").
fn rough(y: &Image, [rows, columns]: &[Range<usize>; 2]) -> Vec<Vec<Complex>> {
    let (_, c, h, w) = y.dim();
    let fft = CentredFft2::new(h, w);
    let weights = [window(rows, h), window(columns, w)];
    let shown = (0..c / 2).into_par_iter().map(|coil| {
        let parts = y.slice(s![.., 2 * coil..2 * coil + 2, .., ..]);
        fft.inverse(faded(parts, &weights))
    });
    normalised(shown.collect())
}

/// A Hann window over the middle of a range that holds the middle of `n`, with zeros outside.
fn window(range: &Range<usize>, n: usize) -> Vec<f64> {
    let reach = range.len().min(LINES).div_ceil(2) as f64;
    let weight = |i: usize| {
        let away = i.abs_diff(n / 2) as f64 / reach;
        match away < 1.0 && range.contains(&i) {
            true => (FRAC_PI_2 * away).cos().powi(2),
            false => 0.0,
        }
    };
    (0..n).map(weight).collect()
}

/// One coil's k-space, weighted by rows and columns.
fn faded(parts: ArrayView4<'_, f32>, [rows, columns]: &[Vec<f64>; 2]) -> Vec<Complex> {
    let (h, w) = (rows.len(), columns.len());
    (0..h * w)
        .map(|i| {
            let (v, u) = (i / w, i % w);
            let part = |k: usize| f64::from(parts[[0, k, v, u]]);
            Complex::new(part(0), part(1)) * rows[v] * columns[u]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::operator::mri::{Mri, Pictures};
    use crate::operator::{Linear, Operator};

    /// Squares sum to 1; each coil sees most what is near it; neighbours differ little.
    #[test]
    fn simulated_coils_lie_around_the_picture() {
        let (n, h, w) = (4, 33, 41);
        let maps = simulated(n, h, w);
        for i in 0..h * w {
            let sum: f64 = maps.iter().map(|map| map[i].norm_sqr()).sum();
            assert!((sum - 1.0).abs() < 1e-12);
        }
        // To the right, below, to the left, above.
        let places = [16 * w + w - 1, (h - 1) * w + 20, 16 * w, 20];
        for (c, &i) in places.iter().enumerate() {
            let largest = (0..n).max_by(|&a, &b| maps[a][i].norm().total_cmp(&maps[b][i].norm()));
            assert_eq!(largest, Some(c));
        }
        for map in &maps {
            for i in 0..h * w - 1 {
                assert!(i % w == w - 1 || (map[i] - map[i + 1]).norm() < 0.15);
            }
        }
    }

    /// Of a picture with edges and a phase, maps from a block of 24x24 places explain the whole measurement to half a percent by what is best with
    /// them, where those of a low resolution alone leave more than twice of it; what is best is real. Wrong: another sign of the shifts, rows for
    /// columns, maps without the picture's phase (whose pictures are imaginary by half).
    #[test]
    fn calibrated_coils_explain_the_measurement() {
        let (n, side) = (5, 64);
        let dims = Dims::new(2, side, side);
        let all = || Array2::from_elem((side, side), true);
        let scanner = |maps| Mri::new(dims, Pictures::Complex, all(), Some(maps)).unwrap();
        let x = Image::from_shape_fn(dims.batch(1), |(_, c, i, j)| {
            let [y, x] = [i, j].map(|i| i as f64 / side as f64 - 0.5);
            let inside = x * x / 0.14 + y * y / 0.2 < 1.0;
            let stripes = if (i / 9 + j / 5) % 2 == 0 { 0.9 } else { 0.4 };
            let phase = 1.0 + 2.0 * x - 2.0 * y * y;
            let part = if c == 0 { phase.cos() } else { phase.sin() };
            if inside { (stripes * part) as f32 } else { 0.0 }
        });
        let y = scanner(simulated(n, side, side)).apply(&x);
        let mut places = Array2::from_elem((side, side), false);
        places.slice_mut(s![20..44, 20..44]).fill(true);
        let norm = |x: &Image| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        // All of k-space was recorded and the maps are of unit length: the adjoint is what is best.
        let left = |maps: Vec<Vec<Complex>>| {
            let scanner = scanner(maps);
            let best = scanner.adjoint(&y);
            let imaginary = best.slice(s![.., 1.., .., ..]).to_owned();
            let off = norm(&(&scanner.apply(&best) - &y)) / norm(&y);
            (off, norm(&imaginary) / norm(&best))
        };
        let (off, imaginary) = left(calibrated(&y, &places).unwrap());
        let (off_rough, _) = left(rough(&y, &[20..44, 20..44]));
        assert!(off < 0.006 && off < 0.5 * off_rough, "{off} {off_rough}");
        assert!(imaginary < 0.03, "{imaginary}");
        places.fill(false);
        assert!(calibrated(&y, &places).is_err());
    }

    /// Maps that were found explain a head in the dark to nearly its noise; a picture up to the frame's edges, where the true maps do not meet, they do
    /// not, and that is known without the truth. Of stated maps nothing is said.
    #[test]
    fn maps_that_do_not_explain_are_known() {
        let side = 64;
        let dims = Dims::new(1, side, side);
        let places =
            Array2::from_shape_fn((side, side), |(_, j)| j % 2 == 0 || j.abs_diff(32) < 12);
        let misfit = |reach: f64| {
            let x = Image::from_shape_fn(dims.batch(1), |(_, _, i, j)| {
                let [y, x] = [i, j].map(|i| i as f64 / side as f64 - 0.5);
                let stripes = if (i / 9 + j / 5) % 2 == 0 { 0.9 } else { 0.4 };
                if x.abs().max(y.abs()) < reach {
                    stripes
                } else {
                    0.0
                }
            });
            let scanner =
                |maps| Mri::new(dims, Pictures::Real, places.clone(), Some(maps)).unwrap();
            let stated = scanner(simulated(6, side, side));
            let y = stated.apply(&x);
            assert_eq!(stated.misfit(&y, 0.0), None);
            let found = scanner(calibrated(&y, &places).unwrap()).calibrated();
            found.misfit(&y, 0.0).unwrap().sigma
        };
        let [dark, full] = [0.36, 0.6].map(misfit);
        assert!(dark < 0.005 && full > 0.02, "{dark} {full}");
    }

    /// Texts come back as they went.
    #[test]
    fn coils_are_texts() {
        for text in ["one", "simulated:8", "calibrated", "maps.npy"] {
            assert_eq!(text.parse::<Coils>().unwrap().to_string(), text);
        }
        for text in ["", "simulated:0", "simulated:1000", "eight"] {
            assert!(text.parse::<Coils>().is_err(), "{text}");
        }
    }
}
