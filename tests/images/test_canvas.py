"""Pictures and masks of the painting's size."""

from __future__ import annotations

import pytest
import torch

from guidance.errors import FileError, InputError
from guidance.images import to_pil
from guidance.images.canvas import load_mask, load_picture, soften, tile


def test_a_picture_of_the_size_is_taken_bit_for_bit(tmp_path, generator):
    image = torch.randint(256, (1, 3, 16, 24), generator=generator) / 255
    to_pil(image).save(tmp_path / "photo.png")
    assert torch.equal(load_picture(tmp_path / "photo.png", (16, 24)), image)


def test_a_picture_of_another_shape_is_cropped_about_its_middle(tmp_path):
    image = torch.zeros(1, 3, 32, 96)
    image[:, 0, :, 32:64] = 1
    to_pil(image).save(tmp_path / "wide.png")
    square = load_picture(tmp_path / "wide.png", (16, 16))
    assert square.shape == (1, 3, 16, 16)
    assert square[:, 0].mean() > 0.97
    assert square[:, 1:].max() == 0


def test_masks_are_white_where_to_paint(tmp_path):
    image = torch.zeros(1, 3, 16, 16)
    image[..., :4] = 0.4
    image[..., 8:] = 0.8
    to_pil(image).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png", (16, 16))
    assert mask.shape == (1, 1, 16, 16)
    assert mask[..., :8].max() == 0
    assert mask[..., 8:].min() == 1


def test_feather_is_inside():
    mask = torch.zeros(1, 1, 12, 20)
    mask[..., 8:] = 1
    soft = soften(mask, 3)
    assert soft[0, 0, 0].tolist() == [0] * 8 + [0.25, 0.5, 0.75] + [1] * 9
    assert torch.equal(soft[0, 0, 0], soft[0, 0, 11])  # the picture's border is none of the mask
    assert torch.equal(soften(mask, 0), mask)
    spot = torch.zeros(1, 1, 9, 9)
    spot[..., 4, 4] = 1
    assert torch.equal(soften(spot, 3), spot)
    assert torch.equal(soften(torch.ones(1, 1, 4, 4), 2), torch.ones(1, 1, 4, 4))


def test_bad_input(tmp_path):
    to_pil(torch.zeros(1, 3, 8, 8)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match=r"black\.png is black everywhere"):
        load_mask(tmp_path / "black.png", (8, 8))
    (tmp_path / "no.png").write_text("text")
    with pytest.raises(FileError, match=r"no\.png"):
        load_picture(tmp_path / "no.png", (8, 8))
    with pytest.raises(InputError, match="mask must have shape"):
        soften(torch.ones(1, 3, 8, 8), 1)


def test_tiles_fill_a_sheet_in_rows():
    pictures = torch.stack([torch.full((3, 8, 8), k / 10) for k in range(5)])
    sheet = tile(pictures, 16, 24)
    assert sheet.shape == (1, 3, 16, 24)
    for k in range(6):
        part = sheet[..., k // 3 * 8 : k // 3 * 8 + 8, k % 3 * 8 : k % 3 * 8 + 8]
        assert (part == (1 if k == 5 else k / 10)).all()


def test_tiles_keep_their_shape_on_any_sheet():
    wide = torch.zeros(3, 3, 10, 20)
    sheet = tile(wide, 60, 40)  # one above the other
    assert (sheet == 0).all()
    sheet = tile(wide[:1], 40, 40)
    rows = (sheet[0, 0] == 0).any(1).nonzero().flatten().tolist()
    assert rows == list(range(10, 30))
    assert tile(torch.rand(37, 3, 9, 7), 101, 53).shape == (1, 3, 101, 53)
    one = torch.rand(1, 3, 6, 7)
    assert torch.equal(tile(one, 6, 7), one)
    with pytest.raises(InputError, match="do not fit"):
        tile(torch.rand(30, 3, 8, 8), 4, 4)
