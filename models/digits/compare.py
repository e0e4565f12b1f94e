#!/usr/bin/env python3
"""How far samples of priors are from digits that nobody trained on.

    python models/digits/compare.py DATA CLASSIFIER SHEET...

DATA is what prepare.py wrote.  A SHEET is a picture of many samples, as `tweedie sample -n 1000 --size 28 -o NAME.png` writes it.
A small network is trained to tell the digits apart (once: it is kept in CLASSIFIER), and the Frechet distance is taken between the
Gaussians of its 64 features on the samples and on every second test digit.  Printed beside it: how sure the classifier is of what it
sees, and how evenly the ten digits occur.  Other test digits give the least that can be reached.

Needs Python 3.11, Pillow, numpy and PyTorch.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

SIDE = 28


def main() -> None:
    data, kept, *sheets = sys.argv[1:]
    torch.manual_seed(0)
    torch.set_num_threads(2)
    net = classifier(Path(data), Path(kept))
    test = read(sorted((Path(data) / "test").rglob("*.png")))
    print("| samples | number | Frechet distance | sure | entropy of the ten digits |")
    print("|---|---|---|---|---|")
    line(net, "test digits", test[1:2048:2], test[::2])
    for sheet in sheets:
        line(net, Path(sheet).stem, tiles(Path(sheet), gap=2), test[::2])


def line(net: nn.Module, name: str, samples: np.ndarray, test: np.ndarray) -> None:
    (f, p), (g, _) = features(net, samples), features(net, test)
    share = p.mean(0)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum() / np.log(10)
    print(f"| {name} | {len(samples)} | {frechet(f, g):.2f} | {p.max(1).mean():.3f} | {entropy:.3f} |", flush=True)


def frechet(f: np.ndarray, g: np.ndarray) -> float:
    """|m - n|^2 + tr(C + D - 2 (C D)^(1/2))."""
    c, d = np.cov(f.T), np.cov(g.T)
    values, vectors = np.linalg.eigh(c)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    product = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ d @ root), 0)).sum()
    return float(((f.mean(0) - g.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * product)


def features(net: nn.Module, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        f = torch.cat([net[:-1](part) for part in tensor(digits).split(500)])
        return f.double().numpy(), net[-1](f).softmax(1).double().numpy()


def classifier(data: Path, kept: Path) -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    if kept.exists():
        net.load_state_dict(torch.load(kept, weights_only=True))
        return net
    train = read_sheets(data / "train")
    labels = torch.tensor([int(v) for v in (data / "train-labels.txt").read_text().split()][: len(train)])
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for epoch in range(2):
        for part in torch.randperm(len(train)).split(128):
            loss = nn.functional.cross_entropy(net(tensor(train[part.numpy()])), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save(net.state_dict(), kept)
    test = read(sorted((data / "test").rglob("*.png")))
    labels = [int(v) for v in (data / "test-labels.txt").read_text().split()]
    right = (features(net, test)[1].argmax(1) == labels).mean()
    print(f"the classifier is right for {100 * right:.2f} % of the test digits", file=sys.stderr)
    return net


def tensor(digits: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(digits).float().div(127.5).sub(1)[:, None]


def read(files: list[Path]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(file).convert("L")) for file in files])


def tiles(file: Path, gap: int = 0) -> np.ndarray:
    """The digits of a sheet; what is left black at its end is none."""
    sheet = np.asarray(Image.open(file).convert("L"))
    sheet = np.pad(sheet, ((0, gap), (0, gap)))
    pitch = SIDE + gap
    rows, columns = (side // pitch for side in sheet.shape)
    cut = sheet.reshape(rows, pitch, columns, pitch).swapaxes(1, 2).reshape(-1, pitch, pitch)[:, :SIDE, :SIDE]
    last = np.flatnonzero(cut.reshape(len(cut), -1).any(1))[-1]
    return cut[: last + 1]


def read_sheets(folder: Path) -> np.ndarray:
    return np.concatenate([tiles(file) for file in sorted(folder.glob("*.png"))])


main()
