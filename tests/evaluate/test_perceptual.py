"""The perceptual distance: zero for equals, grows with damage, and its gradient."""

import pytest
import timm
import torch
from torch import nn

from guidance.errors import InputError
from guidance.evaluate.perceptual import Perceptual


@pytest.fixture(scope="module")
def perceptual():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Perceptual(timm.create_model("tf_efficientnet_lite0"))


def test_equal_pictures_have_no_distance(perceptual, generator):
    images = torch.rand(3, 3, 48, 48, generator=generator)
    torch.testing.assert_close(perceptual(images, images), torch.zeros(3))


def test_more_damage_is_further_away(perceptual, generator):
    images = torch.rand(2, 3, 48, 48, generator=generator)
    noise = torch.randn(2, 3, 48, 48, generator=generator)
    near, far = (perceptual(images, images + s * noise) for s in (0.02, 0.3))
    assert (near > 0).all()
    assert (near < far).all()
    assert (far <= 4).all()


def test_features_have_unit_length(perceptual, generator):
    found = perceptual.features(torch.rand(1, 3, 64, 64, generator=generator))
    assert [f.shape[-1] for f in found] == [32, 16, 8, 4]
    for features in found:
        torch.testing.assert_close(features.norm(dim=1), torch.ones_like(features[:, 0]))


def test_gradient_reaches_the_pixels(generator):
    torch.manual_seed(0)
    network = Perceptual(timm.create_model("tf_efficientnet_lite0")).double()
    image = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    other = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64).requires_grad_()
    (grad,) = torch.autograd.grad(network(image, other).sum(), other)
    direction = torch.randn(other.shape, generator=generator, dtype=torch.float64)
    high, low = (network(image, other + e * direction).sum() for e in (1e-6, -1e-6))
    torch.testing.assert_close((high - low) / 2e-6, (grad * direction).sum(), rtol=1e-5, atol=1e-8)


def test_other_networks_are_refused(perceptual):
    with pytest.raises(InputError, match="EfficientNet but is Sequential"):
        Perceptual(nn.Sequential())
    with pytest.raises(InputError, match=r"\[1, 3, 32, 32\] but has \[2, 3, 32, 32\]"):
        perceptual(torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32))
