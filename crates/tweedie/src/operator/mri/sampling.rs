//! Which places of k-space a scanner visits.
//!
//! Random ones are those of score-based MRI (Chung and Ye 2022, arXiv:2110.05243; DDS, Chung et al. 2024,
//! arXiv:2303.05754), whose code draws with replacement and so keeps a few percent less than it is asked for; here places are
//! drawn without, so that an acceleration of 4 is a quarter. In each the middle, the calibration area, is whole.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ndarray::Array2;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::noise;
use crate::operator::{Error, read};

/// The spread of Gaussian columns, a part of the width.
const SPREAD_1D: f64 = 15.0 / 128.0;

/// That of Gaussian points, the root of 1.5/128.
const SPREAD_2D: f64 = 0.108_253_175_473_054_83;

/// How places are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Columns, all as likely.
    Uniform1d,
    /// Columns, likelier near the middle: a Gaussian of 15/128 of the width.
    Gaussian1d,
    /// Points, likelier near the middle: a Gaussian of 0.108 of each side.
    Gaussian2d,
    /// Points that keep a distance, which grows with that from the middle: variable-density Poisson disks. Corners are left
    /// out.
    Poisson,
}

impl Pattern {
    /// Their names.
    const NAMES: [(&'static str, Pattern); 4] = [
        ("uniform1d", Pattern::Uniform1d),
        ("gaussian1d", Pattern::Gaussian1d),
        ("gaussian2d", Pattern::Gaussian2d),
        ("poisson", Pattern::Poisson),
    ];

    fn name(self) -> &'static str {
        let known = Pattern::NAMES.iter().find(|(_, p)| *p == self);
        known.expect("all are listed").0
    }
}

/// Which places of k-space are sampled, as a text: `full`, `measured` (those at which a measurement is not 0),
/// `PATTERN:ACCELERATION[:CALIBRATION]` or the file of a picture, white where it is sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sampling {
    /// All of them.
    Full,
    /// Where a measurement is not 0 in all channels.
    Measured,
    /// Drawn at random.
    Random {
        /// How.
        pattern: Pattern,
        /// How many times fewer they are than all, 1 to 100.
        acceleration: f64,
        /// The part of each side that the calibration area takes, 0 to 1; `None` for 0.08 below an acceleration of 8 and
        /// 0.04 from there.
        calibration: Option<f64>,
    },
    /// White in a picture of k-space's size.
    File(PathBuf),
}

impl Sampling {
    /// The places, `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a measurement must tell them or the calibration area alone is more, [`Error::File`] or
    /// [`Error::PictureSize`] if a file does not.
    pub(super) fn places(&self, h: usize, w: usize, seed: u64) -> Result<Array2<bool>, Error> {
        match self {
            Sampling::Full => Ok(Array2::from_elem((h, w), true)),
            Sampling::Measured => Err(Error::Invalid(
                "which places of k-space are sampled must be said, as in `gaussian1d:4`".into(),
            )),
            Sampling::Random {
                pattern,
                acceleration,
                calibration,
            } => {
                let default = if *acceleration < 8.0 { 0.08 } else { 0.04 };
                let part = calibration.unwrap_or(default);
                Plan {
                    h,
                    w,
                    acceleration: *acceleration,
                    part,
                }
                .drawn(*pattern, &mut noise::generator(seed, "mask"))
            }
            Sampling::File(path) => {
                let dims = crate::Dims::new(1, h, w);
                let fits = |size| read::check_size("sampling mask", dims, size);
                let planes = read::planes(path, (h, w), fits)?;
                Ok(planes.index_axis(ndarray::Axis(0), 0).mapv(|v| v >= 0.5))
            }
        }
    }
}

impl FromStr for Sampling {
    type Err = Error;

    fn from_str(text: &str) -> Result<Sampling, Error> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        let known = Pattern::NAMES.iter().find(|(known, _)| *known == name);
        match (known, text) {
            (_, "full") => return Ok(Sampling::Full),
            (_, "measured") => return Ok(Sampling::Measured),
            (None, _) if text.contains('.') => return Ok(Sampling::File(text.into())),
            _ => {}
        }
        let wrong = || {
            Error::Invalid(format!(
                "`{text}` is no way to sample k-space; there are full, measured, a picture's file, and \
                 uniform1d, gaussian1d, gaussian2d or poisson with an acceleration from 1 to 100 and perhaps the calibration \
                 area's part of each side, as in gaussian1d:4 and poisson:8:0.1"
            ))
        };
        let (_, pattern) = *known.ok_or_else(wrong)?;
        let numbers: Option<Vec<f64>> = rest.iter().map(|part| part.parse().ok()).collect();
        let (acceleration, calibration) = match numbers.as_deref() {
            Some(&[acceleration]) => (acceleration, None),
            Some(&[acceleration, calibration]) => (acceleration, Some(calibration)),
            _ => return Err(wrong()),
        };
        let sound = (1.0..=100.0).contains(&acceleration)
            && calibration.is_none_or(|part| (0.0..=1.0).contains(&part));
        match sound {
            true => Ok(Sampling::Random {
                pattern,
                acceleration,
                calibration,
            }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sampling::Full => f.write_str("full"),
            Sampling::Measured => f.write_str("measured"),
            Sampling::Random {
                pattern,
                acceleration,
                calibration,
            } => {
                write!(f, "{}:{acceleration}", pattern.name())?;
                match calibration {
                    Some(part) => write!(f, ":{part}"),
                    None => Ok(()),
                }
            }
            Sampling::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl TryFrom<String> for Sampling {
    type Error = Error;

    fn try_from(text: String) -> Result<Sampling, Error> {
        text.parse()
    }
}

impl From<Sampling> for String {
    fn from(sampling: Sampling) -> String {
        sampling.to_string()
    }
}

/// How many places are to be drawn of which.
struct Plan {
    h: usize,
    w: usize,
    acceleration: f64,
    part: f64,
}

impl Plan {
    fn drawn(&self, pattern: Pattern, rng: &mut impl Rng) -> Result<Array2<bool>, Error> {
        let (h, w) = (self.h, self.w);
        let from_middle = |i: usize, n: usize| i as f64 - (n / 2) as f64;
        let bell = |x: f64, spread: f64| -0.5 * (x / spread).powi(2);
        match pattern {
            Pattern::Uniform1d | Pattern::Gaussian1d => {
                let weight = |u: usize| match pattern {
                    Pattern::Uniform1d => 0.0,
                    _ => bell(from_middle(u, w), SPREAD_1D * w as f64),
                };
                let always = |u: usize| middle(u, w, self.part);
                let columns = self.chosen(w, always, weight, rng)?;
                Ok(Array2::from_shape_fn((h, w), |(_, u)| columns[u]))
            }
            Pattern::Gaussian2d => {
                let weight = |i: usize| {
                    bell(from_middle(i / w, h), SPREAD_2D * h as f64)
                        + bell(from_middle(i % w, w), SPREAD_2D * w as f64)
                };
                let points = self.chosen(h * w, |i| self.calibrates(i), weight, rng)?;
                Ok(Array2::from_shape_fn((h, w), |(v, u)| points[v * w + u]))
            }
            Pattern::Poisson => self.disks(rng),
        }
    }

    /// Whether a point lies in the calibration area.
    fn calibrates(&self, i: usize) -> bool {
        middle(i / self.w, self.h, self.part) && middle(i % self.w, self.w, self.part)
    }

    /// `1/acceleration` of `n` places: those that are always visited, and others drawn one after the other without replacement,
    /// with the logarithms of their weights (the largest of weight and Gumbel noise).
    fn chosen(
        &self,
        n: usize,
        always: impl Fn(usize) -> bool,
        weight: impl Fn(usize) -> f64,
        rng: &mut impl Rng,
    ) -> Result<Vec<bool>, Error> {
        let wanted = ((n as f64 / self.acceleration).round() as usize).max(1);
        let mut chosen: Vec<bool> = (0..n).map(&always).collect();
        let fixed = chosen.iter().filter(|&&c| c).count();
        let mut others: Vec<(f64, usize)> = (0..n)
            .map(|i| {
                let u: f64 = rng.random::<f64>().max(f64::MIN_POSITIVE);
                (weight(i) - (-u.ln()).ln(), i)
            })
            .filter(|&(_, i)| !always(i))
            .collect();
        let more = wanted.checked_sub(fixed).ok_or_else(|| self.too_few())?;
        others.sort_by(|a, b| b.0.total_cmp(&a.0));
        others[..more].iter().for_each(|&(_, i)| chosen[i] = true);
        Ok(chosen)
    }

    fn too_few(&self) -> Error {
        Error::Invalid(format!(
            "the calibration area alone, {} of each side, is more of k-space than an acceleration of {} leaves; say a \
             smaller one, as in `gaussian1d:{}:0.02`",
            self.part, self.acceleration, self.acceleration
        ))
    }

    /// Disks whose slope comes closest to the wanted number of points, by bisection.
    fn disks(&self, rng: &mut impl Rng) -> Result<Array2<bool>, Error> {
        let (h, w) = (self.h, self.w);
        let wanted = (h * w) as f64 / self.acceleration;
        let calibration = (0..h * w).filter(|&i| self.calibrates(i)).count();
        if calibration as f64 > wanted {
            return Err(self.too_few());
        }
        let mut order: Vec<usize> = (0..h * w).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, rng.random_range(0..=i));
        }
        let thrown = |slope| self.thrown(&order, slope);
        let count = |points: &Array2<bool>| points.iter().filter(|&&p| p).count() as f64;
        let (mut flat, mut steep) = (0.0, h.max(w) as f64);
        let mut best = thrown(flat);
        for _ in 0..20 {
            let slope = 0.5 * (flat + steep);
            let points = thrown(slope);
            let many = count(&points);
            if (many - wanted).abs() < (count(&best) - wanted).abs() {
                best = points;
            }
            match many > wanted {
                true => flat = slope,
                false => steep = slope,
            }
        }
        Ok(best)
    }

    /// The calibration area, and in this order all points that no disk around another covers. A disk's radius is
    /// `max(1, (1 + slope*rad)*n/n_max)` along each axis, with `rad` from 0 in the middle to 1 at the sides.
    fn thrown(&self, order: &[usize], slope: f64) -> Array2<bool> {
        let (h, w) = (self.h, self.w);
        let longest = h.max(w) as f64;
        let from_middle = |i: usize, n: usize| (i as f64 - (n / 2) as f64) / (n as f64 / 2.0);
        let mut points = Array2::from_elem((h, w), false);
        let mut covered = points.clone();
        for &i in order {
            let (v, u) = (i / w, i % w);
            if self.calibrates(i) {
                points[[v, u]] = true;
                continue;
            }
            let rad = from_middle(v, h).hypot(from_middle(u, w));
            if covered[[v, u]] || rad >= 1.0 {
                continue;
            }
            points[[v, u]] = true;
            let [ry, rx] = [h, w].map(|n| ((1.0 + slope * rad) * n as f64 / longest).max(1.0));
            let (reach_y, reach_x) = (ry.ceil() as usize, rx.ceil() as usize);
            for y in v.saturating_sub(reach_y)..(v + reach_y + 1).min(h) {
                for x in u.saturating_sub(reach_x)..(u + reach_x + 1).min(w) {
                    let (dy, dx) = (y.abs_diff(v) as f64 / ry, x.abs_diff(u) as f64 / rx);
                    covered[[y, x]] |= dy * dy + dx * dx < 1.0;
                }
            }
        }
        points
    }
}

/// Whether `i` of `n` lies in the part of them around the middle.
fn middle(i: usize, n: usize, part: f64) -> bool {
    let many = (n as f64 * part).floor() as usize;
    let first = n / 2 - many / 2;
    (first..first + many).contains(&i)
}

/// Rows and columns of the largest block around the middle of which all is sampled: `[top..bottom, left..right]`.
pub(super) fn calibration_area(places: &Array2<bool>) -> Option<[std::ops::Range<usize>; 2]> {
    let (h, w) = places.dim();
    let around = |n: usize, many: usize| n / 2 - many / 2..n / 2 - many / 2 + many;
    let whole = |rows: usize, columns: usize| {
        let mut cells = around(h, rows).flat_map(|v| around(w, columns).map(move |u| (v, u)));
        cells.all(|at| places[at])
    };
    // For so many columns the rows that are whole, found by growing; both counts only shrink from there.
    let mut best = None;
    let mut most = 0;
    let mut rows = h;
    for columns in 1..=w {
        while rows > 0 && !whole(rows, columns) {
            rows -= 1;
        }
        // A block as square as can be tells most of smooth maps.
        let size = rows.min(columns) * 1_000_000 + rows * columns;
        if rows > 0 && size > most {
            most = size;
            best = Some([around(h, rows), around(w, columns)]);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, h: usize, w: usize, seed: u64) -> Array2<bool> {
        let sampling: Sampling = text.parse().unwrap();
        sampling.places(h, w, seed).unwrap()
    }

    fn share(places: &Array2<bool>) -> f64 {
        places.iter().filter(|&&p| p).count() as f64 / places.len() as f64
    }

    /// An acceleration of 4 is a quarter, of which the middle is whole, and another seed draws others. Wrong: drawing with
    /// replacement, which leaves less.
    #[test]
    fn as_many_as_are_asked_for() {
        for (text, tolerance) in [
            ("uniform1d:4", 0.005),
            ("gaussian1d:4", 0.005),
            ("gaussian1d:8:0.02", 0.005),
            ("gaussian2d:8", 1e-4),
            ("gaussian2d:15", 1e-4),
            ("poisson:8", 0.004),
            ("poisson:15", 0.004),
        ] {
            let acceleration: f64 = text.split(':').nth(1).unwrap().parse().unwrap();
            let one = places(text, 96, 127, 1);
            let error = (share(&one) - 1.0 / acceleration).abs();
            assert!(error < tolerance, "{text}: {}", share(&one));
            assert!(one[[48, 63]]);
            assert_ne!(one, places(text, 96, 127, 2), "{text}");
            assert_eq!(one, places(text, 96, 127, 1), "{text}");
        }
        assert_eq!(share(&places("full", 3, 4, 0)), 1.0);
        let error = "gaussian1d:50".parse::<Sampling>().unwrap();
        assert!(
            error
                .places(64, 128, 0)
                .unwrap_err()
                .to_string()
                .contains("calibration")
        );
    }

    /// Columns are whole; points are denser in the middle; disks keep their distance, and more of it farther out.
    #[test]
    fn patterns_look_as_they_are_named() {
        for text in ["uniform1d:4", "gaussian1d:4"] {
            let columns = places(text, 20, 128, 3);
            assert!(
                columns
                    .columns()
                    .into_iter()
                    .all(|c| c.iter().all(|&p| p == c[0]))
            );
        }
        let inner = |p: &Array2<bool>| share(&p.slice(ndarray::s![32..64, 32..64]).to_owned());
        for text in ["gaussian2d:8", "poisson:8"] {
            let points = places(text, 96, 96, 3);
            assert!(inner(&points) > 2.0 * share(&points), "{text}");
        }
        // At an acceleration of 15 no two points in the outer half are neighbours, as a third of drawn ones are.
        let disks = places("poisson:15", 96, 96, 3);
        for v in 1..20 {
            for u in 1..95 {
                assert!(!(disks[[v, u]] && (disks[[v, u - 1]] || disks[[v - 1, u]])));
            }
        }
        assert!(!disks[[0, 0]] && !disks[[95, 95]]);
    }

    /// The block around the middle is as large as can be. Wrong: a column more, or a line where there is a square.
    #[test]
    fn the_calibration_area_is_found() {
        let mut points = Array2::from_elem((20, 31), false);
        points.slice_mut(ndarray::s![7..13, 12..18]).fill(true);
        assert_eq!(calibration_area(&points), Some([7..13, 12..18]));
        points.slice_mut(ndarray::s![.., 15]).fill(true);
        assert_eq!(calibration_area(&points), Some([7..13, 12..18]));
        points.fill(false);
        assert_eq!(calibration_area(&points), None);
        let columns = places("gaussian1d:4:0.1", 40, 80, 1);
        let [rows, found] = calibration_area(&columns).unwrap();
        assert!(rows == (0..40) && found.len() >= 8 && found.contains(&40));
    }

    /// Texts come back as they went; what is no sampling is refused.
    #[test]
    fn samplings_are_texts() {
        for text in [
            "full",
            "measured",
            "uniform1d:4",
            "gaussian2d:8.5:0.1",
            "poisson:15:0",
            "mask.png",
        ] {
            assert_eq!(text.parse::<Sampling>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "gaussian1d",
            "gaussian1d:0.5",
            "poisson:x",
            "poisson:4:2",
            "poisson:4:0.1:3",
            "spiral:4",
        ] {
            assert!(text.parse::<Sampling>().is_err(), "{text}");
        }
    }
}
