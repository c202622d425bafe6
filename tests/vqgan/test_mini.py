"""The VQGAN of the package: it keeps pictures, fits a target, and paints what CLIP asks for."""

from __future__ import annotations

import pytest
import torch

import guidance
from guidance.conventions import make_generator
from guidance.models.load_latents import load_latents
from guidance.objective.regularisers import Likeness
from guidance.step.loop import run
from guidance.vqgan.descent import Descent
from guidance.vqgan.generator import Painting

SIDE = 64


@pytest.fixture(scope="module")
def mini():
    return load_latents("mini", device="cpu")


def scene() -> torch.Tensor:
    """Return a blue sky over a green meadow with a red disc, ``[1, 3, 64, 64]``."""
    y, x = torch.meshgrid(*[torch.linspace(0, 1, SIDE)] * 2, indexing="ij")
    sky = torch.stack([0.5 + 0.3 * y, 0.7 + 0.2 * y, torch.full_like(y, 0.95)])
    meadow = torch.tensor([0.3, 0.6, 0.2]).view(3, 1, 1)
    picture = torch.where(y > 0.6, meadow, sky)
    disc = (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.05
    return torch.where(disc, torch.tensor([0.85, 0.15, 0.1]).view(3, 1, 1), picture)[None]


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a - b).pow(2).mean().log10())


def test_it_is_what_the_card_says(mini):
    assert mini.factor == 8
    assert mini.codebook.shape == (8192, 8)


def test_it_keeps_a_picture(mini):
    picture = scene()
    with torch.no_grad():
        made = mini.decode(mini.encode(picture))
    assert psnr(picture, made) > 20
    # colours of the middle of disc, sky and meadow
    for y, x in ((25, 32), (5, 8), (55, 50)):
        assert (made[0, :, y, x] - picture[0, :, y, x]).abs().max() < 0.25


def test_it_fits_a_target(mini):
    start = mini.random(8, 8, make_generator(0))
    painting = Painting(mini, start, (SIDE, SIDE), descent=Descent(lr=0.3))
    steps = [step.loss for step in run(painting, Likeness(scene()), 25)]
    assert steps[0] > 0.05
    assert steps[-1] < 0.012


def test_the_score_rises():
    scores = [s.score for s in guidance.paint("a red apple", size="64", steps=12, cuts=6)]
    assert scores[-1] > scores[0] + 0.05
