#!/usr/bin/env python3
"""Makes the example photographs from those that scikit-image carries.

    pip install pillow scikit-image==0.26.0
    make.py

The short side becomes 256 pixels (antialiased, Lanczos); the long side is cut to the same about the named place, which
keeps each PNG below 200 kB.
"""

from importlib.resources import files
from pathlib import Path

from PIL import Image

# Name in scikit-image, and where the square is taken along the long side (0 left, 1 right).
PHOTOS = {"astronaut.png": 0.5, "chelsea.png": 0.3, "coffee.png": 0.55, "rocket.jpg": 0.5}


def main() -> None:
    for name, place in PHOTOS.items():
        photo = Image.open(files("skimage.data") / name).convert("RGB")
        scale = 256 / min(photo.size)
        photo = photo.resize([round(scale * side) for side in photo.size], Image.Resampling.LANCZOS)
        left = round(place * (photo.width - 256))
        photo = photo.crop((left, 0, left + 256, 256))
        photo.save(Path(__file__).with_name(Path(name).stem + ".png"), optimize=True)


if __name__ == "__main__":
    main()
