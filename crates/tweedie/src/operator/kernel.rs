//! Blur kernels.

use std::fmt;

use ndarray::Array2;

use super::{Error, motion};

/// The most taps that a side may have.
pub const MAX_SIDE: usize = 1023;

/// A blur kernel: finite weights that sum to one, so that brightness is kept.
///
/// Tap `floor(size/2)` of each side is the origin: the middle one for odd sizes, the one after the middle for even.
#[derive(Clone, PartialEq)]
pub struct Kernel {
    taps: Array2<f64>,
}

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
    /// [`Error::Invalid`] if `std` is not a positive number, [`Error::KernelSize`] for a size that does not do.
    pub fn gaussian(std: f64, size: Option<usize>) -> Result<Kernel, Error> {
        positive("the standard deviation of a Gaussian kernel", std)?;
        let size = size.unwrap_or(2 * (3.0 * std).ceil() as usize + 1);
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

    /// A straight motion of `length` pixels at `angle` degrees, counter-clockwise from the horizontal: a line of one
    /// pixel's width whose edges fade over one pixel, as MATLAB's `fspecial('motion')` draws it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `length` is below 1 or the angle not finite, [`Error::KernelSize`] if it is too long.
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
        let reach = |x: f64| ((half * x.abs()) + 1.0 - 1e-9).floor() as usize;
        let (ry, rx) = (reach(sine), reach(cosine));
        check_size(2 * ry + 1, 2 * rx + 1)?;
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
    /// [`Error::Invalid`] if `radius` is not a positive number, [`Error::KernelSize`] if it is too large.
    pub fn disk(radius: f64) -> Result<Kernel, Error> {
        positive("the radius of a disk", radius)?;
        let reach = (radius + 0.5 - 1e-9).floor() as usize;
        check_size(2 * reach + 1, 2 * reach + 1)?;
        Kernel::new(Array2::from_shape_fn([2 * reach + 1; 2], |(i, j)| {
            let (x, y) = (j as f64 - reach as f64, i as f64 - reach as f64);
            (radius + 0.5 - x.hypot(y)).clamp(0.0, 1.0)
        }))
    }

    /// Random camera shake on `size` by `size` taps, from the generator that DPS, DiffPIR and DAPS use, with the same
    /// distribution. `intensity`, 0 to 1, makes it wind; 0.5 is usual, with a size of 61.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `size` is not in 3..=1023 or `intensity` not in [0, 1].
    pub fn random_motion(size: usize, intensity: f64, seed: u64) -> Result<Kernel, Error> {
        motion::random(size, intensity, seed)
    }

    /// The weights, `[height, width]`.
    pub fn taps(&self) -> &Array2<f64> {
        &self.taps
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        self.taps.dim()
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

    /// Over seeds: the seed decides, weights are not negative, the centroid is near the middle, and a larger intensity
    /// makes paths that leave the straight line (the smaller principal axis grows).
    #[test]
    fn random_motion() {
        assert_eq!(
            kernel("motion-random:61:0.5:3"),
            kernel("motion-random:61:0.5:3")
        );
        assert_ne!(
            kernel("motion-random:61:0.5:3"),
            kernel("motion-random:61:0.5:4")
        );
        let mut winding = Vec::new();
        for intensity in [0.0, 0.5, 1.0] {
            let mut sum = 0.0;
            for seed in 0..60 {
                let k = Kernel::random_motion(61, intensity, seed).unwrap();
                assert!(k.taps().iter().all(|&t| t >= 0.0));
                let moment = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                    let taps = k.taps().indexed_iter();
                    taps.map(|((i, j), t)| t * f(j as f64 - 30.0, i as f64 - 30.0))
                        .sum()
                };
                let (mx, my) = (moment(&|x, _| x), moment(&|_, y| y));
                // The mean of the corners is in the middle; that of the line is near it.
                assert!(mx.hypot(my) < 15.0, "seed {seed}: centroid {mx}, {my}");
                let xx = moment(&|x, _| (x - mx).powi(2));
                let yy = moment(&|_, y| (y - my).powi(2));
                let xy = moment(&|x, y| (x - mx) * (y - my));
                let small = (xx + yy) / 2.0 - ((xx - yy).powi(2) / 4.0 + xy * xy).sqrt();
                sum += small / (xx + yy);
            }
            winding.push(sum / 60.0);
        }
        assert!(
            winding[0] < 0.7 * winding[1] && winding[1] < winding[2],
            "{winding:?}"
        );
        assert!(Kernel::random_motion(15, 1.0, 0).is_ok());
        assert!(Kernel::random_motion(2, 0.5, 0).is_err());
        assert!(Kernel::random_motion(15, 1.5, 0).is_err());
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
