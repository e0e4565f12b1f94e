#!/usr/bin/env python3
"""The guided methods on "G4", in f64, written from their papers in beta, abar and matrices (arXiv 2209.14687, 2211.12343,
2305.08995, PiGDM at ICLR 2023). See g4.py, whose problem, denoiser and grids these are.

    python3 tests/golden/g4_guided.py
"""

import numpy as np

from g4 import (A, C, PINV, SIGMA_Y, T, Y, ab, ancestral_coefficients, ancestral_mean, denoise_at, jacobian, pairs,
                show, uniform)


def guided(z, g, grid=range(T - 1, -2, -1), large=True, start=None):
    """DDPM with `g(x, drawn, t)` in the place of a likelihood's score."""
    x = z() if start is None else start + z()
    for t, s in pairs(list(grid)):
        al, be, small = ancestral_coefficients(t, s)
        y = ancestral_mean(x, denoise_at(x, t), t, s)
        if s >= 0:
            y = y + np.sqrt(be if large else small) * z()
        x = y + be / np.sqrt(al) * g(x, y, t)
    return x


def covariance(t):
    return np.linalg.inv(np.linalg.inv(C) + ab(t) / (1 - ab(t)) * np.eye(4))


def gaussian_score(x, t, cov):
    """Score of N(y; A x0, A cov A^T + sigma_y^2), through the denoiser."""
    r = Y - denoise_at(x, t) @ A.T
    return r @ np.linalg.inv(A @ cov @ A.T + SIGMA_Y ** 2 * np.eye(2)) @ A @ jacobian(np.sqrt(ab(t)), 1 - ab(t))


def dmps_score(x, t):
    c, v = np.sqrt(ab(t)), (1 - ab(t)) / ab(t)
    return (Y - x @ A.T / c) @ np.linalg.inv(SIGMA_Y ** 2 * np.eye(2) + v * A @ A.T) @ A / c


def pigdm(z, n, eta, principled):
    grid = uniform(n)
    x = np.sqrt(ab(grid[0])) * PINV @ Y + np.sqrt(1 - ab(grid[0])) * z()
    for t, s in pairs(grid):
        c1 = eta * np.sqrt((1 - ab(t) / ab(s)) * (1 - ab(s)) / (1 - ab(t)))
        c2 = np.sqrt(1 - ab(s) - c1 ** 2)
        x0 = denoise_at(x, t)
        eps = (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t))
        g = (Y - x0 @ A.T) @ PINV.T @ jacobian(np.sqrt(ab(t)), 1 - ab(t))
        weight = np.sqrt(ab(s) * ab(t))
        if principled:
            weight = np.sqrt(ab(s) / ab(t)) - c2 / np.sqrt(1 - ab(t))
        x = np.sqrt(ab(s)) * x0 + c2 * eps + weight * g
        if c1 > 0:
            x = x + c1 * z()
    return x


def hqs(z, gradient):
    x = z()
    for t in range(T - 1, -1, -1):
        al, be, _ = ancestral_coefficients(t, t - 1)
        x = ancestral_mean(x, denoise_at(x, t), t, t - 1)
        y = np.sqrt(ab(t - 1)) * Y + 0 * x[:, :2]
        if t > 0:
            x = x + np.sqrt(be) * z()
            y = y + np.sqrt(1 - ab(t - 1)) * z()[:, :2]
        step = be / al
        if gradient:
            x = x + step / SIGMA_Y ** 2 * (y - x @ A.T) @ A
        else:
            inner = A @ A.T + SIGMA_Y ** 2 / step * np.eye(2)
            x = x + (y - x @ A.T) @ np.linalg.inv(inner) @ A
    return x


def main():
    show("exact guidance, large", lambda z: guided(z, lambda x, _, t: gaussian_score(x, t, covariance(t))))
    show("pigdm score, large", lambda z: guided(z, lambda x, _, t: gaussian_score(x, t, (1 - ab(t)) * np.eye(4))))
    for eta in [1., 0.]:
        show(f"pigdm code, 100, eta {eta:g}", lambda z: pigdm(z, 100, eta, False))
    show("pigdm score, 100, eta 1", lambda z: pigdm(z, 100, 1., True))
    for lam in [1., 1.75]:
        show(f"dmps at x_t, lambda {lam}", lambda z: guided(z, lambda x, _, t: lam * dmps_score(x, t)))
        show(f"dmps at drawn, lambda {lam}", lambda z: guided(z, lambda _, y, t: lam * dmps_score(y, t)))
    show("hqs, prox, large", lambda z: hqs(z, False))
    show("hqs, gradient, large", lambda z: hqs(z, True))


if __name__ == "__main__":
    main()
