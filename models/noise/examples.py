"""Examples for the noise regression: what blocks of a noisy picture show, and the noise that it has.

    python examples.py PHOTOGRAPHS SEED COUNT OUT.npz

Needs numpy, scipy and pillow. What is looked at is what `crates/tweedie/src/noise_level/blocks.rs` looks at.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import convolve, gaussian_filter, median_filter

FILTERS = [Image.BICUBIC, Image.BILINEAR, Image.LANCZOS]
SIDE, MOST = 8, 12000
SUM = np.add.outer(range(SIDE), range(SIDE)).ravel()
BANDS = [(SUM >= 2) & (SUM <= 3), (SUM >= 4) & (SUM <= 6), SUM >= 7]
QUANTILES = [0.01, 0.03, 0.1, 0.25, 0.5, 0.75]
FLOOR = np.float32((0.2 / 255) ** 2)
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], float)
OPPONENT = (OPPONENT / np.linalg.norm(OPPONENT, axis=1, keepdims=True)).astype(np.float32)
wave = np.arange(SIDE)
DCT = np.sqrt(2 / SIDE) * np.cos(np.pi * (wave[None] + 0.5) * wave[:, None] / SIDE)
DCT[0] = np.sqrt(1 / SIDE)
DCT2 = np.kron(DCT, DCT).astype(np.float32)


def rounded(x):
    return np.clip(np.round(x * 255), 0, 255).astype(np.uint8)


def jpeg(x, quality, subsampling):
    file = io.BytesIO()
    Image.fromarray(rounded(x)).save(file, "JPEG", quality=quality, subsampling=subsampling)
    file.seek(0)
    return np.asarray(Image.open(file)).astype(float) / 255


def demosaiced(x):
    """Through a Bayer filter, and bilinearly back."""
    seen = np.zeros_like(x)
    seen[0::2, 0::2, 0] = seen[0::2, 1::2, 1] = seen[1::2, 0::2, 1] = seen[1::2, 1::2, 2] = 1
    sparse = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    dense = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    planes = [convolve(x[..., c] * seen[..., c], dense if c == 1 else sparse, mode="mirror") for c in range(3)]
    return np.stack(planes, -1)


def resized(x, size, kind):
    planes = [Image.fromarray(x[..., c].astype(np.float32)).resize(size, kind) for c in range(x.shape[2])]
    return np.stack([np.asarray(p) for p in planes], -1).astype(float)


def blur(x, sigma):
    return gaussian_filter(x, (sigma, sigma, 0))


def with_noise(x, rng, kind, s):
    if kind == "white":
        return x + rng.normal(0, s, x.shape)
    if kind == "channels":
        return x + rng.normal(0, 1, x.shape) * s * rng.uniform(0.5, 1.6, 3)
    if kind == "poisson":
        r = rng.uniform(0, 0.5)
        variance = s * s * r + s * s * (1 - r) / 0.4 * np.clip(x, 0, 1)
        return x + rng.normal(0, 1, x.shape) * np.sqrt(variance)
    if kind == "grain":
        n = blur(rng.normal(0, 1, x.shape), rng.uniform(0.4, 1.3))
        n /= n.std()
        if rng.random() < 0.5:
            n = np.repeat(n.mean(-1, keepdims=True), 3, -1)
            n /= n.std()
        return x + s * n
    return x + np.repeat(rng.normal(0, s, x.shape[:2])[..., None], 3, -1)


def noisy(x, rng):
    """A picture as cameras, phones, scanners and the web make it, and the same without noise."""
    u, s, truth = rng.random(), np.exp(rng.uniform(np.log(1.0), np.log(60.0))) / 255, x
    clean = u < 0.25
    if u < 0.14:
        y = x
    elif u < 0.2:
        y = truth = blur(x, rng.uniform(0.5, 2.5))
    elif u < 0.25:
        h, w, _ = x.shape
        f = rng.choice([0.6, 0.75, 1.33, 1.5, 2.0, 3.0])
        y = truth = np.clip(resized(x, (int(w * f), int(h * f)), FILTERS[rng.integers(3)]), 0, 1)
    elif u < 0.32:
        return jpeg(x, int(rng.integers(8, 97)), int(rng.choice([0, 2, 2]))), truth
    else:
        kinds = ["white", "channels", "poisson", "grain", "luma"]
        kind = str(rng.choice(kinds, p=[0.37, 0.08, 0.3, 0.15, 0.1]))
        if rng.random() < 0.15:
            x = truth = blur(x, rng.uniform(0.4, 1.5))
        y = with_noise(x, rng, kind, s)
        if kind in ("white", "channels", "poisson") and rng.random() < 0.22:
            y = demosaiced(y)
        v = rng.random()
        if v < 0.1:
            y = blur(np.clip(y, 0, 1), rng.uniform(0.4, 1.0))
        elif v < 0.13:
            y = median_filter(np.clip(y, 0, 1), (3, 3, 1))
        elif v < 0.18:
            y = np.clip(y, 0, 1)
            y = y + rng.uniform(0.3, 1) * (y - blur(y, 1))
        if rng.random() < 0.25:
            h, w, _ = x.shape
            f = rng.choice([0.5, 0.67, 0.75, 1.25, 1.33, 1.5, 1.75, 2.0, 3.0])
            kind, size = FILTERS[rng.integers(3)], (int(w * f), int(h * f))
            y = resized(rounded(y) / 255.0, size, kind)
            truth = np.clip(resized(truth, size, kind), 0, 1)
    if rng.random() < (0.25 if clean else 0.5):
        return jpeg(y, int(rng.integers(60, 99)), int(rng.choice([0, 2, 2]))), truth
    return rounded(y) / 255.0, truth


def step(h, w):
    s = 3
    while ((h - SIDE) // s + 1) * ((w - SIDE) // s + 1) > MOST:
        s += 2
    return s


def blocks(x):
    """Of each block the levels `[n, 1 or 2, 3]`, their evenness, the mean and the saturated share."""
    h, w, c = x.shape
    s = step(h, w)
    v = np.lib.stride_tricks.sliding_window_view(x.astype(np.float32), (SIDE, SIDE), axis=(0, 1))
    v = v[::s, ::s].reshape(-1, c, SIDE * SIDE)
    saturated, mean = ((v <= 0) | (v >= 1)).mean(axis=(1, 2)), v.mean(axis=(1, 2))
    if c == 3:
        v = np.einsum("kc,ncj->nkj", OPPONENT, v, optimize=True)
    power = ((v.reshape(-1, SIDE * SIDE) @ DCT2.T) ** 2).reshape(-1, v.shape[1], SIDE * SIDE)
    logs = np.log(power + FLOOR)
    level = np.stack([power[..., b].mean(-1) for b in BANDS], -1)
    even = np.stack([logs[..., b].mean(-1) for b in BANDS], -1)
    if c == 3:
        level = np.stack([level[:, 0], level[:, 1:].mean(1)], 1)
        even = np.stack([even[:, 0], even[:, 1:].mean(1)], 1)
    level = np.log(level + FLOOR)
    return 0.5 * level + np.log(255), 0.5 * (even - level), mean, saturated


def features(level, even):
    n, kinds, _ = level.shape
    if kinds == 1:
        level, even = np.concatenate([level, level], 1), np.concatenate([even, even], 1)
    level, even = level.reshape(n, 6), even.reshape(n, 6)
    order = np.argsort(level.sum(1), kind="stable")
    found = [np.quantile(level, QUANTILES, axis=0).ravel()]
    for share in (0.02, 0.1):
        i = order[: min(max(int(share * n), 12), n)]
        found += [level[i].mean(0), level[i].std(0), even[i].mean(0)]
    found += [np.median(even, 0), [np.log(n) / 5, float(kinds == 1)]]
    return np.concatenate(found).astype(np.float32)


def crop(path, rng):
    """A part of a photograph, made smaller by averaging, so that what its own file did to it is gone."""
    photo = Image.open(path)
    photo.draft("RGB", (1200, 1200))
    photo = photo.convert("RGB")
    side = np.exp(rng.uniform(np.log(200), np.log(700)))
    r = min(side / min(photo.size), 0.6)
    photo = photo.resize([max(int(n * r), 96) for n in photo.size], Image.BOX)
    return np.asarray(photo, np.float32) / 255


def example(photo, rng):
    h, w, _ = photo.shape
    side = int(np.exp(rng.uniform(np.log(72), np.log(360))))
    other = int(side * rng.uniform(0.7, 1.4))
    h, w, top, left = min(side, h), min(other, w), h - min(side, h), w - min(other, w)
    top, left = rng.integers(top + 1), rng.integers(left + 1)
    x = photo[top : top + h, left : left + w].astype(float)
    grey = rng.random() < 0.15
    if grey:
        x = np.repeat((x @ [0.299, 0.587, 0.114])[..., None], 3, -1)
    y, truth = noisy(x, rng)
    if grey:
        y, truth = y.mean(-1, keepdims=True), truth.mean(-1, keepdims=True)
    level, even, mean, saturated = blocks(y)
    fresh = saturated <= 0.1
    fresh = fresh if fresh.sum() >= 60 else np.ones_like(fresh)
    if rng.random() < 0.25:  # of one brightness, as when it is asked how noise grows with it
        like = np.abs(mean - np.quantile(mean[fresh], rng.random())) < 0.12
        fresh = fresh & like if (fresh & like).sum() >= 60 else fresh
    if fresh.sum() < 12:
        return None
    target = np.median(blocks(y - truth)[0][fresh], 0)
    target = np.concatenate([target, target]) if len(target) == 1 else target
    return features(level[fresh], even[fresh]), target.ravel().astype(np.float32)


def main(folder, seed, count, out):
    rng = np.random.default_rng(int(seed))
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    found = []
    for i in range(int(count)):
        if i % 4 == 0:
            photo = crop(paths[rng.integers(len(paths))], rng)
        found.append(example(photo, rng))
    found = [e for e in found if e is not None]
    np.savez(out, X=np.array([x for x, _ in found]), Y=np.array([y for _, y in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
