"""Trains the network of a recipe on a GPU, by the objective that Tweedie's trainer has (`tweedie train`).

    python train.py RECIPE.toml START.safetensors OUT SECONDS FOLDER...

goes on from START (`-` for random weights) for that many seconds and writes OUT.safetensors, the averaged weights that validated
best. Of the recipe, the number of steps and the folders are not used: the cosine goes over the seconds, and pictures are those of
the FOLDERs (for validation those in folders whose name begins with `valid`). On a CPU batches are small, to see that it runs."""

import json
import math
import sys
import time
import tomllib

import torch

from guess import Guesses
from photo_data import Photos, greyed, jittered, levels, pictures, task
from photo_net import load, new
from training import CUDA, DEVICE, Optimizer, Step, Trainer, asked, denoised, loss_of, psnr, psnrs, settings

CROPS = 96
KNOWN = {
    "data": {"train", "valid", "crop", "batch", "growth", "scales", "grey", "jitter", "phase"},
    "network": {"architecture", "channels", "widths", "blocks", "embedding", "condition"},
    "parametrisation": {"kind", "sigma_data"},
    "condition": {"operator", "noise"},
    "noise": {"law", "mean", "std", "uniform", "min", "max"},
    "optimizer": {"steps", "rate", "final_rate", "warmup", "clip", "ema", "slow_ema"},
    "schedule": {"log", "validate", "save"},
}


class Recipe:
    """A recipe's numbers, and the batches that it asks for."""

    def __init__(self, path):
        with open(path, "rb") as file:
            r = tomllib.load(file)
        self.check(r)
        self.network, self.noise, self.data = r["network"], r["noise"], r["data"]
        self.about, self.seed, self.condition = r["about"], r.get("seed", 0), r.get("condition")
        self.sigma_data, self.phase = r["parametrisation"]["sigma_data"], self.data.get("phase")
        o = r["optimizer"]
        averages = [o[name] for name in ("ema", "slow_ema") if name in o]
        self.optimizer = Optimizer(o["rate"], o.get("final_rate", 0.0), o.get("warmup", 1), o["clip"], averages)
        self.every = r["schedule"]["validate"] if CUDA else 6
        # As many pixels in each kind of batch.
        batch = self.data["batch"] if CUDA else self.data["batch"] // 64
        growth = self.data.get("growth", [1])
        self.sizes = [(max(batch // g**2, 1), self.data["crop"] * g) for g in growth]
        self.guesses = Guesses(self.condition, [side for _, side in self.sizes], DEVICE) if self.condition else None

    @staticmethod
    def check(r):
        """That no setting is passed over."""
        strange = [f"{part}.{key}" for part, keys in KNOWN.items() for key in set(r.get(part, {})) - keys]
        strange += set(r) - set(KNOWN) - {"about", "seed"}
        kinds = (r["network"]["architecture"], r["parametrisation"]["kind"], r["noise"]["law"], tuple(r["data"].get("scales", [1])))
        if strange or kinds not in [("photo", "edm", "log-normal", scales) for scales in [(1,), (1, 2)]]:
            raise SystemExit(f"this recipe is for `tweedie train` alone: {strange or kinds}")

    def description(self):
        """What the model file says of itself."""
        spec = dict(
            network=self.network,
            parametrisation=dict(kind="edm", sigma_data=self.sigma_data),
            conditioning=dict(kind="log-sigma"),
            sigma=[self.noise["min"], self.noise["max"]],
            data=[-1.0, 1.0],
        )
        if self.phase:
            spec["complex"] = True
        if self.condition:
            operator = {**self.condition["operator"], **Guesses.DEFAULTS}
            spec["condition"] = dict(operator=operator, noise=self.guesses.noise)
        return {"tweedie": json.dumps({**spec, "about": self.about})}

    def photos(self, paths, scales):
        return Photos(paths, DEVICE, 1 if self.phase else self.network["channels"], scales)

    def clean(self, photos, n, side, jitter=0.0):
        """Clean crops."""
        x0 = photos.crops(n, side)
        if jitter:
            x0 = jittered(x0, jitter)
        return complex_pictures(x0, self.phase) if self.phase else x0

    def batch(self, x0):
        """What the network is shown and told of clean crops, and what it should answer."""
        sigma, eps = levels(len(x0), x0.device, self.noise), torch.randn_like(x0)
        if grey := self.data.get("grey"):
            x0, eps = greyed(x0, eps, grey)
        b = task(x0, x0 + sigma.view(-1, 1, 1, 1) * eps, sigma, self.sigma_data)
        return {**b, "guess": self.guesses(x0)} if self.guesses else b

    def drawing(self, photos, n, side):
        return lambda: self.batch(self.clean(photos, n, side, self.data.get("jitter", 0.0)))


def complex_pictures(x0, shortest, waves=4, amplitude=1.5):
    """Real and imaginary part, in [-1, 1], of grey crops in that range with a random smooth phase (`train/phase.rs`)."""
    n, _, h, w = x0.shape

    def u():
        return torch.rand(n, 1, 1, device=x0.device)

    phase = 2 * math.pi * u()
    i, j = torch.arange(h, device=x0.device).view(1, -1, 1), torch.arange(w, device=x0.device).view(1, 1, -1)
    for _ in range(waves):
        size = amplitude * torch.randn(n, 1, 1, device=x0.device)
        direction, turns = 2 * math.pi * u(), u() / shortest
        angle = turns * (direction.sin() * i + direction.cos() * j) + u()
        phase = phase + size * (2 * math.pi * angle).cos()
    return (0.5 * x0 + 0.5) * torch.stack([phase.cos(), phase.sin()], 1)


class Validation:
    """Fixed crops, noise levels and noise."""

    def __init__(self, recipe, photos):
        self.recipe = recipe
        # Guesses are made of crops of known sides.
        side = recipe.data["crop"] if recipe.condition else max(96, recipe.data["crop"])
        self.batch = recipe.batch(recipe.clean(photos, CROPS, side))
        self.crops = recipe.clean(photos, CROPS // 2, side)
        self.noise = torch.randn_like(self.crops)
        self.guess = recipe.guesses(self.crops) if recipe.guesses else None
        # Complex pictures are in [-1, 1] for Tweedie, others in [0, 1].
        self.peak = 1.0 if recipe.phase else 2.0

    @torch.no_grad()
    def score(self, net):
        """The loss, and PSNR in words: of one denoising, and for a conditional network of its guess and of what it makes of
        that and of nothing but noise."""
        recipe, data = self.recipe, self.recipe.sigma_data
        loss = loss_of(asked(net, self.batch), self.batch).item()
        found = psnrs(net, self.crops, self.noise, self.peak, data, self.guess)
        text = f"valid {loss:.4f}  psnr {' '.join(f'{v:.2f}' for v in found)} dB"
        if self.guess is not None:
            most = recipe.noise["max"]
            mean = denoised(net, most * self.noise, most, data, self.guess)
            both = [psnr(x, self.crops, self.peak) for x in (self.guess, mean)]
            text += f"  guess {both[0]:.2f}, mean {both[1]:.2f}"
        return loss, text


class Best:
    """Scores the averages of the weights, and writes the one that validated best so far."""

    def __init__(self, trainer, validation, path, about, began):
        self.trainer, self.validation, self.path, self.about, self.began = trainer, validation, path, about, began
        self.least = math.inf

    def look(self, step, loss):
        if CUDA:
            torch.cuda.synchronize()
        print(f"step {step} {time.time() - self.began:.0f} s rate {self.trainer.rate.item():.2e} loss {loss:.4f}", flush=True)
        for i, decay in enumerate(self.trainer.optimizer.averages):
            valid, text = self.validation.score(self.trainer.average(i))
            print(f"    average {decay}: {text}{'  (best)' if valid < self.least else ''}", flush=True)
            if valid < self.least:
                self.least = valid
                self.trainer.write(self.path, i, self.about)


def main(path, start, out, seconds, *folders):
    began = time.time()
    recipe = Recipe(path)
    arrays, blocks = new(recipe.network, recipe.seed), recipe.network["blocks"]
    if start != "-":
        old, _ = load(start)
        if (shapes := {n: a.shape for n, a in old.items()}) != {n: a.shape for n, a in arrays.items()}:
            raise SystemExit(f"{start} is of another network: {shapes}")
        arrays = old
    train, valid = pictures(folders)
    photos, held = recipe.photos(train, recipe.data.get("scales", [1])), recipe.photos(valid, [1])
    weights = sum(a.size for a in arrays.values()) / 1e6
    read = f"{len(train)} pictures, {photos.megapixels:.1f} megapixels"
    print(f"{weights:.2f} million weights, {read}, {time.time() - began:.0f} s", flush=True)
    settings()
    validation = Validation(recipe, held)
    trainer = Trainer(arrays, blocks, recipe.optimizer, fine_stem=True)
    steps = [Step(trainer, recipe.drawing(photos, n, side)) for n, side in recipe.sizes]
    best = Best(trainer, validation, f"{out}.safetensors", recipe.description(), began)
    best.look(0, 0.0)
    step, loss = trainer.train(steps, float(seconds) - (time.time() - began), recipe.every, best.look)
    best.look(step, loss / (step % 60 or 60))
    print(f"{step} steps, {time.time() - began:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
