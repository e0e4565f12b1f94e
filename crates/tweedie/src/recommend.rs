//! Which method for which task: what the command chooses where the user does not.
//!
//! It only names one; the settings that suit the task are said beside each method ([`method::Tuned`](crate::method::Tuned)).
//! Both were chosen on photographs that no table reports (docs/development-set.md), by one rule: the highest PSNR or, within
//! 0.3 dB of it, the better LPIPS. The table in the README shows what each gives.

use crate::method::{Settings, Task};
use crate::operator::Loss;

/// Below this deviation of the noise a measurement is as good as without.
const NOISELESS: f64 = 0.015;

/// From so many times more noise than rounding on, what was rounded is best taken for noise that was rounded.
const NOISIER: f64 = 1.4;

/// The name of the method that suits a task best.
///
/// A conditional prior knows one way.
///
/// Noise alone takes one evaluation. Where each pixel is measured alone and the prior can be told what is known of it, the exact
/// posterior: its mean, or a draw. Pixels that are missing from a picture with little noise are found better still by thirty steps of
/// a denoiser from that mean (PnP-DRS): of scattered ones 1.0 to 2.5 dB on photographs, of letters and lines 0.5 to 0.8, of boxes
/// 0.2. So are sums over many pixels (compressed sensing), with noise and without: 2.6 to 4.1 dB better than by DPIR; and, without
/// noise, a spectrum of which places are missing: 0.5 dB on heads in MRI, 2 dB in tomography, of two slices each. Large holes are
/// filled with what lies elsewhere in the picture, and from there it is a short way, with fresh noise (DiffPIR).
///
/// Of rounded numbers each is put where it is expected in its interval, and where there was more noise before, that is drawn anew and
/// removed (MCEM). Where the operator is not linear, gradients must do, from near the first guess (DiffPIR, equation 13; docs/non-linear.md). Of colours a draw invents too many, and the mean of a few is closer to the truth. Where more than half of
/// the pixels a side are missing, fresh noise at each level finds more of them (DiffPIR); where fewer are, PnP-DRS is 0.1 to 0.2 dB
/// better than DPIR, by LPIPS too. All else the best estimate finds from denoising alone (DPIR).
pub fn name(task: &Task) -> &'static str {
    let known = task.pixelwise && task.maps;
    match task.loss {
        _ if task.conditional => "sr3",
        _ if task.quantised && task.sigma > NOISIER * task.rounding => "mcem",
        _ if task.quantised => "dequantise",
        _ if !task.linear => "diffpir",
        _ if task.only_noise && !task.draw => "tweedie",
        _ if task.elsewhere => "diffpir",
        Loss { pixels: true, .. } if known && !task.draw && task.sigma < NOISELESS => "pnp-drs",
        Loss {
            frequencies: true, ..
        } if !task.draw && task.sigma < NOISELESS => "pnp-drs",
        Loss { mixed: true, .. } if !task.draw => "pnp-drs",
        _ if known => "exact",
        _ if task.draw => "diffpir",
        Loss { colours: true, .. } => "mean",
        Loss { scales: true, .. } if task.enlarged() > 6.0 => "diffpir",
        Loss { scales: true, .. } => "pnp-drs",
        _ => "dpir",
    }
}

/// The method that suits a task best, with its settings.
pub fn method(task: &Task) -> Settings {
    Settings::tuned(name(task), task).expect("the name is a method's")
}

/// The name of the method whose results look most like photographs: the lowest LPIPS or, within 0.02 of it, the higher PSNR. Where
/// pixels or colours are missing that is what suits the task anyway.
pub fn name_for_texture(task: &Task) -> &'static str {
    match task.loss {
        _ if task.conditional || task.quantised || !task.linear || task.elsewhere => name(task),
        Loss { scales: true, .. } if task.enlarged() > 6.0 => "dps",
        Loss { scales: true, .. } => "ddiff",
        // What a Gaussian took must be invented; a disk or a motion left most of it.
        Loss {
            detail: true,
            faded,
            ..
        } if faded > 0.4 => "hqs",
        Loss { detail: true, .. } => "diffpir",
        _ => name(task),
    }
}

/// The method whose results have the most texture, with its settings.
pub fn textured(task: &Task) -> Settings {
    let task = Task {
        // Of what was learned, a draw has texture, and the mean has none.
        draw: task.draw || task.conditional,
        ..*task
    };
    Settings::tuned(name_for_texture(&task), &task).expect("the name is a method's")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::operator::{
        Bayer, Blur, Boundary, Downsample, Gray, GrayWeights, Hadamard, Identity, Jpeg, Kernel,
        Mask, MaskSpec, Mosaic, Operator, Quantiser, Ratio, Subsampling,
    };

    /// Where the prior knows maps and pixels are measured alone it is the exact posterior, also for draws; else draws are
    /// DiffPIR's.
    #[test]
    fn maps_and_draws_decide() {
        let dims = Dims::new(3, 8, 8);
        let mask = Mask::random(dims, 0.5, 1).unwrap();
        let blurred = Downsample::bicubic(dims, 2).unwrap();
        let noise = Identity::new(dims).unwrap();
        let name = |operator: &dyn Operator, maps, draw| {
            name(&Task {
                maps,
                draw,
                ..Task::exact(operator)
            })
        };
        assert_eq!(name(&mask, true, false), "pnp-drs");
        assert_eq!(name(&mask, true, true), "exact");
        assert_eq!(name(&mask, false, true), "diffpir");
        assert_eq!(name(&noise, true, false), "tweedie");
        let ct = crate::operator::Ct::new(dims, 4, 180.0, 9).unwrap();
        assert_eq!(name(&ct, true, false), "pnp-drs");
        assert_eq!(name(&ct, true, true), "diffpir");
        let dims = Dims::new(3, 90, 90);
        let hole = |text: &str| text.parse::<MaskSpec>().unwrap().mask(dims).unwrap();
        assert_eq!(name(&hole("box:40,30"), false, false), "diffpir");
        assert_eq!(name(&hole("box:40,30"), true, false), "diffpir");
        assert_eq!(name(&hole("box:18,60"), false, false), "dpir");
        assert_eq!(name(&hole("box:18,60"), true, false), "pnp-drs");
        assert_eq!(name(&hole("random:0.8"), true, false), "pnp-drs");
        // Of scattered pixels there is nothing to take from.
        assert_eq!(name(&hole("random:0.995"), false, false), "dpir");
        assert_eq!(name(&noise, true, true), "exact");
        assert_eq!(name(&blurred, true, false), "pnp-drs");
        assert_eq!(name(&blurred, true, true), "diffpir");
    }

    /// What is recommended for its texture can do the task, also with noise. Wrong: a method for draws where the operator is not
    /// linear.
    #[test]
    fn what_has_texture_fits() {
        let card = crate::prior::Card::any();
        for entry in crate::operator::Spec::LIST {
            let operator = entry.example(Dims::new(3, 16, 16));
            let name = textured(&Task::exact(operator.as_ref())).name();
            let fit = crate::method::fitting(&card, operator.as_ref());
            assert!(fit.contains(&name), "{}: {name} of {fit:?}", entry.name);
        }
        let small = Downsample::bicubic(Dims::new(3, 8, 8), 4).unwrap();
        assert_ne!(
            name_for_texture(&Task::exact(&small)),
            name(&Task::exact(&small))
        );
        let blur = |kernel: Kernel| Blur::new(Dims::new(3, 64, 64), kernel, Boundary::Symmetric);
        let textured = |kernel| name_for_texture(&Task::exact(&blur(kernel).unwrap()));
        assert_eq!(textured(Kernel::gaussian(1.6, None).unwrap()), "hqs");
        assert_eq!(textured(Kernel::disk(3.0).unwrap()), "diffpir");
        assert_eq!(textured(Kernel::motion(13.0, 20.0).unwrap()), "diffpir");
    }

    /// Compressed sensing has many steps of a denoiser, with noise too; its draws are DiffPIR's.
    #[test]
    fn of_sums_a_picture_emerges() {
        let dims = Dims::new(3, 8, 8);
        let sensed = Hadamard::new(dims, Ratio::new(0.25).unwrap(), true, 1).unwrap();
        let task = Task {
            sigma: 0.05,
            maps: true,
            ..Task::exact(&sensed)
        };
        assert_eq!(method(&task).nfe(&crate::prior::Card::any()), 30);
        let few = Hadamard::new(dims, Ratio::new(0.1).unwrap(), true, 1).unwrap();
        assert_eq!(
            method(&Task::exact(&few)).nfe(&crate::prior::Card::any()),
            60
        );
        assert_eq!([name(&task), name_for_texture(&task)], ["pnp-drs"; 2]);
        assert_eq!(name(&Task { draw: true, ..task }), "diffpir");
    }

    /// Rounded numbers have a method of their own. Wrong: a gradient, which diverges.
    #[test]
    fn of_rounded_numbers_intervals_are_known() {
        let jpeg = Jpeg::new(Dims::new(3, 8, 8), 50, Subsampling::Quarter).unwrap();
        assert_eq!(name(&Task::exact(&jpeg)), "dequantise");
        let noisy = Task {
            sigma: 0.1,
            ..Task::exact(&jpeg)
        };
        assert_eq!([name(&noisy), name_for_texture(&noisy)], ["mcem"; 2]);
        let less = Task {
            sigma: 0.01,
            ..noisy
        };
        assert_eq!(name(&less), "dequantise");
        let of = Box::new(Identity::new(Dims::new(1, 8, 8)).unwrap());
        let signs = Quantiser::new(of, 1, None).unwrap();
        assert_eq!(name(&Task::exact(&signs)), "diffpir");
    }

    /// What is recommended can do the task, with as many steps as are wanted. Wrong: a method for noise alone where pixels are
    /// missing.
    #[test]
    fn what_is_recommended_fits() {
        let dims = Dims::new(3, 8, 8);
        let operators: [(Box<dyn Operator>, &str); 6] = [
            (Box::new(Identity::new(dims).unwrap()), "tweedie"),
            (Box::new(Mask::random(dims, 0.5, 1).unwrap()), "dpir"),
            (Box::new(Mosaic::new(dims, Bayer::Rggb).unwrap()), "dpir"),
            (Box::new(Downsample::bicubic(dims, 2).unwrap()), "pnp-drs"),
            (Box::new(Downsample::bicubic(dims, 4).unwrap()), "diffpir"),
            (
                Box::new(Gray::new(dims, GrayWeights::Mean).unwrap()),
                "mean",
            ),
        ];
        let card = crate::prior::Card {
            pullback: false,
            ..crate::prior::Card::any()
        };
        for (operator, name) in operators {
            let task = Task {
                sigma: 0.01,
                steps: Some(7),
                ..Task::exact(operator.as_ref())
            };
            let settings = method(&task);
            assert_eq!(settings.name(), name);
            let fit = crate::method::fitting(&card, operator.as_ref());
            assert!(fit.contains(&name), "{name} of {fit:?}");
            let nfe = settings.nfe(&card);
            assert!([1, 7, 28].contains(&nfe), "{name}: {nfe}");
        }
    }
}
