"""SVG out: our own drawings come back, and any viewer draws them as we do."""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
import torch
from scenes import make_scene

from guidance.errors import DivergedError, InputError
from guidance.vector.svg.reader import from_svg
from guidance.vector.svg.writer import to_svg

NAMESPACE = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("size", [(224, 224), (300, 200), (1, 1), (5000, 20)])
def test_round_trip(size):
    scene = make_scene(40, seed=0, dtype=torch.float32)
    back = from_svg(to_svg(scene, size, (1.0, 1.0, 1.0), title="t", description="d"))
    assert torch.equal(back.counts, scene.counts)
    assert torch.equal(back.closed, scene.closed)
    used = torch.arange(10) < (3 * scene.counts + (~scene.closed))[:, None]
    torch.testing.assert_close(back.points[:, :10][used], scene.points[used], atol=2e-6, rtol=0)
    strokes = ~scene.closed
    torch.testing.assert_close(back.widths[strokes], scene.widths[strokes], atol=2e-6, rtol=0)
    torch.testing.assert_close(back.colors, scene.colors, atol=2e-6, rtol=0)


def test_text_is_escaped_and_stripped_of_forbidden_characters():
    text = to_svg(make_scene(1, seed=0), (8, 8), title="<b> & \x00\x0b\ud800é", description="]]>")
    root = ET.fromstring(text.encode())
    assert root.find(f"{NAMESPACE}title").text == "<b> & é"
    assert root.find(f"{NAMESPACE}desc").text == "]]>"


def test_file_is_plain_svg():
    root = ET.fromstring(to_svg(make_scene(3, seed=0), (300, 200), (1, 0.5, 0)).encode())
    assert (root.get("width"), root.get("height")) == ("300", "200")
    assert root.get("viewBox") == "0 0 300 200"
    assert len(root.findall(f".//{NAMESPACE}path")) == 3
    assert root.find(f"{NAMESPACE}rect").get("fill") == "rgb(100%,50%,0%)"


def test_values_are_written_as_they_are_drawn():
    scene = make_scene(2, seed=0, closed=0)
    wild = replace(scene, colors=scene.colors + 5, widths=-scene.widths)
    text = to_svg(wild, (10, 10))
    assert 'stroke="rgb(100%,100%,100%)" stroke-opacity="1" stroke-width="0"' in text


def test_what_cannot_be_saved():
    scene = make_scene(2, seed=0)
    with pytest.raises(InputError, match="width must be greater than 0"):
        to_svg(scene, (0, 5))
    with pytest.raises(InputError, match="height must be greater than 0"):
        to_svg(scene, (5, math.nan))
    with pytest.raises(InputError, match="background must have 3 values"):
        to_svg(scene, (5, 5), (1.0,))
    scene.points[0, 0, 0] = math.nan
    with pytest.raises(DivergedError, match="NaN"):
        to_svg(scene, (5, 5))
