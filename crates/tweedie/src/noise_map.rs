//! Noise that differs from pixel to pixel.
//!
//! Where one [`Level`](crate::level::Level) says how noisy a whole picture is, a [`NoiseMap`] says it of each pixel: a
//! covariance of its channels, as orthonormal directions in them and a variance along each. A variance may be 0, for what is
//! known, and infinite, for what nothing is known of; that is why it is not one matrix.

use ndarray::{Array2, Array4, ArrayView1, ArrayView2, Axis, Zip, s};

use crate::Image;
use crate::operator::Sample;

/// Orthonormal directions in the channels of a pixel.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    /// The channels themselves.
    Channels,
    /// The same directions in all pixels: `[direction, channel]`, orthonormal rows.
    One(Array2<f32>),
    /// Directions of each pixel: `[1 or batch, direction*channels + channel, height, width]`.
    Each(Image),
}

/// Which way.
#[derive(Clone, Copy)]
enum Turn {
    /// From channels to directions.
    Into,
    /// Back.
    Back,
}

impl Basis {
    /// The coordinates of a picture `[batch, channel, height, width]` along the directions.
    pub fn coordinates(&self, x: &Image) -> Image {
        self.turn(x, Turn::Into)
    }

    /// The picture of these coordinates.
    pub fn picture(&self, z: &Image) -> Image {
        self.turn(z, Turn::Back)
    }

    fn turn<S: Sample>(&self, x: &Array4<S>, turn: Turn) -> Array4<S> {
        if matches!(self, Basis::Channels) {
            return x.clone();
        }
        let c = x.dim().1;
        let add = |to: &mut S, weight: f32, v: S| {
            *to = S::of((*to).into() + f64::from(weight) * v.into());
        };
        let mut out = Array4::from_elem(x.raw_dim(), S::of(0.0));
        for k in 0..x.dim().0 {
            for (i, j) in (0..c).flat_map(|i| (0..c).map(move |j| (i, j))) {
                let (direction, channel) = match turn {
                    Turn::Into => (i, j),
                    Turn::Back => (j, i),
                };
                let from = x.index_axis(Axis(0), k);
                let from = from.index_axis(Axis(0), j);
                let mut to = out.index_axis_mut(Axis(0), k);
                let to = to.index_axis_mut(Axis(0), i);
                match self {
                    Basis::Channels => unreachable!("returned above"),
                    Basis::One(rows) => {
                        let weight = rows[[direction, channel]];
                        Zip::from(to)
                            .and(from)
                            .par_for_each(|to, &v| add(to, weight, v));
                    }
                    Basis::Each(rows) => {
                        let weight = plane(rows, k, direction * c + channel);
                        Zip::from(to)
                            .and(from)
                            .and(weight)
                            .par_for_each(|to, &v, &weight| add(to, weight, v));
                    }
                }
            }
        }
        out
    }

    /// What a channel has of direction `i` at a pixel of picture `k`.
    pub(crate) fn entry(&self, k: usize, i: usize, channel: usize, at: [usize; 2]) -> f32 {
        match self {
            Basis::Channels => f32::from(u8::from(i == channel)),
            Basis::One(rows) => rows[[i, channel]],
            Basis::Each(rows) => plane(rows, k, i * rows.dim().1.isqrt() + channel)[at],
        }
    }
}

/// Channel `i` of picture `k`, or of the one that stands for all.
fn plane(of: &Image, k: usize, i: usize) -> ArrayView2<'_, f32> {
    of.slice(s![k.min(of.dim().0 - 1), i, .., ..])
}

/// Gaussian noise of zero mean with a covariance for each pixel, independent between pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseMap {
    variance: Image,
    basis: Basis,
}

impl NoiseMap {
    /// `variance` `[1 or batch, 1 or channel, height, width]` along the directions of `basis`, each from 0 to infinity, in
    /// the square of the picture's units. One picture stands for all of a batch, one channel for all.
    ///
    /// # Panics
    /// If a variance is negative or NaN, the basis has other sizes, or has directions where there is one variance.
    pub fn new(variance: Image, basis: Basis) -> NoiseMap {
        assert!(
            variance.iter().all(|&v| v >= 0.0),
            "a variance is from 0 to infinity"
        );
        let (_, c, h, w) = variance.dim();
        match &basis {
            Basis::Channels => {}
            Basis::One(rows) => assert_eq!(rows.dim(), (c, c), "directions"),
            Basis::Each(rows) => {
                let (_, n, rows_h, rows_w) = rows.dim();
                assert_eq!((n, rows_h, rows_w), (c * c, h, w), "directions");
            }
        }
        NoiseMap { variance, basis }
    }

    /// The same noise in every channel of a pixel: its standard deviation, `[1 or batch, 1, height, width]`.
    pub fn of_sigma(sigma: &Image) -> NoiseMap {
        NoiseMap::new(sigma.mapv(|s| s * s), Basis::Channels)
    }

    /// The variance along direction `i` at a pixel of picture `k`.
    pub(crate) fn variance_at(&self, k: usize, i: usize, at: [usize; 2]) -> f32 {
        plane(&self.variance, k, i.min(self.variance.dim().1 - 1))[at]
    }

    /// The directions and the variance along each, if they are the same at every pixel of every picture, of `c` channels.
    pub(crate) fn of_any_pixel(&self, c: usize) -> Option<Vec<(Vec<f64>, f64)>> {
        let rows = match &self.basis {
            Basis::Channels => Array2::eye(c),
            Basis::One(rows) => rows.clone(),
            Basis::Each(_) => return None,
        };
        let own = self.variance.dim().1;
        let along = |(i, row): (usize, ArrayView1<'_, f32>)| {
            let variances = self.variance.index_axis(Axis(1), i.min(own - 1));
            let first = *variances.first()?;
            let row = row.iter().map(|&v| f64::from(v)).collect();
            variances
                .iter()
                .all(|&v| v == first)
                .then(|| (row, f64::from(first)))
        };
        rows.outer_iter().enumerate().map(along).collect()
    }

    /// The map of picture `k` alone.
    pub(crate) fn picture(&self, k: usize) -> NoiseMap {
        let of = |x: &Image| {
            let k = k.min(x.dim().0 - 1);
            x.slice(s![k..=k, .., .., ..]).to_owned()
        };
        NoiseMap {
            variance: of(&self.variance),
            basis: match &self.basis {
                Basis::Each(rows) => Basis::Each(of(rows)),
                same => same.clone(),
            },
        }
    }

    /// The variances along the directions.
    pub fn variance(&self) -> &Image {
        &self.variance
    }

    /// The directions.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Whether it says something of every number of a batch of this shape.
    pub fn fits(&self, (n, c, h, w): (usize, usize, usize, usize)) -> bool {
        let (own_n, own_c, own_h, own_w) = self.variance.dim();
        (own_n == n || own_n == 1) && (own_c == c || own_c == 1) && (own_h, own_w) == (h, w)
    }

    /// The same for pictures whose numbers are `factor` times as large.
    pub fn scaled(&self, factor: f64) -> NoiseMap {
        let square = (factor * factor) as f32;
        NoiseMap {
            variance: self.variance.mapv(|v| v * square),
            basis: self.basis.clone(),
        }
    }

    /// `U f(v) U^T x` for each of the functions of the variance: what `x` becomes when its part along each direction is
    /// multiplied by `f` of the variance there.
    pub fn filter(&self, x: &Image, f: impl Fn(f32) -> f32 + Sync) -> Image {
        self.filter_as(x, |v| f64::from(f(v)))
    }

    /// The same in f32 or f64.
    pub(crate) fn filter_as<S: Sample>(
        &self,
        x: &Array4<S>,
        f: impl Fn(f32) -> f64 + Sync,
    ) -> Array4<S> {
        let mut z = self.basis.turn(x, Turn::Into);
        let shape = z.raw_dim();
        let variance = self.variance.broadcast(shape).expect("a map that fits");
        Zip::from(&mut z)
            .and(variance)
            .par_for_each(|z, &v| *z = S::of((*z).into() * f(v)));
        self.basis.turn(&z, Turn::Back)
    }

    /// What networks are told of a batch of this shape, over four: the [`logarithms`](NoiseMap::logarithms) of the noise of
    /// what they are shown, and how the logarithm of the covariance's root differs in what was given, before neighbours had
    /// their say: `[n, c + c*(c + 1), height, width]`.
    pub(crate) fn told(
        shown: &NoiseMap,
        given: &NoiseMap,
        (n, c, h, w): (usize, usize, usize, usize),
        sigma: [f64; 2],
    ) -> Image {
        let of = |noise: &NoiseMap| {
            let logs = noise.logarithms(c, sigma) / 4.0;
            let channels = logs.dim().1;
            let all = logs.broadcast((n, channels, h, w));
            all.expect("a map that fits").to_owned()
        };
        let (shown, given) = (of(shown), of(given));
        let guessed = &given.slice(s![.., c.., .., ..]) - &shown.slice(s![.., c.., .., ..]);
        ndarray::concatenate(Axis(1), &[shown.view(), guessed.view()]).expect("of one size")
    }

    /// For pictures of `c` channels the logarithms of the standard deviations, and the upper
    /// triangle, row by row, of the logarithm of the covariance's root, `[n, c + c*(c + 1)/2, height, width]`. Deviations
    /// are limited to `[least, most]`.
    fn logarithms(&self, c: usize, [least, most]: [f64; 2]) -> Image {
        let (n, own, h, w) = self.variance.dim();
        let n = match &self.basis {
            Basis::Each(rows) => n.max(rows.dim().0),
            _ => n,
        };
        let (low, high) = (least.ln() as f32, most.ln() as f32);
        let pairs: Vec<[usize; 2]> = (0..c).flat_map(|a| (a..c).map(move |b| [a, b])).collect();
        let mut out = Image::zeros((n, c + pairs.len(), h, w));
        for (k, mut out) in out.outer_iter_mut().enumerate() {
            let (mut logs, mut matrix) = out.view_mut().split_at(Axis(0), c);
            for (i, mut log) in logs.outer_iter_mut().enumerate() {
                let variance = plane(&self.variance, k, i.min(own - 1));
                Zip::from(&mut log)
                    .and(variance)
                    .par_for_each(|log, &v| *log = (0.5 * v.ln()).clamp(low, high));
            }
            for (&pair, mut to) in pairs.iter().zip(matrix.outer_iter_mut()) {
                Zip::indexed(&mut to).par_for_each(|at, to| {
                    let at = [at.0, at.1];
                    let along = |i| {
                        let [a, b] = pair.map(|channel| self.basis.entry(k, i, channel, at));
                        a * b * logs[[i, at[0], at[1]]]
                    };
                    *to = (0..c).map(along).sum();
                });
            }
        }
        out
    }
}
