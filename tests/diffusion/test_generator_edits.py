"""Denoising from a picture: strength, masks, a larger canvas, and steps taken again."""

from __future__ import annotations

import itertools

import pytest
import torch
from diffusing import TARGET, finish, make, pictures, plain

from guidance.errors import InputError
from guidance.images import to_pil
from guidance.objective.regularisers import Likeness, Smoothness
from guidance.step.loop import run


def test_strength(models, tmp_path):
    """The more noise, the less of the picture is left; and no step is made for what is skipped."""
    to_pil(TARGET).save(tmp_path / "photo.png")
    init, differences = str(tmp_path / "photo.png"), []
    for strength in (0.1, 0.3, 0.7, 1.0):
        steps = finish(make(models["ddpm"], init=init, strength=strength, steps=10))
        assert len(steps) == round(10 * strength)
        differences.append((steps[-1].image - TARGET).abs().mean().item())
    assert differences == sorted(differences)
    assert differences[0] < 0.5 * differences[-1]
    assert torch.equal(steps[-1].image, pictures(models["ddpm"], steps=10))  # as without it


@pytest.fixture
def half(tmp_path) -> dict[str, str]:
    """Return options that keep the left half of a picture and paint the rest."""
    mask = torch.zeros(1, 3, 32, 32)
    mask[..., 16:] = 1
    to_pil(mask).save(tmp_path / "mask.png")
    to_pil(TARGET).save(tmp_path / "photo.png")
    return {"init": str(tmp_path / "photo.png"), "mask": str(tmp_path / "mask.png")}


@pytest.mark.parametrize("kind", ["sd", "ddpm"])
@pytest.mark.parametrize("more", [{}, {"recurrence": 3, "clip_scale": "20"}, {"sampler": "heun"}])
def test_known_pixels_stay_bit_for_bit(models, half, kind, more):
    generator = make(models[kind], **half, **more)
    known = (TARGET * 255).round() / 255
    for step in finish(generator):
        assert torch.equal(step.image[..., :16], known[..., :16].expand(2, -1, -1, -1))
    assert (step.image[..., 20:] - known[..., 20:]).abs().mean() > 0.05
    assert (step.image[0] - step.image[1])[..., 20:].abs().mean() > 0.01


def test_the_network_sees_what_is_known(models, half):
    """In every step its input is, where nothing is painted, the known picture with fresh noise."""
    model = models["ddpm"]
    generator = make(model, **half, number=1, steps=6)
    known, seen = model.encode((TARGET * 255).round() / 255), []
    for step in run(generator, Likeness(TARGET), 6):
        alpha, sigma = generator.sampler.level(step.index + 1)
        rest = (generator.x - alpha * known)[..., :16]
        seen.append(rest / max(sigma, 1e-9))
        if step.index == 5:
            assert rest.abs().max() == 0
    for before, after in itertools.pairwise(seen[:-1]):
        assert before.std().item() == pytest.approx(1, abs=0.1)
        together = torch.stack([before.flatten(), after.flatten()])
        assert abs(torch.corrcoef(together)[0, 1]) < 0.1


def test_outpainting(models, tmp_path):
    to_pil(TARGET).save(tmp_path / "photo.png")
    options = {"init": str(tmp_path / "photo.png"), "outpaint": "8,0,16,4"}
    for kind in ("sd", "ddpm"):
        generator = make(models[kind], **options)
        image = finish(generator, Smoothness())[-1].image
        assert image.shape == (2, 3, 36, 56)
        known = ((TARGET * 255).round() / 255).expand(2, -1, -1, -1)
        assert torch.equal(image[..., :32, 8:40], known)
        assert generator.final_size == (36, 56)
    with pytest.raises(InputError, match=r"multiple of 4 .* is 30x33; .* are 28x32 and 32x32"):
        make(models["sd"], init=str(tmp_path / "photo.png"), outpaint="2,0,0,0", size="30x33")


@pytest.mark.parametrize("sampler", ["ddim", "dpm++"])
def test_recurrence_takes_each_step_again(models, sampler):
    want = plain(models["ddpm"], None, times=3, name=sampler)
    assert torch.equal(pictures(models["ddpm"], recurrence=3, sampler=sampler), want)


def test_recurrence_asks_the_objective_as_often(models):
    class Counted(Likeness):
        asked = 0

        def evaluate(self, image, step=0):
            self.asked += 1
            return super().evaluate(image, step)

    objective = Counted(TARGET)
    finish(make(models["ddpm"], clip_scale="1", recurrence=3, steps=4), objective)
    assert objective.asked == 3 * 4 + 1  # and about the finished pictures
