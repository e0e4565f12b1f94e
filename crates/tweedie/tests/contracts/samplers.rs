//! What every sampler keeps to, with a prior for pictures.

use tweedie::noise::Seeded;
use tweedie::run::Run;
use tweedie::sampler::Settings;
use tweedie::{Dims, Image};

use crate::fixture::White;

const PICTURE: Dims = Dims::new(1, 40, 50);

fn few(name: &str) -> Settings {
    let steps = if name == "rk45" { 100 } else { 6 };
    Settings::named(name).unwrap().with_steps(steps)
}

/// The same bits at one thread and at two. Wrong: sums that depend on how work is split.
#[test]
fn threads_do_not_matter() {
    let on = |threads: usize, settings: &Settings| -> Image {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let draw = || {
            settings
                .as_dyn()
                .sample(&White::any(), 2, PICTURE, &mut Run::new(4))
        };
        pool.build().unwrap().install(draw).unwrap()
    };
    for name in Settings::NAMES {
        let settings = few(name);
        assert!(on(1, &settings) == on(2, &settings), "{name}");
    }
}

/// Picture 2 of a batch is the same alone. Wrong: norms, step lengths or acceptances over the whole batch.
#[test]
fn pictures_of_a_batch_do_not_see_each_other() {
    for name in Settings::NAMES {
        let settings = few(name);
        let draw = |first: usize, n: usize| {
            let noise = Seeded::new(4, "method").from_picture(first);
            let mut run = Run::with(noise, ());
            settings
                .as_dyn()
                .sample(&White::any(), n, PICTURE, &mut run)
                .unwrap()
        };
        let (all, alone) = (draw(0, 3), draw(2, 1));
        assert!(all.slice(ndarray::s![2..3, .., .., ..]) == alone, "{name}");
    }
}
