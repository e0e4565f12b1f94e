"""The photo network in PyTorch, with random weights: what the peers run.

Written for this benchmark; its layers, sizes and order are those of `crates/tweedie/src/net/photo.rs`.
"""

import torch
import torch.nn.functional as F
from torch import nn

EMBEDDING, FREQUENCIES = 64, 16
# Widths and blocks at each scale: of the embedded prior, and of the recipe whose training is timed (models/photo/recipe.toml).
PRIOR = (64, 128, 256, 320), (4, 3, 1, 2)
RECIPE = (64, 128, 256), (2, 2, 2)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, c, 3, padding=1)
        self.film = nn.Linear(EMBEDDING, 2 * c)

    def forward(self, x, e):
        scale, shift = self.film(e)[..., None, None].chunk(2, 1)
        return x + self.conv2(F.silu(self.conv1(F.silu(x)) * (1 + scale) + shift))


def chain(c, n):
    return nn.ModuleList(Block(c) for _ in range(n))


class Photo(nn.Module):
    def __init__(self, widths, blocks):
        super().__init__()
        pairs = list(zip(widths, widths[1:]))
        sides = list(zip(widths[:-1], blocks))
        self.embed = nn.ModuleList([nn.Linear(2 * FREQUENCIES, EMBEDDING), nn.Linear(EMBEDDING, EMBEDDING)])
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(chain(c, n) for c, n in sides)
        self.down = nn.ModuleList(nn.Conv2d(4 * fine, coarse, 1) for fine, coarse in pairs)
        self.middle = chain(widths[-1], blocks[-1])
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairs)
        self.decode = nn.ModuleList(chain(c, n) for c, n in sides)
        self.out = nn.Conv2d(widths[0], 12, 3, padding=1)

    def forward(self, x, condition):
        periods = 0.25 * 256 ** (torch.arange(FREQUENCIES) / (FREQUENCIES - 1))
        phases = condition[:, None] * (4 * 6.283185307179586 / periods)
        e = torch.cat([phases.cos(), phases.sin()], 1)
        for layer in self.embed:
            e = F.silu(layer(e))
        x, skips = self.stem(F.pixel_unshuffle(x, 2)), []
        for encode, down in zip(self.encode, self.down):
            for block in encode:
                x = block(x, e)
            skips.append(x)
            x = down(F.pixel_unshuffle(x, 2))
        for block in self.middle:
            x = block(x, e)
        for up, decode in reversed(list(zip(self.up, self.decode))):
            x = F.pixel_shuffle(up(x), 2) + skips.pop()
            for block in decode:
                x = block(x, e)
        return F.pixel_shuffle(self.out(F.silu(x)), 2)
