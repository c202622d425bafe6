"""The size of a picture that is made of another one, and what of that is cut away."""

from __future__ import annotations

import itertools

import pytest
import torch
from PIL import Image

from guidance.errors import FileError, InputError
from guidance.images import to_pil
from guidance.images.canvas import load_picture
from guidance.images.fitting import (
    canvas_of,
    check_mask,
    check_multiple,
    cropped,
    final_size,
    fit_size,
    nearest_sizes,
    shape_of,
    tell_crop,
)

SHAPES = [(144, 192), (192, 144), (100, 100), (1080, 1920), (3000, 4000), (500, 333), (40, 41),
          (2, 1), (480, 640), (600, 450), (512, 640), (97, 211)]  # fmt: skip


@pytest.mark.parametrize("multiple", [1, 4, 8, 16, 32])
@pytest.mark.parametrize("pixels", [128 * 128, 224 * 224, 512 * 512])
def test_a_picture_keeps_its_shape_and_the_pixels_asked_for(pixels, multiple):
    for shape in SHAPES:
        size = fit_size(shape, pixels, multiple)
        assert not any(side % multiple for side in size)
        assert 1 / 1.51 < size[0] * size[1] / pixels < 1.51
        part = cropped(shape, size)
        lost = 1 - part[0] * part[1] / (shape[0] * shape[1])
        assert lost < (0.001 if multiple == 1 else 0.5 * multiple / pixels**0.5)


@pytest.mark.parametrize(
    ("shape", "pixels", "multiple", "size"),
    [
        ((144, 192), 128 * 128, 8, (120, 160)),  # nothing is cut; 144x112 would be nearer in pixels
        ((144, 192), 224 * 224, 8, (192, 256)),
        ((300, 300), 224 * 224, 8, (224, 224)),
        ((128, 128), 128 * 128, 8, (128, 128)),
        ((1080, 1920), 512 * 512, 8, (384, 680)),
        ((10, 5000), 128 * 128, 8, (8, 2664)),  # a strip is cut rather than made too large
    ],
)
def test_the_least_is_cut(shape, pixels, multiple, size):
    assert fit_size(shape, pixels, multiple) == size


def test_what_is_around_a_picture_makes_up_for_the_cells():
    for shape, more in itertools.product(SHAPES, [(0, 64), (64, 0), (7, 13), (16, 16)]):
        rows, columns = fit_size(shape, 128 * 128, 8, more)
        assert more[0] or rows % 8 == 0
        assert more[1] or columns % 8 == 0
        assert cropped(shape, (rows, columns)) == shape


def test_an_asked_size_wins():
    assert canvas_of("320x224", (10, 10)) == (224, 320)
    assert canvas_of(None, None) == (224, 224)
    assert canvas_of(None, (144, 192), 8) == (192, 256)
    with pytest.raises(InputError, match="WIDTHxHEIGHT"):
        canvas_of("big", None)


def test_what_a_size_takes_of_a_picture():
    assert cropped((144, 192), (128, 128)) == (144, 144)
    assert cropped((192, 144), (64, 64)) == (144, 144)
    assert cropped((144, 192), (112, 149)) == (144, 192)  # less than a pixel
    assert tell_crop("--init", "a.jpg", (144, 192), (120, 160)) == []
    assert tell_crop("--init", "a.jpg", (144, 192), (64, 128)) == [
        "--init: a.jpg is 192x144; its middle, 192x96, fills the picture of 128x64"
    ]


def test_all_of_a_picture_is_there_if_less_than_a_pixel_would_be_cut(tmp_path):
    image = torch.zeros(1, 3, 144, 192)
    image[:, 0, :, :3] = image[:, 2, :, -3:] = 1
    to_pil(image).save(tmp_path / "photo.png")
    small = load_picture(tmp_path / "photo.png", (112, 149))
    assert small[0, 0, :, 0].min() > 0.9
    assert small[0, 2, :, -1].min() > 0.9


def test_the_shape_of_a_file_is_that_of_the_upright_picture(tmp_path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert shape_of(path) == (40, 30)
    Image.new("RGB", (50, 20)).save(path)
    assert shape_of(path) == (20, 50)
    with pytest.raises(FileError, match="does not exist"):
        shape_of(tmp_path / "none.jpg")


def test_a_mask_has_the_shape_of_the_picture_or_of_the_result(tmp_path):
    names = {"init": (192, 144), "same": (192, 144), "half": (96, 72), "result": (64, 64),
             "other": (100, 192)}  # fmt: skip
    for name, size in names.items():
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    for name in ("same", "half", "result"):
        check_mask(tmp_path / f"{name}.png", tmp_path / "init.png", (128, 128))
    with pytest.raises(InputError, match=r"shape of the init image, 192x144, but .*is 100x192"):
        check_mask(tmp_path / "other.png", tmp_path / "init.png", (128, 128))
    with pytest.raises(InputError, match=r"but .*result\.png is 64x64"):
        check_mask(tmp_path / "result.png", tmp_path / "init.png", (120, 160))


@pytest.mark.parametrize(
    ("factor", "size", "nearest"),
    [
        (8, (145, 193), [(144, 192), (144, 200)]),
        (8, (144, 195), [(144, 192), (144, 200)]),
        (32, (144, 192), [(128, 192), (160, 192)]),
        (16, (8, 8), [(16, 16), (16, 32)]),
        (8, (8191, 8191), [(8192, 8192), (8184, 8192)]),
    ],
)
def test_the_nearest_two_sizes_work(factor, size, nearest):
    assert nearest_sizes(factor, size) == nearest
    for found in nearest:
        check_multiple("it", factor, found)


def test_sizes_between_multiples():
    check_multiple("it", 8, (16, 24))
    with pytest.raises(InputError, match=r"of 8 pixels for it but is 20x9; .* 16x8 and 24x8"):
        check_multiple("it", 8, (9, 20))


@pytest.mark.parametrize(
    ("canvas", "longer", "want"),
    [
        ((224, 224), 1024, (1024, 1024)),
        ((184, 276), 1024, (683, 1024)),
        ((224, 112), 0, (224, 112)),
        ((8192, 16), 64, (64, 1)),
    ],
)
def test_final_size_keeps_the_ratio(canvas, longer, want):
    assert final_size(canvas, longer) == want
