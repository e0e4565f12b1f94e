//! Noise that neighbouring pixels and colours share, removed by a denoiser that knows white noise.
//!
//! In the cosine basis the noise is independent, with deviation `s` at each frequency. What is shown to the denoiser is made white, level
//! by level, from the largest `s` down:
//!
//! ```text
//! w = x + min(1, l/s)*(y - x) + sqrt(l^2 - min(s, l)^2)*n      at each frequency,  n ~ N(0, 1)
//! x = the mean of D(w, l) for n and -n
//! ```
//!
//! Where there is less noise than the level, as much is added; where there is more, the measurement is moved towards the estimate, until
//! what is left has the level. It is DDRM (Kawar et al. 2022, equations 7 and 8, with the noise of the measurement in place of the fresh
//! one) for an operator that changes nothing and noise with a spectrum (SNIPS, Kawar et al. 2021), and its estimate at the last
//! level. Each next level lets more of what is measured with little noise through.

use ndarray::Zip;

use crate::Image;
use crate::level::Level;
use crate::method::direct::clipping;
use crate::prior::{Card as PriorCard, Prior};
use crate::run::{Error, Run};
use crate::spectrum::Spectrum;

/// The last level, in units of the first, which is the largest deviation. Lower ones win where little noise is left at high frequencies, and lose where the spectrum is not known so well.
const LAST: f64 = 0.6;

/// The estimate after so many levels, two evaluations each.
pub(super) fn removed(
    prior: &dyn Prior,
    y: &Image,
    spectrum: &Spectrum,
    levels: usize,
    run: &mut Run<'_>,
) -> Result<Image, Error> {
    let PriorCard { sigma, range, .. } = prior.card();
    let [least, most] = *sigma;
    let deviations = spectrum.deviations();
    let largest = deviations.largest(y.dim().1);
    run.begin(2 * levels);
    let (mut y, mut x) = (y.clone(), y.clone());
    for k in 0..levels {
        let part = k as f64 / (levels.max(2) - 1) as f64;
        let level = largest * LAST.powf(part);
        let level = Level::ve(level.clamp(least, most));
        let l = level.b;
        let kept = deviations.mapped(&y, Some(&x), |y, x, s| x + (l / s).min(1.0) * (y - x));
        let normal = run.normal_like(&y);
        let added = deviations.mapped(&normal, None, |n, _, s| {
            (l * l - s.min(l).powi(2)).sqrt() * n
        });
        x = run.denoise(prior, &(&kept + &added), level)?;
        let other = run.denoise(prior, &(kept - added), level)?;
        Zip::from(&mut x)
            .and(&other)
            .for_each(|x, &other| *x = 0.5 * (*x + other));
        run.show(&x, level)?;
        if k == 0 && clipping::matters(&y, range.limits()) {
            y = clipping::put_back(&y, &x, spectrum.white, range.limits());
        }
    }
    Ok(x)
}
