"""Numbers, colours and transparency of every kind → the same RGB."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from picture_files import HEIC, chunk, png, srgb_profile, swapped_profile
from PIL import Image, ImageCms

from guidance.errors import FileError
from guidance.images import check_image, load_image

Y, X = np.mgrid[0:48, 0:64]
RAMP = (X * 4).astype(np.uint8)  # 0 to 252
COLOURS = np.stack([X * 4, Y * 5, 255 - X * 4], -1).astype(np.uint8)


def file(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(source, **options) -> np.ndarray:
    return np.asarray(load_image(source, name="x", **options)).astype(int)


def real(low: float, high: float) -> bytes:
    """Return a TIFF of real numbers that rises from `low` to `high`."""
    return file(Image.fromarray((X / 63 * (high - low) + low).astype(np.float32)), "TIFF")


@pytest.mark.parametrize("high", [1.004, 0.999, 1.0, 255.0, 256.5, 65535.0, 65800.0])
def test_a_ramp_of_real_numbers_is_a_ramp_in_any_range(high):
    assert abs(read(real(0, high))[..., 0] - X / 63 * 255).max() <= 2


def test_real_numbers_a_little_beyond_black_and_white_are_cut():
    values = read(real(-0.1, 1.2))[0, :, 1]
    expected = (X[0] / 63 * 1.3 - 0.1).clip(0, 1) * 255
    assert abs(values - expected).max() <= 1
    assert read(real(0, 8))[0, 8:, 0].min() == 255  # highlights of a linear picture
    assert read(real(0, 0)).max() == 0


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-4000, 8000), (0, 1e6), (-50, -20)])
def test_numbers_in_no_range_of_a_picture_are_refused(low, high):
    with pytest.raises(FileError, match=r"x holds values from -?[\d.e+]+ to .*; those of a pic"):
        load_image(real(low, high), name="x")


def test_whole_numbers_of_16_and_32_bits():
    grey = np.repeat(RAMP[..., None], 3, -1)
    sixteen = RAMP.astype(np.uint16) * 257
    assert (read(png(sixteen)) == grey).all()
    assert (read(png(COLOURS.astype(np.uint16) * 257)) == COLOURS).all()
    for kind in ("TIFF", "JPEG2000"):
        assert (read(file(Image.fromarray(sixteen), kind)) == grey).all()
    inverted = {262: 0}  # white is zero
    assert (read(file(Image.fromarray(65535 - sixteen), "TIFF", tiffinfo=inverted)) == grey).all()
    negative = Image.fromarray(RAMP.astype(np.int32) - 300)
    assert read(negative).max() == read(file(negative, "TIFF")).max() == 0


def test_a_clear_value_is_white():
    key = chunk(b"tRNS", struct.pack(">H", 20 * 257))
    values = read(png(RAMP.astype(np.uint16) * 257, before=key))[0, :, 0]
    assert (values[5], values[4], values[6]) == (255, 16, 24)
    key = chunk(b"tRNS", struct.pack(">HHH", *map(int, COLOURS[3, 5])))
    values = read(png(COLOURS, before=key))
    assert (values[3, 5] == 255).all()
    assert (values[3, 6] == COLOURS[3, 6]).all()


def test_transparency_is_kept_if_asked_for():
    image = Image.fromarray(COLOURS).convert("RGBA")
    image.putalpha(Image.fromarray(RAMP))
    data = file(image, "PNG")
    kept = load_image(data, alpha=True)
    assert kept.mode == "RGBA"
    assert (np.asarray(kept.getchannel("A")) == RAMP).all()
    assert load_image(data).mode == "RGB"
    assert load_image(png(COLOURS), alpha=True).mode == "RGB"


def pillow_reads(data: bytes) -> bool:
    """Return whether Pillow reads what it wrote: 12.3 does not in one case."""
    try:
        return bool(Image.open(io.BytesIO(data)).tobytes())
    except OSError:
        return False


YCBCR = file(Image.fromarray(COLOURS).convert("YCbCr"), "TIFF")


@pytest.mark.parametrize(
    "data",
    [
        file(Image.fromarray(COLOURS).convert("CMYK"), "JPEG", quality=98),
        file(Image.fromarray(COLOURS).convert("CMYK"), "TIFF"),
        pytest.param(
            YCBCR,
            marks=pytest.mark.skipif(not pillow_reads(YCBCR), reason="Pillow does not read it"),
        ),
        file(Image.fromarray(COLOURS).convert("RGBA"), "WEBP", lossless=True),
        file(Image.fromarray(COLOURS), "JPEG2000"),
        file(Image.fromarray(COLOURS), "BMP"),
    ],
    ids=["CMYK JPEG", "CMYK TIFF", "YCbCr TIFF", "WebP", "JPEG 2000", "BMP"],
)
def test_colours_of_other_spaces(data):
    assert abs(read(data) - COLOURS).mean() < 1.5


def test_lab_is_converted():
    way = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(COLOURS), way)
    assert abs(read(file(lab, "TIFF")) - COLOURS).mean() < 3


def test_colours_are_those_of_the_profile():
    swapped = COLOURS[..., [1, 0, 2]]
    for kind in ("PNG", "TIFF"):
        data = file(Image.fromarray(COLOURS), kind, icc_profile=swapped_profile())
        assert abs(read(data) - swapped).max() <= 3
    loaded = load_image(data)
    assert "icc_profile" not in loaded.info
    assert (np.asarray(load_image(loaded)) == np.asarray(loaded)).all()  # converted once
    clear = Image.fromarray(COLOURS).convert("RGBA")
    clear.putalpha(Image.fromarray(RAMP))
    values = read(file(clear, "PNG", icc_profile=swapped_profile()), alpha=True)
    assert abs(values[..., :3] - swapped).max() <= 3
    assert (values[..., 3] == RAMP).all()


@pytest.mark.parametrize("profile", [srgb_profile(), b"damaged" * 40, bytes(5_000_000)])
def test_other_profiles_change_nothing(profile):
    assert (read(file(Image.fromarray(COLOURS), "TIFF", icc_profile=profile)) == COLOURS).all()
    grey = file(Image.fromarray(RAMP), "TIFF", icc_profile=profile)  # none of a grey picture
    assert (read(grey)[..., 1] == RAMP).all()


@pytest.mark.parametrize(
    ("kind", "place"),
    [(b"zTXt", "before"), (b"zTXt", "after"), (b"iTXt", "after"), (b"iCCP", "before"),
     (b"tEXt", "after")],
)  # fmt: skip
def test_png_with_much_beside_the_pixels_is_read(kind, place):
    much = zlib.compress(bytes(20_000_000))
    heads = {b"zTXt": b"k\0\0", b"iCCP": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"tEXt": b"k\0"}
    data = heads[kind] + (bytes(67_200_000) if kind == b"tEXt" else much)
    turned = chunk(b"eXIf", b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\3\0\0\0\0\0\0\0")
    picture = png(COLOURS, **{place: chunk(kind, data)}) if place == "before" else png(
        COLOURS, before=turned, after=chunk(kind, data)
    )  # fmt: skip
    check_image(picture)
    expected = COLOURS if place == "before" else COLOURS[::-1, ::-1]
    assert (read(picture) == expected).all()


def test_a_tiff_that_pillow_misreads_is_refused():
    planes = np.ascontiguousarray(COLOURS.astype(np.uint16).transpose(2, 0, 1) * 257)
    entries = [
        (256, 4, 64), (257, 4, 48), (259, 3, 1), (262, 3, 2), (277, 3, 3), (284, 3, 2),
        (278, 4, 48),
    ]  # fmt: skip
    arrays = {
        258: (3, [16] * 3),
        273: (4, [400 + i * 6144 for i in range(3)]),
        279: (4, [6144] * 3),
    }
    rows, extra, place = [], b"", 300
    for tag, kind, value in entries:
        rows.append((tag, struct.pack("<HHII", tag, kind, 1, value)))
    for tag, (kind, values) in arrays.items():
        rows.append((tag, struct.pack("<HHII", tag, kind, 3, place + len(extra))))
        extra += struct.pack("<3H" if kind == 3 else "<3I", *values).ljust(12, b"\0")
    table = struct.pack("<H", len(rows)) + b"".join(r for _, r in sorted(rows)) + bytes(4)
    head = (b"II*\0" + struct.pack("<I", 8) + table).ljust(300, b"\0") + extra
    data = head.ljust(400, b"\0") + planes.tobytes()
    with pytest.raises(FileError, match="x is a TIFF of a rare kind"):
        load_image(data, name="x")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(HEIC, "a HEIC photo"), (b"8BPS\0\1" + bytes(99), "a Photoshop file"),
     (b"%PDF-1.7\n", "a PDF"), (b"\xff\x0a" + bytes(99), "a JPEG XL image"),
     (b"<?xml version='1.0'?><svg/>", "an SVG drawing"), (b"%!PS-Adobe-3.0", "a PostScript file")],
)  # fmt: skip
def test_files_of_other_programs_are_called_by_their_name(data, kind):
    for call in (load_image, check_image):
        with pytest.raises(FileError) as caught:
            call(data, name="photo.jpg")
        assert str(caught.value) == (
            f"photo.jpg is not an image of a known format but {kind}; save it as PNG or JPEG"
        )
