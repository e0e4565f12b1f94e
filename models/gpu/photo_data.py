"""What the photo network trains on, made on the GPU: crops of photographs, and what is seen of them with one level of noise
or with a map of it. The same draws as Tweedie's trainer makes (`train/data.rs`, `train/maps.rs`), in other random numbers."""

import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from photo_net import DATA, SIGMA, factors, features_of_levels, back, shown, turn

KINDS = {"pixels": 2.0, "holes": 3.0, "mosaic": 1.5, "grey": 2.0, "bright": 1.0, "smooth": 0.5}
GREY, ROUNDED, JITTER = 0.1, 0.25, 0.12
FLOOR = 0.02
# Of noise levels: the mean and deviation of their logarithms, and the share of those that are uniform there.
LAW = dict(mean=-1.5, std=1.2, uniform=0.25, min=SIGMA[0], max=SIGMA[1])


def read(path, channels):
    picture = np.asarray(Image.open(path).convert("RGB" if channels == 3 else "L"))
    return picture.reshape(*picture.shape[:2], channels)


def pictures(folders):
    """The pictures of folders and of all in them: those to train on, and those of folders whose name begins with `valid`."""
    paths = sorted(p for f in folders for p in Path(f).rglob("*") if p.suffix in {".jpg", ".png", ".webp"})
    valid = [p for p in paths if any(part.startswith("valid") for part in p.parts)]
    return [p for p in paths if p not in set(valid)], valid


class Photos:
    """All pictures in one buffer, whole and halved or one of these: of 3 channels, or grey ones of 1."""

    def __init__(self, paths, device, channels=3, scales=(1, 2)):
        with ProcessPoolExecutor() as pool:
            whole = list(pool.map(partial(read, channels=channels), paths, chunksize=4))
        self.channels = channels
        self.buffer, self.scales, at = [], [], 0
        for factor in scales:
            places = []
            for picture in whole:
                h, w = (n // factor for n in picture.shape[:2])
                if factor == 2:
                    blocks = torch.from_numpy(picture[: 2 * h, : 2 * w].copy()).to(device).view(h, 2, w, 2, channels)
                    picture = ((blocks.sum((1, 3), dtype=torch.int32) + 2) // 4).to(torch.uint8)
                else:
                    picture = torch.from_numpy(picture.copy()).to(device)
                places.append((at, h, w))
                self.buffer.append(picture.flatten())
                at += channels * h * w
            self.scales.append(torch.tensor(places, device=device))
        self.buffer = torch.cat(self.buffer)
        self.by_side = {}
        self.megapixels = sum(p.shape[0] * p.shape[1] for p in whole) / 1e6

    def that_hold(self, side):
        """The scales that hold such crops, and how often each picture is drawn."""
        if side not in self.by_side:
            found = []
            for places in self.scales:
                holds = places[(places[:, 1:] >= side).all(1)]
                if len(holds):
                    share = (holds[:, 1] * holds[:, 2]).double().sqrt().cumsum(0)
                    found.append((holds, (share / share[-1]).float()))
            self.by_side[side] = found
        return self.by_side[side]

    def crops(self, n, side):
        """[n, channels, side, side] in [-1, 1], in one of eight orientations; pictures drawn by the root of their area."""
        device = self.buffer.device
        chosen = [places[drawn(below, n)] for places, below in self.that_hold(side)]
        which = torch.randint(2, (n, 1), device=device)
        at, h, w = torch.where(which == 0, chosen[0], chosen[-1]).unbind(1)
        top = (torch.rand(n, device=device) * (h - side + 1)).long().view(-1, 1, 1)
        left = (torch.rand(n, device=device) * (w - side + 1)).long().view(-1, 1, 1)
        line = torch.arange(side, device=device)
        flips = torch.randint(2, (3, n, 1, 1), device=device).bool()
        y, x = line.view(1, -1, 1).expand(n, side, side), line.view(1, 1, -1).expand(n, side, side)
        y, x = torch.where(flips[0], x, y), torch.where(flips[0], y, x)
        y = torch.where(flips[1], side - 1 - y, y)
        x = torch.where(flips[2], side - 1 - x, x)
        place = at.view(-1, 1, 1) + self.channels * ((top + y) * w.view(-1, 1, 1) + left + x)
        pixels = self.buffer[place.unsqueeze(1) + torch.arange(self.channels, device=device).view(1, -1, 1, 1)]
        return pixels.float() / 127.5 - 1


def drawn(below, n):
    """`n` numbers of places, by the cumulated chances of each."""
    chosen = torch.searchsorted(below, torch.rand(n, device=below.device), right=True)
    return chosen.clamp(max=len(below) - 1)


def jittered(x0, jitter=JITTER):
    """A random gamma and a gain of each channel, not above white."""
    n = x0.shape[0]
    gamma = (jitter * torch.randn(n, 1, 1, 1, device=x0.device)).exp()
    gain = (0.5 * jitter * torch.randn(n, x0.shape[1], 1, 1, device=x0.device)).exp()
    return 2 * (gain * (0.5 * x0 + 0.5).clamp(min=0) ** gamma).clamp(max=1) - 1


def levels(n, device, law=LAW):
    """Noise levels: log-normal, a share uniform in the logarithm."""
    low, high = (math.log(law[end]) for end in ("min", "max"))
    uniform = low + (high - low) * torch.rand(n, device=device)
    normal = law["mean"] + law["std"] * torch.randn(n, device=device)
    return torch.where(torch.rand(n, device=device) < law["uniform"], uniform, normal).clamp(low, high).exp()


def as_in_a_file(x):
    return ((x * 127.5 + 127.5).round().clamp(0, 255) - 127.5) / 127.5


def blurred(x):
    """Each picture blurred up to twelve times by weights 1, 2, 1."""
    passes = torch.randint(1, 13, (x.shape[0], 1, 1, 1), device=x.device)
    for k in range(12):
        y = F.pad(x, (1, 1, 1, 1), mode="replicate")
        y = 0.25 * y[:, :, :-2] + 0.5 * y[:, :, 1:-1] + 0.25 * y[:, :, 2:]
        y = 0.25 * y[..., :-2] + 0.5 * y[..., 1:-1] + 0.25 * y[..., 2:]
        x = torch.where(k < passes, y, x)
    return x


@torch.no_grad()
def lessons(x0, eps, sigma, teacher):
    """Clean or blurred crops with less noise than is told, and what the teacher answers (`train/teacher.rs`)."""
    n, device = x0.shape[0], x0.device
    s = sigma.view(-1, 1, 1, 1)
    left = (2 * torch.rand(n, 1, 1, 1, device=device) - 1).clamp(min=0) * s
    x = torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.5, blurred(x0), x0) + left * eps
    inp, skip, out = factors(s * s)
    return x, skip * x + out * teacher(inp * x, features_of_levels(sigma)).float()


def greyed(x0, eps, share):
    """Some crops made grey, with the same noise in all channels."""
    grey = torch.rand(len(x0), 1, 1, 1, device=x0.device) < share
    return torch.where(grey, x0.mean(1, keepdim=True), x0), torch.where(grey, eps[:, :1], eps)


def task(x0, x, sigma, data=DATA):
    """What the network is shown and told of noisy pictures, and what it should answer."""
    inp, skip, out = factors((sigma * sigma).view(-1, 1, 1, 1), data)
    return dict(x=inp * x, features=features_of_levels(sigma), target=(x0 - skip * x) / out)


def plain(x0, teacher=None):
    """Crops with one level of noise each: what the network is shown, told and should answer; a fifth are the teacher's."""
    n, device = x0.shape[0], x0.device
    sigma, eps = levels(n, device), torch.randn_like(x0)
    x0, eps = greyed(x0, eps, GREY)
    s = sigma.view(-1, 1, 1, 1)
    filed = (torch.rand(n, 1, 1, 1, device=device) < ROUNDED) & (s >= 4 / 255) & (s < 1)
    x = x0 + s * eps
    x = torch.where(filed, as_in_a_file(x), x)
    if teacher is not None:
        k = max(n // 5, 1)
        x, x0 = x.clone(), x0.clone()
        x[:k], x0[:k] = lessons(x0[:k], eps[:k], sigma[:k], teacher)
    return task(x0, x, sigma)


def log_uniform(low, high, *shape, device):
    return (math.log(low) + math.log(high / low) * torch.rand(*shape, device=device)).exp()


def directions(n, device):
    """Three orthonormal directions [n, direction, channel], the first along a grey: mean, luma or any."""
    which = torch.randint(3, (n, 1), device=device)
    luma = torch.stack([torch.full((n,), w, device=device) for w in (0.299, 0.587, 0.114)], 1)
    other = torch.where(which == 1, luma, torch.rand(n, 3, device=device) + 0.02)
    first = F.normalize(torch.where(which == 0, 1.0, other), dim=1)
    axis = torch.eye(3, device=device)[first.abs().argmin(1)]
    second = F.normalize(torch.linalg.cross(first, axis), dim=1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], 1)


def smooth(n, side, device):
    """Smooth fields of unit size: normal numbers on a coarse grid, interpolated."""
    cells = torch.randint(1, 5, (n, 1, 1), device=device)
    knots = torch.randn(n, 6 * 6, device=device)
    at = torch.arange(side, device=device).view(1, -1, 1) / side * cells
    near, part = at.floor().long(), at.frac()

    def knot(dy, dx):
        return knots.gather(1, ((near + dy) * 6 + (near + dx).mT).flatten(1)).view(n, side, side)

    above, below = (knot(dy, 0) * (1 - part.mT) + knot(dy, 1) * part.mT for dy in (0, 1))
    return above * (1 - part) + below * part


def measured(x0, bank):
    """Variances [n, 3, h, w] along directions [n, 3, 3] of what is measured of each crop."""
    n, _, side, _ = x0.shape
    device, inf = x0.device, torch.inf

    def u(*shape):
        return torch.rand(*shape, device=device)

    kind = drawn(bank.kinds, n).view(-1, 1, 1, 1)
    known = log_uniform(0.004, 0.8, n, 1, 1, 1, device=device) ** 2
    known = torch.where(u(n, 1, 1, 1) < 0.5, 0.0, known)
    share = torch.sigmoid(8 * u(n, 1, 1, 1) - 4)
    seen = torch.where(kind == 0, u(n, 1, side, side) < share, bank.masks(n).unsqueeze(1))
    line = torch.arange(side, device=device)
    dy, dx = torch.randint(2, (2, n, 1, 1, 1), device=device)
    colour = (line.view(1, 1, -1, 1) + dy) % 2 + (line.view(1, 1, 1, -1) + dx) % 2
    mosaic = colour == torch.arange(3, device=device).view(1, 3, 1, 1)
    grey = (torch.arange(3, device=device) == 0).view(1, 3, 1, 1)
    seen = torch.where(kind == 2, mosaic, torch.where(kind == 3, grey, seen))
    v = torch.where(seen, known, inf)
    a, b = (log_uniform(*r, n, 1, 1, 1, device=device) ** 2 for r in [(0.004, 0.2), (0.01, 0.8)])
    v = torch.where(kind == 4, a + b * (0.5 * x0 + 0.5).clamp(0, 1), v)
    middle, spread = -3.5 + 3 * u(n, 1, 1, 1), 0.2 + u(n, 1, 1, 1)
    v = torch.where(kind == 5, (2 * (middle + spread * smooth(n, side, device).unsqueeze(1))).exp(), v)
    one = torch.eye(3, device=device).expand(n, 3, 3)
    return v, torch.where(kind.view(-1, 1, 1) == 3, directions(n, device), one), kind


def mapped(x0, bank):
    """Crops with a map of noise each."""
    n, device = x0.shape[0], x0.device
    v, rows, kind = measured(x0, bank)
    # The first evaluation of a restoration has no sample beside the measurement.
    alone = torch.rand(n, 1, 1, 1, device=device) < 0.5
    beside = torch.where(alone, torch.inf, levels(n, device).view(-1, 1, 1, 1))
    v = 1 / (1 / beside**2 + 1 / v)
    known = v < torch.inf
    z = torch.where(known, turn(rows, x0) + torch.where(known, v, 0.0).sqrt() * torch.randn_like(x0), 0.0)
    filed = (torch.rand(n, 1, 1, 1, device=device) < ROUNDED) & alone & (kind != 3)
    m = back(rows, torch.where(filed, as_in_a_file(z), z))
    seen = shown(m, v, rows)
    v, out = seen["v"], seen["out"]
    target = torch.where(out > 0, (turn(rows, x0) - seen["skip"] * seen["z"]) / out, 0.0)
    weight = torch.where(v < torch.inf, v / (v + FLOOR**2), 1.0)
    names = ["x", "features", "details"]
    # The loss is taken along the directions: its answer's coordinates against the target's.
    return {**{k: seen[k] for k in names}, "target": target, "weight": weight, "rows": rows}


class Bank:
    """Masks of holes of one size, drawn beforehand; turned and mirrored anew each time."""

    def __init__(self, count, side):
        with ProcessPoolExecutor() as pool:
            jobs = [(side, seed) for seed in range(count)]
            masks = np.stack(list(pool.map(holes, jobs, chunksize=64)))
        self.bank = torch.from_numpy(masks)
        shares = torch.tensor(list(KINDS.values()))
        self.kinds = shares.cumsum(0) / shares.sum()

    def to(self, device):
        self.bank, self.kinds = self.bank.to(device), self.kinds.to(device)
        return self

    def masks(self, n):
        device = self.bank.device
        masks = self.bank[torch.randint(len(self.bank), (n,), device=device)]
        for turned in [lambda m: m.flip(1), lambda m: m.flip(2), lambda m: m.mT]:
            masks = torch.where(torch.rand(n, 1, 1, device=device) < 0.5, turned(masks), masks)
        return masks


def holes(job):
    """Which pixels are known where boxes, halves, strokes and letters are missing, or all but them."""
    side, seed = job
    rng = np.random.default_rng([side, seed])
    picture = Image.new("1", (side, side), 1)
    draw = ImageDraw.Draw(picture)
    cuts = [cut_box, cut_box, cut_half, cut_strokes, cut_text]
    for _ in range(rng.integers(1, 4)):
        cuts[rng.integers(5)](draw, side, rng)
    known = np.array(picture, bool)
    return ~known if rng.random() < 0.1 else known


def between(low, high, rng):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def cut_box(draw, side, rng):
    height, width = (min(int(between(3, side + 0.5, rng)), side) for _ in "yx")
    top, left = (int(rng.integers(side + n)) - n for n in (height, width))
    draw.rectangle([left, top, left + width - 1, top + height - 1], fill=0)


def cut_half(draw, side, rng):
    at = int(rng.integers(side // 4, side - side // 4 + 1))
    boxes = [[0, 0, side, at - 1], [0, at, side, side], [0, 0, at - 1, side], [at, 0, side, side]]
    draw.rectangle(boxes[rng.integers(4)], fill=0)


def cut_strokes(draw, side, rng):
    for _ in range(rng.integers(1, 5)):
        radius, steps = between(0.6, 6, rng), int(rng.integers(side // 4, 2 * side))
        angle = rng.uniform(0, 2 * math.pi) + np.cumsum(0.25 * rng.uniform(-1, 1, steps))
        x = rng.integers(side) + np.cumsum(np.cos(angle))
        y = rng.integers(side) + np.cumsum(np.sin(angle))
        pen(draw, list(zip(x, y)), radius)


def pen(draw, points, radius):
    draw.line(points, fill=0, width=max(1, round(2 * radius)))
    if radius > 1:
        for x, y in points:
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=0)


def cut_text(draw, side, rng):
    size = between(5, 0.3 * side + 6, rng)
    top, left = rng.uniform(0, 0.7 * side, 2)
    for line in range(rng.integers(1, 4)):
        for letter in range(rng.integers(2, 12)):
            corner = np.array([left + 0.75 * size * letter, top + 1.5 * size * line])
            for _ in range(rng.integers(2, 4)):
                ends = corner + size * np.array([0.3, 0.5]) * rng.integers(0, 3, (2, 2))
                pen(draw, [tuple(end) for end in ends], max(0.09 * size, 0.6))
