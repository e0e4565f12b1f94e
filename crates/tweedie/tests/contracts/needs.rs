//! Methods refuse what lacks what they need, and nothing else.

use tweedie::Dims;
use tweedie::method::{self, DataStep, DiffPir, Dps, Mean, Method};
use tweedie::operator::{Blur, Boundary, Gray, GrayWeights, Identity, Kernel, Operator};
use tweedie::prior::{Card, Prior};
use tweedie::registry::Need;
use tweedie::run::{Error, Run};
use tweedie::sampler::{Ddpm, Sampler, Variance};

use crate::fixture::{Square, White, measured};

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
        _ => unreachable!("no other need is tested"),
    }
}

/// All methods but these.
fn except(names: &[&str]) -> Vec<&'static str> {
    let all = method::Settings::NAMES.iter().copied();
    all.filter(|name| !names.contains(name)).collect()
}

/// Methods of the family of Langevin chains, which need an adjoint and nothing else.
const CHAINS: [&str; 4] = ["pnp-ula", "ppgn", "score-ald", "annealed-langevin"];

/// All methods but these and the chains.
fn except_chains(names: &[&str]) -> Vec<&'static str> {
    except(&[names, &CHAINS].concat())
}

/// That the method says what is missing and who would do, or works.
fn check(
    what: &str,
    method: &dyn Method,
    prior: &dyn Prior,
    operator: impl Operator + 'static,
    lacks: Option<Need>,
    fit: &[&str],
) {
    let result = method.restore(prior, &measured(operator, 0.1), &mut Run::new(1));
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
    use Need::{Intervals, Linear, Maps, NoiseOnly, Pixelwise, Pullback};
    let linear = except(&["tweedie", "exact", "dequantise"]);
    let plain = except(&["tweedie", "exact", "dps", "dequantise"]);
    for name in method::Settings::NAMES {
        let settings = method::Settings::named(name).unwrap().with_steps(2);
        let method = settings.as_dyn();
        let is = |other: &str, need| (*name == other).then_some(need);
        let (full, poor) = (prior(true, true), prior(false, false));

        let intervals = is("dequantise", Intervals);
        let fit = except(&["dequantise"]);
        check(name, method, &full, identity(), intervals, &fit);
        let need = is("tweedie", NoiseOnly)
            .or(is("exact", Pixelwise))
            .or(intervals);
        check(name, method, &full, blur(), need, &linear);
        let fit = except(&["tweedie", "dequantise"]);
        let need_gray = is("tweedie", NoiseOnly).or(intervals);
        check(name, method, &full, gray(), need_gray, &fit);

        let fit = except(&["dps", "exact", "dequantise"]);
        let lacks = is("dps", Pullback).or(is("exact", Maps)).or(intervals);
        check(name, method, &poor, identity(), lacks, &fit);
        let need = need.or(is("dps", Pullback));
        check(name, method, &poor, blur(), need, &plain);

        let need = match *name {
            "tweedie" => Some(NoiseOnly),
            "exact" => Some(Pixelwise),
            "dequantise" => Some(Intervals),
            "diffpir" | "ddnm" | "dpir" | "mean" => Some(Linear),
            chain if CHAINS.contains(&chain) => Some(Linear),
            _ => None,
        };
        // DiffPIR, and the mean of its draws, would do with the settings that suit such an operator.
        let fit = except_chains(&["ddnm", "dpir", "tweedie", "exact", "dequantise"]);
        check(name, method, &full, Square(PLANE), need, &fit);
        let need = need.or(is("dps", Pullback));
        let fit = except_chains(&["ddnm", "dpir", "tweedie", "exact", "dequantise", "dps"]);
        check(name, method, &poor, Square(PLANE), need, &fit);
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
        Square(PLANE),
        None,
        &[],
    );

    let learned = Dps {
        variance: Variance::Learned,
        ..Dps::default()
    };
    let learned = method::Settings::from(learned).with_steps(2);
    let fit = except(&["tweedie", "exact", "dequantise"]);
    let need = Some(Need::LearnedVariance);
    check(
        "learned",
        learned.as_dyn(),
        &prior(true, false),
        blur(),
        need,
        &fit,
    );
    check(
        "learned",
        learned.as_dyn(),
        &prior(true, true),
        blur(),
        None,
        &[],
    );

    let mean = Mean {
        draws: 2,
        of: Box::new(Dps::default().into()),
    };
    let fit = except(&["tweedie", "exact", "dps", "dequantise"]);
    check(
        "mean",
        &mean,
        &prior(false, false),
        blur(),
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
