"""A network and its optimiser, a step of training that a GPU records once and replays, and the loop over a time that is given.

Batches are dictionaries: `x`, `features`, `target`, and `guess`, `details`, `rows`, `weight` where there are any."""

import time
from dataclasses import dataclass

import torch

from photo_net import DATA, Photo, factors, features_of_levels, save, turn

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")


@dataclass
class Optimizer:
    """Adam with warm-up, a cosine over the time that there is, gradients limited in norm, and averages of the weights."""

    rate: float
    final_rate: float
    warmup: int
    clip: float
    averages: list

    def rate_at(self, step, part):
        left = 0.5 * (1 + torch.tensor(torch.pi * part).cos().item())
        return min(1.0, (step + 1) / self.warmup) * (self.final_rate + (self.rate - self.final_rate) * left)


class Step:
    """A step of training on a fresh batch of one kind and size; on a GPU recorded once and replayed.

    So `draw` must not wait for the GPU, and its shapes must not depend on what it draws."""

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
            answer = asked(t.net, b).float()
        loss = loss_of(answer, b)
        loss.backward()
        norm = torch.stack(torch._foreach_norm(t.gradients)).norm()
        torch._foreach_mul_(t.gradients, t.optimizer.clip / norm.clamp(min=t.optimizer.clip))
        t.adam.step()
        for decay, average in zip(t.optimizer.averages, t.averages):
            torch._foreach_lerp_(average, t.weights, 1 - decay)
        return loss.detach()

    def __call__(self):
        if self.graph is None:
            return self.run()
        self.graph.replay()
        return self.loss


def asked(net, b):
    """The network's answer to a batch."""
    return net(b["x"], b["features"], b.get("details"), b.get("guess"))


def loss_of(answer, b):
    """The mean squared error, along the directions of a map and weighted, where there is one."""
    if "rows" in b:
        answer = turn(b["rows"], answer)
    return (b.get("weight", 1.0) * (answer - b["target"]) ** 2).mean()


class Trainer:
    """The weights `arrays` of a network, on their way; `fine_stem` as `Photo` has it."""

    def __init__(self, arrays, blocks, optimizer, fine_stem=False):
        self.names, self.blocks, self.optimizer = list(arrays), blocks, optimizer
        self.weights = [self.tensor(arrays[n]).requires_grad_() for n in self.names]
        self.gradients = [torch.zeros_like(w) for w in self.weights]
        for w, g in zip(self.weights, self.gradients):
            w.grad = g
        self.averages = [[w.detach().clone() for w in self.weights] for _ in optimizer.averages]
        self.rate = torch.tensor(0.0, device=DEVICE)
        self.adam = torch.optim.Adam(self.weights, lr=self.rate, fused=CUDA, capturable=CUDA)
        self.net = Photo(dict(zip(self.names, self.weights)), blocks, fine_stem)
        self.pool = None

    def tensor(self, array):
        layout = torch.channels_last if array.shape[2:] == (3, 3) else torch.contiguous_format
        return torch.tensor(array, device=DEVICE).to(memory_format=layout)

    def average(self, i):
        return Photo(dict(zip(self.names, self.averages[i])), self.blocks)

    def write(self, path, i, about):
        values = [v.detach().float().cpu().contiguous().numpy() for v in self.averages[i]]
        save(path, dict(zip(self.names, values)), about)

    def train(self, steps, left, every, report):
        """Takes the steps in turn for `left` seconds and calls `report(step, loss)` between them. Answers with the last step
        and its loss."""
        start, step, total = time.time(), 0, torch.zeros(())
        while left > 0 and (part := (time.time() - start) / left) < 1:
            self.rate.fill_(self.optimizer.rate_at(step, part))
            loss = steps[step % len(steps)]()
            total = loss.clone() if step % 60 == 0 else total + loss
            step += 1
            if step % 60 == 0:
                total.item()  # Waits: the clock tells how far the training is.
            if step % every == 0:
                report(step, total.item() / 60)
        return step, total.item()


def settings():
    """Before anything is drawn: the seed, and what may be less exact for speed, which is convolutions alone."""
    torch.manual_seed(12)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = CUDA


@torch.no_grad()
def denoised(net, x, sigma, data=DATA, guess=None):
    """What is estimated of noisy pictures, beside first guesses if there are any."""
    s = torch.full((len(x),), sigma, device=x.device)
    inp, skip, out = factors((s * s).view(-1, 1, 1, 1), data)
    return skip * x + out * net(inp * x, features_of_levels(s), guess=guess)


def psnr(found, clean, peak):
    """Mean PSNR in dB of pictures whose range is as wide as `peak`."""
    return (-10 * (((found - clean) / peak) ** 2).mean((1, 2, 3)).log10()).mean().item()


def psnrs(net, clean, noise, peak, data=DATA, guess=None):
    """The same of one denoising at sigma 15, 25, 50, in 255ths of the peak."""
    levels = [peak * sigma / 255 for sigma in (15, 25, 50)]
    return [psnr(denoised(net, clean + s * noise, s, data, guess), clean, peak) for s in levels]
