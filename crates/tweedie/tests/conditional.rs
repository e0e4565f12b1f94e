//! Conditional priors: a network that is shown a first guess beside the noisy picture, and the method that shows it one.

use ndarray::{Axis, concatenate, s};
use serde_json::json;
use tweedie::checkpoint::{Model, ModelSpec, Precision};
use tweedie::grid::{Grid, Schedule};
use tweedie::level::Level;
use tweedie::method::{self, Answer, Method, Sr3};
use tweedie::net::{Architecture, PhotoConfig};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Downsample, Identity, Operator};
use tweedie::prior::{self, Card, Estimate, Network, Parametrisation, Prior, TrainedFor};
use tweedie::problem::Problem;
use tweedie::run::{Error, Run};
use tweedie::sampler::{Ddpm, Edm};
use tweedie::{Device, Dims, Image};

fn trained_for(operator: serde_json::Value) -> TrainedFor {
    serde_json::from_value(json!({ "operator": operator })).unwrap()
}

/// Enlarging by 2.
fn halved() -> TrainedFor {
    trained_for(json!({ "kind": "downsample", "factor": 2 }))
}

fn photo(channels: usize, condition: bool) -> Architecture {
    PhotoConfig {
        channels,
        widths: vec![8, 16],
        blocks: vec![1, 1],
        embedding: 8,
        maps: false,
        condition,
    }
    .into()
}

/// As published, small: a U-Net that takes both pictures as the channels of one.
fn adm() -> Architecture {
    serde_json::from_value(json!({
        "architecture": "adm", "channels_in": 6, "channels_out": 3, "base": 32, "widths": [32, 32], "blocks": 1,
        "attention": [false, true], "heads": { "count": 2 }, "order": "head-first", "film": true, "resampling": "block",
    }))
    .unwrap()
}

/// A network whose every weight is random, so that nothing cancels.
fn model(network: Architecture, condition: Option<TrainedFor>) -> Model {
    let mut params = network.init(1).unwrap();
    for (name, array) in &mut params {
        let [_, c, h, w] = array.shape;
        // The name chooses the numbers, so that networks with the same parts share them.
        let seed = crc32c::crc32c(name.as_bytes());
        let draws =
            Seeded::new(seed.into(), "weights").normal(1, Dims::new(1, 1, array.values.len()));
        let scale = 1.0 / ((c * h * w) as f32).sqrt();
        array.values = draws.iter().map(|v| v * scale).collect();
    }
    let edm = Parametrisation::Edm { sigma_data: 0.5 };
    Model {
        params,
        spec: ModelSpec {
            condition,
            ..ModelSpec::new(network, edm, [0.002, 80.0])
        },
    }
}

fn open(model: &Model) -> Network {
    Network::new(model, &Device::default()).unwrap()
}

fn conditional() -> Network {
    open(&model(photo(3, true), Some(halved())))
}

fn picture(seed: u64, n: usize, dims: Dims) -> Image {
    Seeded::new(seed, "picture").normal(n, dims) * 0.2 + 0.5
}

fn denoised(network: &Network, guess: &Image, x: &Image, level: Level) -> Image {
    let given = network.given(guess).unwrap();
    given.denoise(x, level).unwrap().x0
}

fn largest(x: &Image) -> f32 {
    x.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// Where the guess weighs nothing, as at the beginning of training, the answer is that of the network without, bit by bit; where
/// it does, it changes the answer, up to the network's reach. Wrong: a guess that takes the picture's place, or is scaled with it.
#[test]
fn a_guess_that_weighs_nothing_changes_nothing() {
    let dims = Dims::new(3, 21, 34);
    let (x, guess) = (picture(1, 1, dims), picture(2, 1, dims));
    let plain = open(&model(photo(3, false), None));
    let mut silent = model(photo(3, true), Some(halved()));
    silent
        .params
        .get_mut("stem.condition.weight")
        .unwrap()
        .values
        .fill(0.0);
    let (silent, shown) = (open(&silent), conditional());
    for level in [Level::ve(0.3), Level { a: 0.4, b: 0.6 }] {
        let expected = plain.denoise(&x, level).unwrap().x0;
        assert!(denoised(&silent, &guess, &x, level) == expected);
        let changed = denoised(&shown, &guess, &x, level);
        assert!(largest(&(changed - expected)) > 1e-3);
    }
    assert!(
        photo(3, true).init(1).unwrap()["stem.condition.weight"]
            .values
            .iter()
            .all(|&v| v == 0.0)
    );
}

/// Scaling `x` and its level together changes nothing, and neither does the guess: it is shown as it is at every level. Wrong: a
/// guess that is divided by `a`, or multiplied as the noisy picture is.
#[test]
fn the_guess_is_the_same_at_every_level() {
    let dims = Dims::new(3, 16, 16);
    let (x, guess, network) = (picture(1, 1, dims), picture(2, 1, dims), conditional());
    let ve = denoised(&network, &guess, &x, Level::ve(0.3));
    let vp = denoised(&network, &guess, &(&x * 0.5), Level { a: 0.5, b: 0.15 });
    assert!(largest(&(ve - vp)) < 1e-5);
}

/// Catches a guess that is not cut with its picture, or cut elsewhere; colour, grey and batches, and their gradients.
#[test]
fn tiles_leave_no_trace() {
    for (n, c, h, w) in [(1, 3, 150, 201), (1, 1, 97, 231), (2, 3, 101, 133)] {
        let draw = |seed| picture(seed, n, Dims::new(c, h, w));
        let (x, guess, v) = (draw(1), draw(2), draw(3));
        let level = Level { a: 0.7, b: 0.2 };
        let answers = |network: Network| {
            let given = network.given(&guess).unwrap();
            let (estimate, pullback) = given.denoise_with_pullback(&x, level).unwrap();
            let plain = given.denoise(&x, level).unwrap().x0;
            [estimate.x0, plain, pullback(&v).unwrap()]
        };
        let whole = answers(conditional());
        let tiled = answers(conditional().with_tile_pixels(100 * 100));
        for (whole, tiled) in whole.iter().zip(&tiled) {
            assert_eq!(whole.dim(), (n, c, h, w));
            let seam = largest(&(whole - tiled)) / largest(whole);
            assert!(seam < 2e-6, "{c}x{h}x{w}: {seam:e}");
        }
    }
}

/// `v . (D(x + h u) - D(x - h u)) / 2h = u . J^T v`, with the guess held still, of both architectures. Wrong: the gradient of the
/// guess in the place of the picture's, or both.
#[test]
fn the_pullback_is_that_of_the_picture() {
    for (network, c) in [(photo(3, true), 3), (photo(3, true), 1), (adm(), 3)] {
        let network = open(&model(network, Some(halved())));
        let draw = |seed| picture(seed, 1, Dims::new(c, 12, 20));
        let (x, guess, u, v) = (draw(1), draw(2), draw(3), draw(4));
        let (h, level) = (1e-2, Level { a: 0.7, b: 0.3 });
        let ahead = denoised(&network, &guess, &(&x + &u * h), level);
        let behind = denoised(&network, &guess, &(&x - &u * h), level);
        let slope = ((ahead - behind) * &v).mapv(f64::from).sum() / (2.0 * f64::from(h));
        let given = network.given(&guess).unwrap();
        let (estimate, pullback) = given.denoise_with_pullback(&x, level).unwrap();
        let pulled = (pullback(&v).unwrap() * &u).mapv(f64::from).sum();
        assert!(
            (slope - pulled).abs() < 2e-3 * slope.abs(),
            "{slope} {pulled} ({c})"
        );
        let plain = denoised(&network, &guess, &x, level);
        assert!(largest(&(estimate.x0 - plain)) < 1e-6);
    }
}

/// Each picture of a batch has its own guess, and a grey guess is shown three times over. Wrong: the first guess for all.
#[test]
fn every_picture_has_its_guess() {
    let network = conditional();
    let level = Level::ve(0.4);
    let colour = Dims::new(3, 16, 24);
    let (x, guess) = (picture(1, 2, colour), picture(2, 2, colour));
    let both = denoised(&network, &guess, &x, level);
    for k in 0..2 {
        let one = |of: &Image| of.slice(s![k..=k, .., .., ..]).to_owned();
        let alone = denoised(&network, &one(&guess), &one(&x), level);
        assert!(largest(&(one(&both) - alone)) < 2e-6);
    }
    let grey = Dims { c: 1, ..colour };
    let (x, guess) = (picture(3, 1, grey), picture(4, 1, grey));
    let coloured = |x: &Image| concatenate![Axis(1), *x, *x, *x];
    let expected = denoised(&network, &coloured(&guess), &coloured(&x), level);
    let expected = expected.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    assert!(largest(&(denoised(&network, &guess, &x, level) - expected)) < 1e-6);
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let dims = Dims::new(3, 16, 16);
    let (x, level) = (picture(1, 1, dims), Level::ve(0.3));
    let network = conditional();
    assert!(network.card().condition.is_some() && network.card().parts.is_none());
    let error = network.denoise(&x, level).unwrap_err();
    assert!(matches!(error, prior::Error::Conditional(_)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("downsample") && text.contains("sr3"),
        "{text}"
    );
    assert!(matches!(
        network.denoise_with_pullback(&x, level),
        Err(prior::Error::Conditional(_))
    ));
    let plain = open(&model(photo(3, false), None));
    assert!(matches!(plain.given(&x), Err(prior::Error::NoCondition)));
    assert!(network.given(&Image::zeros((1, 2, 16, 16))).is_err());
    let given = network.given(&x).unwrap();
    assert!(given.card().condition.is_none());
    for other in [(1, 3, 16, 8), (1, 1, 16, 16), (2, 3, 16, 16)] {
        assert!(
            given.denoise(&Image::zeros(other), level).is_err(),
            "{other:?}"
        );
    }
}

/// What a file says of its task comes back at both precisions; descriptions without sense are errors.
#[test]
fn model_files_say_what_they_were_trained_for() {
    let model = model(photo(3, true), Some(halved()));
    for precision in [Precision::F32, Precision::F16] {
        let back = Model::from_bytes(&model.to_bytes(precision).unwrap()).unwrap();
        assert_eq!(back.spec, model.spec);
        open(&back);
    }
    let spec = |network: Architecture, condition| {
        let edm = Parametrisation::Edm { sigma_data: 0.5 };
        ModelSpec {
            condition,
            ..ModelSpec::new(network, edm, [0.002, 80.0])
        }
        .check()
    };
    let file = trained_for(json!({ "kind": "blur", "kernel": "k.txt" }));
    for (network, condition, part) in [
        (photo(3, false), Some(halved()), "twice the channels"),
        (photo(3, true), None, "first guess"),
        (photo(3, true), Some(file), "k.txt"),
        (
            photo(3, true),
            Some(TrainedFor {
                noise: [0.2, 0.1],
                ..halved()
            }),
            "noise",
        ),
    ] {
        let error = spec(network, condition).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    let both = PhotoConfig {
        maps: true,
        condition: true,
        ..PhotoConfig::default()
    };
    assert!(both.init(0).is_err());
}

/// The exact posterior of pixels of which the guess is the mean, as a conditional prior.
#[derive(Debug)]
struct Known {
    card: Card,
    guess: Option<Image>,
}

/// The posterior's variance.
const V: f64 = 0.01;

impl Prior for Known {
    fn card(&self) -> &Card {
        &self.card
    }

    fn given(&self, guess: &Image) -> Result<Box<dyn Prior + '_>, prior::Error> {
        Ok(Box::new(Known {
            card: Card {
                condition: None,
                ..self.card.clone()
            },
            guess: Some(guess.clone()),
        }))
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, prior::Error> {
        let mean = self.guess.as_ref().expect("only then is it asked");
        let gain = level.a * V / (level.a * level.a * V + level.b * level.b);
        Ok((mean + &((x - &(mean * level.a as f32)) * gain as f32)).into())
    }
}

fn known() -> Known {
    let card = Card {
        channels: vec![1],
        sigma: [1e-3, 40.0],
        condition: Some(trained_for(json!({ "kind": "identity" }))),
        ..Card::any()
    };
    Known { card, guess: None }
}

/// Draws by two samplers have the posterior's mean and variance, in each place its own, and one evaluation is the mean. Wrong: a
/// guess that the prior is not given, a mean that is a draw, draws of the prior alone.
#[test]
fn draws_have_the_law_that_was_learned() {
    let dims = Dims::new(1, 100, 100);
    let y = Image::from_shape_fn(dims.batch(2), |(k, _, i, _)| {
        0.1 + 0.2 * k as f32 + 0.005 * i as f32
    });
    let problem = Problem::new(y.clone(), Box::new(Identity::new(dims).unwrap()), 0.0).unwrap();
    let prior = known();
    let solve = |method: &Sr3| {
        let mut run = Run::new(1);
        let x = method.restore(&prior, &problem, &mut run).unwrap().x;
        assert_eq!(
            run.nfe(),
            method::Settings::from(method.clone()).nfe(prior.card())
        );
        assert!(run.notes().is_empty());
        x - &y
    };
    let mean = solve(&Sr3 {
        answer: Answer::Mean,
        ..Sr3::default()
    });
    // What noise of 40 still tells of a pixel has a deviation of V/40, of which 20000 pixels are within 6.
    assert!(largest(&mean) < 6.0 * V as f32 / 40.0);
    let edm = Edm {
        grid: Grid::all(Schedule::edm(30)),
        ..Edm::default()
    };
    let ddpm = Ddpm {
        clamp: false,
        ..Ddpm::default()
    };
    for sampler in [edm.into(), ddpm.into()] {
        let off = solve(&Sr3 {
            answer: Answer::Draw,
            sampler: Box::new(sampler),
        });
        for off in off.outer_iter() {
            // Standard errors are 0.001 and 1.4 %.
            let (mean, square) = (
                off.mean().unwrap(),
                off.mapv(|v| f64::from(v).powi(2)).mean().unwrap(),
            );
            assert!(mean.abs() < 0.004, "{mean}");
            assert!((square / V - 1.0).abs() < 0.06, "{square}");
        }
    }
}

/// A conditional prior answers one method and one task, and others are told so in a line; that method wants such a prior. Wrong:
/// a task of the same name and sizes that is another.
#[test]
fn another_task_or_method_is_refused() {
    let dims = Dims::new(3, 16, 16);
    let network = conditional();
    let problem = |operator: Box<dyn Operator>| {
        let y = picture(1, 1, operator.output());
        Problem::new(y, operator, 0.0).unwrap()
    };
    let halved = || Box::new(Downsample::bicubic(dims, 2).unwrap());
    let restore = |name: &str, prior: &dyn Prior, problem: &Problem| {
        let settings = method::Settings::named(name).unwrap().with_steps(2);
        settings.as_dyn().restore(prior, problem, &mut Run::new(1))
    };
    assert!(restore("sr3", &network, &problem(halved())).is_ok());
    for name in method::Settings::NAMES
        .iter()
        .filter(|name| **name != "sr3")
    {
        let error = restore(name, &network, &problem(halved())).unwrap_err();
        assert!(matches!(error, Error::Unfit(_)), "{name}: {error}");
        assert!(error.to_string().contains("sr3 does"), "{name}: {error}");
    }
    let others: [Box<dyn Operator>; 3] = [
        Box::new(Downsample::average(dims, 2).unwrap()),
        Box::new(Downsample::bicubic(dims, 4).unwrap()),
        Box::new(Identity::new(dims).unwrap()),
    ];
    for operator in others {
        let name = operator.name();
        let error = restore("sr3", &network, &problem(operator))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("trained to undo `downsample`") && error.contains(name),
            "{error}"
        );
    }
    let plain = open(&model(photo(3, false), None));
    let error = restore("sr3", &plain, &problem(halved())).unwrap_err();
    assert!(error.to_string().contains("conditional"), "{error}");
    let Error::Lacks { fitting, .. } = error else {
        panic!("{error}");
    };
    assert!(fitting.contains(&"diffpir") && !fitting.contains(&"sr3"));
    assert_eq!(method::fitting(network.card(), halved().as_ref()), ["sr3"]);
}

/// Noise that training did not show is told of. Wrong: rounding to 8 bits taken for it.
#[test]
fn unknown_noise_is_told_of() {
    let dims = Dims::new(1, 8, 8);
    for (sigma, told) in [(0.0, false), (0.003, false), (0.05, true)] {
        let operator = Box::new(Identity::new(dims).unwrap());
        let problem = Problem::new(picture(1, 1, dims), operator, sigma).unwrap();
        let mut run = Run::new(1);
        Sr3::default()
            .restore(&known(), &problem, &mut run)
            .unwrap();
        assert_eq!(
            run.notes().iter().any(|n| n.contains("12.8/255")),
            told,
            "{sigma}"
        );
    }
}
