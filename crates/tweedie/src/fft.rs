//! Two-dimensional transforms of image planes, in f64.
//!
//! Rows are transformed in parallel, then columns. Between the two passes the array is transposed, and it stays so: a
//! spectrum is indexed `[u*h + v]`, `u` the horizontal and `v` the vertical frequency. Each row is one task and nothing
//! is summed across tasks, so that results are the same bits at any number of threads. Every size works, primes too.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustdct::{DctPlanner, TransformType2And3};
use rustfft::{Fft, FftPlanner};

/// A complex number in f64.
pub(crate) type Complex = rustfft::num_complex::Complex<f64>;

/// The Fourier transform of real planes of one size; of the spectrum, the columns `u = 0..=w/2` are kept.
pub(crate) struct Fft2 {
    h: usize,
    w: usize,
    row: Arc<dyn RealToComplex<f64>>,
    row_back: Arc<dyn ComplexToReal<f64>>,
    column: Arc<dyn Fft<f64>>,
    column_back: Arc<dyn Fft<f64>>,
}

impl Fft2 {
    /// Plans for planes of `h` by `w`, both at least 1.
    pub(crate) fn new(h: usize, w: usize) -> Fft2 {
        let mut real = RealFftPlanner::new();
        let mut complex = FftPlanner::new();
        Fft2 {
            h,
            w,
            row: real.plan_fft_forward(w),
            row_back: real.plan_fft_inverse(w),
            column: complex.plan_fft_forward(h),
            column_back: complex.plan_fft_inverse(h),
        }
    }

    /// Rows of the plane; length of a column of the spectrum.
    pub(crate) fn height(&self) -> usize {
        self.h
    }

    /// Columns of the plane.
    pub(crate) fn width(&self) -> usize {
        self.w
    }

    /// Columns of the spectrum that are kept, `w/2 + 1`.
    pub(crate) fn half(&self) -> usize {
        self.w / 2 + 1
    }

    /// The spectrum of a plane with rows of length `width`; a plane smaller than the transform is extended by zeros.
    pub(crate) fn forward<T>(&self, plane: &[T], width: usize) -> Vec<Complex>
    where
        T: Copy + Into<f64> + Sync,
    {
        let half = self.half();
        let mut rows = vec![Complex::ZERO; self.h * half];
        rows.par_chunks_mut(half)
            .zip(plane.par_chunks(width))
            .for_each_init(
                || (vec![0.0; self.w], self.row.make_scratch_vec()),
                |(line, scratch), (out, row)| {
                    line.fill(0.0);
                    for (to, &from) in line.iter_mut().zip(row) {
                        *to = from.into();
                    }
                    self.row
                        .process_with_scratch(line, out, scratch)
                        .expect("lengths are those of the plan");
                },
            );
        let mut spectrum = transpose(&rows, self.h, half);
        drop(rows);
        self.columns(&mut spectrum, &*self.column);
        spectrum
    }

    /// The plane of a spectrum, handed to `put` value by value. `out` has rows of length `width`; where it is smaller
    /// than the transform, it receives the top left part.
    pub(crate) fn inverse<T: Send>(
        &self,
        mut spectrum: Vec<Complex>,
        out: &mut [T],
        width: usize,
        put: impl Fn(&mut T, f64) + Sync,
    ) {
        let half = self.half();
        self.columns(&mut spectrum, &*self.column_back);
        let mut rows = transpose(&spectrum, half, self.h);
        drop(spectrum);
        let scale = 1.0 / (self.h * self.w) as f64;
        out.par_chunks_mut(width)
            .zip(rows.par_chunks_mut(half))
            .for_each_init(
                || (vec![0.0; self.w], self.row_back.make_scratch_vec()),
                |(line, scratch), (out, row)| {
                    // Real for a real plane; round-off must not make the transform complain.
                    row[0].im = 0.0;
                    if self.w.is_multiple_of(2) {
                        row[half - 1].im = 0.0;
                    }
                    self.row_back
                        .process_with_scratch(row, line, scratch)
                        .expect("lengths are those of the plan");
                    for (to, &from) in out.iter_mut().zip(line.iter()) {
                        put(to, from * scale);
                    }
                },
            );
    }

    fn columns(&self, spectrum: &mut [Complex], plan: &dyn Fft<f64>) {
        spectrum.par_chunks_mut(self.h).for_each_init(
            || vec![Complex::ZERO; plan.get_inplace_scratch_len()],
            |scratch, column| plan.process_with_scratch(column, scratch),
        );
    }
}

impl fmt::Debug for Fft2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fft2 {{ {}x{} }}", self.h, self.w)
    }
}

/// The orthonormal Fourier transform of complex planes of one size, with the origin in the middle of picture and spectrum
/// (`[h/2, w/2]`), as MRI has it. Both are stored row by row.
pub(crate) struct CentredFft2 {
    h: usize,
    w: usize,
    row: [Arc<dyn Fft<f64>>; 2],
    column: [Arc<dyn Fft<f64>>; 2],
}

impl CentredFft2 {
    /// Plans for planes of `h` by `w`, both at least 1.
    pub(crate) fn new(h: usize, w: usize) -> CentredFft2 {
        let mut planner = FftPlanner::new();
        let mut both = |n| [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        CentredFft2 {
            h,
            w,
            row: both(w),
            column: both(h),
        }
    }

    /// The spectrum of a plane.
    pub(crate) fn forward(&self, plane: Vec<Complex>) -> Vec<Complex> {
        self.transformed(plane, &*self.row[0], &*self.column[0])
    }

    /// The plane of a spectrum.
    pub(crate) fn inverse(&self, spectrum: Vec<Complex>) -> Vec<Complex> {
        self.transformed(spectrum, &*self.row[1], &*self.column[1])
    }

    fn transformed(
        &self,
        mut plane: Vec<Complex>,
        row: &dyn Fft<f64>,
        column: &dyn Fft<f64>,
    ) -> Vec<Complex> {
        centred_lines(&mut plane, row);
        let mut turned = transpose(&plane, self.h, self.w);
        centred_lines(&mut turned, column);
        transpose(&turned, self.w, self.h)
    }
}

/// Transforms each line about its middle, orthonormally.
fn centred_lines(lines: &mut [Complex], plan: &dyn Fft<f64>) {
    let n = plan.len();
    let scale = 1.0 / (n as f64).sqrt();
    lines.par_chunks_mut(n).for_each_init(
        || vec![Complex::ZERO; plan.get_inplace_scratch_len()],
        |scratch, line| {
            line.rotate_left(n / 2);
            plan.process_with_scratch(line, scratch);
            line.rotate_right(n / 2);
            line.iter_mut().for_each(|v| *v *= scale);
        },
    );
}

impl fmt::Debug for CentredFft2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CentredFft2 {{ {}x{} }}", self.h, self.w)
    }
}

/// An orthonormal basis of the values along one axis.
pub(crate) enum Line {
    /// The values themselves.
    Pixels(usize),
    /// Cosines: DCT-II, what diagonalises symmetric filters under a boundary that repeats the edge.
    Cosine(Arc<dyn TransformType2And3<f64>>),
    /// The columns of a matrix, kept as its rows: `rows[j*n + k]` is value `j` of basis vector `k`.
    Dense {
        /// Values along the axis.
        n: usize,
        /// The matrix.
        rows: Vec<f64>,
    },
}

impl Line {
    /// The cosine basis of `n` values.
    pub(crate) fn cosine(n: usize) -> Line {
        Line::Cosine(DctPlanner::new().plan_dct2(n))
    }

    /// Values along the axis.
    pub(crate) fn len(&self) -> usize {
        match self {
            Line::Pixels(n) | Line::Dense { n, .. } => *n,
            Line::Cosine(dct) => dct.len(),
        }
    }

    fn scratch(&self) -> Vec<f64> {
        match self {
            Line::Pixels(_) => Vec::new(),
            Line::Cosine(dct) => vec![0.0; dct.get_scratch_len()],
            Line::Dense { n, .. } => vec![0.0; *n],
        }
    }

    /// Values to coefficients, in place.
    fn analyse(&self, line: &mut [f64], scratch: &mut [f64]) {
        match self {
            Line::Pixels(_) => {}
            Line::Cosine(dct) => {
                dct.process_dct2_with_scratch(line, scratch);
                let scale = (2.0 / line.len() as f64).sqrt();
                line[0] *= std::f64::consts::FRAC_1_SQRT_2;
                line.iter_mut().for_each(|v| *v *= scale);
            }
            Line::Dense { n, rows } => {
                scratch.fill(0.0);
                for (&value, row) in line.iter().zip(rows.chunks_exact(*n)) {
                    for (sum, &q) in scratch.iter_mut().zip(row) {
                        *sum += value * q;
                    }
                }
                line.copy_from_slice(scratch);
            }
        }
    }

    /// Coefficients to values, in place.
    fn synthesise(&self, line: &mut [f64], scratch: &mut [f64]) {
        match self {
            Line::Pixels(_) => {}
            Line::Cosine(dct) => {
                let scale = (2.0 / line.len() as f64).sqrt();
                line.iter_mut().for_each(|v| *v *= scale);
                // The DCT-III halves its first term.
                line[0] *= std::f64::consts::SQRT_2;
                dct.process_dct3_with_scratch(line, scratch);
            }
            Line::Dense { n, rows } => {
                for (sum, row) in scratch.iter_mut().zip(rows.chunks_exact(*n)) {
                    *sum = row.iter().zip(line.iter()).map(|(q, c)| q * c).sum();
                }
                line.copy_from_slice(scratch);
            }
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Line::Pixels(_) => "Pixels",
            Line::Cosine(_) => "Cosine",
            Line::Dense { .. } => "Dense",
        };
        write!(f, "{name}({})", self.len())
    }
}

/// An orthonormal basis of planes: the products of a vertical and a horizontal [`Line`].
#[derive(Debug)]
pub(crate) struct Basis2 {
    /// Along a column.
    pub(crate) vertical: Line,
    /// Along a row.
    pub(crate) horizontal: Line,
}

impl Basis2 {
    /// The cosine basis of planes of `h` by `w`.
    pub(crate) fn cosine(h: usize, w: usize) -> Basis2 {
        Basis2 {
            vertical: Line::cosine(h),
            horizontal: Line::cosine(w),
        }
    }

    /// The coefficients of a plane.
    pub(crate) fn forward<T>(&self, plane: &[T]) -> Vec<f64>
    where
        T: Copy + Into<f64> + Sync,
    {
        let (h, w) = (self.vertical.len(), self.horizontal.len());
        let mut rows = vec![0.0; h * w];
        rows.par_chunks_mut(w)
            .zip(plane.par_chunks(w))
            .for_each_init(
                || self.horizontal.scratch(),
                |scratch, (out, row)| {
                    for (to, &from) in out.iter_mut().zip(row) {
                        *to = from.into();
                    }
                    self.horizontal.analyse(out, scratch);
                },
            );
        let mut coefficients = transpose(&rows, h, w);
        drop(rows);
        coefficients.par_chunks_mut(h).for_each_init(
            || self.vertical.scratch(),
            |scratch, column| self.vertical.analyse(column, scratch),
        );
        coefficients
    }

    /// The plane of the coefficients, handed to `put` value by value.
    pub(crate) fn inverse<T: Send>(
        &self,
        mut coefficients: Vec<f64>,
        out: &mut [T],
        put: impl Fn(&mut T, f64) + Sync,
    ) {
        let (h, w) = (self.vertical.len(), self.horizontal.len());
        coefficients.par_chunks_mut(h).for_each_init(
            || self.vertical.scratch(),
            |scratch, column| self.vertical.synthesise(column, scratch),
        );
        let mut rows = transpose(&coefficients, w, h);
        drop(coefficients);
        out.par_chunks_mut(w)
            .zip(rows.par_chunks_mut(w))
            .for_each_init(
                || self.horizontal.scratch(),
                |scratch, (out, row)| {
                    self.horizontal.synthesise(row, scratch);
                    for (to, &from) in out.iter_mut().zip(row.iter()) {
                        put(to, from);
                    }
                },
            );
    }
}

/// The smallest length of the form `2^a 3^b 5^c` that is at least `n`: those are transformed fastest.
pub(crate) fn good_length(n: usize) -> usize {
    let smooth = |mut m: usize| {
        for p in [2, 3, 5] {
            while m.is_multiple_of(p) {
                m /= p;
            }
        }
        m == 1
    };
    (n.max(1)..)
        .find(|&m| smooth(m))
        .expect("there is a power of two above any length")
}

/// An array of `rows` by `columns`, transposed.
fn transpose<T: Copy + Send + Sync + Default>(from: &[T], rows: usize, columns: usize) -> Vec<T> {
    // A band of this many columns reads whole cache lines.
    const BAND: usize = 16;
    let mut to = vec![T::default(); from.len()];
    to.par_chunks_mut(BAND * rows)
        .enumerate()
        .for_each(|(band, chunk)| {
            let first = band * BAND;
            let width = chunk.len() / rows;
            for (y, row) in from.chunks_exact(columns).enumerate() {
                for (x, &value) in row[first..first + width].iter().enumerate() {
                    chunk[x * rows + y] = value;
                }
            }
        });
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn plane(h: usize, w: usize) -> Vec<f64> {
        (0..h * w)
            .map(|i| ((i * i) as f64 * 0.37).sin() + 0.1 * (i + 1) as f64)
            .collect()
    }

    const SIZES: [(usize, usize); 8] = [
        (1, 1),
        (1, 6),
        (7, 1),
        (2, 3),
        (5, 8),
        (9, 7),
        (16, 12),
        (13, 33),
    ];

    /// Against the sum that defines it, 1e-11 relative: catches an index in the transposed layout, a sign in the
    /// exponent, and a scale.
    #[test]
    fn fourier_matches_its_definition() {
        for (h, w) in SIZES {
            let (x, fft) = (plane(h, w), Fft2::new(h, w));
            let spectrum = fft.forward(&x, w);
            assert_eq!(spectrum.len(), fft.half() * h);
            for u in 0..fft.half() {
                for v in 0..h {
                    let mut sum = Complex::ZERO;
                    for (i, &value) in x.iter().enumerate() {
                        let turn = (i / w * v) as f64 / h as f64 + (i % w * u) as f64 / w as f64;
                        sum += value * Complex::from_polar(1.0, -2.0 * PI * turn);
                    }
                    let scale = x.iter().map(|v| v.abs()).sum::<f64>();
                    assert!(
                        (sum - spectrum[u * h + v]).norm() < 1e-11 * scale,
                        "{h}x{w} at ({u}, {v})"
                    );
                }
            }
            let mut back = vec![0.0; h * w];
            fft.inverse(spectrum, &mut back, w, |to, v| *to = v);
            assert!(close(&x, &back), "{h}x{w}");
        }
    }

    /// Against the sum that defines it, at odd and even sizes; the inverse undoes it. Wrong: the shift of the origin in the other
    /// direction, which odd sizes tell.
    #[test]
    fn centred_matches_its_definition() {
        for (h, w) in SIZES {
            let (re, im) = (plane(h, w), plane(w, h));
            let parts = re.iter().zip(&im);
            let x: Vec<Complex> = parts.map(|(&re, &im)| Complex::new(re, im)).collect();
            let fft = CentredFft2::new(h, w);
            let spectrum = fft.forward(x.clone());
            let from_middle = |i: usize, n: usize| i as f64 - (n / 2) as f64;
            let scale = x.iter().map(|v| v.norm()).sum::<f64>();
            for v in 0..h {
                for u in 0..w {
                    let mut sum = Complex::ZERO;
                    for (i, &value) in x.iter().enumerate() {
                        let turn = from_middle(i / w, h) * from_middle(v, h) / h as f64
                            + from_middle(i % w, w) * from_middle(u, w) / w as f64;
                        sum += value * Complex::from_polar(1.0, -2.0 * PI * turn);
                    }
                    sum /= ((h * w) as f64).sqrt();
                    let error = (sum - spectrum[v * w + u]).norm();
                    assert!(error < 1e-11 * scale, "{h}x{w} at ({v}, {u})");
                }
            }
            let back = fft.inverse(spectrum);
            let apart = x.iter().zip(&back).map(|(x, y)| (x - y).norm());
            assert!(apart.fold(0.0, f64::max) < 1e-11 * scale, "{h}x{w}");
        }
    }

    /// The coefficients are those of the orthonormal cosines, and the transform is undone.
    #[test]
    fn cosine_matches_its_definition() {
        for (h, w) in SIZES {
            let (x, basis) = (plane(h, w), Basis2::cosine(h, w));
            let coefficients = basis.forward(&x);
            let vector = |k: usize, j: usize, n: usize| {
                let norm = if k == 0 { 1.0 } else { 2.0 } / n as f64;
                norm.sqrt() * (PI * k as f64 * (j as f64 + 0.5) / n as f64).cos()
            };
            for u in 0..w {
                for v in 0..h {
                    let sum: f64 = (0..h * w)
                        .map(|i| x[i] * vector(v, i / w, h) * vector(u, i % w, w))
                        .sum();
                    let scale = x.iter().map(|v| v.abs()).sum::<f64>();
                    assert!((sum - coefficients[u * h + v]).abs() < 1e-11 * scale);
                }
            }
            let mut back = vec![0.0; h * w];
            basis.inverse(coefficients, &mut back, |to, v| *to = v);
            assert!(close(&x, &back), "{h}x{w}");
        }
    }

    /// Zero extension and cropping: a plane goes through a larger transform unchanged.
    #[test]
    fn a_smaller_plane_is_extended_and_cropped() {
        let (x, fft) = (plane(4, 3), Fft2::new(6, 5));
        let mut back = vec![0.0; 12];
        fft.inverse(fft.forward(&x, 3), &mut back, 3, |to, v| *to = v);
        assert!(close(&x, &back));
    }

    #[test]
    fn good_lengths() {
        for (n, good) in [(0, 1), (1, 1), (7, 8), (11, 12), (572, 576), (1023, 1024)] {
            assert_eq!(good_length(n), good);
        }
    }

    fn close(x: &[f64], y: &[f64]) -> bool {
        x.iter()
            .zip(y)
            .all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + a.abs()))
    }
}
