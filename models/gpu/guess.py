"""What a conditional network is shown: first guesses of crops that were made smaller, as Tweedie makes both
(`prior/trained_for.rs`, `operator/downsample.rs`, `operator/axis.rs`)."""

import math

import numpy as np
import torch


def cubic(x, a=-0.5):
    """Keys' cubic."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return a * (((x - 5) * x + 8) * x - 4) if x < 2 else 0.0


def row(n, centre, width):
    """Weights of `n` values of the cubic, `width` times as wide as a pixel, around `centre`; the edge is mirrored outside."""
    first, last = math.ceil(centre - 2 * width), math.floor(centre + 2 * width)
    weights = np.zeros(n)
    for j in range(first, last + 1):
        inside = min(j % (2 * n), 2 * n - 1 - j % (2 * n))
        weights[inside] += cubic((centre - j) / width)
    return weights / weights.sum()


def matrices(side, factor):
    """Antialiased bicubic to a side `factor` times shorter, and bicubic interpolation back."""
    small = side // factor
    down = [row(side, (i + 0.5) * factor - 0.5, factor) for i in range(small)]
    up = [row(small, (i - (factor - 1) / 2) / factor, 1) for i in range(side)]
    return np.array(down), np.array(up)


class Guesses:
    """First guesses of crops of some sides, for a recipe's `condition`."""

    # What a description of this operator leaves out.
    DEFAULTS = dict(filter="bicubic", boundary="symmetric")

    def __init__(self, condition, sides, device):
        operator = self.DEFAULTS | condition["operator"]
        if operator != dict(kind="downsample", factor=operator.get("factor"), **self.DEFAULTS):
            raise SystemExit(f"here networks are trained to undo bicubic down-sampling alone, not {operator}")
        self.noise = condition.get("noise", [0.0, 0.0])
        self.by_side = {}
        for side in sides:
            if side % operator["factor"]:
                raise SystemExit(f"crops of {side} pixels cannot be made smaller by {operator['factor']}")
            both = matrices(side, operator["factor"])
            self.by_side[side] = [torch.tensor(m, dtype=torch.float32, device=device) for m in both]

    def small(self, x0):
        """Crops in [-1, 1] made smaller, in [0, 1]."""
        down, _ = self.by_side[x0.shape[-1]]
        return down @ (0.5 * x0 + 0.5) @ down.mT

    def large(self, y):
        """The guess that small ones give, in [-1, 1]."""
        (up,) = [up for _, up in self.by_side.values() if up.shape[1] == y.shape[-1]]
        return 2 * (up @ y @ up.mT) - 1

    def __call__(self, x0):
        """First guesses of crops in [-1, 1] that were measured with noise and rounded to 8 bits."""
        y, (least, most) = self.small(x0), self.noise
        sigma = least + (most - least) * torch.rand(len(y), 1, 1, 1, device=y.device)
        return self.large(((y + sigma * torch.randn_like(y)) * 255).round().clamp(0, 255) / 255)
