//! ESPIRiT: sensitivities as the eigenvectors of what the calibration area repeats (Uecker et al. 2014,
//! doi:10.1002/mrm.24751).
//!
//! ```text
//! patches u of k x k places and all coils of the calibration area span a space, W the projection onto it
//! a pixel at r alone would have u(c, p) = s_c e^{-2 pi i p.r/N}, and all of it lies in that space:
//! s maximises s^H G(r) s / |s|^2,   G_cd(r) = sum_pq W_(cp)(dq) e^{2 pi i (p - q).r/N} / k^2
//! ```
//!
//! The paper divides by nothing and starts from nothing; here the power iteration starts from maps of a low resolution, so that
//! the eigenvector of each pixel has their phase. Nothing is cropped: where there is no signal the maps do not matter.

use std::ops::Range;

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array4, s};
use rayon::prelude::*;

use super::coils::LINES;
use crate::Image;
use crate::fft::{CentredFft2, Complex};

/// Places to a side of a patch; the paper's 6.
const SIDE: usize = 6;

/// Singular values below this part of the largest are noise; the paper's choice is by eye, 0.02 is usual.
const LEAST: f64 = 0.02;

/// Numbers of a patch, at most: it takes their cube.
const MOST: usize = 768;

/// Power iterations.
const ITERATIONS: usize = 30;

/// The maps of a measurement `[1, 2*coils, height, width]` from the block of rows and columns around the middle, of which all
/// is sampled, starting from rougher ones.
pub(super) fn maps(
    y: &Image,
    [rows, columns]: &[Range<usize>; 2],
    rough: Vec<Vec<Complex>>,
) -> Vec<Vec<Complex>> {
    let (_, c, h, w) = y.dim();
    let coils = c / 2;
    let block = block(y, [middle(rows, h), middle(columns, w)]);
    let (_, bh, bw, _) = block.dim();
    let widest = ((MOST / coils) as f64).sqrt() as usize;
    let side = |n: usize| SIDE.min(n / 2).min(widest).max(1);
    let patch = [side(bh), side(bw)];
    let projection = projection(&block, patch);
    let fft = CentredFft2::new(h, w);
    let pairs: Vec<(usize, usize)> = (0..coils)
        .flat_map(|a| (a..coils).map(move |b| (a, b)))
        .collect();
    let planes: Vec<Vec<Complex>> = pairs
        .par_iter()
        .map(|&(a, b)| fft.inverse(shifted(&projection, (a, b), patch, (h, w))))
        .collect();
    refined(rough, &planes)
}

/// The middle of a range, as many lines as count.
fn middle(range: &Range<usize>, n: usize) -> Range<usize> {
    let many = range.len().min(LINES);
    n / 2 - many / 2..n / 2 - many / 2 + many
}

/// `[coils, rows, columns, 2]`.
fn block(y: &Image, [rows, columns]: [Range<usize>; 2]) -> Array4<f32> {
    let part = y.slice(s![0, .., rows, columns]);
    let (c, h, w): (usize, usize, usize) = part.dim();
    Array4::from_shape_fn((c / 2, h, w, 2), |(c, i, j, k)| part[[2 * c + k, i, j]])
}

/// The projection onto the space of all patches, whose numbers are ordered by coil, row and column.
fn projection(block: &Array4<f32>, [ph, pw]: [usize; 2]) -> DMatrix<Complex> {
    let (coils, h, w, _) = block.dim();
    let n = coils * ph * pw;
    let places: Vec<(usize, usize)> = (0..=h - ph)
        .flat_map(|i| (0..=w - pw).map(move |j| (i, j)))
        .collect();
    let value = |k: usize, (i, j): (usize, usize)| {
        let (c, p, q) = (k / (ph * pw), k / pw % ph, k % pw);
        let part = |of: usize| f64::from(block[[c, i + p, j + q, of]]);
        Complex::new(part(0), part(1))
    };
    let patches = DMatrix::from_fn(n, places.len(), |k, at| value(k, places[at]));
    let gram = &patches * patches.adjoint();
    let SymmetricEigen {
        eigenvalues,
        eigenvectors,
    } = SymmetricEigen::new(gram);
    let least = LEAST * LEAST * eigenvalues.max();
    let kept: Vec<usize> = (0..n).filter(|&k| eigenvalues[k] > least).collect();
    let kept = eigenvectors.select_columns(&kept);
    &kept * kept.adjoint()
}

/// The spectrum of `G_ab`: what of the projection belongs to each shift.
fn shifted(
    projection: &DMatrix<Complex>,
    (a, b): (usize, usize),
    [ph, pw]: [usize; 2],
    (h, w): (usize, usize),
) -> Vec<Complex> {
    // The transform is orthonormal, the sum is not.
    let scale = ((h * w) as f64).sqrt() / (ph * pw) as f64;
    let mut out = vec![Complex::ZERO; h * w];
    for k in 0..ph * pw {
        for l in 0..ph * pw {
            let row = (h / 2 + k / pw + h - l / pw) % h;
            let column = (w / 2 + k % pw + w - l % pw) % w;
            let value = projection[(a * ph * pw + k, b * ph * pw + l)];
            out[row * w + column] += value * scale;
        }
    }
    out
}

/// The largest eigenvector of each pixel's matrix, of which `planes` hold the upper half, from the rough one.
fn refined(rough: Vec<Vec<Complex>>, planes: &[Vec<Complex>]) -> Vec<Vec<Complex>> {
    let coils = rough.len();
    let pixel = |i: usize| {
        let mut v: Vec<Complex> = rough.iter().map(|map| map[i]).collect();
        for _ in 0..ITERATIONS {
            let mut next = vec![Complex::ZERO; coils];
            let mut plane = planes.iter();
            for a in 0..coils {
                for b in a..coils {
                    let g = plane.next().expect("a plane for each pair")[i];
                    next[a] += g * v[b];
                    if b > a {
                        next[b] += g.conj() * v[a];
                    }
                }
            }
            let size = next.iter().map(|v| v.norm_sqr()).sum::<f64>().sqrt();
            if size <= f64::MIN_POSITIVE {
                return v;
            }
            v = next.into_iter().map(|v| v / size).collect();
        }
        v
    };
    let pixels: Vec<Vec<Complex>> = (0..rough[0].len()).into_par_iter().map(pixel).collect();
    (0..coils)
        .map(|c| pixels.iter().map(|v| v[c]).collect())
        .collect()
}
