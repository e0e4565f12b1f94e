//! Holes in large pictures: what lies far from them does not matter, and is not looked at.

use ndarray::s;
use tweedie::checkpoint::Model;
use tweedie::image::Picture;
use tweedie::operator::MaskSpec;
use tweedie::operator::mask::{BoxSpec, Extent};
use tweedie::prior::Network;
use tweedie::problem::Noise;
use tweedie::restore::{Choice, Job};
use tweedie::{Device, Image};

/// A 7x9 hole in a picture of 330x326 pixels is filled as in the whole picture, which `denoise_known` asks for. Beyond the
/// prior's reach a known pixel matters only through its own estimates, which weigh 1e-5 or less beside it but in the last step:
/// what is left is rounding, 1e-5. Wrong: a margin of 40 pixels, which differs by 4e-4.
#[test]
fn what_is_far_from_a_hole_does_not_matter() {
    let photo = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/photos/chelsea.png"
    );
    let small = tweedie::image::read(photo).unwrap().pixels;
    let large = Image::from_shape_fn((1, 3, 330, 326), |(_, c, i, j)| {
        let mirrored = |i: usize| if i < 256 { i } else { 511 - i };
        small[[0, c, mirrored(i), mirrored(j)]]
    });
    let hole = BoxSpec {
        height: Extent::Pixels(7),
        width: Extent::Pixels(9),
        top: Some(Extent::Pixels(150)),
        left: Some(Extent::Pixels(163)),
        outside: false,
    };
    let mut job = Job::new(MaskSpec::Box(hole).into());
    job.noise = Some(Noise::Exact);
    job.method = Choice::Named("dpir".into());
    job.steps = Some(4);
    let prior = Network::new(&Model::photo().unwrap(), &Device::default()).unwrap();
    let picture = Picture::new(large);
    let mut solve = |whole| {
        job.denoise_known = whole;
        let ready = job
            .prepare(&picture, tweedie::prior::Prior::card(&prior))
            .unwrap();
        ready.solve(&prior, ()).unwrap().0.restored.x
    };
    let (part, whole) = (solve(false), solve(true));
    let inside = s![.., .., 150..157, 163..172];
    let change = (&part - &picture.pixels).slice(inside).mapv(f32::abs).sum();
    assert!(change > 1.0, "nothing was filled: {change}");
    let far = (&part - &whole)
        .slice(inside)
        .fold(0.0, |far: f32, d| far.max(d.abs()));
    assert!(far < 1e-5, "{far}");
}
