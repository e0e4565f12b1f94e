//! What can be done with samplers that go both ways: a picture taken to noise and back, and pictures between two.

use ndarray::{Axis, concatenate};

use super::Sampler;
use crate::Image;
use crate::grid::MAX_STEPS;
use crate::prior::Prior;
use crate::run::{Error, Run};

/// Pictures taken up to noise, and down again: what they become tells how well they can be told by their noise.
///
/// # Errors
/// Those of [`Sampler::encode`].
pub fn reconstruct(
    sampler: &dyn Sampler,
    prior: &dyn Prior,
    x: &Image,
    run: &mut Run<'_>,
) -> Result<Image, Error> {
    let noise = sampler.encode(prior, x, run)?;
    sampler.decode(prior, noise, run)
}

/// `frames` pictures on the way from one to another, both ends included: their noises are found, and of those between them
/// ([`slerp`]) pictures made.
///
/// # Errors
/// Those of [`Sampler::encode`]; [`Error::Unfit`] for pictures of different sizes, or fewer than two frames.
pub fn interpolate(
    sampler: &dyn Sampler,
    prior: &dyn Prior,
    [p, q]: [&Image; 2],
    frames: usize,
    run: &mut Run<'_>,
) -> Result<Image, Error> {
    Error::unless((2..=MAX_STEPS).contains(&frames), || {
        format!("a way from one picture to another has 2 to {MAX_STEPS} frames, not {frames}")
    })?;
    Error::unless(p.dim() == q.dim() && p.dim().0 == 1, || {
        format!(
            "there is a way between two pictures of one size, not of {:?} and {:?}",
            p.shape(),
            q.shape()
        )
    })?;
    let both = concatenate(Axis(0), &[p.view(), q.view()]).expect("of one size");
    let first = sampler.first(prior.card())?;
    // Around what the first level makes of the middle of the range.
    let middle = (first.a * prior.card().range.center) as f32;
    let noise = sampler.encode(prior, &both, run)? - middle;
    let end = |n| noise.slice_axis(Axis(0), (n..n + 1).into()).to_owned();
    let (from, to) = (end(0), end(1));
    let part = |k| k as f64 / (frames - 1) as f64;
    let noises: Vec<Image> = (0..frames).map(|k| slerp(&from, &to, part(k))).collect();
    let views: Vec<_> = noises.iter().map(|noise| noise.view()).collect();
    let noise = concatenate(Axis(0), &views).expect("all alike");
    sampler.decode(prior, noise + middle, run)
}

/// `part` of the way from `p` to `q` along the great circle (Shoemake 1985), for the pictures of two batches; their lengths go
/// along.
///
/// The mean of two draws of noise has half the variance of noise, and becomes a picture without detail; along the circle all
/// are as long as noise is.
pub fn slerp(p: &Image, q: &Image, part: f64) -> Image {
    let mut out = p.clone();
    let pairs = p.outer_iter().zip(q.outer_iter());
    for (mut out, (p, q)) in out.outer_iter_mut().zip(pairs) {
        let (mut pp, mut qq, mut pq) = (0.0, 0.0, 0.0);
        for (&p, &q) in p.iter().zip(&q) {
            let (p, q) = (f64::from(p), f64::from(q));
            pp += p * p;
            qq += q * q;
            pq += p * q;
        }
        let angle = (pq / (pp * qq).sqrt()).clamp(-1.0, 1.0).acos();
        // Where both point one way, or there is none, the straight way is the great circle.
        let (of_p, of_q) = match angle.sin() > 1e-6 {
            true => (
                ((1.0 - part) * angle).sin() / angle.sin(),
                (part * angle).sin() / angle.sin(),
            ),
            false => (1.0 - part, part),
        };
        ndarray::Zip::from(&mut out)
            .and(&q)
            .for_each(|p, &q| *p = (of_p * f64::from(*p) + of_q * f64::from(q)) as f32);
    }
    out
}
