"""The shipped models: their files and what they are put together from."""

import pytest
import torch

from guidance.clip import load_clip, shipped
from guidance.pretrained.packaged import pretrained


@pytest.mark.parametrize("name", sorted({f for s in shipped.SHIPPED.values() for f in s[1:] if f}))
def test_hashes_are_those_of_the_files(name):
    with pretrained(name) as path:
        assert path.stat().st_size > 1_000_000


def test_mini_looks_with_one_tower_and_draws_with_another():
    """`guide` takes the image tower made for gradients; the texts are the same."""
    looks, draws, named = load_clip("mini"), load_clip("mini", guide=True), load_clip("mini-guide")
    assert (looks.image_size, draws.image_size) == (192, 128)
    assert looks.prior is None
    assert draws.prior is not None
    texts = ["a fox at sunrise", "two dogs"]
    assert torch.equal(looks.encode_text(texts), draws.encode_text(texts))
    picture = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = [model.encode_image(picture) for model in (looks, draws, named)]
    assert torch.equal(seen[1], seen[2])
    assert (seen[0] * seen[1]).sum() < 0.9


def test_weights_of_mini_are_at_most_40_megabytes():
    with pretrained(shipped.SHIPPED["mini"].weights) as path:
        assert path.stat().st_size <= 40_000_000
