#!/usr/bin/env python3
"""Makes the hostile files beside it; the folder of each is named after the fault that it must be refused with.

    pip install pillow
    make.py
"""

import io
import math
import struct
import zlib
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
PICTURE = Image.new("RGB", (40, 24))
PICTURE.putdata([((x * 6) % 256, (y * 10) % 256, (x * y) % 256) for y in range(24) for x in range(40)])


def put(name, data):
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(width, height, bits, samples, kind, data, photometric=2, more=()):
    """One strip; kind 1 integers, 2 signed ones, 3 floats; further entries of one value."""
    entries = sorted([
        *more, (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
        (277, 3, samples), (278, 4, height), (279, 4, len(data)), (339, 3, kind),
    ])
    ifd_at = 8 + len(data)
    values_at = ifd_at + 2 + 12 * len(entries) + 4
    ifd, values = struct.pack("<H", len(entries)), b""
    for tag, form, value in entries:
        if tag in (258, 339) and samples > 2:
            ifd += struct.pack("<HHII", tag, form, samples, values_at + len(values))
            values += struct.pack("<H", value) * samples
        else:
            count = samples if tag in (258, 339) else 1
            ifd += struct.pack("<HHII", tag, form, count, value)
    return b"II*\0" + struct.pack("<I", ifd_at) + data + ifd + struct.pack("<I", 0) + values


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def main():
    whole = {kind: saved(PICTURE, kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP")}
    extension = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "WEBP": "webp", "BMP": "bmp"}

    put("no-bytes/empty.png", b"")

    put("unknown/page.png", b"<!DOCTYPE html><html><title>404</title></html>")
    put("unknown/drawing.png", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>")
    put("unknown/pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    put("unknown/zeros.png", bytes(1000))
    put("unknown/text.png", b"not a picture at all\n")
    put("unknown/one-byte.png", b"\x89")
    put("unknown/animation.png", saved(PICTURE.convert("P"), "GIF"))
    put("unknown/array.png", b"\x93NUMPY\x01\x00")
    put("unknown/scan.h5", b"\x89HDF\r\n\x1a\n")
    put("unknown/page.pdf", b"%PDF-1.7\n")

    for kind, data in whole.items():
        put(f"damaged/half.{extension[kind]}", data[: len(data) // 2])
        put(f"damaged/start.{extension[kind]}", data[:14])
    put("damaged/progressive-half.jpg", (p := saved(PICTURE, "JPEG", progressive=True))[: len(p) // 2])
    put("damaged/no-last-rows.jpg", whole["JPEG"][:-20])
    put("damaged/signature.png", whole["PNG"][:8])
    put("damaged/checksum.png", whole["PNG"][:20] + b"\xff" + whole["PNG"][21:])
    put("damaged/no-pixels-inside.png", png(40, 24))
    put("damaged/no-width.png", png(0, 24, chunk(b"IDAT", zlib.compress(b""))))
    put("damaged/too-few-pixels.png", png(40, 24, chunk(b"IDAT", zlib.compress(bytes(100)))))
    put("damaged/directory-outside.tif", b"II*\0" + struct.pack("<I", 0x7FFFFFFF))
    put("damaged/endless-directory.tif", b"II*\0" + struct.pack("<IH", 8, 0xFFFF))
    put("damaged/strip-outside.tif", tiff(40, 24, 8, 3, 1, bytes(100)))
    put("damaged/empty-canvas.webp", b"RIFF" + struct.pack("<I", 4) + b"WEBP")

    put("too-large/huge.png", png(50_000, 50_000, chunk(b"IDAT", zlib.compress(bytes(1000)))))
    put("too-large/huge.tif", tiff(50_000, 50_000, 8, 3, 1, bytes(100)))
    bmp = whole["BMP"]
    put("too-large/huge.bmp", bmp[:18] + struct.pack("<ii", 50_000, 50_000) + bmp[26:])
    jpeg = bytearray(whole["JPEG"])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    put("too-large/huge.jpg", bytes(jpeg))
    side = struct.pack("<I", 16_383)[:3]
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes([0, 0, 0, 0]) + side + side
    body = b"WEBP" + canvas + saved(PICTURE, "WEBP", lossless=True)[12:]
    put("too-large/huge.webp", b"RIFF" + struct.pack("<I", len(body)) + body)

    inks = saved(PICTURE.convert("CMYK"), "JPEG")
    adobe = inks.index(b"\xff\xee")
    put("unsupported/cmyk-inverted-or-not.jpg", inks[:adobe] + inks[adobe + 16 :])
    put("unsupported/signed.tif", tiff(2, 1, 8, 1, 2, b"\xff\x01", 1))
    put("unsupported/small-numbers.tif", tiff(2, 1, 32, 1, 1, struct.pack("<II", 0, 4095), 1))
    put("unsupported/five-channels.tif", tiff(2, 1, 8, 5, 1, bytes(10), 1))
    put("camera-raw/thumbnail.tif", tiff(2, 1, 8, 3, 1, bytes(6), more=[(254, 4, 1), (330, 4, 8)]))
    put("camera-raw/dng.tif", tiff(2, 1, 8, 3, 1, bytes(6), more=[(50706, 4, 0x401)]))
    put("camera-raw/sensor.tif", tiff(2, 1, 16, 1, 1, bytes(4), 32803))
    put("unknown/sensor.png", b"FUJIFILMCCD-RAW 0201")

    put("range/beyond-one.tif", tiff(2, 1, 32, 3, 3, floats(0, 0.5, 1, 2, 3, 4)))
    put("not-finite/nan.tif", tiff(2, 1, 32, 3, 3, floats(0, 0.5, 1, math.nan, 0, math.inf)))


if __name__ == "__main__":
    main()
