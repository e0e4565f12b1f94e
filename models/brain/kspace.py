#!/usr/bin/env python3
"""Turn a scanner's k-space into an array that `tweedie restore` reads.

    python models/brain/kspace.py SCAN.h5 -o y.npy [--slice N] [--crop HEIGHTxWIDTH]
    tweedie restore y.npy --operator mri --coils calibrated -o head.png

SCAN is a fastMRI file (dataset `kspace`), an ISMRMRD file with Cartesian
acquisitions (dataset `dataset/data`), or a `.npy` array of k-space, complex,
[coils, height, width] or [height, width].  What was not sampled is 0 in all of
them.  The result is [coils, height, width], complex64, with the origin in the
middle, scaled so that the picture of all coils peaks near 1 (what a percent of a
percent of its pixels exceed).  --crop keeps the middle of the picture, as the
oversampled readout of most scanners wants; it needs whole columns.

Needs numpy, and h5py for .h5 files.
"""

import argparse
import re
from pathlib import Path

import numpy as np


def transform(x, there):
    """Centred orthonormal Fourier transform of the last two axes."""
    x = np.fft.ifftshift(x, (-2, -1))
    x = (np.fft.fft2 if there else np.fft.ifft2)(x, norm="ortho")
    return np.fft.fftshift(x, (-2, -1))


def ismrmrd(file, wanted):
    """One slice of Cartesian acquisitions, its lines in their places, repeated ones averaged."""
    header = file["dataset/xml"][0]
    header = header.decode() if isinstance(header, bytes) else str(header)
    encoded = re.search(r"<encodedSpace>.*?<matrixSize>.*?<x>(\d+)</x>.*?<y>(\d+)</y>", header, re.S)
    if encoded is None:
        raise SystemExit("the header names no matrix size of the encoded space")
    width, height = map(int, encoded.groups())
    centre = re.search(r"<kspace_encoding_step_1>.*?<center>(\d+)</center>", header, re.S)
    first = height // 2 - int(centre.group(1)) if centre else 0
    space, times = None, np.zeros(height)
    for acquisition in file["dataset/data"]:
        head, samples = acquisition["head"], acquisition["data"]
        # Bit 19 of the flags marks a line that measures noise alone.
        if int(head["flags"]) & (1 << 18) or int(head["idx"]["slice"]) != wanted:
            continue
        coils, n = int(head["active_channels"]), int(head["number_of_samples"])
        line = np.asarray(samples, np.float32).view(np.complex64).reshape(coils, n)
        if space is None:
            space = np.zeros((coils, height, width), np.complex64)
        row = first + int(head["idx"]["kspace_encode_step_1"])
        # An echo may begin late: its middle says where it lies.
        left = width // 2 - int(head["center_sample"])
        if not 0 <= row < height or left < 0 or left + n > width:
            raise SystemExit("a line lies outside of the encoded space: is the scan Cartesian?")
        space[:, row, left : left + n] += line
        times[row] += 1
    if space is None:
        raise SystemExit(f"there is no line of slice {wanted}")
    return space / np.maximum(times, 1)[:, None]


def read(path, wanted):
    """k-space of one slice, [coils, height, width]."""
    if path.suffix == ".npy":
        return np.load(path)
    try:
        import h5py
    except ImportError:
        raise SystemExit("h5py reads .h5 files: pip install h5py") from None
    try:
        with h5py.File(path) as file:
            if "kspace" in file:
                return file["kspace"][wanted]
            if "dataset" in file and "data" in file["dataset"]:
                return ismrmrd(file, wanted)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SystemExit(f"{path} cannot be read: {error}") from None
    raise SystemExit(f"{path} holds neither `kspace` (fastMRI) nor `dataset/data` (ISMRMRD)")


def cropped(space, height, width):
    """k-space of the middle of the picture."""
    sampled = (space != 0).any(0)
    if height < space.shape[1] and (sampled != sampled.any(0)).any():
        raise SystemExit("--crop cuts rows, and needs columns that are sampled whole")
    if width < space.shape[2] and (sampled != sampled.any(1, keepdims=True)).any():
        raise SystemExit("--crop cuts columns, and needs rows that are sampled whole")
    picture = transform(space, False)
    _, h, w = picture.shape
    top, left = h // 2 - height // 2, w // 2 - width // 2
    return transform(picture[:, top : top + height, left : left + width], True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--slice", type=int, default=0)
    parser.add_argument("--crop", help="HEIGHTxWIDTH of the picture that is kept")
    arguments = parser.parse_args()
    space = np.asarray(read(arguments.scan, arguments.slice))
    if space.ndim == 2:
        space = space[None]
    if space.ndim != 3 or not np.iscomplexobj(space):
        raise SystemExit(f"k-space is complex, [coils, height, width], not {space.dtype} {space.shape}")
    sampled = (space != 0).any(0)
    if arguments.crop:
        height, width = map(int, arguments.crop.split("x"))
        columns, rows = sampled.all(0), sampled.all(1)
        space = cropped(space, height, width)
        # The transform leaves round-off where nothing was sampled.
        if len(columns) == space.shape[2]:
            space[:, :, ~columns] = 0
        elif len(rows) == space.shape[1]:
            space[:, ~rows] = 0
        sampled = (space != 0).any(0)
    size = np.sqrt((np.abs(transform(space, False)) ** 2).sum(0))
    peak = np.quantile(size, 0.9999)
    if not np.isfinite(peak) or peak <= 0:
        raise SystemExit("k-space holds nothing, or numbers that are none")
    np.save(arguments.output, (space / peak).astype(np.complex64))
    coils, h, w = space.shape
    print(f"{coils} coils, {h} x {w}, {100 * sampled.mean():.1f} % sampled, divided by {peak:.3e}")


if __name__ == "__main__":
    main()
