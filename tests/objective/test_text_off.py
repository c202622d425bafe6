"""Words on pictures, the direction they add to an embedding, and its removal."""

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_clip import unit

from guidance.clip.scorer import ClipScorer
from guidance.errors import InputError
from guidance.images import to_tensor
from guidance.objective.text_off import WORDS, clouds, text_directions, without_direction, write_on


def photo(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB").resize((128, 96))


def test_a_direction_taken_out_is_gone():
    embeddings, directions = unit(5, 8), torch.randn(3, 8)
    for direction in (directions[0], directions):
        found = without_direction(embeddings, direction)
        rows = direction.reshape(-1, 8)
        assert (found @ rows.T).abs().max() < 1e-5
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(5))
        torch.testing.assert_close(without_direction(found, direction), found)
    first = F.normalize(directions[0], dim=0)
    plain = embeddings - (embeddings @ first)[:, None] * first
    found = without_direction(embeddings, 7 * directions[0])  # its length does not matter
    torch.testing.assert_close(found, F.normalize(plain, dim=-1))
    # what is orthogonal to the directions keeps its proportions
    across = torch.linalg.svd(directions).Vh[3:]
    ratio = (without_direction(embeddings, directions) @ across.T) / (embeddings @ across.T)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-4, rtol=1e-3)


def test_it_differentiates_and_keeps_leading_dimensions():
    x = unit(2, 3, 6).double().requires_grad_()
    directions = torch.randn(2, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda e: without_direction(e, directions), x)


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (torch.ones(5), r"direction must be \[D\] or \[K, D\] with D = 6 but has \[5\]"),
        (torch.zeros(6), "independent and not zero"),
        (torch.ones(2, 6), "independent and not zero"),
        (torch.randn(7, 6), "independent and not zero"),
    ],
)
def test_directions_that_cannot_be_taken_out(direction, message):
    with pytest.raises(InputError, match=message):
        without_direction(unit(2, 6), direction)


def test_words_are_written_where_they_should_be():
    image = photo("coffee")
    before = np.asarray(image).copy()
    for place, rows in {"top": (0, 48), "centre": (24, 72), "bottom": (48, 96)}.items():
        changed = (np.asarray(write_on(image, "iPod", place=place)) != before).any(axis=-1)
        assert changed.mean() > 0.05
        assert changed[rows[0] : rows[1]].sum() == changed.sum()
    assert (np.asarray(image) == before).all()
    long = np.asarray(write_on(image, "incomprehensibilities " * 2, height=0.5))
    changed = (long != before).any(axis=-1)
    assert not changed[:, 0].any()  # a long word is made to fit
    for bad, message in (
        ({"word": " "}, "write must be a word"),
        ({"word": "a", "place": "left"}, "place must be top, centre, bottom but is 'left'"),
        ({"word": "a", "height": 2}, "height must be at least 0.02 and at most 1"),
    ):
        with pytest.raises(InputError, match=message):
            write_on(image, **bad)


def test_directions_are_orthonormal_and_repeatable(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    plain = clouds(4, seed=3, side=64)
    found = text_directions(scorer, plain, count=5, seed=1)
    torch.testing.assert_close(found @ found.T, torch.eye(5), atol=1e-5, rtol=0)
    assert torch.equal(found, text_directions(scorer, plain, count=5, seed=1))
    assert not torch.allclose(found[0], text_directions(scorer, plain, seed=2)[0], atol=1e-3)
    with pytest.raises(InputError, match="directions must be at least 1 and at most 32"):
        text_directions(scorer, plain, count=len(WORDS) + 1)
    with pytest.raises(InputError, match="pictures without text are needed"):
        text_directions(scorer, [])


def test_pictures_with_a_word_come_back_to_those_without(tiny_clip):
    """On photos and words that the direction was not learnt from."""
    scorer = ClipScorer([tiny_clip])
    direction = text_directions(scorer, clouds(16, side=96))
    gains = []
    for name in ("chelsea", "coffee", "rocket"):
        for word in ("iPod", "pizza"):
            plain, written = (
                scorer.encode_image(to_tensor(x))
                for x in (photo(name), write_on(photo(name), word))
            )
            apart = 1 - (plain * written).sum()
            after = without_direction(torch.cat([plain, written]), direction)
            gains.append((1 - (after[0] * after[1]).sum()) / apart)
    assert torch.stack(gains).mean() < 0.8


def test_text_off_does_little_to_pictures_without_text():
    scorer = ClipScorer("mini", device="cpu")
    direction = text_directions(scorer, clouds(8), words=WORDS[:16])
    photos = [photo("chelsea"), photo("coffee")]
    plain = scorer.encode_image(photos)
    after = without_direction(plain, direction)
    assert (plain * after).sum(-1).min() > 0.97
    texts = scorer.encode_text(["a cat", "a cup of coffee"])
    assert (after @ texts.T).argmax(dim=1).tolist() == [0, 1]


def test_text_off_makes_mini_doubt_less():
    """With large words before them, photos are what they are again, rather than signs."""
    names = {"chelsea": "a cat", "coffee": "a cup of coffee", "rocket": "a rocket"}
    names["astronaut"] = "an astronaut"
    words = ("dog", "piano", "pizza")
    scorer = ClipScorer("mini", device="cpu")
    unseen = [w for w in WORDS if w not in words]
    direction = text_directions(scorer, clouds(16), words=unseen)
    photos = [Image.fromarray(getattr(skimage.data, n)()) for n in names]
    written = [write_on(p, w, height=0.35, place="centre") for p in photos for w in words]
    embeddings = scorer.encode_image(written)
    texts = scorer.encode_text([*names.values(), "a dog", "a piano", "a sign with writing"])
    right = torch.arange(4).repeat_interleave(len(words))
    true, sign = [], []
    for found in (embeddings, without_direction(embeddings, direction)):
        chances = (scorer.models[0].logit_scale * found @ texts.T).softmax(dim=-1)
        true.append(chances[torch.arange(12), right].mean())
        sign.append(chances[:, -1].mean())
    assert true[1] > true[0] + 0.04
    assert sign[1] < 0.6 * sign[0]
