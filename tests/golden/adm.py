"""Outputs and input gradients of small random ADM networks, computed by the authors' own code.

    python tests/golden/adm.py GUIDED_DIFFUSION_CHECKOUT > tests/golden/adm.json

Needs PyTorch and a checkout of github.com/openai/guided-diffusion. Weights and inputs are not stored: both sides draw them
by the same formula from their names.
"""

import json
import sys

import numpy as np
import torch

sys.path.insert(0, sys.argv[1])
from guided_diffusion.unet import UNetModel  # noqa: E402

COMMON = dict(image_size=16, in_channels=3, out_channels=6, num_res_blocks=1, use_checkpoint=False)
CASES = {
    # name: arguments of the original, picture's height and width, batch, number of classes
    "block": (
        dict(COMMON, model_channels=32, channel_mult=(1, 2), attention_resolutions=(2,), num_heads=4,
             num_head_channels=16, use_scale_shift_norm=True, resblock_updown=True),
        (10, 14), 1,
    ),
    "conv": (
        dict(COMMON, in_channels=6, out_channels=3, model_channels=32, channel_mult=(1, 1, 2), num_res_blocks=2,
             attention_resolutions=(1, 4), num_heads=2, num_classes=5, use_new_attention_order=True),
        (12, 8), 2,
    ),
    "plain": (
        dict(COMMON, model_channels=32, channel_mult=(1, 2), attention_resolutions=(), num_heads=1,
             conv_resample=False, use_scale_shift_norm=True),
        (8, 6), 1,
    ),
}


def draw(name, shape):
    """Numbers in [-1, 1): a hash of the name and the index."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    h = np.arange(int(np.prod(shape)), dtype=np.uint64) * np.uint64(2654435761) + np.uint64(seed)
    mask = np.uint64(2**32 - 1)
    for _ in range(2):
        h = (h & mask) ^ ((h & mask) >> np.uint64(15))
        h = h * np.uint64(2246822519) & mask
    h ^= h >> np.uint64(13)
    return torch.from_numpy((h >> np.uint64(8)).astype(np.float32) / 2**23 - 1).reshape(shape)


def weight(name, shape):
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 16
    centre = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
    return centre + draw(name, shape) * float(np.float32(1.5 / np.sqrt(fan_in)))


def run(settings, size, batch):
    torch.set_default_dtype(torch.float32)
    model = UNetModel(**settings).eval()
    model.load_state_dict({name: weight(name, tuple(p.shape)) for name, p in model.state_dict().items()})
    x = draw("x", (batch, settings["in_channels"], *size)).requires_grad_()
    times = torch.tensor([3.0, 720.5][:batch])
    labels = torch.tensor([4, 1][:batch]) if settings.get("num_classes") else None
    y = model(x, times, labels)
    (y * draw("dy", tuple(y.shape))).sum().backward()
    flat = lambda t: [float(f"{v:.8g}") for v in t.detach().flatten().tolist()]
    return {"y": flat(y), "dx": flat(x.grad)}


json.dump({name: run(*case) for name, case in CASES.items()}, sys.stdout)
