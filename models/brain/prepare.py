#!/usr/bin/env python3
"""Prepare the slices of the brain prior.

    python models/brain/prepare.py SLICES OUT_DIR

SLICES holds the brain tumour dataset of Jun Cheng (figshare 1512427, CC-BY-4.0),
either its own files (`1.mat` to `3064.mat`, 512x512, which need h5py) or
pictures of them that are named by the same numbers (`0001.jpg`, any format
that Pillow reads).  Slices are brought to 256x256, the brightest
pixel of each to 255, and written as 8-bit greys:

    OUT_DIR/train/*.png    to learn from
    OUT_DIR/valid/*.png    to choose the best weights by
    OUT_DIR/test/*.png     for tables; never looked at in training

Neighbouring numbers are slices of one patient, so the three are told apart by
number, and what lies within 20 numbers of a border is left out.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from PIL import Image

# The numbers held out, from each of the dataset's three tumours.
VALID = [(401, 480), (1401, 1480), (2401, 2480)]
TEST = [(801, 880), (1801, 1880), (2801, 2880)]
# A patient has at most so many slices.
GAP = 20
SIDE = 256


def part(number):
    """Where a slice belongs, or None if it may show a patient of two parts."""
    for name, ranges in (("valid", VALID), ("test", TEST)):
        for first, last in ranges:
            if first <= number <= last:
                return name
            if first - GAP <= number <= last + GAP:
                return None
    return "train"


def read(path):
    """A slice as greys in [0, 1]."""
    if path.suffix == ".mat":
        import h5py

        with h5py.File(path) as file:
            pixels = np.array(file["cjdata/image"], dtype=float).T
    else:
        pixels = np.array(Image.open(path).convert("L"), dtype=float)
    pixels = np.maximum(pixels, 0) / max(pixels.max(), 1)
    factor = pixels.shape[0] // SIDE
    if factor > 1 and pixels.shape == (factor * SIDE, factor * SIDE):
        pixels = pixels.reshape(SIDE, factor, SIDE, factor).mean((1, 3))
    return pixels / max(pixels.max(), 1e-9)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.out.exists():
        parser.error(f"{arguments.out} exists already")
    numbered = sorted(p for p in arguments.slices.iterdir() if re.fullmatch(r"\d+", p.stem))
    if not numbered:
        parser.error(f"{arguments.slices} holds no file that is named by a number")
    counts = {"train": 0, "valid": 0, "test": 0}
    for name in counts:
        (arguments.out / name).mkdir(parents=True)
    for path in numbered:
        name = part(int(path.stem))
        if name is None:
            continue
        pixels = read(path)
        if pixels.shape != (SIDE, SIDE):
            continue
        counts[name] += 1
        picture = Image.fromarray(np.round(255 * pixels).astype(np.uint8))
        picture.save(arguments.out / name / f"{int(path.stem):04d}.png")
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
