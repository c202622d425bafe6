"""A run that is continued ends in the same picture, whatever its sampler remembers."""

from __future__ import annotations

import pytest
import torch
from diffusing import TARGET, finish, make
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from guidance.diffusion.samplers import SAMPLERS
from guidance.errors import CheckpointError
from guidance.objective.regularisers import Likeness
from guidance.step import checkpoint
from guidance.step.loop import run


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_resume_is_exact_after_every_step(models, sampler, tmp_path):
    options = {"sampler": sampler, "steps": 3 if sampler == "heun" else 5, "recurrence": 2}
    options["clip_scale"] = "20"
    if sampler == "ddim":
        options["eta"] = 0.5
    whole = make(models["ddpm"], **options)
    saved, last = [], None
    for step in run(whole, Likeness(TARGET), len(whole.sampler)):
        saved.append(tmp_path / f"{step.index}.safetensors")
        checkpoint.save(saved[-1], whole, step.index + 1, "same")
        last = step
    for path in saved:
        other = make(models["ddpm"], **options | {"seed": 8})
        other.pictures = whole.pictures
        done = checkpoint.load(path, other, "same")
        rest = finish(other, first=done)
        assert torch.equal(other.image(), last.image), done
        assert torch.equal(other.x, whole.x)
        assert other.finished
        assert not rest or rest[-1].loss == last.loss


def test_a_state_that_does_not_fit_is_refused(models, tmp_path):
    first = make(models["ddpm"], sampler="dpm++")
    step = next(run(first, Likeness(TARGET), 4))
    checkpoint.save(tmp_path / "c", first, step.index + 1, "")
    with pytest.raises(CheckpointError, match="does not fit"):
        checkpoint.load(tmp_path / "c", make(models["ddpm"], number=3), "")


@pytest.mark.parametrize(
    ("sampler", "name", "value"),
    [
        ("lms", "derivatives.1", None),
        ("pndm", "ets.0", None),
        ("unipc", "model_outputs.0", None),
        ("unipc", "this_order", torch.tensor(2**31 - 1)),
        ("unipc", "this_order", torch.tensor(-1)),
        ("dpm++", "model_outputs.1", torch.zeros(1, 3, 32, 32)),
        ("dpm++", "model_outputs", torch.tensor(10**12)),
    ],
)
def test_a_memory_that_is_not_whole_is_refused(models, sampler, name, value, tmp_path):
    """Before the run goes on, not in the middle of a scheduler of diffusers."""
    path = tmp_path / "c"
    first = make(models["ddpm"], sampler=sampler, steps=6)
    for step in run(first, Likeness(TARGET), len(first.sampler)):
        checkpoint.save(path, first, step.index + 1, "")
        if step.index == 2:
            break
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = {k: v.clone() for k, v in load_file(path).items()}
    assert f"model.sampler.{name}" in tensors
    del tensors[f"model.sampler.{name}"]
    if value is not None:
        tensors[f"model.sampler.{name}"] = value
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match="does not fit its run: ") as caught:
        checkpoint.load(path, make(models["ddpm"], sampler=sampler, steps=6), "")
    assert "\n" not in str(caught.value)
