"""The contract of generators: steps, skipped steps, projection and rendering."""

import pytest
import torch
from pixel_generator import Pixels

from guidance.step.generator import Generator


def snapshot(generator: Generator) -> list[torch.Tensor]:
    """Return copies of everything a step may change."""
    state = generator.optimizer.state_dict()["state"]
    moments = [v for s in state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    return [t.detach().clone() for t in (*generator.parameters(), *moments)]


def test_a_step_lowers_the_loss_and_returns_what_was_scored():
    generator = Pixels(8)
    before = generator.image().detach()
    losses = []

    def objective(image):
        losses.append((image - 0.2).square().mean())
        return losses[-1]

    update = generator.step(objective)
    assert update.finite
    assert torch.equal(update.image, before)
    assert not update.image.requires_grad
    generator.step(objective)
    assert losses[1] < losses[0]


def test_projection_follows_the_update():
    generator = Pixels(8, rate=5.0)
    generator.step(lambda image: -image.sum())
    assert generator.pixels.min() == 1
    generator.step(lambda image: image.sum())
    assert generator.image().min() >= 0


def test_gradients_do_not_add_up_over_steps():
    generator = Pixels(4)
    for _ in range(2):
        gain = generator.gain.detach().clone()
        generator.step(lambda image: image.sum())
        torch.testing.assert_close(generator.pixels.grad, gain.expand(1, 3, 4, 4))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_changes_nothing(value):
    generator = Pixels(8)
    generator.step(lambda image: image.sum())
    before = snapshot(generator)
    update = generator.step(lambda image: image.sum() * value)
    assert not update.finite
    assert all(torch.equal(a, b) for a, b in zip(before, snapshot(generator), strict=True))
    assert generator.step(lambda image: image.sum()).finite
    assert not torch.equal(before[0], generator.pixels)


def test_a_gradient_that_is_not_finite_changes_nothing():
    generator = Pixels(8)
    before = snapshot(generator)
    # the root has a finite value and an infinite slope at 0
    update = generator.step(lambda image: (image[0, 0, 0, 0] * 0).sqrt() + image.sum())
    assert not update.finite
    assert torch.equal(before[0], generator.pixels)
    assert not generator.optimizer.state


def test_render_at_other_sizes():
    generator = Pixels(8)
    assert torch.equal(generator.render(8, 8), generator.image())
    with torch.no_grad():
        generator.pixels[:] = (torch.arange(8) > 3).float()
    large = generator.render(24, 40)
    assert large.shape == (1, 3, 24, 40)
    assert not large.requires_grad
    assert large[..., :15].max() < 0.05
    assert large[..., 25:].min() > 0.95
    assert 0 <= large.min() <= large.max() <= 1


def test_defaults():
    assert Pixels(4).artefacts() == {}
    with pytest.raises(NotImplementedError):
        Generator().image()
