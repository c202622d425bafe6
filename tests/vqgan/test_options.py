"""The options of VQGAN painting: what they come to, and what is not allowed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from guidance.command.options import from_table
from guidance.errors import InputError
from guidance.images import to_pil
from guidance.vqgan import VqganOptions
from guidance.vqgan.build import regularisers
from guidance.vqgan.options import AUGMENT, CUT_METHODS

CPU = torch.device("cpu")


def options(**values: object) -> VqganOptions:
    return VqganOptions(prompt="a fox", **values)


def test_round_trip():
    given = options(noise_prompt_seeds=(1, 2), noise_prompt_weights=(0.5, 1.0), palette=("red",))
    table = {k: v for k, v in dataclasses.asdict(given).items() if v is not None}
    assert from_table(VqganOptions, table, "here") == given


def test_noise_prompts():
    noise = options(noise_prompt_seeds=(1, 2), noise_prompt_weights=(0.5, -0.00001)).prompts()[-2:]
    assert [(p.kind, p.text, p.weight) for p in noise] == [
        ("noise", "1", 0.5),
        ("noise", "2", -0.00001),
    ]
    assert options(noise_prompt_seeds=(7,)).prompts()[-1].weight == 1
    assert all(p.kind == "text" for p in options().prompts())
    with pytest.raises(InputError, match=r"as many as noise_prompt_seeds \(2\) but are 1"):
        options(noise_prompt_seeds=(1, 2), noise_prompt_weights=(1.0,)).check()


@pytest.mark.parametrize("method", CUT_METHODS)
def test_cut_methods(method):
    cut = options(cut_method=method, cuts=16).cutouts()
    whole = {"own": 10, "latest": 16, "updatedpooling": 16}.get(method, 0)
    assert (cut.cuts, cut.overview) == (16, whole)
    assert set(cut.augment) == set(CUT_METHODS[method][1])
    mine = options(cut_method=method, augment=("Er", "flip")).cutouts()
    assert mine.augment == ("erase", "flip")


def test_colours_are_not_jittered_by_default():
    assert options().cutouts().augment == AUGMENT
    assert "colour" not in AUGMENT


@pytest.mark.parametrize(
    ("size", "render", "canvas", "final"),
    [("224", 0, (224, 224), (224, 224)), ("96x64", 0, (64, 96), (64, 96)),
     ("96x64", 192, (64, 96), (128, 192))],
)  # fmt: skip
def test_sizes(size, render, canvas, final):
    given = options(size=size, render_size=render)
    assert given.canvas() == canvas
    assert given.final() == final


def test_no_regulariser_by_default():
    assert regularisers(options(), CPU) is None
    assert regularisers(options(palette=("red",), palette_weight=0.0), CPU) is None


def test_regularisers_and_their_weights(tmp_path):
    image = torch.full((1, 3, 16, 16), 0.2)
    to_pil(image).save(tmp_path / "photo.png")
    half = torch.zeros(1, 3, 16, 16)
    half[..., 8:] = 1
    to_pil(half).save(tmp_path / "mask.png")
    given = options(size="16", init=str(tmp_path / "photo.png"), init_weight=2.0, smoothness=3.0,
                    saturation=-0.5, palette=("black",), palette_weight=4.0)  # fmt: skip
    said = regularisers(given, CPU).evaluate(half)
    likeness = 2 * (0.04 + 0.64) / 2
    assert said.terms["likeness"].item() == pytest.approx(likeness, abs=0.01)
    assert said.terms["smoothness"].item() == pytest.approx(3 / 15)  # one of 15 columns of edges
    assert said.terms["saturation"].item() == pytest.approx(-0.5)
    assert said.terms["palette"].item() == pytest.approx(4 / 2)
    masked = dataclasses.replace(given, mask=str(tmp_path / "mask.png"))
    said = regularisers(masked, CPU).evaluate(half)
    assert said.terms["likeness"].item() == pytest.approx(2 * 0.64, abs=0.01)  # there only
