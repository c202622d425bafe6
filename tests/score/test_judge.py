"""The judge of rough pictures: whole and in parts, by the prompts with their weights."""

from __future__ import annotations

import pytest
import torch

from guidance.clip.scorer import ClipScorer
from guidance.errors import InputError
from guidance.prompts.grammar import parse_prompts
from guidance.score.judge import Judge
from guidance.score.prompts import prompts_at


@pytest.fixture
def pictures(generator) -> torch.Tensor:
    return torch.rand(3, 3, 40, 60, generator=generator)


def test_the_score_by_hand(pictures, tiny_clip_path):
    clip = ClipScorer(str(tiny_clip_path), device="cpu")
    looks = [pictures[:1], *(pictures[:1, :, t : t + 32, a : a + 32]
                             for t, a in ((0, 0), (0, 28), (8, 0), (8, 28), (4, 14)))]  # fmt: skip
    cosines = torch.cat([clip.similarity(look, ["a fox", "fog"]) for look in looks])
    want = ((cosines[:, 0] - 0.5 * cosines[:, 1]) / 1.5).mean()
    judge = Judge(parse_prompts("a fox | fog:-0.5"), str(tiny_clip_path), device="cpu")
    assert judge(pictures[:1]) == pytest.approx(float(want), abs=2e-6)


def test_several_pictures_have_the_mean(pictures, tiny_clip_path):
    judge = Judge(parse_prompts("a fox"), str(tiny_clip_path), device="cpu")
    each = [judge(picture[None]) for picture in pictures]
    assert judge(pictures) == pytest.approx(sum(each) / 3, abs=2e-6)
    assert len(set(each)) == 3
    assert judge(pictures[:1].clone()) == each[0]


def test_mini_is_judged_by_the_tower_that_looks():
    """Not by the one that draws, which `guide` asks for."""
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 64, 64).contiguous()
    judge = Judge(parse_prompts("a red wall"), device="cpu")
    looks = ClipScorer("mini", device="cpu").similarity(red, ["a red wall"])
    assert judge(red) == pytest.approx(float(looks), abs=1e-5)


def test_prompts_that_apply():
    prompts = parse_prompts("0: a fox | 50: a wolf:2 | [noise 3]", negative=("fog:0.5",))
    assert [(p.text, p.weight) for p in prompts_at(prompts, 49)] == [("a fox", 1), ("fog", -0.5)]
    later = prompts_at(prompts, 50)
    assert [(p.text, p.weight) for p in later] == [("a wolf", 2), ("fog", -0.5)]
    assert {(p.start, p.end) for p in later} == {(0, None)}


def test_no_prompt(tiny_clip_path):
    with pytest.raises(InputError, match="prompts must not be empty"):
        Judge((), str(tiny_clip_path), device="cpu")
