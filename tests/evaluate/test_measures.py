"""The measures, on numbers small enough to check by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from guidance.errors import InputError
from guidance.evaluate import zero_shot
from guidance.evaluate.report import save, table
from guidance.evaluate.retrieval import recalls
from guidance.evaluate.templates import templates


def test_recalls_count_places():
    images = torch.eye(12)
    # text 0 finds its picture first, text 1 second, text 2 seventh
    texts = torch.zeros(3, 12)
    texts[0, 0] = 1
    texts[1, [1, 4]] = torch.tensor([0.6, 0.8])
    texts[2] = torch.tensor([0, 0.5, 0.1, 0.6, 0.6, 0.6, 0.6, 0.6, 0, 0, 0, 0])
    got = recalls(images, texts, torch.tensor([0, 1, 2]))
    share = 100 / 3
    expected = {"R@1": share, "R@5": 2 * share, "R@10": 100.0}
    for name, value in expected.items():
        assert got[f"text to image {name}"] == pytest.approx(value, abs=1e-3)


def test_image_finds_any_of_its_captions():
    images = torch.eye(2)
    texts = F.normalize(torch.tensor([[0.1, 1.0], [0.0, 1.0], [1.0, 0.0]]), dim=-1)
    got = recalls(images, texts, torch.tensor([0, 1, 0]))
    assert got["image to text R@1"] == 100  # picture 0 by its second caption
    assert got["text to image R@1"] == pytest.approx(200 / 3, abs=1e-3)


def test_accuracy_and_classes_of_unequal_size():
    cosines = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    got = zero_shot.accuracy(cosines, torch.tensor([0, 0, 0, 1]))
    assert got == {"top-1": 75.0, "mean per class": 50.0}
    many = torch.eye(7)
    assert zero_shot.accuracy(many, torch.arange(7))["top-5"] == 100


def test_calibration_by_hand():
    # always 80 % sure, right half of the time
    logits = torch.tensor([[math.log(4.0), 0.0]]).repeat(10, 1)
    labels = torch.tensor([0, 1] * 5)
    got = zero_shot.calibration(logits, labels)
    assert got["ECE"] == pytest.approx(30, abs=1e-3)
    assert got["confidence"] == pytest.approx(80, abs=1e-3)
    assert got["NLL"] == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2, abs=1e-5)


def test_templates():
    assert len(templates(["openai80"])) == 80
    assert len(templates(["simple7", "photo"])) == 8
    assert templates(["{} flower", "name"]) == ["{} flower", "{}"]
    for wrong in ("flower", "{} and {}", "{0}"):
        with pytest.raises(InputError, match=r"must hold \{\} once"):
            templates([wrong])


def test_table_and_json(tmp_path):
    figures = {"a": {"x": 1.0, "n": 3}, "long name": {"x": 22.456}}
    assert table("t", figures).splitlines() == [
        "t              x  n", "a           1.00  3", "long name  22.46",
    ]  # fmt: skip
    save(tmp_path / "f.json", {"a": {"x": 1 / 3}})
    assert (tmp_path / "f.json").read_text() == '{\n  "a": {\n    "x": 0.3333\n  }\n}\n'
