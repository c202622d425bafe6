"""CLIP as a critic: what its heads learn, and where their gradient goes."""

import pytest
import torch
from tiny_clip import build_tiny

from guidance.clip.depths import Depths
from guidance.clip.registry import load_clip
from guidance.conventions import make_generator
from guidance.train.vqgan.clip_critic import REAL, SHIFT, ClipCritic, augmented
from guidance.train.vqgan.critic import Voice
from guidance.train.vqgan.judge import PatchJudge


@pytest.fixture
def critic(tmp_path):
    torch.manual_seed(0)
    return ClipCritic(Depths(load_clip(str(build_tiny(tmp_path / "clip")))))


def pair(generator):
    """Return smooth pictures, and the same with a pattern on top, in [-1, 1]."""
    coarse = torch.rand(8, 3, 3, 3, generator=generator) * 1.4 - 0.7
    real = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    lattice = 0.25 * (torch.arange(32) // 2 % 2 * 2 - 1)
    return real, real + lattice


def test_heads_learn_to_tell(critic, generator):
    real, made = pair(generator)
    optimiser = torch.optim.Adam(critic.parameters(), lr=3e-3, betas=(0.5, 0.95))
    losses = []
    for step in range(60):
        loss = critic.loss(real, made, make_generator(step))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    assert last < 0.7 * first
    entropy = -torch.tensor([REAL, 1 - REAL])
    least = 0.5 * float((entropy * entropy.neg().log()).sum())  # nobody gets below the smoothing
    assert last > least
    # the pictures that fool it are the real ones, and others after steps down the gradient
    with torch.no_grad():
        fooled = [float(critic.fooled(x, make_generator(99))) for x in (real, made)]
    assert fooled[0] < fooled[1]
    better = made.clone()
    for _ in range(10):
        better = better.detach().requires_grad_()
        (grad,) = torch.autograd.grad(critic.fooled(better, make_generator(99)), better)
        better = better - grad / grad.norm()
    assert float(critic.fooled(better, make_generator(99)).detach()) < fooled[1]


def test_the_gradient_reaches_the_picture_and_not_the_tower(critic, generator):
    real, made = pair(generator)
    made.requires_grad_()
    critic.fooled(made, make_generator(0)).backward()
    assert made.grad.abs().sum(1).gt(0).float().mean() > 0.5
    critic.zero_grad()
    critic.loss(real, made.detach(), make_generator(0)).backward()
    assert all(p.grad is not None for p in critic.parameters())
    tower = list(critic.depths.model.parameters())
    assert tower
    assert all(p.grad is None and not p.requires_grad for p in tower)
    mine = {id(p) for p in critic.parameters()}
    assert not mine & {id(p) for p in tower}, "the tower is no part of what learns or is saved"
    assert all(key.startswith("heads.") for key in critic.state_dict())


def test_a_picture_is_looked_at_as_the_generator_says(critic, generator):
    _, made = pair(generator)
    first, same, other = (critic.eval().fooled(made, make_generator(n)) for n in (1, 1, 2))
    assert first == same
    assert first != other


def test_pictures_are_shifted_by_whole_pixels(generator):
    images = torch.zeros(64, 3, 48, 48)
    images[..., 20, 24] = 1
    seen = augmented(images, generator).sum(1).flatten(1)
    spot = seen - seen.median(1, keepdim=True).values > 1
    found = spot.sum(1) == 1  # in others it lies in the box that is erased, or the box is bright
    assert found.float().mean() > 0.5
    places = spot[found].float().argmax(1)
    shifts = torch.stack([places // 48 - 20, places % 48 - 24])
    assert shifts.abs().max() == round(48 * SHIFT)
    assert all(len(set(axis.tolist())) > 8 for axis in shifts)


def test_a_voice_rises_within_a_tenth_of_the_run():
    voice = Voice(PatchJudge(8), 0.5, 0.4)
    said = [voice.heard(done) for done in (0.0, 0.4, 0.45, 0.5, 1.0)]
    assert said == pytest.approx([0, 0, 0.25, 0.5, 0.5])
