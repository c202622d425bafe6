"""Zero-shot classification, on numbers small enough to check by hand and on tiny real models."""

import math

import pytest
import torch
from tiny_clip import build_tiny, unit

from guidance.clip import load_clip
from guidance.clip.scorer import ClipScorer
from guidance.errors import InputError
from guidance.score import accuracy, zero_shot
from guidance.score.templates import templates

NAMES = ("fox", "owl", "red fish")
FORMS = ("{}", "a photo of a {}.")


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory, tiny_clip) -> ClipScorer:
    """Two models of different weights, sizes of embedding and scales."""
    other = load_clip(str(build_tiny(tmp_path_factory.mktemp("clip") / "other", seed=1)))
    other.logit_scale = 30.0
    return ClipScorer([tiny_clip, other], weights=[3, 1])


def test_accuracy_and_classes_of_unequal_size():
    cosines = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    got = accuracy.accuracy(cosines, torch.tensor([0, 0, 0, 1]))
    assert got == {"top-1": 75.0, "mean per class": 50.0}
    many = torch.eye(7)
    assert accuracy.accuracy(many, torch.arange(7))["top-5"] == 100


def test_calibration_by_hand():
    # always 80 % sure, right half of the time
    logits = torch.tensor([[math.log(4.0), 0.0]]).repeat(10, 1)
    labels = torch.tensor([0, 1] * 5)
    got = accuracy.calibration(logits, labels)
    assert got["ECE"] == pytest.approx(30, abs=1e-3)
    assert got["confidence"] == pytest.approx(80, abs=1e-3)
    assert got["NLL"] == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2, abs=1e-5)


def test_reliability_by_hand():
    # two pictures 80 % sure, one of them right; one 60 % sure and right; one wholly sure and wrong
    sure = torch.tensor([0.8, 0.8, 0.6])
    logits = torch.stack([sure.log(), (1 - sure).log()], dim=1)
    logits = torch.cat([logits, torch.tensor([[0.0, 500.0]])])
    got = accuracy.reliability(logits, torch.tensor([0, 1, 0, 0]))
    assert got["count"].nonzero().flatten().tolist() == [9, 12, 14]
    assert got["count"].tolist()[12] == 2
    assert got["accuracy"][[9, 12, 14]].tolist() == [1, 0.5, 0]
    assert got["confidence"][[9, 12, 14]].tolist() == pytest.approx([0.6, 0.8, 1])
    assert accuracy.calibration(logits, torch.tensor([0, 1, 0, 0]))["ECE"] == pytest.approx(
        100 * (2 * 0.3 + 0.4 + 1) / 4, abs=1e-3
    )


def test_confusion_by_hand():
    cosines = torch.tensor([[0.9, 0.1, 0], [0.1, 0.2, 0.3], [0, 0, 1], [0.5, 0.5, 0.5]])
    got = accuracy.confusion(cosines, torch.tensor([0, 0, 2, 1]))
    assert got.tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_class_embeddings_are_the_mean_direction(tiny_clip):
    got = zero_shot.class_embeddings(tiny_clip, NAMES, FORMS)
    for row, name in zip(got, NAMES, strict=True):
        mean = sum(tiny_clip.encode_text([f.format(name)])[0].double() for f in FORMS)
        assert torch.allclose(row.double(), mean / mean.norm(), atol=1e-6)


def test_of_an_ensemble_the_product_is_the_weighted_mean_of_cosines(ensemble):
    joined = zero_shot.class_embeddings(ensemble, NAMES, FORMS)
    assert torch.allclose(joined.norm(dim=1), torch.ones(3), atol=1e-6)
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    expected = sum(
        weight * model.encode_image(pictures) @ zero_shot.class_embeddings(model, NAMES, FORMS).T
        for weight, model in zip((0.75, 0.25), ensemble.models, strict=True)
    )
    assert torch.allclose(ensemble.encode_image(pictures) @ joined.T, expected, atol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_logits_give_the_probabilities_of_the_scorer(ensemble, tiny_clip, several):
    scorer = ensemble if several else ClipScorer([tiny_clip])
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    classes = zero_shot.class_embeddings(scorer, NAMES, ["{}"])
    got = scorer.logits(scorer.encode_image(pictures), classes).softmax(-1)
    assert torch.allclose(got, scorer.probabilities(pictures, NAMES), atol=1e-5)


def test_braces_in_a_name_are_letters(tiny_clip):
    got = zero_shot.class_embeddings(tiny_clip, ["a {0} sign"], ["{}"])
    assert torch.allclose(got, tiny_clip.encode_text(["a {0} sign"]), atol=1e-6)


def test_nothing_is_refused(tiny_clip):
    with pytest.raises(InputError, match="must not be empty"):
        zero_shot.class_embeddings(tiny_clip, [], FORMS)


def test_evaluate_tells_each_form_and_the_ensemble(tiny_clip):
    classes = accuracy.Classes(unit(6, 32), torch.tensor([0, 1, 2] * 2), NAMES)
    got = accuracy.evaluate(tiny_clip, classes, templates(["name", "photo"]))
    assert list(got) == ["{}", "a photo of a {}.", "ensemble of 2"]
    assert "ECE" in got["ensemble of 2"]
