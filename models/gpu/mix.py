"""Weights between two models of one network: `python mix.py A.safetensors B.safetensors SHARE OUT.safetensors`."""

import sys

from photo_net import load, save

if __name__ == "__main__":
    a, b, share, out = sys.argv[1:]
    (a, about), (b, _), share = load(a), load(b), float(share)
    save(out, {name: a[name] + share * (b[name] - a[name]) for name in a}, about)
