"""The last stage of the photo prior, on a GPU: half the steps with one level of noise, half with maps of it.

    python train.py START.safetensors TEACHER.safetensors OUT SECONDS FOLDER...

goes on from START for that many seconds and writes OUT.safetensors, the averaged weights that validate best; TEACHER shows it
what to answer where the error is no noise (`-` for none). Its folders
hold `train` and `valid` pictures as `photographs.py` and `prepare.py` leave them (folders whose name begins with `valid`
are for validation). On a CPU it takes a few small steps, to see that it runs."""

import json
import sys
import time
from pathlib import Path

import torch

from photo_data import Bank, Photos, jittered, mapped, plain
from photo_net import Photo, factors, features_of_levels, grow, load, save, turn

BLOCKS = [4, 3, 1, 2]
RATE, WARMUP, CLIP, AVERAGES = 6e-4, 300, 1.0, [0.999, 0.9998]
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
# As many pixels in each kind of batch.
SIZES = [(128, 64), (32, 128), (8, 256)] if CUDA else [(4, 64), (2, 128), (1, 256)]


def rate_at(step, part):
    """Warm-up, then a cosine over the time that there is."""
    return RATE * min(1.0, (step + 1) / WARMUP) * (0.005 + 0.995 * 0.5 * (1 + torch.tensor(torch.pi * part).cos().item()))


class Step:
    """A step of training on a fresh batch of one kind and size; on a GPU recorded once and replayed."""

    def __init__(self, trainer, draw):
        self.trainer, self.draw, self.graph = trainer, draw, None
        if CUDA:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(2):
                    self.run()
            torch.cuda.current_stream().wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, pool=trainer.pool):
                self.loss = self.run()
            trainer.pool = self.graph.pool()

    def run(self):
        t, b = self.trainer, self.draw()
        torch._foreach_zero_(t.gradients)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=CUDA, cache_enabled=False):
            answer = t.net(b["x"], b["features"], b.get("details")).float()
        loss = loss_of(answer, b)
        loss.backward()
        norm = torch.stack(torch._foreach_norm(t.gradients)).norm()
        torch._foreach_mul_(t.gradients, CLIP / norm.clamp(min=CLIP))
        t.adam.step()
        for decay, average in zip(AVERAGES, t.averages):
            torch._foreach_lerp_(average, t.weights, 1 - decay)
        return loss.detach()

    def __call__(self):
        if self.graph is None:
            return self.run()
        self.graph.replay()
        return self.loss


def loss_of(answer, b):
    """The mean squared error, along the directions of a map and weighted, where there is one."""
    if "rows" in b:
        answer = turn(b["rows"], answer)
    return (b.get("weight", 1.0) * (answer - b["target"]) ** 2).mean()


class Trainer:
    def __init__(self, arrays, blocks):
        self.names, self.blocks = list(arrays), blocks
        self.weights = [self.tensor(arrays[n]).requires_grad_() for n in self.names]
        self.gradients = [torch.zeros_like(w) for w in self.weights]
        for w, g in zip(self.weights, self.gradients):
            w.grad = g
        self.averages = [[w.detach().clone() for w in self.weights] for _ in AVERAGES]
        self.rate = torch.tensor(0.0, device=DEVICE)
        self.adam = torch.optim.Adam(self.weights, lr=self.rate, fused=CUDA, capturable=CUDA)
        self.net = Photo(dict(zip(self.names, self.weights)), blocks)
        self.pool = None

    def tensor(self, array):
        layout = torch.channels_last if array.shape[2:] == (3, 3) else torch.contiguous_format
        return torch.tensor(array, device=DEVICE).to(memory_format=layout)

    def average(self, i):
        return Photo(dict(zip(self.names, self.averages[i])), self.blocks)


def frozen(path):
    """A network that is asked only."""
    arrays, about = load(path)
    blocks = json.loads(about["tweedie"])["network"]["blocks"]
    return Photo({name: torch.tensor(values, device=DEVICE) for name, values in arrays.items()}, blocks)


@torch.no_grad()
def validation(net, batches, crops, noise):
    """Loss on fixed batches, and PSNR of one denoising at sigma 15, 25, 50."""
    losses = [loss_of(net(b["x"], b["features"], b.get("details")), b).item() for b in batches]
    psnrs = []
    for sigma in [15, 25, 50]:
        s = torch.full((len(crops),), 2 * sigma / 255, device=DEVICE)
        v = (s * s).view(-1, 1, 1, 1)
        inp, skip, out = factors(v)
        x = crops + v.sqrt() * noise
        error = skip * x + out * net(inp * x, features_of_levels(s)) - crops
        psnrs.append((-10 * (error**2 / 4).mean((1, 2, 3)).log10()).mean().item())
    return losses, psnrs


def main(start, teacher, out, seconds, *folders):
    began, seconds = time.time(), float(seconds)
    arrays, about = load(start)
    arrays, about = grow(arrays, about, BLOCKS, seed=13)
    paths = sorted(p for f in folders for p in Path(f).rglob("*") if p.suffix in {".jpg", ".png", ".webp"})
    valid = [p for p in paths if any(part.startswith("valid") for part in p.parts)]
    banks = {side: Bank(2**22 // side**2 * 20 if CUDA else 8, side) for _, side in SIZES}
    banks = {side: bank.to(DEVICE) for side, bank in banks.items()}
    photos = Photos([p for p in paths if p not in set(valid)], DEVICE)
    held = Photos(valid, DEVICE)
    print(f"{len(paths) - len(valid)} pictures, {photos.megapixels:.1f} megapixels, {time.time() - began:.0f} s", flush=True)
    torch.manual_seed(12)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    fixed, crops = [], held.crops(48, 96 if CUDA else 64)
    noise = torch.randn_like(crops)
    for n, side in SIZES:
        x0 = held.crops(n, side)
        fixed += [plain(x0), mapped(x0, banks[side])]
    torch.backends.cudnn.allow_tf32 = True
    trainer = Trainer(arrays, BLOCKS)
    teacher = None if teacher == "-" else frozen(teacher)

    def drawing(kind, n, side):
        def draw():
            x0 = jittered(photos.crops(n, side))
            return plain(x0, teacher) if kind == "plain" else mapped(x0, banks[side])

        return draw

    steps = [Step(trainer, drawing(kind, n, side)) for n, side in SIZES for kind in ["plain", "mapped"]]

    def report(step, loss):
        if CUDA:
            torch.cuda.synchronize()
        found = []
        for i in range(len(AVERAGES)):
            losses, psnrs = validation(trainer.average(i), fixed, crops, noise)
            found.append(sum(losses) / len(losses))
            text = " ".join(f"{v:.4f}" for v in losses), " ".join(f"{v:.2f}" for v in psnrs)
            print(f"step {step} {time.time() - began:.0f} s rate {trainer.rate.item():.2e} loss {loss:.4f} valid {found[-1]:.4f} [{text[0]}] psnr {text[1]}", flush=True)
        return found

    report(0, 0)
    loop, step, total = time.time(), 0, 0.0
    left = seconds - (loop - began)
    while (part := (time.time() - loop) / left) < 1:
        trainer.rate.fill_(rate_at(step, part))
        loss = steps[step % len(steps)]()
        total = loss.clone() if step % 60 == 0 else total + loss
        step += 1
        if step % 60 == 0:
            total.item()  # Waits: the clock tells how far the training is.
        if step % (6000 if CUDA else 6) == 0:
            report(step, total.item() / 60)
            write(out, trainer, 1, about)
    found = report(step, total.item())
    best = found.index(min(found))
    write(out, trainer, best, about)
    print(f"{step} steps, {time.time() - began:.0f} s, average {AVERAGES[best]}")


def write(out, trainer, i, about):
    values = [v.detach().float().cpu().contiguous().numpy() for v in trainer.averages[i]]
    save(f"{out}.safetensors", dict(zip(trainer.names, values)), about)


if __name__ == "__main__":
    main(*sys.argv[1:])
