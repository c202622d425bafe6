"""Heat-maps of real photos, and the parts they are made of."""

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_clip import build_tiny

from guidance.clip import load_clip
from guidance.clip.scorer import ClipScorer
from guidance.errors import InputError
from guidance.images import to_tensor
from guidance.look.heat import METHODS, SIDE, heat_maps, integrated_gradients, squares


def photo(name: str, width: int, height: int) -> torch.Tensor:
    """Return the middle of a photo at a size."""
    from PIL import ImageOps

    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    return to_tensor(ImageOps.fit(image, (width, height)))


@pytest.fixture(scope="module")
def collage() -> torch.Tensor:
    """Return a cat at the left and a cup of coffee at the right, ``[1, 3, 192, 192]``."""
    return torch.cat([photo("chelsea", 96, 192), photo("coffee", 96, 192)], dim=-1)


@pytest.mark.parametrize("method", METHODS)
def test_heat_is_where_the_thing_is(mini, collage, method):
    cat, cup = heat_maps(collage, ["a cat", "a cup of coffee"], mini, method=method)
    assert cat.shape == (SIDE, SIDE)
    half = SIDE // 2
    for heat, inside, outside in (
        (cat, cat[:, :half], cat[:, half:]),
        (cup, cup[:, half:], cup[:, :half]),
    ):
        assert inside.mean() - outside.mean() > 0.3 * heat.std()


def test_heat_follows_the_picture_when_it_is_mirrored(mini, collage):
    heat = heat_maps(collage.flip(-1), ["a cat"], mini)[0]
    assert heat[:, SIDE // 2 :].mean() > heat[:, : SIDE // 2].mean() + 0.05


def test_nothing_at_the_ends_of_a_wide_picture_is_cut_off(mini):
    """The cat stands at the far left, where the centre crop of CLIP's preprocessing never looks."""
    wide = torch.cat([photo("chelsea", 96, 96), photo("coffee", 192, 96)], dim=-1)
    heat = heat_maps(wide, ["a cat"], mini)[0]
    assert heat.shape == (64, 192)
    assert heat[:, :48].mean() > heat[:, 96:].mean() + 0.05


def test_what_counts_against_is_subtracted(mini, collage):
    plain = heat_maps(collage, ["a cat", "a cup of coffee", "a photo"], mini)
    found = heat_maps(collage, ["a cat"], mini, against=["a cup of coffee", "a photo"])[0]
    torch.testing.assert_close(found, plain[0] - (plain[1] + plain[2]) / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_ensembles_of_other_towers(tiny_clip, tmp_path, method):
    """A ViT with another, of another grid: maps add up, by weight."""
    other = load_clip(str(build_tiny(tmp_path / "other", seed=5, patch_size=16)))
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(3))
    maps = [
        heat_maps(image, ["a fox", "a boat"], ClipScorer([m]), method=method)
        for m in (tiny_clip, other)
    ]
    both = ClipScorer([tiny_clip, other], weights=[3, 1])
    found = heat_maps(image, ["a fox", "a boat"], both, method=method)
    torch.testing.assert_close(found, 0.75 * maps[0] + 0.25 * maps[1], atol=1e-5, rtol=1e-3)
    assert found.shape == (2, 144, 192)
    assert found.flatten(1).std(dim=1).min() > 0


def test_a_closer_look_is_finer(mini, collage):
    coarse, fine = (heat_maps(collage, ["a cat"], mini, zoom=z)[0] for z in (1, 2))
    rough = [(h.diff(dim=0).square().mean() / h.var()).item() for h in (coarse, fine)]
    assert rough[1] > 1.2 * rough[0]


@pytest.mark.parametrize(
    ("height", "width", "zoom"), [(100, 100, 1), (64, 200, 1), (301, 100, 3), (7, 7, 16)]
)
def test_windows_cover_the_picture(height, width, zoom):
    boxes = squares(height, width, zoom)
    seen = torch.zeros(height, width)
    for top, left, side in boxes:
        assert 0 <= top <= height - side
        assert 0 <= left <= width - side
        seen[top : top + side, left : left + side] += 1
    assert seen.min() >= 1
    assert len(set(boxes)) == len(boxes)


def test_integrated_gradients_add_up():
    """Completeness (axiom of section 3 of the paper), and the closed form of a square."""
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image, base = torch.rand(2, 2, 3, 4, 4, dtype=torch.float64)

    def score(x):
        return (weight * x.square()).sum(dim=(1, 2, 3))

    found = integrated_gradients(image, base, score, steps=1)  # the middle is exact for squares
    want = (weight * (image.square() - base.square())).sum(dim=1)
    torch.testing.assert_close(found, want)


def test_integrated_gradients_of_a_clip_add_up(tiny_clip):
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    base = F.avg_pool2d(image, 7, 1, 3)
    target = tiny_clip.encode_text(["a fox"])[0]

    def score(x):
        return tiny_clip.encode_image(x) @ target

    change = (score(image) - score(base)).item()
    found = [integrated_gradients(image, base, score, steps).sum().item() for steps in (1, 48)]
    assert abs(found[1] - change) < 0.02 * abs(change)
    assert abs(found[1] - change) < abs(found[0] - change)


def test_what_is_not_allowed(mini, collage):
    with pytest.raises(InputError, match="unknown method 'gradcan'; did you mean gradcam"):
        heat_maps(collage, ["a cat"], mini, method="gradcan")
    with pytest.raises(InputError, match=r"image must have shape \[1, 3, H, W\]"):
        heat_maps(collage.expand(2, -1, -1, -1), ["a cat"], mini)
    with pytest.raises(InputError, match="zoom must be at least 1"):
        heat_maps(collage, ["a cat"], mini, zoom=0)
