#!/usr/bin/env python3
"""Chooses the photographs of the later stages of the photo prior, and writes their credits.

    python models/photo/photographs.py PHOTOS OUT_DIR

PHOTOS is a folder of photographs of about a quarter of a megapixel with a `manifest.json` that says of each where it comes
from (repository, commit, path), its licence and its credit line. Of these the development set (docs/development-set.md) is
left out, 40 that a seed draws are for validation, and the rest for training; both go beside the pictures of `prepare.py`:

    OUT_DIR/train, OUT_DIR/valid       links to the pictures
    models/photo/PHOTOGRAPHS.md        the credits of all that were trained on or validated with
"""

import collections
import json
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEVELOPMENT = HERE.parent.parent / "docs/development-set.md"
VALID = 40
SEED = 12

HEAD = """# Credits of the photographs

The photographs of the later stages of the photo prior, by the public repository that they come from: path, licence, credit
line as stated there. Each was reduced to about a quarter of a megapixel by area averaging; nothing else was changed. {share}
of them are ShareAlike. Those marked `v` were only validated with. `photographs.py` wrote this file.
"""


def development():
    rows = (line.split("|")[1].strip().strip("`") for line in DEVELOPMENT.read_text().splitlines() if line.startswith("| `"))
    return set(rows)


def split(pictures):
    held = development()
    rest = sorted((p for p in pictures if p["path"] not in held), key=lambda p: p["file"])
    assert len(rest) == len(pictures) - len(held), "the development set is not all there"
    random.seed(SEED)
    valid = {p["file"] for p in random.sample(rest, VALID)}
    return [(p, "valid" if p["file"] in valid else "train") for p in rest]


def link(folder, out, chosen):
    for picture, part in chosen:
        (out / part).mkdir(parents=True, exist_ok=True)
        to = out / part / picture["file"].replace("/", "_")
        if not to.is_symlink():
            to.symlink_to((folder / picture["file"]).resolve())


def credits(chosen):
    groups = collections.defaultdict(list)
    for picture, part in chosen:
        groups[(picture["repository"], picture["commit"])].append((picture, part))
    share = sum("SA" in p["licence"].upper().replace("-", "").replace(" ", "") for p, _ in chosen)
    lines = [HEAD.format(share=share)]
    for (repository, commit), members in sorted(groups.items()):
        lines.append(f"\n## {repository} at {commit[:12]}\n\n| picture | | licence | credit |\n|---|---|---|---|\n")
        for picture, part in members:
            line = " ".join(picture["credit"].split()).replace("|", "/")
            mark = "v" if part == "valid" else ""
            lines.append(f"| `{picture['path']}` | {mark} | {picture['licence']} | {line} |\n")
    (HERE / "PHOTOGRAPHS.md").write_text("".join(lines))


def main():
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    chosen = split(json.loads((folder / "manifest.json").read_text())["pictures"])
    link(folder, out, chosen)
    credits(chosen)
    print(collections.Counter(part for _, part in chosen))


main()
