#!/usr/bin/env python3
"""Rounds the LPIPS weights to f16, as they are shipped.

    pip install numpy safetensors
    convert.py lpips_alex.safetensors lpips_alex_f16.safetensors

The input holds, in f32, the five convolutions of torchvision's AlexNet (`features.N.weight`, OIHW, and
`features.N.bias`) and the five linear layers of LPIPS v0.1 (`linK.model.1.weight`, [1, C, 1, 1]).
"""

import hashlib
import sys

import numpy as np
from safetensors.numpy import load_file, save_file


def main() -> None:
    source, target = sys.argv[1:]
    weights = load_file(source)
    for name, value in weights.items():
        if name.startswith("lin") and value.min() < 0:
            sys.exit(f"{name} has negative weights: no LPIPS v0.1 file")
    halves = {name: value.astype(np.float16) for name, value in weights.items()}
    save_file(
        halves,
        target,
        {"licence": "BSD-2-Clause (LPIPS), BSD-3-Clause (torchvision AlexNet)", "source": "LPIPS v0.1, AlexNet"},
    )
    print(hashlib.sha256(open(target, "rb").read()).hexdigest(), target)


if __name__ == "__main__":
    main()
