//! What every operator promises, linear or not: derivatives that are derivatives, bounds that bound, guesses that can be used.

use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Entry, Operator, Spec, norm_at};
use tweedie::{Dims, Image};

const DIMS: Dims = Dims::new(3, 12, 10);

/// Those of the list, with some whose example shows only a part of them.
fn all() -> Vec<(String, Box<dyn Operator>)> {
    let more = [
        "kind = 'phase'\ndiffraction = { of = 'fourier' }",
        "kind = 'phase'\ndiffraction = { of = 'coded', masks = 1, seed = 3 }",
        "kind = 'hdr'\ngain = 3.0\npivot = 0.0",
        "kind = 'nonlinear-blur'\nkernel = 'box:3'\nboundary = 'unknown'\ngain = 1.5",
        "kind = 'varying-blur'\nkernels = [['box:3', 'gaussian:1,0.5,30']]\nboundary = 'unknown'",
        "kind = 'compose'\nsteps = [{ kind = 'hdr' }, { kind = 'blur', kernel = 'box:3' }]",
        "kind = 'stack'\nof = [{ kind = 'hdr' }, { kind = 'hdr', pivot = 0.0 }]",
    ];
    let example = |entry: &Entry| {
        // Blocks that reach beyond the picture have numbers which it does not tell.
        let dims = match entry.name {
            "jpeg" => Dims::new(3, 16, 32),
            _ => DIMS,
        };
        (entry.name.to_owned(), entry.example(dims))
    };
    let spec = |text: &&str| {
        let spec: Spec = toml::from_str(text).unwrap();
        ((*text).to_owned(), spec.build(DIMS).unwrap())
    };
    let listed = Spec::LIST.iter().map(example);
    listed.chain(more.iter().map(spec)).collect()
}

/// Pictures that are neither black nor white anywhere.
fn picture(seed: u64, dims: Dims) -> Image {
    Seeded::new(seed, "test")
        .normal(1, dims)
        .mapv(|v| 0.5 + 0.1 * v.clamp(-3.0, 3.0))
}

fn dot(a: &Image, b: &Image) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

/// `<A(x + h v) - A(x - h v), u>/2h = <v, J^T u>`, for directions of small numbers. Of rounded numbers no difference tells: there it is
/// that of what is rounded, `u` itself. Wrong: a factor left out, a derivative of another point.
#[test]
fn vjps_are_transposed_derivatives() {
    for (name, operator) in all() {
        let x = picture(1, operator.input());
        let u = Seeded::new(2, "test").normal(1, operator.output());
        let pulled = operator.vjp(&x, &u);
        if operator.quantised().is_some() {
            assert_eq!(pulled, u, "{name}");
            continue;
        }
        if let Some(binned) = operator.binned() {
            assert_eq!(pulled, binned.before().adjoint(&u), "{name}");
            continue;
        }
        let v = Seeded::new(3, "test").normal(1, operator.input());
        let step = 1.0 / 512.0;
        let ahead = operator.apply(&(&x + &(&v * step)));
        let behind = operator.apply(&(&x - &(&v * step)));
        let slope = (ahead - behind) / (2.0 * step);
        let (left, right) = (dot(&slope, &u), dot(&v, &pulled));
        let size = dot(&slope, &slope).sqrt() * dot(&u, &u).sqrt();
        // What bends within a step, as magnitudes near 0 and numbers near a limit do.
        let near = if operator.linear().is_some() {
            1e-4
        } else {
            0.02
        };
        assert!(
            (left - right).abs() < near * size,
            "{name}: {left} is not {right}"
        );
    }
}

/// No operator is steeper than it says.
#[test]
fn bounds_hold() {
    for (name, operator) in all() {
        let Some(bound) = operator.lipschitz() else {
            continue;
        };
        for seed in 0..3 {
            let found = norm_at(operator.as_ref(), &picture(seed, operator.input()), 20);
            assert!(found < 1.02 * bound, "{name}: {found}, not below {bound}");
        }
    }
}

/// What explains a measurement stays; what does not explains it better afterwards. A guess is finite, of the right size, and explains
/// the measurement better than an even grey. Wrong: a guess that is not an inverse, a step the other way.
#[test]
fn what_is_consistent_explains_the_measurement() {
    for (name, operator) in all() {
        let x = picture(1, operator.input());
        let y = operator.apply(&x);
        let left = |x: &Image| {
            let off = operator.apply(x) - &y;
            dot(&off, &off).sqrt()
        };
        let grey = Image::from_elem(x.raw_dim(), 0.5);
        let scale = left(&grey);
        assert!(left(&operator.consistent(&y, &x)) < 1e-3 * scale, "{name}");
        let guess = operator.guess(&y);
        assert!(
            guess.dim() == x.dim() && guess.iter().all(|v| v.is_finite()),
            "{name}"
        );
        let near = operator.consistent(&y, &picture(2, operator.input()));
        let far = left(&picture(2, operator.input()));
        assert!(left(&near) < 0.95 * far, "{name}: {} of {far}", left(&near));
    }
}

/// Pictures of a batch do not see each other.
#[test]
fn batches_are_pictures_side_by_side() {
    for (name, operator) in all() {
        let (a, b) = (picture(1, operator.input()), picture(2, operator.input()));
        let both = ndarray::concatenate(ndarray::Axis(0), &[a.view(), b.view()]).unwrap();
        let join = |a: Image, b: Image| {
            ndarray::concatenate(ndarray::Axis(0), &[a.view(), b.view()]).unwrap()
        };
        let y = operator.apply(&both);
        assert_eq!(y, join(operator.apply(&a), operator.apply(&b)), "{name}");
        let (one, other) = (operator.apply(&a), operator.apply(&b));
        let pulled = join(operator.vjp(&a, &other), operator.vjp(&b, &one));
        let swapped = join(other.clone(), one.clone());
        assert_eq!(operator.vjp(&both, &swapped), pulled, "{name}");
        let guessed = join(operator.guess(&one), operator.guess(&other));
        assert_eq!(operator.guess(&y), guessed, "{name}");
    }
}
