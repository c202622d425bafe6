"""Running moments of embeddings and logits."""

import pytest
import torch
import torch.nn.functional as F

from guidance.train.clip.moments import DECAY, Moments
from guidance.train.prior import build as prior


def test_running_moments_give_the_classes_of_all_batches():
    random = torch.Generator().manual_seed(0)
    images = F.normalize(torch.randn(60, 8, generator=random) + 0.5, dim=-1)
    logits = torch.randn(60, 5, generator=random) + 3 * images[:, :5]
    moments = Moments()
    for part in range(0, 60, 10):
        moments.add(images[part : part + 10], logits[part : part + 10])
    assert moments.batches == 6
    torch.testing.assert_close(moments.centre, images.mean(0))
    torch.testing.assert_close(moments.class_images(), prior.imagine_classes(images, logits))


def test_moments_forget():
    moments, old, new = Moments(), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    logits = torch.zeros(1, 3)
    for _ in range(300):
        moments.add(old, logits)
    for _ in range(400):
        moments.add(new, logits)
    assert moments.centre[0] == pytest.approx(DECAY**400, rel=1e-3)
