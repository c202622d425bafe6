"""Masks of other programs: what their makers meant, or a sentence that says what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.data import astronaut

from guidance.errors import InputError
from guidance.images.canvas import load_mask
from guidance.images.masks import read_mask

Y, X = np.mgrid[0:64, 0:80]
DISC = (X - 30) ** 2 + (Y - 28) ** 2 < 400
SHARE = DISC.mean()


def brush(colour, *, strength: int = 255, under=(0, 0, 0), soft: float = 0) -> Image.Image:
    """Return a disc of `colour` on a transparent layer."""
    image = Image.new("RGB", (80, 64), under)
    image.paste(colour, mask=Image.fromarray(DISC))
    alpha = Image.fromarray(DISC.astype(np.uint8) * strength)
    image.putalpha(alpha.filter(ImageFilter.GaussianBlur(soft)) if soft else alpha)
    return image


def photo(*, hole: bool = True) -> Image.Image:
    """Return a photo with a transparent disc."""
    image = Image.fromarray(astronaut()).resize((80, 64))
    if hole:
        image.putalpha(Image.fromarray(np.where(DISC, 0, 255).astype(np.uint8)))
    return image


def flat(grey: np.ndarray, mode: str = "L") -> Image.Image:
    return Image.fromarray(grey.astype(np.uint8)).convert(mode)


def painted(path) -> np.ndarray:
    """Return what is painted at the mask's own size."""
    return load_mask(path, (64, 80))[0, 0].numpy() > 0


def palette() -> Image.Image:
    image = Image.fromarray(DISC.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    return image


def palette_brush() -> Image.Image:
    image = palette()
    image.info["transparency"] = 0
    return image


MEANT = {
    "white brush": brush("white"),
    "white brush on hidden white": brush("white", under="white"),
    "red brush": brush("red"),
    "half transparent brush": brush((255, 60, 60), strength=110),
    "soft brush": brush("white", soft=1.5),
    "brush of grey and alpha": brush("white").convert("LA"),
    "brush of a palette": palette_brush(),
    "photo with a hole": photo(),
    "grey photo with a hole": photo().convert("LA"),
    "white on black": flat(DISC * 255),
    "soft white on black": flat(DISC * 255).filter(ImageFilter.GaussianBlur(1.5)),
    "one bit": flat(DISC * 255).convert("1"),
    "a palette": palette(),
    "opaque alpha": flat(DISC * 255, "RGBA"),
    "16 bits": Image.fromarray(DISC.astype(np.uint16) * 65535),
}


@pytest.mark.parametrize("kind", MEANT)
def test_masks_paint_what_their_maker_meant(kind, tmp_path):
    MEANT[kind].save(tmp_path / "m.png")
    found = painted(tmp_path / "m.png")
    assert (found != DISC).mean() < (0.03 if "soft" in kind else 1e-9)
    small = load_mask(tmp_path / "m.png", (32, 40))
    assert small.mean().item() == pytest.approx(SHARE, abs=0.02)


def test_a_mask_of_real_numbers_and_a_turned_one(tmp_path):
    Image.fromarray(DISC.astype(np.float32)).save(tmp_path / "m.tif")
    assert (painted(tmp_path / "m.tif") == DISC).all()
    exif = Image.Exif()
    exif[0x0112] = 3  # half a turn
    brush("white").transpose(Image.Transpose.ROTATE_180).save(tmp_path / "m.png", exif=exif)
    assert (painted(tmp_path / "m.png") == DISC).all()


def strokes() -> Image.Image:
    image = brush("red")
    image.paste((0, 0, 255, 255), (30, 25, 45, 40))
    return image


REFUSED = {
    "strokes of several colours": (strokes(), "has strokes of several colours, or is a drawing"),
    "black brush": (brush("black"), "is black and clear: fill what is to be painted with white"),
    "black with a hole": (
        Image.merge("LA", (flat(DISC * 0), flat(~DISC * 255))), "is black and clear: fill"
    ),
    "black and white on clear": (
        Image.merge("LA", (flat((X > 30) * 255), flat(DISC * 255))),
        "is black, white and clear: fill",
    ),
    "nothing": (flat(DISC * 0), "is black everywhere"),
    "clear": (Image.new("RGBA", (80, 64), "#fff0"), "is clear everywhere"),
    "numbers of 0 and 1": (flat(DISC), "nearer to white than to black: its largest value is 1 of"),
    "red on black": (
        Image.merge("RGB", (flat(DISC * 255), *[flat(DISC * 0)] * 2)), "nothing nearer to white"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_unclear_masks_are_refused(kind, tmp_path):
    image, reason = REFUSED[kind]
    image.save(tmp_path / "m.png")
    with pytest.raises(InputError, match=f"m.png .*{reason}"):
        load_mask(tmp_path / "m.png", (64, 80))


def test_a_mask_that_paints_everything_or_is_a_photo_is_told_once(tmp_path):
    flat(DISC * 0 + 255).save(tmp_path / "white.png")
    photo(hole=False).save(tmp_path / "photo.png")
    flat(DISC * 0 + 128).save(tmp_path / "grey.png")
    red = flat(DISC * 0 + 255, "RGB")
    red.paste("red", mask=flat(DISC * 255))
    red.save(tmp_path / "red.png")
    for name, reason in {
        "grey.png": "is nearer to white than to black everywhere, so all of the picture is painted",
        "red.png": "is not black and white: [0-9]+% of it is nearer to white and painted",
        "white.png": "is white everywhere, so all of the picture is painted",
        "photo.png": "is not black and white: [0-9]+% of it is nearer to white and painted",
    }.items():
        with pytest.warns(UserWarning, match=reason):
            load_mask(tmp_path / name, (64, 80))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read_mask(tmp_path / name)
    flat(DISC * 0).save(tmp_path / "white.png")  # another file by now
    with pytest.raises(InputError, match="black everywhere"):
        read_mask(tmp_path / "white.png")


def test_a_mask_that_is_too_fine_is_told(tmp_path):
    flat((X == 40) & (Y == 30)).point(lambda v: v * 255).save(tmp_path / "dot.png")
    with pytest.raises(InputError, match=r"dot.png is large enough to be painted at 10x8"):
        load_mask(tmp_path / "dot.png", (8, 10))
