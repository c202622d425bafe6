"""Edits: margins, masks, pasting, and what is painted."""

from __future__ import annotations

import pytest
import torch

from guidance.diffusion.edit import Edit, load_edit
from guidance.diffusion.frame import Margins, Source, parse_margins
from guidance.errors import FileError, InputError
from guidance.images import to_pil


@pytest.fixture
def photo(tmp_path):
    """Return the path of a picture of 16 x 16 pixels, and its pixels."""
    pixels = torch.randint(256, (1, 3, 16, 16), generator=torch.Generator().manual_seed(0)) / 255
    to_pil(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png"), pixels


def test_margins():
    assert parse_margins("outpaint", "8") == Margins(8, 8, 8, 8)
    assert parse_margins("outpaint", " 1, 2,3 ,4") == Margins(left=1, top=2, right=3, bottom=4)
    assert Margins(1, 2, 3, 4).around((10, 20)) == (16, 24)
    assert Margins(1, 2, 3, 4).times(2) == Margins(2, 4, 6, 8)


@pytest.mark.parametrize("text", ["", "1,2", "-1", "1,2,3,x", "0", "0,0,0,0", "1.5", "99999", "²"])
def test_bad_margins(text):
    with pytest.raises(InputError, match="outpaint must"):
        parse_margins("outpaint", text)


def test_without_mask_nothing_is_kept(photo):
    path, pixels = photo
    edit = load_edit(Source(path), (16, 16))
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(edit.picture, pixels)
    assert edit.mask is None
    assert edit.paste(images) is images


def test_known_pixels_are_kept_bit_for_bit(photo, tmp_path):
    path, pixels = photo
    half = torch.zeros(1, 3, 16, 16)
    half[..., 6:] = 1
    to_pil(half).save(tmp_path / "mask.png")
    edit = load_edit(Source(path, str(tmp_path / "mask.png")), (16, 16), feather=2)
    images = torch.rand(2, 3, 16, 16)
    images[0, :, 3, 3] = torch.nan  # whatever the network has made there
    pasted = edit.paste(images)
    assert torch.equal(pasted[..., :6], pixels[..., :6].expand(2, -1, -1, -1))
    assert torch.equal(pasted[..., 8:], images[..., 8:])
    ramp = pixels[..., 6] + (images[..., 6] - pixels[..., 6]) / 3
    torch.testing.assert_close(pasted[..., 6], ramp)


def test_a_cell_is_painted_if_any_pixel_is():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3, 5] = 0.1
    cells = Edit(torch.zeros(1, 3, 8, 8), mask).cells(4)
    assert cells.tolist() == [[[[False, True], [False, False]]]]


def test_margins_are_painted(photo):
    path, pixels = photo
    source = Source(path, margins=Margins(left=4, right=8))
    edit = load_edit(source, (16, 28), feather=1)
    assert edit.picture.shape == (1, 3, 16, 28)
    assert torch.equal(edit.picture[..., 4:20], pixels)
    assert torch.equal(edit.picture[..., :4], pixels[..., :1].expand(-1, -1, -1, 4))
    assert edit.mask[0, 0, 5].tolist() == [1, 1, 1, 0.5] + [0] * 16 + [0.5] + [1] * 7
    large = load_edit(source, (32, 56), factor=2)
    assert (large.mask[0, 0, 9] == 0).nonzero().flatten().tolist() == list(range(8, 40))


def test_bad_files(photo, tmp_path):
    path, _ = photo
    (tmp_path / "no.png").write_text("text")
    with pytest.raises(FileError, match=r"no\.png"):
        load_edit(Source(str(tmp_path / "no.png")), (8, 8))
    to_pil(torch.zeros(1, 3, 8, 8)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match="black everywhere"):
        load_edit(Source(path, str(tmp_path / "black.png")), (8, 8))
