"""Damaged pictures of every format: read, or refused with one line, and soon."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from picture_files import HEIC, chunk, png, swapped_profile
from PIL import Image

from guidance.errors import FileError, InputError
from guidance.images import check_image, load_image
from guidance.images.films import animation_frames, is_animation
from guidance.images.masks import read_mask

ROUNDS = 60  # of each kind of file


def file(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def originals() -> list[bytes]:
    """Return a small file of every kind that the reader knows."""
    y, x = np.mgrid[0:24, 0:32]
    colour = Image.fromarray(np.stack([x * 8, y * 10, 255 - x * 8], -1).astype(np.uint8))
    grey, clear = colour.convert("L"), colour.convert("RGBA")
    clear.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    real = Image.fromarray((x / 31).astype(np.float32))
    moving = {"save_all": True, "append_images": [clear.rotate(90), clear], "duration": 50}
    tagged = {"exif": exif, "icc_profile": swapped_profile()}
    views = {"save_all": True, "append_images": [colour]}
    kinds = [
        (colour, "JPEG", tagged), (colour, "JPEG", {"progressive": True}), (colour, "MPO", views),
        (colour.convert("CMYK"), "JPEG", {}), (colour, "PNG", tagged), (clear, "PNG", moving),
        (colour.quantize(7), "PNG", {"transparency": 1}), (clear, "WEBP", {"exif": exif}),
        (clear, "WEBP", moving), (colour, "GIF", {}), (clear, "GIF", moving), (clear, "AVIF", {}),
        (colour, "BMP", {}), (colour, "PPM", {}), (colour, "JPEG2000", {}), (grey, "TIFF", {}),
        (colour, "TIFF", {"compression": "tiff_lzw"}), (colour, "TIFF", {"exif": exif}),
        (real, "TIFF", {}), (colour.convert("CMYK"), "TIFF", {}),
    ]  # fmt: skip
    found = [file(picture, kind, **options) for picture, kind, options in kinds]
    deep = (x * 2000).astype(np.uint16)
    return [*found, png(deep, before=chunk(b"tRNS", b"\0\x07")), HEIC]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with some bytes changed, a piece cut out or doubled, or its end missing."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        place = (
            rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(80, len(data)))
        )
        data[place] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    if rng.random() < 0.3:
        first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        data = data[:first] + data[first:last] * rng.choice((0, 2)) + data[last:]
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data) + 1)]
    return bytes(data)


def refusal(read: Callable[[], object]) -> str:
    """Return what a call says against its file, nothing if it reads it."""
    try:
        read()
    except (FileError, InputError) as error:
        return str(error)
    except UserWarning:  # of a mask
        return ""
    return ""


def test_damaged_files_are_read_or_refused(tmp_path):
    rng = random.Random(20)
    path = Path(tmp_path / "x.png")
    outcomes = {"read": 0, "refused": 0}
    for original in originals():
        for _ in range(ROUNDS):
            data = damaged(original, rng)
            path.write_bytes(data)
            reads = [
                lambda data=data: check_image(data),
                lambda data=data: load_image(data, alpha=rng.random() < 0.5, min_side=8),
                lambda: read_mask(path),
            ]
            if is_animation(path):
                reads.append(lambda: list(animation_frames(path)))
            for read in reads:
                begun = time.process_time()
                said = refusal(read)
                outcomes["refused" if said else "read"] += 1
                assert len(said.splitlines()) <= 1
                assert time.process_time() - begun < 2
    assert min(outcomes.values()) > 500
