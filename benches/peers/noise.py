"""Denoising by default on noise as files have it, beside the best level that a search finds, and beside BM3D.

    python noise.py TWEEDIE FOLDER [EVERY [SIDE]]

Of the clean pictures in FOLDER every EVERY-th, or the middle SIDE by SIDE pixels of it, is given noise of 25/255 (or noise that grows with brightness) and saved in ten
ways, JPEGs as the files that they are. Prints, for each, the mean gain in dB over the input: of `tweedie denoise` when nothing is said, of the best single
`--noise` for each picture, and of BM3D at the best of four levels for each way, by the first four pictures. Needs numpy, scipy, pillow and
bm3d.
"""

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import bm3d
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "noise"))
from examples import demosaiced, resized, rounded  # noqa: E402

SIGMA, LAW = 25 / 255, (0.0005, 0.01)
LEVELS = {"jpeg": (16, 18, 20, 22, 25, 28), "poisson": (12, 14, 16, 18, 20, 23), "": (19, 22, 25, 28, 31)}
BM3D = {"jpeg": (20, 24, 28, 33), "poisson": (14, 17, 20, 24), "": (22, 26, 30, 36)}
QUALITIES = [(q, s) for s in (2, 0) for q in (95, 90, 75)]


def file(y, kind="PNG", **settings):
    file = io.BytesIO()
    Image.fromarray(rounded(y)).save(file, kind, **settings)
    return file.getvalue()


def ways(x, seed):
    """Name, the file that was saved, and the truth."""
    white = lambda n: x + np.random.default_rng([seed, n]).normal(0, SIGMA, x.shape)
    for i, (quality, subsampling) in enumerate(QUALITIES):
        kind = "4:2:0" if subsampling else "4:4:4"
        yield f"jpeg {quality} {kind}", file(white(i), "JPEG", quality=quality, subsampling=subsampling), x
    yield "demosaiced", file(demosaiced(white(10))), x
    size = (int(x.shape[1] * 1.5), int(x.shape[0] * 1.5))
    y = resized(rounded(white(11)) / 255, size, Image.BICUBIC)
    yield "enlarged by 1.5", file(y), np.clip(resized(x, size, Image.BICUBIC), 0, 1)
    grey = np.repeat((x @ [0.299, 0.587, 0.114])[..., None], 3, -1)
    noise = np.random.default_rng([seed, 12]).normal(0, SIGMA, x.shape[:2])[..., None]
    yield "grey as RGB", file(grey + noise), grey
    a, b = LAW
    noise = np.random.default_rng([seed, 13]).normal(0, 1, x.shape)
    yield "poisson", file(x + noise * np.sqrt(a + b * x)), x


def psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2))


def load(path, side=None):
    picture = Image.open(path).convert("RGB")
    if side:
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    return np.asarray(picture) / 255


def levels(of, way):
    return next(levels for kind, levels in of.items() if way.startswith(kind))


def by_bm3d(y, way, level):
    if way.startswith("grey"):
        return np.repeat(np.clip(bm3d.bm3d(y[..., 0], level / 255), 0, 1)[..., None], 3, -1)
    return np.clip(bm3d.bm3d_rgb(y, level / 255), 0, 1)


def bm3d_gains(pictures, way):
    def gains(pictures, level):
        return [psnr(by_bm3d(y, way, level), truth) - psnr(y, truth) for y, truth in pictures]

    first = {level: gains(pictures[:4], level) for level in levels(BM3D, way)}
    best = max(first, key=lambda level: np.mean(first[level]))
    return first[best] + gains(pictures[4:], best)


def main(tweedie, folder, every="1", side="0"):
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in (".png", ".jpg", ".bmp", ".tif"))
    gains = {}
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        truths = {}
        for k, path in enumerate(paths[:: int(every)]):
            for way, saved, truth in ways(load(path, int(side)), k):
                name = f"{len(truths):05}"
                truths[name] = (way, load(io.BytesIO(saved)), truth)
                (work / "in" / way).mkdir(parents=True, exist_ok=True)
                kind = "jpg" if way.startswith("jpeg") else "png"
                (work / "in" / way / f"{name}.{kind}").write_bytes(saved)
        for folder in sorted((work / "in").iterdir()):
            way = folder.name
            for level in (None, *levels(LEVELS, way)):
                noise = [] if level is None else ["--noise", f"{level}/255"]
                out = work / "out"
                command = [tweedie, "denoise", folder, "-o", out, "--json", "--force", "--format", "png", *noise]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                for line in done.stdout.splitlines():
                    result = Path(json.loads(line)["output"])
                    _, y, truth = truths[result.stem.split(".")[0]]
                    gain = psnr(load(result), truth) - psnr(y, truth)
                    gains.setdefault((way, level), []).append(gain)
            mine = [(y, truth) for kind, y, truth in truths.values() if kind == way]
            oracle = np.max([gains[way, level] for level in levels(LEVELS, way)], axis=0)
            peer = np.mean(bm3d_gains(mine, way))
            print(f"| {way} | {np.mean(gains[way, None]):.2f} | {oracle.mean():.2f} | {peer:.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
