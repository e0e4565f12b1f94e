//! Line integrals of a plane, and their transpose.
//!
//! Each ray is followed line by line of the plane (rows where it is steep, columns where it is flat) and meets each between two
//! pixels, of which it sees a weighted mean (Joseph 1982). The transpose is exact: it gathers the same weights, line by line, so
//! that nothing is summed across tasks.

use rayon::prelude::*;

/// Parallel rays across planes of one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Projector {
    h: usize,
    w: usize,
    detectors: usize,
    views: Vec<View>,
}

/// One direction: the ray of detector `t` meets line `i` at `slope*t + shift*i + start`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct View {
    /// Whether lines are columns.
    turned: bool,
    slope: f64,
    shift: f64,
    start: f64,
    /// Length of a ray from line to line.
    weight: f64,
}

impl View {
    /// The rays `x cos a + y sin a = s`, with `x` to the right and `y` up from the middle of the plane, and detectors a pixel
    /// apart around `s = 0`.
    fn new(angle: f64, h: usize, w: usize, detectors: usize, unit: f64) -> View {
        let (sin, cos) = angle.sin_cos();
        let middle = |n: usize| (n as f64 - 1.0) / 2.0;
        let first = -middle(detectors);
        match cos.abs() >= sin.abs() {
            // At row i, y = middle - i: x = (s - y sin)/cos.
            true => View {
                turned: false,
                slope: 1.0 / cos,
                shift: sin / cos,
                start: (first - middle(h) * sin) / cos + middle(w),
                weight: unit / cos.abs(),
            },
            // At column j, x = j - middle: row = middle - (s - x cos)/sin.
            false => View {
                turned: true,
                slope: -1.0 / sin,
                shift: cos / sin,
                start: middle(h) - (first + middle(w) * cos) / sin,
                weight: unit / sin.abs(),
            },
        }
    }

    /// The two pixels of a line of length `n` between which a ray meets it, with their weights, as far as there are any.
    fn meets(&self, base: f64, t: usize, n: usize) -> [(usize, f64); 2] {
        let at = self.slope * t as f64 + base;
        // The floor, but for whole numbers below 0, where there is no pixel anyway: a call of `floor` takes longer than all else.
        let low = at as isize - isize::from(at < 0.0);
        let part = at - low as f64;
        // Outside a pixel is named whose weight is 0.
        let pixel = |i: isize, weight: f64| match (0..n as isize).contains(&i) {
            true => (i as usize, weight),
            false => (0, 0.0),
        };
        [pixel(low, 1.0 - part), pixel(low + 1, part)]
    }

    fn base(&self, line: usize) -> f64 {
        self.shift * line as f64 + self.start
    }

    /// The detectors whose rays may meet a line of length `n`, of so many.
    fn span(&self, base: f64, n: usize, detectors: usize) -> std::ops::Range<usize> {
        let [one, other] = [-1.0, n as f64].map(|at| (at - base) / self.slope);
        let first = one.min(other).max(0.0) as usize;
        let last = one.max(other).max(-1.0) + 1.0;
        first..(last.ceil() as usize).clamp(first, detectors.max(first))
    }
}

impl Projector {
    /// Rays at these angles, in radians; `unit` is the side of a pixel.
    pub(super) fn new(
        (h, w): (usize, usize),
        angles: &[f64],
        detectors: usize,
        unit: f64,
    ) -> Projector {
        let view = |&angle: &f64| View::new(angle, h, w, detectors, unit);
        Projector {
            h,
            w,
            detectors,
            views: angles.iter().map(view).collect(),
        }
    }

    /// The integrals along all rays of a plane, into `[angles, detectors]`.
    pub(super) fn forward(&self, plane: &[f32], out: &mut [f32]) {
        let columns = transposed(plane, self.w);
        out.par_chunks_exact_mut(self.detectors)
            .zip(&self.views)
            .for_each(|(out, view)| {
                let (lines, n) = match view.turned {
                    false => (plane, self.w),
                    true => (columns.as_slice(), self.h),
                };
                let mut sums = vec![0.0; self.detectors];
                for (i, line) in lines.chunks_exact(n).enumerate() {
                    let base = view.base(i);
                    for t in view.span(base, n, self.detectors) {
                        for (pixel, weight) in view.meets(base, t, n) {
                            sums[t] += weight * f64::from(line[pixel]);
                        }
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = (view.weight * sum) as f32;
                }
            });
    }

    /// The transpose of [`Projector::forward`].
    pub(super) fn adjoint(&self, rays: &[f32], out: &mut [f32]) {
        let rows = self.gathered(rays, false, self.h, self.w);
        let columns = self.gathered(rays, true, self.w, self.h);
        let back = transposed(&columns, self.h);
        for ((out, row), column) in out.iter_mut().zip(rows).zip(back) {
            *out = (row + column) as f32;
        }
    }

    /// What the views along one direction of lines give to each line.
    fn gathered(&self, rays: &[f32], turned: bool, lines: usize, n: usize) -> Vec<f64> {
        let mut out = vec![0.0; lines * n];
        out.par_chunks_exact_mut(n)
            .enumerate()
            .for_each(|(i, line)| {
                let views = self.views.iter().zip(rays.chunks_exact(self.detectors));
                for (view, rays) in views.filter(|(view, _)| view.turned == turned) {
                    let base = view.base(i);
                    for t in view.span(base, n, self.detectors) {
                        let ray = view.weight * f64::from(rays[t]);
                        for (pixel, weight) in view.meets(base, t, n) {
                            line[pixel] += weight * ray;
                        }
                    }
                }
            });
        out
    }
}

/// A plane with rows of length `w`, its columns as rows.
fn transposed<T: Copy + Default>(plane: &[T], w: usize) -> Vec<T> {
    let h = plane.len() / w;
    let mut out = vec![T::default(); plane.len()];
    for (i, row) in plane.chunks_exact(w).enumerate() {
        for (j, &v) in row.iter().enumerate() {
            out[j * h + i] = v;
        }
    }
    out
}
