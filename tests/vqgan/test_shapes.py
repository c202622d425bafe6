"""A photo or film keeps its shape in a painting; a size that is asked for wins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_vqgan
import torch
from PIL import Image
from runs import pixels

from guidance.artefacts.manifest import read_manifest
from guidance.command.runner import command
from guidance.errors import InputError
from guidance.images import load_image, to_tensor
from guidance.vqgan.build import build
from guidance.vqgan.options import VqganOptions
from guidance.vqgan.technique import VQGAN

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    return str(tiny_vqgan.save(tmp_path_factory.mktemp("vqgan") / "vq"))


@pytest.fixture
def photo(tmp_path) -> str:
    """Return the path of a picture of 96 x 64 pixels: red on the left, blue on the right."""
    values = np.zeros((64, 96, 3), np.uint8)
    values[:, :6, 0] = values[:, -6:, 2] = 255
    Image.fromarray(values).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def options(**values: object) -> VqganOptions:
    return VqganOptions(prompt="a fox", device="cpu", **values)


def test_the_painting_has_the_shape_of_the_photo(tiny, photo):
    given = options(vqgan=tiny, init=photo)
    assert given.canvas() == given.final() == (184, 276)  # as many pixels as 224x224
    assert given.notes() == []
    assert options(init=photo).canvas() == (176, 264)  # whole cells of 8 pixels
    assert options(init=photo, render_size=96).final() == (64, 96)
    assert options().canvas() == (224, 224)
    painting = build(given, CPU)
    assert painting.image().shape == (1, 3, 184, 276)
    assert painting.notes == []


def test_a_size_that_is_asked_for_wins_and_says_what_it_cuts(tiny, photo):
    given = options(vqgan=tiny, init=photo, size="48")
    assert given.canvas() == (48, 48)
    cut = f"--init: {photo} is 96x64; its middle, 64x64, fills the picture of 48x48"
    assert build(given, CPU).notes == [cut]


def test_what_a_mask_keeps_is_the_photo(tiny, photo, tmp_path):
    mask = Image.new("L", (192, 128))  # drawn at twice the size
    mask.paste(255, (96, 0, 192, 128))
    mask.save(tmp_path / "mask.png")
    given = options(vqgan=tiny, init=photo, mask=str(tmp_path / "mask.png"), size="96x64")
    given.check()
    image = build(given, CPU).image()
    assert torch.equal(image[..., :48], to_tensor(load_image(photo))[..., :48])
    mask.crop((0, 0, 128, 128)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"the init image, 96x64, but .*mask\.png is 128x128"):
        given.check()


def test_a_film_keeps_its_shape(tiny, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(2):
        Image.new("RGB", (60, 40), "red").save(frames / f"{number}.png")
    given = options(vqgan=tiny, video_in=str(frames), frame_steps=1)
    given.check()
    assert given.canvas() == (184, 276)
    (note,) = options(vqgan=tiny, video_in=str(frames), size="32").notes()
    assert note.startswith("--video-in: ")
    assert note.endswith("frames is 60x40; its middle, 40x40, fills the picture of 32x32")


def test_other_sizes_are_refused_before_anything_is_loaded(tiny, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes((Path(tiny) / "config.json").read_bytes())
    with pytest.raises(InputError, match=r"of 4 pixels .* is 34x32; .* are 32x32 and 36x32"):
        options(vqgan=str(folder), size="34x32").check()
    for size in ("8", "12x8", "16x40"):
        options(vqgan=str(folder), size=size).check()
        assert build(options(vqgan=tiny, size=size), CPU).image().isfinite().all()


def test_a_run_with_a_photo_is_repeated(tiny, photo, tmp_path, tiny_clip_path, capsys):
    small = ["--vqgan", tiny, "--clip", str(tiny_clip_path), "--cuts", "2", "--steps", "2",
             "--video", "none", "-q"]  # fmt: skip
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert command(VQGAN, ["a fox", *small, "--init", photo, "-o", first]) == 0
    assert "size" not in read_manifest(first)["options"]
    assert command(VQGAN, ["--from", first, "-o", second, "-q"]) == 0
    assert (pixels(tmp_path / "first/image.png") == pixels(tmp_path / "second/image.png")).all()
    assert pixels(tmp_path / "first/image.png").shape == (184, 276, 3)
    capsys.readouterr()
    cut = ["a fox", *small[:-1], "--init", photo, "--size", "32", "-o", str(tmp_path / "third")]
    assert command(VQGAN, cut) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "--init" in line]
    assert len(told) == 1
    assert told[0].endswith("photo.png is 96x64; its middle, 64x64, fills the picture of 32x32")
