"""FILIP's similarity against loops, and as a scorer of real photos."""

import pytest
import skimage.data
import torch
from PIL import Image
from tiny_clip import build_tiny, unit

from guidance.clip import load_clip
from guidance.clip.scorer import ClipScorer
from guidance.clip.tokens import patch_embeddings, word_embeddings
from guidance.errors import InputError
from guidance.score.late_interaction import LateScorer, filip


def slow_filip(patches, words, mask):
    """Equations 4 and 5 of the paper, written out."""
    to_text, to_image = torch.zeros(2, len(patches), len(words), dtype=torch.float64)
    for i, image in enumerate(patches.double()):
        for t, text in enumerate(words.double()):
            kept = [w for w, real in zip(text, mask[t], strict=True) if real]
            to_text[i, t] = sum(max(float(p @ w) for w in kept) for p in image) / len(image)
            to_image[i, t] = sum(max(float(p @ w) for p in image) for w in kept) / len(kept)
    return to_text.float(), to_image.float()


def test_filip_equals_the_loops():
    patches, words = unit(3, 7, 5), unit(4, 6, 5, seed=1)
    mask = torch.tensor([[0, 1, 1, 0, 0, 0], [1] * 6, [0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 0]]) > 0
    found = filip(patches, words, mask)
    for got, want in zip(found, slow_filip(patches, words, mask), strict=True):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=0)
    assert not torch.allclose(*found, atol=1e-2)


def test_filip_differentiates():
    patches = unit(2, 3, 4).double().requires_grad_()
    words, mask = unit(2, 3, 4, seed=1).double(), torch.ones(2, 3, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda p: filip(p, words, mask), patches)


@pytest.mark.parametrize(
    ("patches", "words", "mask", "message"),
    [
        ((2, 3, 4), (2, 3, 5), (2, 3), r"patches must be \[N, I, D\]"),
        ((3, 4), (2, 3, 4), (2, 3), r"but they are \[3, 4\] and \[2, 3, 4\]"),
        ((2, 3, 4), (2, 3, 4), (2, 2), "mask must be"),
    ],
)
def test_filip_refuses_what_does_not_fit(patches, words, mask, message):
    with pytest.raises(InputError, match=message):
        filip(torch.zeros(patches), torch.zeros(words), torch.ones(mask, dtype=torch.bool))
    with pytest.raises(InputError, match="at least one token"):
        filip(unit(1, 2, 4), unit(1, 2, 4), torch.zeros(1, 2, dtype=torch.bool))


def test_an_ensemble_is_the_weighted_mean(tiny_clip, tmp_path):
    other = load_clip(str(build_tiny(tmp_path / "other", seed=5)))
    images, texts = torch.rand(2, 3, 40, 32), ["a fox", "two boats"]
    singles = [
        LateScorer(ClipScorer([m]), words="all").similarity(images, texts)
        for m in (tiny_clip, other)
    ]
    both = LateScorer(ClipScorer([tiny_clip, other], weights=[3, 1]), words="all")
    want = 0.75 * singles[0] + 0.25 * singles[1]
    torch.testing.assert_close(both.similarity(images, texts), want)
    assert not torch.allclose(singles[0], singles[1], atol=1e-3)


def test_the_scorer_is_filip_of_patches_and_words(tiny_clip):
    late = LateScorer(ClipScorer([tiny_clip]), words="all")
    images = torch.rand(2, 3, 32, 32)
    patches = patch_embeddings(tiny_clip, images).flatten(2).transpose(1, 2)
    want = filip(patches, *word_embeddings(tiny_clip, ["a fox", "a boat at night"]))
    found = late.directions(images, ["a fox", "a boat at night"])
    for got, expected in zip(found, want, strict=True):
        torch.testing.assert_close(got, expected)
    ends = LateScorer(ClipScorer([tiny_clip])).directions(images, ["a fox"])
    cosines = patches @ tiny_clip.encode_text(["a fox"])[0]
    torch.testing.assert_close(ends[0][:, 0], cosines.mean(dim=1))
    torch.testing.assert_close(ends[1][:, 0], cosines.amax(dim=1))
    with pytest.raises(InputError, match="words must be end or all but is 'some'"):
        LateScorer(late.scorer, words="some")
    with pytest.raises(InputError, match="images must not be empty"):
        late.similarity([], ["a fox"])


@pytest.mark.parametrize("words", ["end", "all"])
def test_photos_find_their_texts(words):
    names = {"chelsea": "a cat", "coffee": "a cup of coffee", "rocket": "a rocket launch"}
    late = LateScorer(ClipScorer("mini", device="cpu"), words=words)
    photos = [Image.fromarray(getattr(skimage.data, n)()) for n in names]
    scores = late.similarity(photos, list(names.values()))
    assert scores.argmax(dim=0).tolist() == [0, 1, 2]  # text → photo
