"""The photo network in PyTorch, and what it is shown and told: the same numbers as Tweedie's (`net/photo.rs`,
`net/photo_map.rs`, `prior/neighbours.rs`, `prior/shown.rs`), for training on a GPU."""

import json
import math
import struct
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F

SIGMA = (0.002, 80.0)
DATA = 0.5
PAIRS = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]


def load(path):
    """The arrays of a model file, and its description."""
    with open(path, "rb") as file:
        (n,) = struct.unpack("<Q", file.read(8))
        head, body = json.loads(file.read(n)), file.read()
    about = head.pop("__metadata__")
    kinds = {"F16": np.float16, "F32": np.float32}

    def array(entry):
        start, end = entry["data_offsets"]
        return np.frombuffer(body[start:end], kinds[entry["dtype"]]).reshape(entry["shape"]).astype(np.float32)

    return {name: array(entry) for name, entry in head.items()}, about


def save(path, arrays, about):
    """Writes a model file."""
    head, bodies, at = {"__metadata__": about}, [], 0
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name], np.float32)
        head[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
        bodies.append(values.tobytes())
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(bodies))


def shapes(net):
    """Shapes of the arrays of a network that is described as in a model file (without maps), by name."""
    e, pixels, widths = net["embedding"], 4 * net["channels"], net["widths"]
    convs = {"embed.0": (e, 32, 1), "embed.1": (e, e, 1), "stem": (widths[0], pixels, 3), "out": (pixels, widths[0], 3)}
    for scale, (fine, coarse) in enumerate(zip(widths, widths[1:])):
        convs |= {f"down.{scale}": (coarse, 4 * fine, 1), f"up.{scale}": (4 * fine, coarse, 1)}
    for scale, (width, blocks) in enumerate(zip(widths, net["blocks"])):
        for part in ["middle"] if scale == len(widths) - 1 else ["encode", "decode"]:
            for k in range(blocks):
                name = f"{part}.{scale}.{k}."
                convs |= {name + "conv1": (width, width, 3), name + "conv2": (width, width, 3), name + "film": (2 * width, e, 1)}
    found = {name + ".weight": (o, i, side, side) for name, (o, i, side) in convs.items()}
    found |= {name + ".bias": (1, o, 1, 1) for name, (o, _, _) in convs.items()}
    if net.get("condition"):
        found["stem.condition.weight"] = (widths[0], pixels, 3, 3)
    return found


def new(net, seed):
    """Random weights to start from, as Tweedie's: He's normal, and zeros where a branch ends."""
    rng, arrays = np.random.default_rng(seed), {}
    zeros = (".bias", ".conv2.weight", ".film.weight", "stem.condition.weight", "out.weight")
    for name, (o, i, h, w) in shapes(net).items():
        std = 0.0 if name.endswith(zeros) or name.startswith("up.") else math.sqrt(2 / (i * h * w))
        arrays[name] = (std * rng.standard_normal((o, i, h, w))).astype(np.float32)
    return arrays


def grow(arrays, about, blocks, seed):
    """More residual blocks at each scale; new ones are the identity at first, since they end in zeros."""
    spec = json.loads(about["tweedie"])
    net, rng = spec["network"], np.random.default_rng(seed)
    coarsest = len(net["widths"]) - 1
    for scale, (width, old, new) in enumerate(zip(net["widths"], net["blocks"], blocks)):
        for part in ["middle"] if scale == coarsest else ["encode", "decode"]:
            for k in range(old, new):
                name = f"{part}.{scale}.{k}."
                he = rng.standard_normal((width, width, 3, 3)) * math.sqrt(2 / (9 * width))
                arrays[name + "conv1.weight"] = he.astype(np.float32)
                arrays[name + "conv2.weight"] = np.zeros((width, width, 3, 3), np.float32)
                arrays[name + "film.weight"] = np.zeros((2 * width, net["embedding"], 1, 1), np.float32)
                arrays[name + "film.bias"] = np.zeros((1, 2 * width, 1, 1), np.float32)
                for conv in ["conv1", "conv2"]:
                    arrays[f"{name}{conv}.bias"] = np.zeros((1, width, 1, 1), np.float32)
    net["blocks"] = list(blocks)
    return arrays, {**about, "tweedie": json.dumps(spec)}


class Photo:
    """The network as a function of its arrays `p` (name to tensor).

    With `fine_stem` its first convolution is of single precision under autocast, too: the least noise is less than what half
    precision rounds off pictures."""

    def __init__(self, p, blocks, fine_stem=False):
        self.p, self.blocks, self.fine_stem = p, blocks, fine_stem

    def conv(self, name, x, padding=0):
        return F.conv2d(x, self.p[name + ".weight"], self.p[name + ".bias"].flatten(), padding=padding)

    def block(self, name, x, embedding):
        scale, shift = self.conv(name + ".film", embedding).chunk(2, 1)
        h = self.conv(name + ".conv1", F.silu(x), 1)
        h = F.silu(torch.addcmul(shift, h, scale + 1))
        return x + self.conv(name + ".conv2", h, 1)

    def down(self, name, x):
        # Blocks of 2x2 pixels to channels, then 1x1: a convolution of stride 2.
        weight = self.p[name + ".weight"]
        weight = weight.view(weight.shape[0], -1, 2, 2)
        return F.conv2d(x, weight, self.p[name + ".bias"].flatten(), stride=2)

    def up(self, name, x):
        y = self.conv(name, x).permute(0, 2, 3, 1)
        n, h, w, c = y.shape
        y = y.reshape(n, h, w, c // 4, 2, 2).permute(0, 1, 4, 2, 5, 3).reshape(n, 2 * h, 2 * w, c // 4)
        return y.permute(0, 3, 1, 2)

    def stem(self, x, details, guess):
        y = self.conv("stem", F.pixel_unshuffle(x, 2), 1)
        for beside, name in [(details, "stem.map.weight"), (guess, "stem.condition.weight")]:
            if beside is not None:
                y = y + F.conv2d(F.pixel_unshuffle(beside, 2), self.p[name], padding=1)
        return y

    def __call__(self, x, features, details=None, guess=None):
        """`x` [n, c, h, w], sides multiples of 16; `features` [n, 32, 1, 1] or of each 2x2 block; `details` of a map; `guess`
        of a conditional network, in the range of the data."""
        embeddings = []
        for scale in range(len(self.blocks)):
            hidden = F.silu(self.conv("embed.0", features))
            embeddings.append(F.silu(self.conv("embed.1", hidden)))
            if details is not None:
                features = F.avg_pool2d(features, 2) if scale + 1 < len(self.blocks) else features
        with torch.autocast(x.device.type, enabled=False) if self.fine_stem else nullcontext():
            y = self.stem(x, details, guess)
        if self.fine_stem:
            y = y.to(embeddings[0].dtype)
        y = y.contiguous(memory_format=torch.channels_last)
        coarsest, skips = len(self.blocks) - 1, []
        for scale in range(coarsest):
            for k in range(self.blocks[scale]):
                y = self.block(f"encode.{scale}.{k}", y, embeddings[scale])
            skips.append(y)
            y = self.down(f"down.{scale}", y)
        for k in range(self.blocks[coarsest]):
            y = self.block(f"middle.{coarsest}.{k}", y, embeddings[coarsest])
        for scale in reversed(range(coarsest)):
            y = self.up(f"up.{scale}", y) + skips.pop()
            for k in range(self.blocks[scale]):
                y = self.block(f"decode.{scale}.{k}", y, embeddings[scale])
        return F.pixel_shuffle(self.conv("out", F.silu(y), 1), 2)


def fourier(level):
    """Fourier features of `ln(sigma)/4`, in a new first dimension after the batch."""
    period = 0.25 * 256.0 ** (torch.arange(16, device=level.device) / 15)
    phase = 4 * level.unsqueeze(1) * (2 * math.pi / period).view(1, 16, *[1] * (level.ndim - 1))
    return torch.cat([phase.cos(), phase.sin()], 1)


def features_of_levels(sigma):
    """[n] to [n, 32, 1, 1]."""
    return fourier((sigma.log() / 4).view(-1, 1, 1))


def factors(v, data=DATA):
    """EDM's input, skip and out of variances, infinite ones too, for data of this standard deviation."""
    norm = v + data**2
    return norm.rsqrt(), data**2 / norm, data / (1 + data**2 / v).sqrt()


def turn(rows, x):
    """Coordinates [n, 3, h, w] along directions `rows` [n, direction, channel]."""
    return torch.einsum("ndc,nchw->ndhw", rows, x)


def back(rows, z):
    return torch.einsum("ndc,ndhw->nchw", rows, z)


def logarithms(rows, v):
    """Logs of deviations along directions, and the upper triangle of the logarithm of the covariance's root, over 4."""
    logs = (0.5 * v.log()).clamp(math.log(SIGMA[0]), math.log(SIGMA[1])) / 4
    triangle = torch.stack([torch.einsum("nd,ndhw->nhw", rows[:, :, a] * rows[:, :, b], logs) for a, b in PAIRS], 1)
    return logs, triangle


def told(rows, shown, given):
    """Features of 2x2 blocks [n, 32, h/2, w/2] and details [n, 12, h, w] of maps, before and after `informed`."""
    logs, triangle = logarithms(rows, shown)
    guessed = logarithms(rows, given)[1] - triangle
    blocks = F.pixel_unshuffle(logs, 2)
    features = fourier(blocks).mean(2)
    mean = blocks.mean(1, keepdim=True).repeat_interleave(2, 2).repeat_interleave(2, 3)
    details = [triangle[:, i : i + 1] - (mean if a == b else 0.0) for i, (a, b) in enumerate(PAIRS)]
    return features, torch.cat([*details, guessed], 1)


def between(above):
    """The level above at each node's place, interpolated."""

    def line(x, dim):
        n = x.shape[dim]
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, n - 1, 1)
        before = torch.cat([first, x.narrow(dim, 0, n - 1)], dim)
        after = torch.cat([x.narrow(dim, 1, n - 1), last], dim)
        pair = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], dim + 1)
        return pair.flatten(dim, dim + 1)

    return line(line(above, 1), 2)


def smoothed(mean, v, scale, detail):
    """The tree's answer for planes [p, side, side], sides powers of two; `scale` and `detail` [p, 1, 1]."""
    if mean.shape[-1] == 1:
        whole = scale * 0.25
        part = whole / (whole + v)
        known = part > 0
        return torch.where(known, part * mean, 0.0), torch.where(known, part * v, whole)
    q = F.pixel_unshuffle((1 / (v + detail.view(-1, 1, 1))).unsqueeze(1), 2)
    m = F.pixel_unshuffle(mean.unsqueeze(1), 2)
    total = q.sum(1)
    above = torch.where(total > 0, torch.where(q > 0, q * m, 0.0).sum(1) / total, 0.0)
    x, p = smoothed(above, 1 / total, scale, detail * 1.3)
    x = between(x)
    p = p.repeat_interleave(2, 1).repeat_interleave(2, 2)
    part = detail / (detail + v)
    rest = 1 - part
    own = torch.where(part > 0, part * mean + rest * x, x)
    left = torch.where(part > 0, part * v, detail)
    return own, left + rest * rest * p


def informed(m, v, rows):
    """`m` and its variances [n, 3, h, w], along `rows`, with what neighbours tell added where they know more."""
    n, c, h, w = m.shape
    grey = rows.sum(2) ** 2 / 3
    scale = (2.7 * grey + 0.13 * (1 - grey)).view(n * c, 1, 1)
    z, flat = turn(rows, m).view(n * c, h, w), v.reshape(n * c, h, w)
    x, p = smoothed(z, flat, scale, scale * 0.0114)
    known = (1 / flat).clamp(max=2.5e5)
    side = min(16, h)
    around = F.avg_pool2d(known.unsqueeze(1), side).squeeze(1)
    around = around.repeat_interleave(side, 1).repeat_interleave(side, 2)
    share = torch.where(known > 0, (1 - known / around).clamp(min=0), 1.0)
    own, gain = (1 - share) * known, share / p
    total = own + gain
    new = torch.where(own > 0, (own * z + gain * x) / total, x)
    uneven = (flat != flat[:, :1, :1]).flatten(1).any(1).view(-1, 1, 1)
    change = (share > 0) & uneven
    z, flat = torch.where(change, new, z), torch.where(change, 1 / total, flat)
    return back(rows, z.view(n, c, h, w)), flat.view(n, c, h, w)


def shown(m, given, rows):
    """What the network is shown of `m` with variances `given` along `rows`: its input, and what its answer needs."""
    m, v = informed(m, given, rows)
    inp, skip, out = factors(v)
    z = turn(rows, m)
    features, details = told(rows, v, given)
    return dict(x=back(rows, inp * z), features=features, details=details, z=z, v=v, skip=skip, out=out)


def restored(seen, rows, answer):
    """The clean picture that an answer stands for."""
    return back(rows, seen["skip"] * seen["z"] + seen["out"] * turn(rows, answer))
