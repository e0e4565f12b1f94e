"""Demosaicing beside the demosaicing of a library.

    python demosaic.py TWEEDIE FOLDER

Of each picture in FOLDER, whose sides are made even, one colour of each pixel is kept (RGGB, 8 bits, no noise). Prints the mean
PSNR in dB, six pixels at the edges left out, of: bilinear interpolation; the same denoised at the best of five levels; Malvar,
He and Cutler 2004; Menon, Andriani and Calvagno 2007 (both of PyPI's `colour-demosaicing`);
`tweedie demosaic --method exact`, which evaluates the prior once; and `tweedie demosaic` when nothing is said.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from colour_demosaicing import (
    demosaicing_CFA_Bayer_bilinear,
    demosaicing_CFA_Bayer_Malvar2004,
    demosaicing_CFA_Bayer_Menon2007,
)
from PIL import Image

LEVELS = (2, 4, 6, 9, 13)


def load(path):
    return np.asarray(Image.open(path).convert("RGB")) / 255


def save(x, path):
    Image.fromarray(np.clip(np.round(255 * x), 0, 255).astype(np.uint8)).save(path)


def psnr(a, b):
    a, b = (np.clip(np.round(255 * x), 0, 255)[6:-6, 6:-6] for x in (a, b))
    return 20 * np.log10(255) - 10 * np.log10(np.mean((a - b) ** 2))


def main(tweedie, folder):
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in (".png", ".jpg", ".bmp", ".tif"))
    rows = {}
    with tempfile.TemporaryDirectory() as work:
        truth, raw, out = (Path(work) / name for name in ("truth.png", "raw.png", "out.png"))

        def run(*arguments):
            subprocess.run([tweedie, *arguments, "-o", out, "--force"], check=True, capture_output=True)
            return load(out)

        for path in paths:
            x = load(path)
            x = x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2]
            y = np.zeros(x.shape[:2])
            for i, j, c in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
                y[i::2, j::2] = x[i::2, j::2, c]
            save(y, raw)
            bilinear = demosaicing_CFA_Bayer_bilinear(y, "RGGB")
            save(bilinear, truth)
            denoised = [run("denoise", truth, "--noise", f"{level}/255") for level in LEVELS]
            answers = {
                "bilinear": bilinear,
                "bilinear, denoised at the best of five levels": max(denoised, key=lambda d: psnr(d, x)),
                "Malvar 2004": demosaicing_CFA_Bayer_Malvar2004(y, "RGGB"),
                "Menon 2007": demosaicing_CFA_Bayer_Menon2007(y, "RGGB"),
                "exact": run("demosaic", raw, "--pattern", "rggb", "--noise", "0", "--method", "exact"),
                "default": run("demosaic", raw, "--pattern", "rggb"),
            }
            for name, answer in answers.items():
                rows.setdefault(name, []).append(psnr(answer, x))
            print(path.name, {name: round(gains[-1], 2) for name, gains in rows.items()}, file=sys.stderr)
    for name, values in rows.items():
        print(f"| {name} | {np.mean(values):.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
