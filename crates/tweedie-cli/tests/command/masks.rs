//! The built command and masks: as editors save them, as people mistake them, and what becomes of the pixels beside the holes.

use ndarray::{Array2, s};
use tweedie::Image;
use tweedie::image::{Depth, Picture};

use crate::place::{Place, photo};

/// An EXIF block that says nothing but "turn me a quarter to the right".
const ON_ITS_SIDE: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

const H: usize = 40;
const W: usize = 56;

/// A folder with `clean.png`, a 40x56 part of a photograph.
fn place() -> Place {
    Place::with(part())
}

fn part() -> Image {
    photo(70..70 + H, 130..130 + W)
}

/// A disk that is to be filled.
fn hole() -> Array2<bool> {
    Array2::from_shape_fn((H, W), |(i, j)| {
        (i as f32 - 17.0).hypot(j as f32 - 30.0) < 5.3
    })
}

/// A mask of `hole` in two colours.
fn mask(hole: &Array2<bool>, paint: [f32; 3], background: [f32; 3]) -> Picture {
    let (h, w) = hole.dim();
    Picture::new(Image::from_shape_fn((1, 3, h, w), |(_, c, i, j)| {
        if hole[[i, j]] {
            paint[c]
        } else {
            background[c]
        }
    }))
}

const WHITE: [f32; 3] = [1.0; 3];
const BLACK: [f32; 3] = [0.0; 3];

/// Whatever the mask is made of, the same is filled. Wrong: brightness above one half, which fills nothing of 0 and 1, of dark
/// red and of red, and all of a white layer.
#[test]
fn masks_as_editors_save_them() {
    let p = place();
    let hole = hole();
    let alpha = hole.mapv(|m| if m { 1.0 } else { 0.0 });
    let red = [0.9, 0.1, 0.1];
    p.save("plain.png", &mask(&hole, WHITE, BLACK));
    p.save("one.png", &mask(&hole, [1.0 / 255.0; 3], BLACK));
    p.save(
        "palette.png",
        &mask(&hole, [128.0 / 255.0, 0.0, 0.0], BLACK),
    );
    p.save("red.png", &mask(&hole, red, BLACK));
    p.save("plain.jpg", &mask(&hole, WHITE, BLACK));
    p.save("black.png", &mask(&hole, BLACK, WHITE));
    for (name, paint) in [("layer.png", WHITE), ("brush.png", red), ("ink.png", BLACK)] {
        let mut layer = mask(&hole, paint, paint);
        layer.alpha = Some(alpha.clone());
        p.save(name, &layer);
    }
    // Stored a quarter turn to the left of how it is to be seen.
    let left = Array2::from_shape_fn((W, H), |(i, j)| hole[[j, W - 1 - i]]);
    let mut side = mask(&left, WHITE, BLACK);
    side.exif = Some(ON_ITS_SIDE.to_vec());
    p.save("side.png", &side);
    let line = "inpaint clean.png --steps 2 --force --noise 0 -o";
    let said = p.ok(&format!("{line} plain.out.png --mask plain.png"));
    let count = hole.iter().filter(|&&m| m).count();
    assert!(
        said.contains(&format!("fills {count} of 2240 pixels")),
        "{said}"
    );
    let expected = p.read("plain.out.png").pixels;
    assert!(expected != part());
    let names = "one.png palette.png red.png plain.jpg layer.png brush.png ink.png side.png";
    for name in names.split(' ') {
        p.ok(&format!("{line} x.png --mask {name}"));
        assert!(p.read("x.png").pixels == expected, "{name}");
    }
    p.ok(&format!("{line} x.png --mask black.png --holes black"));
    assert!(p.read("x.png").pixels == expected);
    let wrong = p.ok(&format!("{line} x.png --mask black.png"));
    assert!(wrong.contains("say --holes black"), "{wrong}");
    let grown = p.ok(&format!("{line} x.png --mask plain.png --grow 2"));
    assert!(!grown.contains(&format!("fills {count} of")), "{grown}");
}

#[test]
fn mistaken_masks_are_named() {
    let p = place();
    let nothing = Array2::from_elem((H, W), false);
    p.save("empty.png", &mask(&nothing, WHITE, BLACK));
    p.save("plain.png", &mask(&hole(), WHITE, BLACK));
    p.save("turned.png", &mask(&hole().t().to_owned(), WHITE, BLACK));
    let line = "inpaint clean.png -o x.png --mask";
    p.fails(&format!("{line} empty.png"), 1, "empty.png: marks nothing");
    p.fails(&format!("{line} turned.png"), 1, "it lies on its side");
    p.fails(
        &format!("{line} turned.png"),
        1,
        "56 x 40 (height x width), but the image is 40 x 56",
    );
    p.fails(
        &format!("{line} alpha"),
        1,
        "nothing in the picture is transparent",
    );
    p.fails(
        &format!("{line} box:4,4 --grow 2"),
        1,
        "--grow is for masks that are pictures",
    );
    p.fails(
        &format!("{line} alpha --holes black"),
        1,
        "--holes black is for masks",
    );
}

/// What was erased is filled and can be seen, by its own transparency or a mask; what is see-through beside it stays so. What is
/// known comes back bit by bit, also where it cannot be seen.
#[test]
fn what_is_filled_is_opaque_and_the_rest_untouched() {
    let p = place();
    let hole = hole();
    let mut erased = Picture::new(part());
    erased.alpha = Some(hole.mapv(|m| if m { 0.0 } else { 1.0 }));
    for ((_, _, i, j), v) in erased.pixels.indexed_iter_mut() {
        *v = if hole[[i, j]] { 0.0 } else { *v };
    }
    p.save("erased.png", &erased);
    p.ok("inpaint erased.png --mask alpha --steps 2 -o x.png");
    let filled = p.read("x.png");
    assert!(
        filled
            .alpha
            .is_none_or(|alpha| alpha.iter().all(|&a| a == 1.0))
    );
    untouched(&erased.pixels, &filled.pixels, &hole);
    assert!(
        filled
            .pixels
            .slice(s![0, .., 17, 30])
            .iter()
            .any(|&v| v > 0.1)
    );

    // Another part cannot be seen, and is no hole.
    let mut two = erased.clone();
    two.alpha
        .as_mut()
        .unwrap()
        .slice_mut(s![30.., ..8])
        .fill(0.0);
    p.save("two.png", &two);
    p.save("plain.png", &mask(&hole, WHITE, BLACK));
    p.ok("inpaint two.png --mask plain.png --steps 2 -o y.png");
    let filled = p.read("y.png");
    let alpha = filled.alpha.unwrap();
    assert_eq!(alpha.iter().filter(|&&a| a == 0.0).count(), 10 * 8);
    assert_eq!(alpha[[17, 30]], 1.0);
    untouched(&two.pixels, &filled.pixels, &hole);
}

/// Grey, 16 bits, and a JPEG that is turned by its EXIF. Wrong: numbers that go through the network and back.
#[test]
fn known_pixels_come_back_as_they_were() {
    let p = place();
    let hole = hole();
    p.save("plain.png", &mask(&hole, WHITE, BLACK));
    let grey = part().slice(s![.., 1..2, .., ..]).to_owned();
    let mut deep = Picture::new(part().mapv(|v| (0.9 * v + 0.03).min(1.0)));
    deep.depth = Depth::Sixteen;
    let turned = part()
        .permuted_axes([0, 1, 3, 2])
        .slice(s![.., .., ..;-1, ..])
        .to_owned();
    let mut side = Picture::new(turned);
    side.exif = Some(ON_ITS_SIDE.to_vec());
    p.save("grey.png", &Picture::new(grey));
    p.save("deep.png", &deep);
    p.save("side.jpg", &side);
    for name in ["clean.png", "grey.png", "deep.png", "side.jpg"] {
        p.ok(&format!(
            "inpaint {name} --mask plain.png --steps 2 -o x.png --force"
        ));
        let (before, after) = (p.read(name), p.read("x.png"));
        assert_eq!(
            (before.dims(), before.depth),
            (after.dims(), after.depth),
            "{name}"
        );
        untouched(&before.pixels, &after.pixels, &hole);
    }
}

fn untouched(before: &Image, after: &Image, hole: &Array2<bool>) {
    let known = before
        .indexed_iter()
        .filter(|((_, _, i, j), _)| !hole[[*i, *j]]);
    let changed = known.filter(|(at, v)| **v != after[*at]).count();
    assert_eq!(changed, 0);
}
