#!/usr/bin/env python3
"""Makes metrics.json: PSNR and SSIM by scikit-image, LPIPS by a plain NumPy AlexNet, on pictures given by formulas.

    pip install numpy scikit-image==0.26.0 safetensors
    metrics.py lpips_alex.safetensors > metrics.json

The weights are the f32 ones that models/lpips/convert.py rounds; models/lpips/lpips_alex_f16.safetensors also works and
changes the distances by less than 1e-3.
"""

import json
import sys

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


def truth(c, h, w):
    """Waves, a disc and a step, [c, h, w] in [0, 1]."""
    k, i, j = np.meshgrid(np.arange(c), np.arange(h), np.arange(w), indexing="ij")
    waves = 0.5 + 0.2 * np.sin(0.3 * i + 0.1 * j * (k + 1)) + 0.15 * np.cos(0.02 * i * j)
    disc = (i - h / 2) ** 2 + (j - w / 3) ** 2 < (h / 4) ** 2
    step = j > 2 * w // 3
    return np.clip(waves + 0.3 * disc - 0.25 * step, 0, 1).astype(np.float32)


def scatter(c, h, w):
    """A fixed pseudo-random field in [-1, 1], by integer arithmetic."""
    k, i, j = np.meshgrid(np.arange(c), np.arange(h), np.arange(w), indexing="ij")
    n = (i * 73_856_093) ^ (j * 19_349_663) ^ (k * 83_492_791)
    n = (n * 2_654_435_761) & 0xFFFFFFFF
    return 2 * (n >> 16) / 65535 - 1


def distorted(name, x):
    x = x.astype(np.float64)
    if name == "noise":
        x = x + 0.15 * scatter(*x.shape)
    elif name == "shift":
        x = np.roll(x, 2, axis=2)
    elif name == "faded":
        x = 0.2 + 0.6 * x
    return np.clip(x, 0, 1).astype(np.float32)


def conv(x, weight, bias, stride, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    k = weight.shape[-1]
    windows = sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwij,ocij->ohw", windows, weight, optimize=True) + bias[:, None, None]


def pool(x):
    return sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max((-1, -2))


def features(weights, x):
    shift = np.array([-0.030, -0.088, -0.188])[:, None, None]
    scale = np.array([0.458, 0.448, 0.450])[:, None, None]
    x = (2 * x.astype(np.float64) - 1 - shift) / scale
    for n, stride, pad, pooled in ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False)):
        x = pool(x) if pooled else x
        x = np.maximum(conv(x, weights[f"features.{n}.weight"], weights[f"features.{n}.bias"], stride, pad), 0)
        yield x / (np.sqrt((x**2).sum(0)) + 1e-10)


def lpips(weights, a, b):
    a, b = (np.broadcast_to(x, (3, *x.shape[1:])) for x in (a, b))
    total = 0.0
    for k, (fa, fb) in enumerate(zip(features(weights, a), features(weights, b))):
        importance = weights[f"lin{k}.model.1.weight"].reshape(-1, 1, 1)
        total += (importance * (fa - fb) ** 2).sum(0).mean()
    return total


def main():
    weights = {name: value.astype(np.float64) for name, value in load_file(sys.argv[1]).items()}
    cases = []
    for shape in ((3, 96, 80), (1, 47, 65)):
        x = truth(*shape)
        for name in ("noise", "shift", "faded"):
            y = distorted(name, x)
            round8 = lambda v: np.round(v.astype(np.float64) * 255) / 255
            cases.append(
                {
                    "shape": shape,
                    "distortion": name,
                    "psnr": peak_signal_noise_ratio(x.astype(float), y.astype(float), data_range=1),
                    "psnr8": peak_signal_noise_ratio(round8(x), round8(y), data_range=1),
                    "ssim": structural_similarity(
                        x.astype(float), y.astype(float), channel_axis=0, data_range=1,
                        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                    ),
                    "lpips": lpips(weights, x, y),
                }
            )
    json.dump(cases, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
