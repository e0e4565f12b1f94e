#!/usr/bin/env python3
"""Prepare the training photographs of the photo prior.

    python models/photo/prepare.py OUT_DIR [--cache DIR]

The photographs come from four Debian packages (see SOURCES.md for licences
and authors).  The script fetches the packages with ``apt-get download``, takes
the photographs out of them, keeps those whose licence is known and free, drops
what would teach the prior nothing, halves every picture and writes

    OUT_DIR/train/*.png    8-bit RGB
    OUT_DIR/valid/*.png    a fixed held-out set, never trained on
    OUT_DIR/manifest.json  where each picture comes from, and why others do not appear

Everything is written to a temporary folder beside OUT_DIR which takes its name
at the end, so OUT_DIR is either complete or untouched.  The same packages and
the same Pillow always give the same files.

Needs Python 3.11, Pillow and numpy, and the programs apt-get and dpkg-deb.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import multiprocessing
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

# --------------------------------------------------------------------------
# What is taken
# --------------------------------------------------------------------------

# Package -> the version the lists below were made for.  Another version is
# used all the same, with a warning: look at the contact sheets then.
PACKAGES = {
    "gcompris-qt-data": "3.1-2",
    "lomiri-wallpapers-16.04": "20.04.0-2",
    "lomiri-wallpapers-20.04": "20.04.0-2",
    "lxqt-themes": "1.2.0-1",
}

GCOMPRIS_RCC = "usr/share/gcompris-qt/rcc"
GCOMPRIS_ACTIVITIES = (
    "categorization",
    "explore_farm_animals",
    "explore_monuments",
    "explore_world_animals",
    "explore_world_music",
)

LOMIRI_BACKGROUNDS = "usr/share/backgrounds"

# The wallpapers of lxqt-themes are mostly drawn; these are the photographs
# which the "License" file of the folder credits to a photographer.
LXQT_WALLPAPERS = "usr/share/lxqt/wallpapers"
LXQT_LICENCE = "CC-BY-SA-3.0"
LXQT_AUTHOR = "stefonarch"
LXQT_PHOTOGRAPHS = (
    "after-the-rain.jpg",
    "appleflower.png",
    "beam.png",
    "butterfly.png",
    "drop.png",
    "flowers.png",
    "fog.jpg",
    "this-is-not-windows.jpg",
)

# Slips in the READMEs of gcompris: the name written there -> the file meant.
README_SLIPS = {
    "germany/audaPalatina.webp": "germany/aulaPalatina.webp",
    "screDriver.webp": "screwDriver.webp",
}

# Licences under which a picture is accepted.
LICENCES = re.compile(r"public-domain|CC0-1\.0|CC-BY-[1-4]\.\d|CC-BY-SA-[1-4]\.\d")

# Pictures dropped by hand, by the name they would get.
EXCLUDED = {
    "gcompris-categorization-alphabets-alphabets": "drawing",
    "gcompris-categorization-numbers-numbers": "drawing",
    "gcompris-categorization-others-volleyball": "cut out, on pure white",
    "gcompris-explore_monuments-usa-castillodeSanMarcos": "posterised",
    "gcompris-explore_monuments-usa-georgeWashingtonBirthplace": "scan with the frame of the slide",
    "lomiri-umang_by_Abhishek_Mudgal": "drawing",
    "lomiri-analogpattern_by_Peter_Nerlich": "abstract pattern",
    "lomiri-Fossa_by_Jasper_Roks": "drawing",
    "lomiri-Infinite-Sea_by_Aury88": "composition, not a photograph",
    "lomiri-Painting-Colors_by__herobrine7gamer": "drawing",
}

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

# --------------------------------------------------------------------------
# The rules
# --------------------------------------------------------------------------

MIN_SIDE = 96  # shortest side after halving
MIN_CONTRAST = 10.0  # standard deviation of the luminance, 0..255
MAX_FLAT = 0.60  # largest share of 8x8 blocks without any texture
FLAT_BLOCK = 0.5  # standard deviation below which a block has none
SAME_HASH_BITS = 6  # difference hashes this close mean the same picture

VALID_SHARE = 0.03
VALID_MIN = 24
# Only pictures up to this size are held out: a huge wallpaper tells no more
# than a small photograph when measuring, and is worth more in training.
VALID_MAX_MEGAPIXELS = 1.2


class PrepareError(Exception):
    """A problem to tell the user about in one sentence."""


@dataclass
class Picture:
    """A picture found in a package, still encoded."""

    name: str  # name of the file to write, without suffix
    group: str  # the pictures of a group resemble each other; used by the split
    package: str
    path: str  # inside the package; "bundle.rcc:/path" inside a bundle
    data: bytes
    licence: str | None
    author: str | None
    source: str | None  # page the packagers name as the origin


# --------------------------------------------------------------------------
# Packages
# --------------------------------------------------------------------------


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a program and return what it printed."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    except FileNotFoundError:
        raise PrepareError(f"the program {command[0]} is missing; a Debian system is needed") from None
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line] or ["no message"]
        raise PrepareError(f"{' '.join(command)} failed: {lines[-1]}")
    return done.stdout


def fetch(package: str, cache: Path) -> Path:
    """Return the .deb of a package, downloading it unless the cache has it."""
    found = sorted(cache.glob(f"{package}_*.deb"))
    if not found:
        print(f"downloading {package}", flush=True)
        # Download beside the cache's files so that a broken download is not kept.
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            try:
                run("apt-get", "download", package, cwd=Path(folder))
            except PrepareError as error:
                raise PrepareError(
                    f"{error}\n(is there a network, do the package lists know {package}? "
                    "try apt-get update; or put its .deb into the cache folder)"
                ) from None
            for deb in Path(folder).glob("*.deb"):
                deb.rename(cache / deb.name)
        found = sorted(cache.glob(f"{package}_*.deb"))
    if len(found) != 1:
        raise PrepareError(f"expected one {package}_*.deb in {cache}, found {len(found)}")
    return found[0]


def unpack(package: str, deb: Path, into: Path) -> str:
    """Unpack a .deb and return its version."""
    version = run("dpkg-deb", "-f", str(deb), "Version").strip()
    if version != PACKAGES[package]:
        print(f"warning: {package} {version}; the lists were made for {PACKAGES[package]}", file=sys.stderr)
    run("dpkg-deb", "-x", str(deb), str(into))
    return version


def folder_in(root: Path, path: str) -> Path:
    folder = root / path
    if not folder.is_dir():
        raise PrepareError(f"{root.name}: no folder {path}; the package has changed")
    return folder


# --------------------------------------------------------------------------
# Qt resource bundles
# --------------------------------------------------------------------------

RCC_ZLIB, RCC_FOLDER, RCC_ZSTD = 1, 2, 4


def read_rcc(data: bytes, bundle: str) -> dict[str, bytes]:
    """Read a binary Qt resource bundle (.rcc) into {path: content}.

    All numbers are big endian.  The header is "qres", the version (1 to 3), the
    offsets of the tree, the data and the names, and from version 3 the flags of
    all files together.  A node of the tree is

        u32 name offset, u16 flags,
        folder: u32 number of children, u32 index of the first child
        file:   u16 territory, u16 language, u32 data offset
        u64 time of last change (from version 2)

    A name is u16 length, u32 hash, UTF-16; the content of a file is preceded by
    its u32 length, and if zlib compressed by its u32 unpacked length as well.
    """
    files: dict[str, bytes] = {}
    try:
        magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
        if magic != b"qres":
            raise PrepareError(f"{bundle} is not a Qt resource bundle")
        if version not in (1, 2, 3):
            raise PrepareError(f"{bundle}: Qt resource version {version} is not known")
        node_size = 14 if version == 1 else 22

        def name_at(offset: int) -> str:
            (length,) = struct.unpack_from(">H", data, names + offset)
            start = names + offset + 6
            return data[start : start + 2 * length].decode("utf-16-be")

        def content_at(offset: int, flags: int, path: str) -> bytes:
            (length,) = struct.unpack_from(">I", data, contents + offset)
            start = contents + offset + 4
            if start + length > len(data):
                raise PrepareError(f"{bundle} is cut off in {path}")
            content = data[start : start + length]
            if flags & RCC_ZSTD:
                raise PrepareError(f"{bundle}: {path} is zstd compressed, which is not supported")
            return zlib.decompress(content[4:]) if flags & RCC_ZLIB else content

        def walk(index: int, path: str) -> None:
            node = tree + index * node_size
            name, flags = struct.unpack_from(">IH", data, node)
            if index:  # the root has no name
                path += "/" + name_at(name)
            if flags & RCC_FOLDER:
                count, first = struct.unpack_from(">II", data, node + 6)
                if count and first <= index:
                    raise PrepareError(f"{bundle} is damaged: its tree runs backwards")
                for child in range(first, first + count):
                    walk(child, path)
            elif path.lower().endswith((*SUFFIXES, "/readme")):  # the rest is not needed
                (offset,) = struct.unpack_from(">I", data, node + 10)
                files[path] = content_at(offset, flags, path)

        walk(0, "")
    except (struct.error, UnicodeDecodeError, zlib.error) as error:
        raise PrepareError(f"{bundle} is damaged: {error}") from None
    return files


# --------------------------------------------------------------------------
# Licences
# --------------------------------------------------------------------------


def paragraphs(text: str) -> list[dict[str, list[str]]]:
    """Split "Key: value" paragraphs, in which a value may go on for lines."""
    result = []
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in block.splitlines():
            if match := re.match(r"(Files|Copyright|License|Source|Comment):\s*(.*)", line):
                lines = fields.setdefault(match[1], [])
                line = match[2]
            if line.strip():
                lines.append(line.strip())
        result.append(fields)
    return result


def licence_name(text: str) -> str:
    """Write "CC-BY-SA 4.0", "Public Domain"... the way Debian does."""
    text = text.strip().replace(" ", "-")
    return "public-domain" if text.lower() == "public-domain" else text


def licences(text: str) -> dict[str, tuple[str, str, str | None]]:
    """{file: (licence, author, source)} of a README or a Debian copyright file."""
    table = {}
    for fields in paragraphs(text):
        if fields.get("License") and fields.get("Copyright"):
            entry = (
                licence_name(fields["License"][0]),
                "; ".join(fields["Copyright"]),
                fields["Source"][0] if fields.get("Source") else None,
            )
            for line in fields.get("Files", []):
                table[line] = entry
    return table


# --------------------------------------------------------------------------
# Pictures in the packages
# --------------------------------------------------------------------------


def gcompris_pictures(root: Path) -> list[Picture]:
    """The pictures of some activities, each a bundle with READMEs that name
    the licence and the author of every picture."""
    pictures = []
    folder = folder_in(root, GCOMPRIS_RCC)
    for activity in GCOMPRIS_ACTIVITIES:
        bundle = folder / f"{activity}.rcc"
        if not bundle.is_file():
            raise PrepareError(f"{root.name}: no {GCOMPRIS_RCC}/{bundle.name}; the package has changed")
        files = read_rcc(bundle.read_bytes(), bundle.name)
        known = {}
        for path, content in files.items():
            if path.lower().endswith("/readme"):
                parent = path.rpartition("/")[0]
                for name, entry in licences(content.decode("utf-8")).items():
                    known[f"{parent}/{README_SLIPS.get(name, name)}"] = entry
        for path, content in sorted(files.items()):
            if not path.lower().endswith(SUFFIXES):
                continue
            parent, stem = Path(path).parent.name, Path(path).stem
            pictures.append(
                Picture(
                    # "explore_farm_animals/.../animals/cat" needs no second "animals"
                    name="-".join(["gcompris", activity] + [parent] * (parent not in activity) + [stem]),
                    group=f"gcompris-{activity}",
                    package=root.name,
                    path=f"{GCOMPRIS_RCC}/{bundle.name}:{path}",
                    data=content,
                    **entry_fields(known.get(path)),
                )
            )
    return pictures


def entry_fields(entry: tuple[str, str, str | None] | None) -> dict[str, str | None]:
    return dict(zip(("licence", "author", "source"), entry or (None, None, None)))


def lomiri_pictures(root: Path) -> list[Picture]:
    """Wallpapers; the Debian copyright file has an entry for each."""
    copyright_file = root / "usr/share/doc" / root.name / "copyright"
    if not copyright_file.is_file():
        raise PrepareError(f"{root.name}: no copyright file; the package has changed")
    table = licences(copyright_file.read_text(encoding="utf-8"))
    known = {path.rpartition("/")[2]: entry for path, entry in table.items()}
    return [
        Picture(
            name=f"lomiri-{file.stem}",
            group="lomiri",
            package=root.name,
            path=str(file.relative_to(root)),
            data=file.read_bytes(),
            **entry_fields(known.get(file.name)),
        )
        for file in sorted(folder_in(root, LOMIRI_BACKGROUNDS).iterdir())
        # Links are second names of other wallpapers.
        if file.suffix.lower() in SUFFIXES and file.is_file() and not file.is_symlink()
    ]


def lxqt_pictures(root: Path) -> list[Picture]:
    """The wallpapers known to be photographs."""
    folder = folder_in(root, LXQT_WALLPAPERS)
    missing = [name for name in LXQT_PHOTOGRAPHS if not (folder / name).is_file()]
    if missing:
        raise PrepareError(f"{root.name}: no {', '.join(missing)}; the package has changed")
    return [
        Picture(
            name=f"lxqt-{Path(name).stem}",
            group="lxqt",
            package=root.name,
            path=f"{LXQT_WALLPAPERS}/{name}",
            data=(folder / name).read_bytes(),
            licence=LXQT_LICENCE,
            author=LXQT_AUTHOR,
            source=None,
        )
        for name in sorted(LXQT_PHOTOGRAPHS)
    ]


READERS = {
    "gcompris-qt-data": gcompris_pictures,
    "lomiri-wallpapers-16.04": lomiri_pictures,
    "lomiri-wallpapers-20.04": lomiri_pictures,
    "lxqt-themes": lxqt_pictures,
}

# --------------------------------------------------------------------------
# One picture
# --------------------------------------------------------------------------


def halve(image: Image.Image) -> Image.Image:
    """Shrink by 2, each pixel becoming the mean of 2x2.

    This halves the compression artefacts and the noise, and gives chroma, which
    the sources store at half the resolution, as much detail as luma.  The box is
    preferred to a Lanczos or bicubic filter because it has no negative lobes:
    those draw light and dark halos along edges, and a prior trained on them would
    draw them too.  Its slightly weaker antialiasing is that of a camera sensor.
    """
    width, height = image.size
    return image.crop((0, 0, width & ~1, height & ~1)).reduce(2)


def difference_hash(image: Image.Image) -> int:
    """64 bits: is each cell of a 9x8 thumbnail brighter than the one to its left?"""
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int("".join("01"[int(bit)] for bit in (cells[:, 1:] > cells[:, :-1]).ravel()), 2)


def contrast_and_flatness(image: Image.Image) -> tuple[float, float]:
    """The standard deviation of the luminance, and the share of textureless 8x8 blocks."""
    luma = np.asarray(image.convert("L"), dtype=np.float32)
    height, width = (size // 8 * 8 for size in luma.shape)
    blocks = luma[:height, :width].reshape(height // 8, 8, width // 8, 8)
    return float(luma.std()), float((blocks.std(axis=(1, 3)) < FLAT_BLOCK).mean())


def check_and_write(job: tuple[Picture, Path, int]) -> dict:
    """Apply the rules which concern one picture alone; write it if it passes.

    Returns {"reason": ...} or {"width", "height", "hash", "sha256"}.
    """
    picture, folder, min_side = job
    if picture.name in EXCLUDED:
        return {"reason": f"by hand: {EXCLUDED[picture.name]}"}
    if picture.licence is None:
        return {"reason": "licence not stated"}
    if not LICENCES.fullmatch(picture.licence):
        return {"reason": f"licence {picture.licence}"}
    try:
        image = Image.open(io.BytesIO(picture.data))
        # Photographs have no transparency; drawings and cut-outs do.
        if image.has_transparency_data:
            return {"reason": "has transparency"}
        image = halve(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError) as error:
        raise PrepareError(f"cannot read {picture.package}: {picture.path}: {error}") from None
    if min(image.size) < min_side:
        return {"reason": f"small: {image.width}x{image.height} after halving"}
    contrast, flatness = contrast_and_flatness(image)
    if contrast < MIN_CONTRAST:
        return {"reason": f"low contrast: {contrast:.1f}"}
    if flatness > MAX_FLAT:
        return {"reason": f"flat: {flatness:.0%} of the blocks"}
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    (folder / f"{picture.name}.png").write_bytes(encoded.getvalue())
    return {
        "width": image.width,
        "height": image.height,
        "hash": difference_hash(image),
        "sha256": hashlib.sha256(encoded.getvalue()).hexdigest(),
    }


# --------------------------------------------------------------------------
# All pictures
# --------------------------------------------------------------------------


def drop_repeated(pictures: list[Picture], results: dict[str, dict]) -> None:
    """Of pictures that look the same keep the largest."""
    kept: list[str] = []
    names = [picture.name for picture in pictures if "reason" not in results[picture.name]]
    for name in sorted(names, key=lambda n: (-results[n]["width"] * results[n]["height"], n)):
        for other in kept:
            if (results[name]["hash"] ^ results[other]["hash"]).bit_count() <= SAME_HASH_BITS:
                results[name] = {"reason": f"looks like {other}"}
                break
        else:
            kept.append(name)


def held_out(pictures: list[Picture], results: dict[str, dict]) -> set[str]:
    """Choose the validation pictures: the groups take turns, the group least
    represented so far (in proportion to its size) coming first, and each gives
    its pictures in the order of a hash of the name."""
    candidates: dict[str, list[str]] = {}
    for picture in pictures:
        result = results[picture.name]
        if result["width"] * result["height"] <= VALID_MAX_MEGAPIXELS * 1e6:
            candidates.setdefault(picture.group, []).append(picture.name)
    for names in candidates.values():
        names.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
    wanted = max(VALID_MIN, math.ceil(VALID_SHARE * len(pictures)))
    if wanted > sum(map(len, candidates.values())) // 2:
        raise PrepareError(f"only {len(pictures)} pictures: too few to hold {wanted} out")
    taken = dict.fromkeys(candidates, 0)
    chosen: set[str] = set()
    while len(chosen) < wanted:
        # Every group first gives one.
        group = min(candidates, key=lambda g: (taken[g] > 0, (taken[g] + 0.5) / len(candidates[g]), g))
        chosen.add(candidates[group][taken[group]])
        taken[group] += 1
    return chosen


def contact_sheets(folder: Path, target: Path) -> None:
    """Draw thumbnails of the pictures of a folder, to be looked at."""
    columns, rows, cell = 8, 6, 220
    files = sorted(folder.glob("*.png"))
    per_sheet = columns * rows
    for start in range(0, len(files), per_sheet):
        sheet = Image.new("RGB", (columns * cell, rows * cell))
        draw = ImageDraw.Draw(sheet)
        for place, file in enumerate(files[start : start + per_sheet]):
            x, y = place % columns * cell, place // columns * cell
            with Image.open(file) as image:
                image.thumbnail((cell - 4, cell - 18))
                sheet.paste(image, (x, y + 14))
            draw.text((x, y), file.stem[-36:], fill="white")
        sheet.save(target / f"contact_{folder.name}_{start // per_sheet + 1}.png")


def megapixels(entries: list[dict]) -> float:
    return round(sum(entry["width"] * entry["height"] for entry in entries) / 1e6, 3)


def prepare(target: Path, cache: Path, work: Path, processes: int, min_side: int) -> dict:
    """Fill the folder `target` and return its manifest."""
    versions: dict[str, str] = {}
    pictures: list[Picture] = []
    for package, reader in READERS.items():
        root = work / package
        versions[package] = unpack(package, fetch(package, cache), root)
        pictures += reader(root)
    if len({picture.name for picture in pictures}) != len(pictures):
        raise PrepareError("two pictures would get the same name")
    print(f"{len(pictures)} pictures in {len(versions)} packages", flush=True)

    train, valid = target / "train", target / "valid"
    train.mkdir()
    valid.mkdir()
    with multiprocessing.Pool(processes) as pool:
        jobs = [(picture, train, min_side) for picture in pictures]
        results = dict(zip((p.name for p in pictures), pool.map(check_and_write, jobs, chunksize=1)))
    drop_repeated(pictures, results)

    kept = [picture for picture in pictures if "reason" not in results[picture.name]]
    for picture in pictures:
        if "reason" in results[picture.name]:
            (train / f"{picture.name}.png").unlink(missing_ok=True)  # written, then found to be a repetition
    chosen = held_out(kept, results)
    for name in chosen:
        (train / f"{name}.png").rename(valid / f"{name}.png")

    entries = []
    for picture in sorted(kept, key=lambda p: p.name):
        split = "valid" if picture.name in chosen else "train"
        result = results[picture.name]
        entries.append(
            {
                "file": f"{split}/{picture.name}.png",
                "split": split,
                "package": picture.package,
                "path": picture.path,
                "licence": picture.licence,
                "author": picture.author,
                "source": picture.source,
                "width": result["width"],
                "height": result["height"],
                "sha256": result["sha256"],
            }
        )
    splits = {split: [e for e in entries if e["split"] == split] for split in ("train", "valid")}
    manifest = {
        "packages": versions,
        "totals": {
            split: {"pictures": len(part), "megapixels": megapixels(part)} for split, part in splits.items()
        },
        "pictures": entries,
        "dropped": [
            {"package": p.package, "path": p.path, "reason": results[p.name]["reason"]}
            for p in sorted(pictures, key=lambda p: p.name)
            if "reason" in results[p.name]
        ],
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (target / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def replace(new: Path, old: Path) -> None:
    """Give the finished folder its name, in place of an earlier one."""
    if old.exists():
        aside = new.with_name(new.name + ".old")
        old.rename(aside)
        new.rename(old)
        shutil.rmtree(aside)
    else:
        new.rename(old)


def main() -> int:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="Licences and authors of the photographs: SOURCES.md.",
    )
    parser.add_argument(
        "out_dir", metavar="OUT_DIR", type=Path, help="folder to write; replaced if this script wrote it"
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        type=Path,
        default=home / "tweedie-data" / "deb",
        help="where the Debian packages are kept (default: tweedie-data/deb in the user's cache folder)",
    )
    parser.add_argument(
        "--processes", metavar="N", type=int, default=2, help="processes to use (default: %(default)s)"
    )
    parser.add_argument(
        "--min-side",
        metavar="PIXELS",
        type=int,
        default=MIN_SIDE,
        help="drop pictures whose shorter side is smaller after halving (default: %(default)s)",
    )
    parser.add_argument("--contact", metavar="DIR", type=Path, help="also write contact sheets there, to look at")
    args = parser.parse_args()

    out = args.out_dir.resolve()
    target = None
    try:
        if args.processes < 1 or args.min_side < 1:
            raise PrepareError("--processes and --min-side must be at least 1")
        if out.exists() and not (out / "manifest.json").is_file() and (not out.is_dir() or any(out.iterdir())):
            raise PrepareError(f"{out} exists and was not written by this script")
        cache = args.cache.resolve()
        cache.mkdir(parents=True, exist_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        target.chmod(0o755)
        with tempfile.TemporaryDirectory() as work:
            manifest = prepare(target, cache, Path(work), args.processes, args.min_side)
        if args.contact:
            args.contact.mkdir(parents=True, exist_ok=True)
            for split in ("train", "valid"):
                contact_sheets(target / split, args.contact)
        replace(target, out)
    except (PrepareError, OSError) as error:
        print(f"prepare.py: {error}", file=sys.stderr)
        return 1
    finally:
        if target and target.exists():
            shutil.rmtree(target)
    for split, total in manifest["totals"].items():
        print(f"{split}: {total['pictures']} pictures, {total['megapixels']:.1f} megapixels")
    print(f"dropped: {len(manifest['dropped'])} (reasons in manifest.json)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
