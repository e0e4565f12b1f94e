//! Methods refuse what lacks what they need, and nothing else.

use tweedie::Dims;
use tweedie::method::{self, DataStep, Descent, DiffPir, Dps, Mean, Method};
use tweedie::operator::{Blur, Boundary, Gray, GrayWeights, Identity, Kernel, Operator, Quantiser};
use tweedie::prior::{Card, Prior};
use tweedie::registry::Need;
use tweedie::run::{Error, Run};
use tweedie::sampler::{Ddpm, Sampler, Variance};

use crate::fixture::{Square, White, measured_by};

const PLANE: Dims = Dims::new(1, 4, 5);

fn blur() -> Blur {
    Blur::new(PLANE, Kernel::uniform(3).unwrap(), Boundary::Circular).unwrap()
}

fn identity() -> Identity {
    Identity::new(PLANE).unwrap()
}

fn gray() -> Gray {
    Gray::new(Dims { c: 3, ..PLANE }, GrayWeights::Mean).unwrap()
}

fn prior(pullback: bool, variance: bool) -> White {
    let mut prior = White::new(Card {
        channels: vec![1, 3],
        pullback,
        variance,
        maps: pullback,
        ..Card::any()
    });
    prior.share = variance.then_some(0.5);
    prior
}

fn words(need: Need) -> &'static str {
    match need {
        Need::Pullback => "pullback",
        Need::LearnedVariance => "learned variance",
        Need::Linear => "linear",
        Need::NoiseOnly => "noise and nothing else",
        Need::Pixelwise => "each pixel alone",
        Need::Maps => "noise of each pixel",
        Need::Intervals => "rounded numbers",
        Need::Likelihood => "likelihood of a noisy image",
        Need::LinearBeforeRounding => "a few bits a number",
        Need::Condition => "shown a first guess",
        _ => unreachable!("no other need is tested"),
    }
}

/// What methods need, from their papers; those that are not listed need nothing.
fn needs(name: &str) -> &'static [Need] {
    use Need::{
        Condition, Intervals, Likelihood, Linear, LinearBeforeRounding, Maps, NoiseOnly, Pixelwise,
        Pullback,
    };
    match name {
        "tweedie" => &[NoiseOnly],
        "exact" => &[Pixelwise, Maps],
        "dequantise" | "mcem" => &[Intervals],
        "exact-guidance" => &[Linear, Likelihood],
        "sr3" => &[Condition],
        "dps" => &[Pullback],
        "pigdm" | "mcg" => &[Pullback],
        "ot-ode" => &[Pullback, Linear],
        "cdim" => &[Linear, Pullback],
        "mean" | "diffpir" | "ddiff" | "split-gibbs" => &[Linear],
        "ddnm" | "ddrm" | "dds" | "repaint" | "projection" => &[Linear],
        "dmps" | "hqs" => &[Linear],
        "qcs-sgm" | "qcs-sgm+" => &[LinearBeforeRounding],
        "pnp-ula" | "ppgn" | "score-ald" | "annealed-langevin" => &[Linear],
        "dpir" | "idbp" | "pnp-admm" | "pnp-drs" | "pnp-hqs" => &[Linear],
        "red-admm" | "red-bp" | "red-fp" => &[Linear],
        "tikhonov" | "tv" | "tv-admm" => &[Linear],
        _ => &[],
    }
}

/// Methods that do without linearity, with the settings that suit an operator which is not linear.
const BENDING: [&str; 3] = ["mean", "diffpir", "ddiff"];

/// Those whose needs are met by what there is, with the settings that suit it.
fn fitting(there: &[Need]) -> Vec<&'static str> {
    let fits = |name: &&str| {
        let met =
            |need: &Need| there.contains(need) || *need == Need::Linear && BENDING.contains(name);
        needs(name).iter().all(met)
    };
    method::Settings::NAMES
        .iter()
        .copied()
        .filter(fits)
        .collect()
}

/// That the method says what is missing and who would do, or works.
fn check(
    what: &str,
    method: &dyn Method,
    prior: &dyn Prior,
    operator: Box<dyn Operator>,
    lacks: Option<Need>,
    fit: &[&str],
) {
    let result = method.restore(prior, &measured_by(operator, 0.1), &mut Run::new(1));
    let Some(expected) = lacks else {
        assert!(result.is_ok(), "{what}: {result:?}");
        return;
    };
    let error = result.unwrap_err();
    let text = error.to_string();
    let Error::Lacks { need, fitting, .. } = error else {
        panic!("{what}: {text}");
    };
    assert_eq!(need, expected, "{what}: {text}");
    assert_eq!(fitting, fit, "{what}: {text}");
    assert!(text.contains(words(need)), "{what}: {text}");
    assert!(fit.iter().all(|name| text.contains(name)), "{what}: {text}");
    if fit.is_empty() {
        assert!(text.contains("no method"), "{what}: {text}");
    }
}

/// Every method on every kind of prior and operator. Wrong: a method that runs on half of what it needs (a blur taken for
/// noise, a gradient of nothing), one that refuses what it does not use, a text that recommends who would refuse as well.
#[test]
fn methods_refuse_what_lacks_what_they_need() {
    use Need::{Linear, LinearBeforeRounding, Maps, NoiseOnly, Pixelwise, Pullback};
    for name in method::Settings::NAMES {
        let settings = method::Settings::named(name).unwrap().with_steps(2);
        let method = settings.as_dyn();
        for rich in [true, false] {
            let prior = prior(rich, rich);
            let known: &[Need] = if rich { &[Pullback, Maps] } else { &[] };
            let cell = |operator: Box<dyn Operator>, gives: &[Need]| {
                let there = [known, gives].concat();
                let lacks = needs(name).iter().copied().find(|n| !there.contains(n));
                check(name, method, &prior, operator, lacks, &fitting(&there));
            };
            let linear = [Linear, LinearBeforeRounding];
            cell(
                Box::new(identity()),
                &[&linear[..], &[NoiseOnly, Pixelwise]].concat(),
            );
            cell(Box::new(blur()), &linear);
            cell(Box::new(gray()), &[&linear[..], &[Pixelwise]].concat());
            let rounded = Quantiser::new(Box::new(blur()), 2, None).unwrap();
            cell(Box::new(rounded), &[LinearBeforeRounding]);
            cell(Box::new(Square(PLANE)), &[]);
        }
    }
}

/// Needs follow from the settings. Wrong: those of the defaults, or of the outer method only.
#[test]
fn needs_follow_from_the_settings() {
    let gradient = DiffPir {
        data: DataStep::Gradient,
        ..DiffPir::default()
    };
    let gradient = method::Settings::from(gradient).with_steps(2);
    check(
        "gradient",
        gradient.as_dyn(),
        &prior(false, false),
        Box::new(Square(PLANE)),
        None,
        &[],
    );

    let learned = Dps {
        descent: Descent::Ancestral {
            variance: Variance::Learned,
        },
        ..Dps::default()
    };
    let learned = method::Settings::from(learned).with_steps(2);
    let linear = [Need::Linear, Need::LinearBeforeRounding];
    let fit = fitting(&[&linear[..], &[Need::Pullback, Need::Maps]].concat());
    let need = Some(Need::LearnedVariance);
    check(
        "learned",
        learned.as_dyn(),
        &prior(true, false),
        Box::new(blur()),
        need,
        &fit,
    );
    check(
        "learned",
        learned.as_dyn(),
        &prior(true, true),
        Box::new(blur()),
        None,
        &[],
    );

    let mean = Mean {
        draws: 2,
        of: Box::new(Dps::default().into()),
    };
    let fit = fitting(&linear);
    check(
        "mean",
        &mean,
        &prior(false, false),
        Box::new(blur()),
        Some(Need::Pullback),
        &fit,
    );

    let ddpm = Ddpm {
        variance: Variance::Learned,
        ..Ddpm::default()
    };
    let error = ddpm.sample(&prior(true, false), 1, PLANE, &mut Run::new(1));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("learned a variance")
    );
}
