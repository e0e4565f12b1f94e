"""PyTorch on one case: prints a line of JSON like `cargo bench -p tweedie --bench unet -- CASE REPEATS`.

    python torch_worker.py CASE REPEATS
    python torch_worker.py export CASE PATH          # the network as an ONNX file, for onnx_worker.py
"""

import copy
import os
import sys

import torch

from adm import Adm
from photo import PRIOR, RECIPE, Photo
from timing import report


def model_and_input(case):
    torch.manual_seed(0)
    if case.startswith("ffhq"):
        return Adm(), torch.randn(1, 3, 256, 256), torch.tensor([500.0])
    side = 1024 if "1024" in case else 256
    return Photo(*PRIOR), torch.randn(1, 3, side, side), torch.tensor([-0.5])


def forward(case):
    model, x, t = model_and_input(case)
    model.eval()

    def run():
        with torch.no_grad():
            model(x, t)

    return run


def gradient(case):
    model, x, t = model_and_input(case)
    model.eval().requires_grad_(False)

    def run():
        leaf = x.clone().requires_grad_()
        model(leaf, t).sum().backward()

    return run


def train(_):
    model = Photo(*RECIPE)
    ema = copy.deepcopy(model).requires_grad_(False)
    adam = torch.optim.Adam(model.parameters(), lr=1e-4)
    x, target = torch.randn(2, 16, 3, 64, 64)
    condition = torch.randn(16)

    def run():
        adam.zero_grad()
        (model(x, condition) - target).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        with torch.no_grad():
            for average, weight in zip(ema.parameters(), model.parameters()):
                average.lerp_(weight, 0.001)

    return run


torch.set_num_threads(int(os.environ.get("THREADS", os.cpu_count())))
if sys.argv[1] == "export":
    network, image, time = model_and_input(sys.argv[2])
    torch.onnx.export(network.eval(), (image, time), sys.argv[3], input_names=["x", "t"], dynamo=False)
else:
    case, repeats = sys.argv[1], int(sys.argv[2])
    what = {"forward": forward, "gradient": gradient, "train": train}[case.rsplit("-", 1)[1]]
    report(case, what(case), repeats)
