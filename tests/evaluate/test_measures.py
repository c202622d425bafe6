"""The measures, on numbers small enough to check by hand."""

import pytest
import torch
import torch.nn.functional as F

from guidance.evaluate.retrieval import recalls
from guidance.files.tables import table


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


def test_table():
    figures = {"a": {"x": 1.0, "n": 3}, "long name": {"x": 22.456}}
    assert table("t", figures).splitlines() == [
        "t              x  n", "a           1.00  3", "long name  22.46",
    ]  # fmt: skip
