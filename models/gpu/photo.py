"""The last stage of the photo prior, on a GPU: half the steps with one level of noise, half with maps of it.

    python photo.py START.safetensors TEACHER.safetensors OUT SECONDS FOLDER...

goes on from START for that many seconds and writes OUT.safetensors, the averaged weights that validate best; TEACHER shows it
what to answer where the error is no noise (`-` for none). Its folders
hold `train` and `valid` pictures as `photographs.py` and `prepare.py` leave them (folders whose name begins with `valid`
are for validation). On a CPU it takes a few small steps, to see that it runs."""

import json
import sys
import time

import torch

from photo_data import Bank, Photos, jittered, mapped, plain, pictures
from photo_net import Photo, grow, load
from training import CUDA, DEVICE, Optimizer, Step, Trainer, asked, loss_of, psnrs, settings

BLOCKS = [4, 3, 1, 2]
OPTIMIZER = Optimizer(rate=6e-4, final_rate=3e-6, warmup=300, clip=1.0, averages=[0.999, 0.9998])
# As many pixels in each kind of batch.
SIZES = [(128, 64), (32, 128), (8, 256)] if CUDA else [(4, 64), (2, 128), (1, 256)]


def frozen(path):
    """A network that is asked only."""
    arrays, about = load(path)
    blocks = json.loads(about["tweedie"])["network"]["blocks"]
    return Photo({name: torch.tensor(values, device=DEVICE) for name, values in arrays.items()}, blocks)


@torch.no_grad()
def validation(net, batches, crops, noise):
    """Loss on fixed batches, and PSNR of one denoising at sigma 15, 25, 50."""
    return [loss_of(asked(net, b), b).item() for b in batches], psnrs(net, crops, noise, peak=2)


def main(start, teacher, out, seconds, *folders):
    began, seconds = time.time(), float(seconds)
    arrays, about = load(start)
    arrays, about = grow(arrays, about, BLOCKS, seed=13)
    train, valid = pictures(folders)
    banks = {side: Bank(2**22 // side**2 * 20 if CUDA else 8, side) for _, side in SIZES}
    banks = {side: bank.to(DEVICE) for side, bank in banks.items()}
    photos = Photos(train, DEVICE)
    held = Photos(valid, DEVICE)
    print(f"{len(train)} pictures, {photos.megapixels:.1f} megapixels, {time.time() - began:.0f} s", flush=True)
    settings()
    fixed, crops = [], held.crops(48, 96 if CUDA else 64)
    noise = torch.randn_like(crops)
    for n, side in SIZES:
        x0 = held.crops(n, side)
        fixed += [plain(x0), mapped(x0, banks[side])]
    trainer = Trainer(arrays, BLOCKS, OPTIMIZER)
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
        for i in range(len(OPTIMIZER.averages)):
            losses, psnrs = validation(trainer.average(i), fixed, crops, noise)
            found.append(sum(losses) / len(losses))
            text = " ".join(f"{v:.4f}" for v in losses), " ".join(f"{v:.2f}" for v in psnrs)
            print(f"step {step} {time.time() - began:.0f} s rate {trainer.rate.item():.2e} loss {loss:.4f} valid {found[-1]:.4f} [{text[0]}] psnr {text[1]}", flush=True)
        return found

    def look(step, loss):
        report(step, loss)
        trainer.write(f"{out}.safetensors", 1, about)

    report(0, 0)
    left = seconds - (time.time() - began)
    step, loss = trainer.train(steps, left, 6000 if CUDA else 6, look)
    found = report(step, loss)
    best = found.index(min(found))
    trainer.write(f"{out}.safetensors", best, about)
    print(f"{step} steps, {time.time() - began:.0f} s, average {OPTIMIZER.averages[best]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
