"""A thousand damaged files among a thousand good ones of every kind: none is lost, none slips in.

The good ones are written so that the scores are known: each holds the same pixels as a plain
picture, in another format, mode, bit depth or orientation.
"""

from __future__ import annotations

import functools
import io
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps
from systems import posix

from guidance.clip.scorer import ClipScorer
from guidance.embeddings import reading
from guidance.score.ranking import RankOptions, rank

SKIP = RankOptions(on_error="skip")

COUNT = 1000
ORIENTATION = 0x0112
# what undoes each EXIF orientation: how the file must be stored to be shown upright
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def data(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(image: Image.Image, orientation: int, kind: str, **options: object) -> bytes:
    """Return an image stored turned, with the EXIF that turns it back."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return data(image.transpose(STORED[orientation]), kind, exif=exif, **options)


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    """Return a PNG file that Pillow cannot write, from rows with their filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def deep(image: Image.Image) -> bytes:
    """Return a PNG with 16 bits a channel, RGB."""
    rows = np.asarray(image).astype(">u2") * 257
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(*image.size, 16, 2, pixels)


def see_through(image: Image.Image) -> bytes:
    """Return a PNG whose right half is black and fully transparent."""
    rgba = image.convert("RGBA")
    rgba.paste((0, 0, 0, 0), (image.width // 2, 0, image.width, image.height))
    return data(rgba, "PNG")


def whitened(image: Image.Image) -> Image.Image:
    """Return how `see_through` must look."""
    image = image.copy()
    image.paste("white", (image.width // 2, 0, image.width, image.height))
    return image


def grey16(image: Image.Image) -> bytes:
    """Return a greyscale PNG of 16 bits."""
    array = np.asarray(image.convert("L")).astype(np.uint16) * 257
    return data(Image.fromarray(array), "PNG")


def floats(image: Image.Image) -> bytes:
    """Return a greyscale TIFF of floats in [0, 1]."""
    return data(Image.fromarray(np.asarray(image.convert("L")) / np.float32(255)), "TIFF")


def same(image: Image.Image) -> Image.Image:
    return image


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def palette(image: Image.Image) -> Image.Image:
    return image.quantize(64)


def black_and_white(image: Image.Image) -> Image.Image:
    return image.convert("1")


def pages(image: Image.Image) -> bytes:
    """Return a TIFF whose second page shows something else."""
    return data(image, "TIFF", save_all=True, append_images=[ImageOps.invert(image)])


# suffix, how it is written, the picture it shows, and how much the score may differ from that
EXACT, LOSSY = 1e-5, 0.06
GOOD: dict[str, tuple[str, Callable[[Image.Image], bytes], Callable, float]] = {
    "PNG": (".png", lambda i: data(i, "PNG"), same, EXACT),
    "BMP": (".bmp", lambda i: data(i, "BMP"), same, EXACT),
    "PPM": (".ppm", lambda i: data(i, "PPM"), same, EXACT),
    "TIFF": (".tif", lambda i: data(i, "TIFF", compression="tiff_lzw"), same, EXACT),
    "WebP": (".webp", lambda i: data(i, "WEBP", lossless=True, method=0), same, EXACT),
    "JPEG 2000": (".jp2", lambda i: data(i, "JPEG2000"), same, EXACT),
    "JPEG": (".jpg", lambda i: data(i, "JPEG", quality=98, subsampling=0), same, LOSSY),
    "progressive": (
        ".jpeg", lambda i: data(i, "JPEG", quality=98, subsampling=0, progressive=True), same, LOSSY
    ),
    "CMYK": (
        ".jpg", lambda i: data(i.convert("CMYK"), "JPEG", quality=98, subsampling=0), same, LOSSY
    ),
    "grey": (".png", lambda i: data(i.convert("L"), "PNG"), grey, EXACT),
    "16 bits": (".png", grey16, grey, EXACT),
    "16 bits RGB": (".png", deep, same, EXACT),
    "floats": (".tiff", floats, grey, EXACT),
    "palette": (".gif", lambda i: data(palette(i), "GIF"), palette, EXACT),
    "two colours": (".png", lambda i: data(i.convert("1"), "PNG"), black_and_white, EXACT),
    "alpha": (".png", see_through, whitened, EXACT),
    "pages": (".tif", pages, same, EXACT),
    "wrong suffix": (".jpg", lambda i: data(i, "PNG"), same, EXACT),
    "no suffix": ("", lambda i: data(i, "BMP"), same, EXACT),
    "damaged EXIF": (".png", lambda i: data(i, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"),
                     same, EXACT),
    **{f"turned {n}": (".png", lambda i, n=n: turned(i, n, "PNG"), same, EXACT) for n in STORED},
    "turned JPEG": (
        ".jpg", lambda i: turned(i, 6, "JPEG", quality=98, subsampling=0), same, LOSSY
    ),
    "turned TIFF": (".tif", lambda i: turned(i, 8, "TIFF"), same, EXACT),
}  # fmt: skip


def cut(content: bytes, part: float) -> bytes:
    return content[: int(len(content) * part)]


def flipped(content: bytes) -> bytes:
    """Return a PNG with some of its compressed pixels overwritten."""
    at = content.index(b"IDAT") + 40
    return content[:at] + bytes(b ^ 0x5A for b in content[at : at + 30]) + content[at + 30 :]


def nan(image: Image.Image) -> bytes:
    array = np.asarray(image.convert("L")) / np.float32(255)
    array[3, 4] = np.nan
    return data(Image.fromarray(array), "TIFF")


TRUNCATED = "cannot be read: (.*truncated|.*data stream|Truncated File Read)"
TOO_LARGE = "has .*more than 100,000,000( pixels)?$"
UNKNOWN = "is not an image of a known format"
BAD: dict[str, tuple[str, Callable[[Image.Image], bytes], str]] = {
    # of a plain picture the half ends within the head
    "half a JPEG": (".jpg", lambda i: cut(data(i, "JPEG", quality=98), 0.5),
                    f"{UNKNOWN}|{TRUNCATED}"),
    "half a PNG": (".png", lambda i: cut(data(i, "PNG"), 0.5), TRUNCATED),
    "half a BMP": (".bmp", lambda i: cut(data(i, "BMP"), 0.5), TRUNCATED),
    "half a GIF": (".gif", lambda i: cut(data(palette(i), "GIF"), 0.6), TRUNCATED),
    "half a TIFF": (".tif", lambda i: cut(data(i, "TIFF"), 0.5), "cannot be read|known format"),
    "half a WebP": (".webp", lambda i: cut(data(i, "WEBP", lossless=True, method=0), 0.5),
                    "cannot be read|known format"),
    "a JPEG's head": (".jpg", lambda i: data(i, "JPEG")[:180], f"{UNKNOWN}|cannot be read"),
    "empty": (".png", lambda i: b"", "is empty"),
    "text": (".jpg", lambda i: b"404 not found\n" * 9, UNKNOWN),
    "a web page": (".webp", lambda i: b"<!DOCTYPE html><title>no</title>", UNKNOWN),
    "noise": (".jpg", lambda i: b"\xff\xd8\xff\xe0" + i.tobytes()[:800], f"{UNKNOWN}|cannot be"),
    "zeros": (".png", lambda i: bytes(5000), UNKNOWN),
    "PostScript": (".png", lambda i: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UNKNOWN),
    "flipped bits": (".png", lambda i: flipped(data(i, "PNG")), "cannot be read"),
    "huge": (".png", lambda i: png(60_000, 50_000, 8, 2, b"\0"), TOO_LARGE),
    "huge, well packed": (".png", lambda i: png(40_000, 40_000, 1, 0, bytes(9_000)),
                          TOO_LARGE),
    "not a number": (".tif", nan, "holds values that are not finite"),
    "a thread": (".png", lambda i: data(i.resize((301, 3)), "PNG"), "is too narrow"),
}  # fmt: skip


@functools.cache
def photographs() -> list[np.ndarray]:
    return [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]


def crop(number: int) -> Image.Image:
    """Return a piece of a photograph, 44 by 36 pixels."""
    photo = photographs()[number % 3]
    y, x = (37 * number) % (photo.shape[0] - 36), (53 * number) % (photo.shape[1] - 44)
    return Image.fromarray(photo[y : y + 36, x : x + 44])


@pytest.fixture(scope="module")
def scorer(tiny_clip_path):
    return ClipScorer(str(tiny_clip_path), device="cpu")


@pytest.fixture(scope="module")
def pile(tmp_path_factory) -> tuple[list[Path], dict[int, str]]:
    """Return files in turn good and damaged, and the kind of each by its index."""
    folder = tmp_path_factory.mktemp("pile")
    files, kinds = [], {}
    good, bad = list(GOOD), list(BAD)
    for number in range(COUNT):
        image = crop(number)
        for makers, name in ((GOOD, good[number % len(good)]), (BAD, bad[number % len(bad)])):
            suffix, write, *_ = makers[name]
            files.append(folder / f"{number:04}{'gb'[makers is BAD]}{suffix}")
            files[-1].write_bytes(write(image))
            kinds[len(files) - 1] = name
    return files, kinds


def test_all_good_ones_are_ranked_and_all_bad_ones_listed(scorer, pile, tmp_path, monkeypatch):
    files, kinds = pile
    ranking = rank(files, "a fox", scorer=scorer, options=SKIP, store=tmp_path / "store")
    wrong = [kinds[s.index] + ": " + s.reason for s in ranking.skipped if s.index % 2 == 0]
    assert wrong == []
    assert Counter(kinds[r.index] for r in ranking if r.index % 2) == {}
    assert sorted(r.index for r in ranking) == list(range(0, 2 * COUNT, 2))
    assert [s.index for s in ranking.skipped] == list(range(1, 2 * COUNT, 2))
    for s in ranking.skipped:
        assert s.source == files[s.index]
        assert re.search(BAD[kinds[s.index]][2], s.reason), f"{kinds[s.index]}: {s.reason}"

    read = []
    load = reading.load_image
    monkeypatch.setattr(reading, "load_image", lambda p, **o: read.append(p) or load(p, **o))
    again = rank(files, "a fox", scorer=scorer, options=SKIP, store=tmp_path / "store")
    assert list(again) == list(ranking)
    assert again.skipped == ranking.skipped
    assert sorted(read) == files[1::2]


def test_every_good_kind_scores_as_the_picture_it_shows(scorer, pile):
    files, kinds = pile
    chosen = range(0, 4 * len(GOOD), 2)  # each kind twice
    ranking = rank([files[n] for n in chosen], "a fox", scorer=scorer)
    scores = {r.index: r.score for r in ranking}
    for place, n in enumerate(chosen):
        _, _, shown, bar = GOOD[kinds[n]]
        plain = shown(crop(n // 2)).convert("RGB")
        expected = rank([plain], "a fox", scorer=scorer)[0].score
        assert scores[place] == pytest.approx(expected, abs=bar), kinds[n]


def test_turned_pictures_would_score_otherwise(scorer, pile):
    """If orientation did not matter to the model, the test above would say nothing of it."""
    for n, how in STORED.items():
        upright, stored = (crop(n), crop(n).transpose(how))
        a, b = (rank([i], "a fox", scorer=scorer)[0].score for i in (upright, stored))
        assert abs(a - b) > 10 * EXACT


@posix
@pytest.mark.parametrize("place", ["folder", "link", "pipe", "gone"])
def test_things_that_are_no_files(scorer, tmp_path, place):
    path = tmp_path / "x.png"
    make = {
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(tmp_path / "nowhere.png"),
        "pipe": lambda: os.mkfifo(path),
        "gone": lambda: None,
    }
    make[place]()
    (tmp_path / "good.png").write_bytes(data(crop(0), "PNG"))
    ranking = rank([path, tmp_path / "good.png"], "a fox", scorer=scorer, options=SKIP)
    assert [r.index for r in ranking] == [1]
    assert re.search("is a folder|is not a regular file|does not exist", ranking.skipped[0].reason)
