#!/usr/bin/env python3
"""Tweedie beside PyTorch and ONNX Runtime on the same networks and sizes, in alternation; prints a table of ratios.

    benches/peers/run.py [ROUNDS]

Makes a Python environment in `benches/peers/.venv` the first time. THREADS sets the number of threads of all.
"""

import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = {
    "ffhq-forward": ("torch", "onnx"),
    "ffhq-gradient": ("torch",),
    "photo-256-forward": ("torch", "onnx"),
    "photo-256-gradient": ("torch",),
    "photo-1024-forward": ("torch", "onnx"),
    "photo-train": ("torch",),
}
REPEATS = 3


def python():
    where = HERE / ".venv"
    if not where.exists():
        venv.create(where, with_pip=True)
        subprocess.run([where / "bin/pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    return where / "bin/python"


def bench():
    """The path of our own benchmark."""
    command = ["cargo", "bench", "--workspace", "--bench", "unet", "--no-run", "--message-format=json"]
    out = subprocess.run(command, cwd=HERE.parent.parent, check=True, capture_output=True, text=True).stdout
    messages = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
    return [m["executable"] for m in messages if m.get("target", {}).get("name") == "unet" and m.get("executable")][0]


def measure(command):
    threads = os.environ.get("THREADS")
    env = dict(os.environ, **({"RAYON_NUM_THREADS": threads} if threads else {}))
    out = subprocess.run([*command, str(REPEATS)], check=True, capture_output=True, text=True, env=env).stdout
    return json.loads(out.splitlines()[-1])


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    interpreter, ours = python(), bench()
    print("| case | ours s | GiB | torch s | GiB | onnx s | GiB | ours / torch | memory | ours / onnx |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case, peers in CASES.items():
        commands = {"ours": [ours, case]} | {p: [interpreter, HERE / f"{p}_worker.py", case] for p in peers}
        # Rounds in alternation: the machine's mood is the same for all.
        results = [{name: measure(command) for name, command in commands.items()} for _ in range(rounds)]
        seconds = {n: statistics.median(r[n]["seconds"] for r in results) for n in commands}
        peak = {n: statistics.median(r[n]["peak"] for r in results) for n in commands}
        ratio = {n: statistics.median(r["ours"]["seconds"] / r[n]["seconds"] for r in results) for n in peers}
        cells = [f"{seconds[n]:.3f} | {peak[n]:.2f}" if n in commands else " | " for n in ("ours", "torch", "onnx")]
        cells.append(f"{ratio['torch']:.2f} | {peak['ours'] / peak['torch']:.2f}")
        cells.append(f"{ratio['onnx']:.2f}" if "onnx" in ratio else "")
        print(f"| {case} | {' | '.join(cells)} |", flush=True)


main()
