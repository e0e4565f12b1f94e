"""The FFHQ ADM U-Net in PyTorch, with random weights: what the peers run.

Written for this benchmark; its layers, sizes and order are those of `crates/tweedie/src/net/adm.rs`.
"""

import torch
import torch.nn.functional as F
from torch import nn

BASE, WIDTHS, BLOCKS, ATTENTION_LEVEL, HEAD = 128, (128, 128, 256, 256, 512, 512), 1, 4, 64


class Res(nn.Module):
    def __init__(self, i, o, change=None):
        super().__init__()
        self.change = change
        self.norm1, self.conv1 = nn.GroupNorm(32, i), nn.Conv2d(i, o, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(32, o), nn.Conv2d(o, o, 3, padding=1)
        self.embedding = nn.Linear(4 * BASE, 2 * o)
        self.skip = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def resample(self, x):
        if self.change == "halve":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.change == "double" else x

    def forward(self, x, e):
        h = self.conv1(self.resample(F.silu(self.norm1(x))))
        scale, shift = self.embedding(F.silu(e))[..., None, None].chunk(2, 1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(self.resample(x)) + h


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(32, c), nn.Conv2d(c, 3 * c, 1), nn.Conv2d(c, c, 1)

    def forward(self, x, _):
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(n, c // HEAD, 3, HEAD, h * w).transpose(-1, -2)
        out = F.scaled_dot_product_attention(*qkv.unbind(2)).transpose(-1, -2)
        return x + self.out(out.reshape(n, c, h, w))


class Adm(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(BASE, 4 * BASE), nn.SiLU(), nn.Linear(4 * BASE, 4 * BASE))
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, padding=1)
        self.down, self.up, left, c = nn.ModuleList(), nn.ModuleList(), [WIDTHS[0]], WIDTHS[0]
        for level, width in enumerate(WIDTHS):
            for _ in range(BLOCKS):
                parts, c = [Res(c, width)], width
                self.down.append(nn.ModuleList(parts + [Attention(c)] * (level == ATTENTION_LEVEL)))
                left.append(c)
            if level + 1 < len(WIDTHS):
                self.down.append(nn.ModuleList([Res(c, c, "halve")]))
                left.append(c)
        self.middle = nn.ModuleList([Res(c, c), Attention(c), Res(c, c)])
        for level, width in reversed(list(enumerate(WIDTHS))):
            for i in range(BLOCKS + 1):
                parts, c = [Res(c + left.pop(), width)], width
                parts += [Attention(c)] * (level == ATTENTION_LEVEL)
                parts += [Res(c, c, "double")] * (level > 0 and i == BLOCKS)
                self.up.append(nn.ModuleList(parts))
        self.norm, self.end = nn.GroupNorm(32, WIDTHS[0]), nn.Conv2d(WIDTHS[0], 6, 3, padding=1)

    def forward(self, x, t):
        frequencies = torch.exp(-9.210340371976184 * torch.arange(BASE // 2) / (BASE // 2))
        phases = t[:, None] * frequencies
        e = self.time(torch.cat([phases.cos(), phases.sin()], 1))
        h = self.stem(x)
        left = [h]
        for block in self.down:
            for part in block:
                h = part(h, e)
            left.append(h)
        for part in self.middle:
            h = part(h, e)
        for block in self.up:
            h = torch.cat([h, left.pop()], 1)
            for part in block:
                h = part(h, e)
        return self.end(F.silu(self.norm(h)))
