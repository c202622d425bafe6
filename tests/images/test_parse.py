"""Colours, palettes and canvas sizes from text."""

import doctest

import pytest

from guidance.errors import InputError
from guidance.images import parse
from guidance.images.parse import parse_canvas, parse_colour, parse_palette


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("red", (255, 0, 0)),
        (" Navy ", (0, 0, 128)),
        ("#ffcc00", (255, 204, 0)),
        ("#fc0", (255, 204, 0)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ("#01020380", (1, 2, 3)),
    ],
)
def test_colours(text, want):
    assert parse_colour("background", text) == tuple(c / 255 for c in want)


def test_a_wrong_colour_names_the_nearest():
    with pytest.raises(InputError, match=r"^paper must be a colour .* 'whtie'; did you mean white"):
        parse_colour("paper", "whtie")
    with pytest.raises(InputError, match="palette must be"):
        parse_palette("palette", ["red, 12"])


def test_palettes():
    assert parse_palette("palette", []) == ()
    for nothing in ("", " , "):
        with pytest.raises(InputError, match="palette must name a colour"):
            parse_palette("palette", [nothing])
    want = ((1, 0, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0))
    assert parse_palette("palette", ["red,#0000ff, white", "rgb(0,0,0)"]) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("224", (224, 224)),
        ("320x224", (224, 320)),
        (" 64X32 ", (32, 64)),
        ("8×8192", (8192, 8)),
        ("320 x 224", (224, 320)),
    ],
)
def test_canvases(text, want):
    assert parse_canvas("size", text) == want


@pytest.mark.parametrize("text", ["", "big", "-8", "64x", "64 64", "1.5", "64x64x3", "1234567"])
def test_a_canvas_has_one_of_two_forms(text):
    with pytest.raises(InputError, match="size must be SIDE or WIDTHxHEIGHT in pixels but is"):
        parse_canvas("size", text)


@pytest.mark.parametrize("text", ["0", "7", "100000", "64x7", "8193x64"])
def test_a_canvas_has_sides_in_range(text):
    with pytest.raises(InputError, match="canvas must be between 8 and 8192 pixels"):
        parse_canvas("canvas", text)


def test_docstring_examples():
    result = doctest.testmod(parse)
    assert result.attempted == 2
    assert result.failed == 0
