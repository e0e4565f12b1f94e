//! Blur kernels.

use std::fmt;

use ndarray::{Array2, s};

use super::{Error, Margins};
use crate::Dims;

/// The most taps that a side may have.
pub const MAX_SIDE: usize = 1023;

/// A blur kernel: finite weights that sum to one, so that brightness is kept.
///
/// Tap `floor(size/2)` of each side is the origin: the middle one for odd sizes, the one after the middle for even.
#[derive(Clone, PartialEq)]
pub struct Kernel {
    taps: Array2<f64>,
}

/// How far the fourth moments of a round kernel may differ: a disk of 2 pixels is off by a tenth, a box by two fifths. Of 3 taps a side
/// they cannot tell.
const ROUND: f64 = 0.25;

impl Kernel {
    /// From weights `[height, width]`, divided by their sum. Single weights may be negative.
    ///
    /// # Errors
    /// [`Error::KernelSize`] if a side has no tap or more than [`MAX_SIDE`], [`Error::NotFinite`] for a NaN or infinity,
    /// [`Error::KernelSum`] if the sum is not positive or vanishes beside the weights.
    pub fn new(taps: Array2<f64>) -> Result<Kernel, Error> {
        let (height, width) = taps.dim();
        check_size(height, width)?;
        if taps.iter().any(|t| !t.is_finite()) {
            return Err(Error::NotFinite("kernel"));
        }
        let sum = taps.sum();
        let size: f64 = taps.iter().map(|t| t.abs()).sum();
        if !(sum > 1e-6 * size && sum.is_normal()) {
            return Err(Error::KernelSum { sum });
        }
        let taps = taps.as_standard_layout().into_owned() / sum;
        if taps.iter().any(|t| !t.is_finite()) {
            return Err(Error::NotFinite("kernel"));
        }
        Ok(Kernel { taps })
    }

    /// A round Gaussian of standard deviation `std` pixels on `size` by `size` taps, cut off beyond
    /// `floor(4*std + 1/2)` as SciPy does; with std 3 and size 61 it is the kernel of DPS, DMPS and DAPS.
    ///
    /// `size` is `2*ceil(3*std) + 1` by default.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `std` is not a positive number or too large for the default size, [`Error::KernelSize`] for a
    /// size that does not do.
    pub fn gaussian(std: f64, size: Option<usize>) -> Result<Kernel, Error> {
        positive("the standard deviation of a Gaussian kernel", std)?;
        let size = match size {
            Some(size) => size,
            None => {
                let reach = (3.0 * std).ceil();
                let asked = || format!("a Gaussian kernel of standard deviation {std:?}");
                2 * checked_reach(reach, asked)? + 1
            }
        };
        check_size(size, size)?;
        let radius = (4.0 * std + 0.5).floor();
        let line: Vec<f64> = (0..size)
            .map(|i| i as f64 - (size / 2) as f64)
            .map(|d| if d.abs() <= radius { d } else { f64::INFINITY })
            .map(|d| (-d * d / (2.0 * std * std)).exp())
            .collect();
        Kernel::new(Array2::from_shape_fn((size, size), |(i, j)| {
            line[i] * line[j]
        }))
    }

    /// A Gaussian that is longer than wide: standard deviations of `along` and `across` pixels, the first at `angle` degrees,
    /// counter-clockwise from the horizontal, on `size` by `size` taps, by default `2*ceil(3*std) + 1` of the larger.
    ///
    /// With 20, 1 and 0 on 9 taps it is the anisotropic blur of DDRM and DDNM.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a deviation is not a positive number or the angle not finite, [`Error::KernelSize`] for a size that
    /// does not do.
    pub fn oriented_gaussian(
        along: f64,
        across: f64,
        angle: f64,
        size: Option<usize>,
    ) -> Result<Kernel, Error> {
        positive("the standard deviation of a Gaussian kernel", along)?;
        positive("the standard deviation of a Gaussian kernel", across)?;
        if !angle.is_finite() {
            return Err(Error::Invalid(format!("{angle} is no angle in degrees")));
        }
        let std = along.max(across);
        let size = match size {
            Some(size) => size,
            None => {
                let asked = || format!("a Gaussian kernel of standard deviation {std:?}");
                2 * checked_reach((3.0 * std).ceil(), asked)? + 1
            }
        };
        check_size(size, size)?;
        let (sine, cosine) = angle.rem_euclid(360.0).to_radians().sin_cos();
        let middle = (size / 2) as f64;
        Kernel::new(Array2::from_shape_fn((size, size), |(i, j)| {
            let (x, y) = (j as f64 - middle, middle - i as f64);
            let (p, q) = (x * cosine + y * sine, y * cosine - x * sine);
            (-0.5 * ((p / along).powi(2) + (q / across).powi(2))).exp()
        }))
    }

    /// The kernel with so many rows and columns of zeros after it that its origin moves as far: what it makes at `i` it made at
    /// `i + by` before.
    pub(super) fn moved(&self, by: usize) -> Result<Kernel, Error> {
        if by == 0 {
            return Ok(self.clone());
        }
        let (h, w) = self.size();
        check_size(h + 2 * by, w + 2 * by)?;
        let mut taps = Array2::zeros((h + 2 * by, w + 2 * by));
        taps.slice_mut(s![..h, ..w]).assign(&self.taps);
        Ok(Kernel { taps })
    }

    /// A straight motion of `length` pixels at `angle` degrees, counter-clockwise from the horizontal: a line of one
    /// pixel's width whose edges fade over one pixel, as MATLAB's `fspecial('motion')` draws it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `length` is below 1 or too long for [`MAX_SIDE`] taps, or the angle not finite.
    pub fn motion(length: f64, angle: f64) -> Result<Kernel, Error> {
        positive("the length of a motion", length)?;
        if length < 1.0 || !angle.is_finite() {
            return Err(Error::Invalid(format!(
                "a motion has a length of at least 1 pixel and an angle in degrees, not {length} and {angle}"
            )));
        }
        let (sine, cosine) = angle.rem_euclid(360.0).to_radians().sin_cos();
        let half = (length - 1.0) / 2.0;
        // What fades out beyond the last pixel still counts; what is below a billionth is rounding.
        let reach = |x: f64| {
            let asked = || format!("a motion of {length:?} pixels at {angle:?} degrees");
            checked_reach((half * x.abs() + 1.0 - 1e-9).floor(), asked)
        };
        let (ry, rx) = (reach(sine)?, reach(cosine)?);
        Kernel::new(Array2::from_shape_fn((2 * ry + 1, 2 * rx + 1), |(i, j)| {
            let (x, y) = (j as f64 - rx as f64, ry as f64 - i as f64);
            let along = (x * cosine + y * sine).clamp(-half, half);
            let distance = (x - along * cosine).hypot(y - along * sine);
            (1.0 - distance).max(0.0)
        }))
    }

    /// The mean of `size` by `size` pixels.
    ///
    /// # Errors
    /// [`Error::KernelSize`] for a size that does not do.
    pub fn uniform(size: usize) -> Result<Kernel, Error> {
        check_size(size, size)?;
        Kernel::new(Array2::ones((size, size)))
    }

    /// A disk of `radius` pixels, a lens out of focus; its edge fades over one pixel.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `radius` is not a positive number, or too large for [`MAX_SIDE`] taps.
    pub fn disk(radius: f64) -> Result<Kernel, Error> {
        positive("the radius of a disk", radius)?;
        let asked = || format!("a disk of radius {radius:?}");
        let reach = checked_reach((radius + 0.5 - 1e-9).floor(), asked)?;
        Kernel::new(Array2::from_shape_fn([2 * reach + 1; 2], |(i, j)| {
            let (x, y) = (j as f64 - reach as f64, i as f64 - reach as f64);
            (radius + 0.5 - x.hypot(y)).clamp(0.0, 1.0)
        }))
    }

    /// The weights, `[height, width]`.
    pub fn taps(&self) -> &Array2<f64> {
        &self.taps
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        self.taps.dim()
    }

    /// The smallest part that holds the origin and all weights but zeros, and where the origin lies in it. Files often
    /// surround a kernel by zeros, which reach for nothing.
    pub(super) fn trimmed(&self) -> (Array2<f64>, (usize, usize)) {
        let (oy, ox) = self.origin();
        let ([mut top, mut left], [mut bottom, mut right]) = ([oy, ox], [oy, ox]);
        for ((i, j), _) in self.taps.indexed_iter().filter(|(_, t)| **t != 0.0) {
            (top, bottom) = (top.min(i), bottom.max(i));
            (left, right) = (left.min(j), right.max(j));
        }
        let part = self.taps.slice(s![top..=bottom, left..=right]);
        (part.to_owned(), (oy - top, ox - left))
    }

    /// What a picture needs beyond each edge, so that all of it can be blurred with nothing assumed.
    pub(super) fn margins(&self) -> Margins {
        let (taps, (oy, ox)) = self.trimmed();
        let (kh, kw) = taps.dim();
        Margins {
            top: kh - 1 - oy,
            bottom: oy,
            left: kw - 1 - ox,
            right: ox,
        }
    }

    /// The dimensions of what can be told of a scene that ends with the image.
    pub(super) fn inside(&self, image: Dims) -> Result<Dims, Error> {
        let (height, width) = self.size();
        let limit = image.h.min(image.w);
        self.margins().within(image).ok_or(Error::KernelSize {
            height,
            width,
            limit,
        })
    }

    /// That its sides are no longer than the picture's, or 127.
    pub(super) fn fits(&self, picture: Dims) -> Result<(), Error> {
        let (height, width) = self.size();
        for (side, taps) in [(picture.h, height), (picture.w, width)] {
            let limit = side.max(127);
            if taps > limit {
                return Err(Error::KernelSize {
                    height,
                    width,
                    limit,
                });
            }
        }
        Ok(())
    }

    /// So much (0 to 1) of no blur, and the rest of this.
    pub(super) fn softened(&self, part: f64) -> Kernel {
        let mut taps = &self.taps * (1.0 - part);
        taps[self.origin()] += part;
        Kernel { taps }
    }

    /// Whether it blurs along rows, columns and both diagonals alike, as a disk or a Gaussian and no box: even, the same when rows and
    /// columns change places, and by its fourth moments, which in all directions are those along the rows if `E[i^4] = 3 E[i^2 j^2]`.
    pub(super) fn is_round(&self) -> bool {
        let (h, w) = self.size();
        let (oy, ox) = self.origin();
        let (mut along, mut across) = (0.0, 0.0);
        for ((i, j), tap) in self.taps.indexed_iter() {
            let (i, j) = (i as f64 - oy as f64, j as f64 - ox as f64);
            along += tap * i.powi(4);
            across += tap * 3.0 * i * i * j * j;
        }
        h == w
            && self.is_even()
            && (&self.taps - &self.taps.t()).iter().all(|d| d.abs() < 1e-9)
            && (h <= 3 || (along / across - 1.0f64).abs() < ROUND)
    }

    /// Row and column of the origin.
    pub fn origin(&self) -> (usize, usize) {
        let (h, w) = self.size();
        (h / 2, w / 2)
    }

    /// Whether it is even in both directions, `k(-a, b) = k(a, -b) = k(a, b)`, up to rounding in f64.
    pub fn is_even(&self) -> bool {
        let (oy, ox) = self.origin();
        let most = self.taps.iter().fold(0.0, |m: f64, t| m.max(t.abs()));
        let tap = |i: usize, j: usize| self.taps.get([i, j]).copied().unwrap_or(0.0);
        // Mirrored about the origin; outside the kernel, to the left of it too, all is zero.
        let mirror = |i: usize, o: usize| (2 * o).checked_sub(i).unwrap_or(usize::MAX);
        self.taps.indexed_iter().all(|((i, j), &t)| {
            let flipped = [tap(mirror(i, oy), j), tap(i, mirror(j, ox))];
            flipped.iter().all(|f| (f - t).abs() <= 1e-12 * most)
        })
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({}x{})", self.taps.nrows(), self.taps.ncols())
    }
}

pub(crate) fn check_size(height: usize, width: usize) -> Result<(), Error> {
    let good = 1..=MAX_SIDE;
    if good.contains(&height) && good.contains(&width) {
        return Ok(());
    }
    Err(Error::KernelSize {
        height,
        width,
        limit: MAX_SIDE,
    })
}

/// The taps on either side of the middle one, if so many may be. `asked` says what asks for them.
fn checked_reach(reach: f64, asked: impl Fn() -> String) -> Result<usize, Error> {
    // Compared as a float: beyond the integers the cast saturates, and twice that wraps.
    if 2.0 * reach + 1.0 <= MAX_SIDE as f64 {
        return Ok(reach as usize);
    }
    let asked = asked();
    Err(Error::Invalid(format!(
        "{asked} is too large: here a side may have {MAX_SIDE} taps"
    )))
}

fn positive(what: &str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{what} is a positive number, not {value}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::KernelSpec;

    fn kernel(text: &str) -> Kernel {
        text.parse::<KernelSpec>().unwrap().build().unwrap()
    }

    /// A box has zeros along the axes that a disk has not, and so more false alarms.
    #[test]
    fn disks_are_round_and_boxes_are_not() {
        for text in ["disk:1.7", "disk:3", "gaussian:1.6", "gaussian:0.8"] {
            assert!(kernel(text).is_round(), "{text}");
        }
        for text in ["box:5", "box:7", "motion:15:20", "motion:15:0"] {
            assert!(!kernel(text).is_round(), "{text}");
        }
    }

    /// The kernel of DPS: 61 taps, std 3, cut to the middle 25, peak .017685. A kernel that is not cut has .017684 there
    /// and something in row 0.
    #[test]
    fn gaussian_of_dps() {
        let k = kernel("gaussian:3:61");
        assert_eq!(k.size(), (61, 61));
        assert!((k.taps()[[30, 30]] - 0.017685).abs() < 5e-7);
        assert_eq!(k.taps().iter().filter(|&&t| t > 0.0).count(), 25 * 25);
        assert!((k.taps().sum() - 1.0).abs() < 1e-12);
        assert_eq!(kernel("gaussian:1.2").size(), (9, 9));
        assert!(k.is_even());
    }

    #[test]
    fn straight_motion() {
        assert_eq!(kernel("motion:1:37").taps()[[0, 0]], 1.0);
        let level = kernel("motion:5:0");
        assert_eq!(level.size(), (1, 5));
        assert!(level.taps().iter().all(|t| (t - 0.2).abs() < 1e-12));
        assert_eq!(kernel("motion:5:90").size(), (5, 1));
        // Counter-clockwise: up to the right.
        let oblique = kernel("motion:9:45");
        let (h, w) = oblique.size();
        assert!(oblique.taps()[[0, w - 1]] > 0.0 && oblique.taps()[[0, 0]] == 0.0);
        assert_eq!(h, w);
        assert!(!oblique.is_even() && level.is_even());
        let turned = kernel("motion:9:225");
        assert!(
            (turned.taps() - oblique.taps())
                .iter()
                .all(|d| d.abs() < 1e-12)
        );
    }

    #[test]
    fn boxes_and_disks() {
        assert_eq!(kernel("box:4").taps()[[0, 3]], 1.0 / 16.0);
        let disk = kernel("disk:5");
        assert_eq!(disk.size(), (11, 11));
        // Its area is that of the circle.
        let area = 1.0 / disk.taps()[[5, 5]];
        assert!(
            (area / (std::f64::consts::PI * 25.0) - 1.0).abs() < 0.02,
            "{area}"
        );
        assert!(disk.is_even());
        assert!(!kernel("box:4").is_even(), "its middle is between two taps");
    }

    /// Twice the reach of such a kernel, plus one, is no integer of 64 bits: it would wrap to a kernel of one tap.
    #[test]
    fn sizes_beyond_the_integers_are_refused_as_they_were_asked() {
        for (text, asked) in [
            ("gaussian:1e19", "standard deviation 1e19"),
            (
                "motion:1.8446744073709552e19:0",
                "1.8446744073709552e19 pixels at 0.0 degrees",
            ),
            ("motion:1e300:45", "1e300 pixels"),
            ("disk:9223372036854775807", "radius 9.223372036854776e18"),
            ("disk:512", "radius 512.0"),
        ] {
            let built = text.parse::<KernelSpec>().unwrap().build();
            let error = built.unwrap_err().to_string();
            assert!(error.contains(asked), "{text}: {error}");
        }
        for (text, side) in [("disk:510.6", 1023), ("gaussian:170.3", 1023)] {
            assert_eq!(kernel(text).size(), (side, side), "{text}");
        }
    }

    #[test]
    fn numbers_that_make_no_kernel() {
        let new = |values: &[f64]| {
            let taps = Array2::from_shape_vec((1, values.len()), values.to_vec());
            Kernel::new(taps.unwrap()).map_err(|e| e.to_string())
        };
        assert!(new(&[1.0, f64::NAN]).unwrap_err().contains("NaN"));
        assert!(new(&[f64::INFINITY]).unwrap_err().contains("infinite"));
        for bad in [
            &[0.0, 0.0][..],
            &[1.0, -2.0],
            &[1.0, -1.0],
            &[1e-320],
            &[1.0, -0.999999999],
        ] {
            assert!(new(bad).unwrap_err().contains("positive sum"), "{bad:?}");
        }
        assert!(Kernel::new(Array2::zeros((0, 3))).is_err());
        assert_eq!(new(&[3.0, -1.0]).unwrap().taps()[[0, 0]], 1.5);
    }
}
