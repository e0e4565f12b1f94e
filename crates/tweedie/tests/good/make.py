#!/usr/bin/env python3
"""Makes the pictures beside it, by another program's encoders; the names say how.

    pip install pillow numpy
    make.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
y, x = np.mgrid[:16, :24]
RGB = Image.fromarray(np.stack([x * 10, y * 15, (x + y) * 6], -1).astype(np.uint8))
# Cyan; magenta with a fifth of black; yellow; four fifths of black.
INKS = np.zeros((16, 16, 4), np.uint8)
INKS[:8, :8], INKS[:8, 8:], INKS[8:, :8], INKS[8:, 8:] = (255, 0, 0, 0), (0, 255, 0, 51), (0, 0, 255, 0), (0, 0, 0, 204)

on_its_side = Image.Exif()
on_its_side[0x112] = 6
RGB.save(HERE / "libjpeg-q75-420.jpg", quality=75, subsampling=2)
RGB.save(HERE / "libjpeg-q75-422-turned.jpg", quality=75, subsampling=1, exif=on_its_side)
RGB.save(HERE / "libjpeg-progressive.jpg", quality=75, progressive=True)
# Rough enough for runs, refinements and ends of several blocks; sides that fill no block.
ROUGH = np.random.default_rng(1).normal(128, 40, (37, 45, 3)) + 40 * np.sin(np.mgrid[:37, :45][1] / 4)[..., None]
ROUGH = Image.fromarray(ROUGH.clip(70, 185).astype(np.uint8))
ROUGH.save(HERE / "rough.png")
for subsampling, name in [(0, "444"), (2, "420")]:
    ROUGH.save(HERE / f"rough-{name}.jpg", quality=30, subsampling=subsampling, restart_marker_blocks=2)
    ROUGH.save(HERE / f"rough-{name}-progressive.jpg", quality=30, subsampling=subsampling, progressive=True)
# Sides that fill whole blocks; colours that change within a few samples.
down, across = np.mgrid[:32, :48]
WAVES = np.stack([128 + 90 * np.sin(across / 3), np.full((32, 48), 128), 128 + 90 * np.cos(down / 3)], -1)
WAVES = Image.fromarray(WAVES.round().astype(np.uint8))
WAVES.save(HERE / "waves.png")
WAVES.save(HERE / "waves-420.jpg", quality=90, subsampling=2)
WAVES.save(HERE / "waves-444-progressive.jpg", quality=30, subsampling=0, progressive=True)
WAVES.convert("L").save(HERE / "waves-grey.jpg", quality=30)
Image.fromarray(INKS, "CMYK").save(HERE / "adobe-cmyk.jpg", quality=95)
RGB.convert("L").convert("RGB").save(HERE / "grey-lossy.webp", quality=75)
first, *rest = [Image.fromarray(np.full((4, 6, 3), v, np.uint8)) for v in (50, 100, 200)]
first.save(HERE / "three-frames.webp", save_all=True, append_images=rest, lossless=True)
