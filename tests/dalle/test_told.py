"""Prompts → what is followed of what a model says of each."""

from __future__ import annotations

import pytest
import torch

from guidance.dalle.told import tell
from guidance.prompts.grammar import parse_prompts


def mixed(prompt: str, cfg: float, said: dict[str, list[float]], **more: object) -> list[float]:
    told = tell(parse_prompts(prompt, **more), cfg)
    assert sorted(told.texts) == sorted(said), "each text once, and none that does not count"
    logits = torch.cat([torch.tensor([said[text]]) for text in told.texts])
    return told.mix(logits)[0].tolist()


def test_guidance_goes_from_nothing_beyond_the_prompt():
    said = {"a fox": [1.0, 2.0], "": [0.5, 3.0]}
    assert mixed("a fox", 3, said) == [0.5 + 3 * 0.5, 3.0 - 3 * 1.0]
    assert mixed("a fox", 1, {"a fox": [1.0, 2.0]}) == [1.0, 2.0], "exactly"
    assert mixed("a fox", 0, {"": [0.5, 3.0]}) == [0.5, 3.0]


def test_negative_prompts_take_the_place_of_nothing():
    said = {"a fox": [1.0, 2.0], "fog": [2.0, 0.0]}
    assert mixed("a fox", 2, said, negative=["fog:0.5"]) == [0.0, 4.0]


def test_weights_are_shares():
    said = {"a fox": [4.0], "snow": [8.0], "": [1.0]}
    assert mixed("a fox:3 | snow", 2, said) == [pytest.approx(1 + 2 * (5 - 1))]


def test_rows_of_a_text_stay_together():
    told = tell(parse_prompts("a fox"), 2)
    logits = torch.tensor([[1.0], [2.0], [10.0], [20.0]])
    if told.texts != ("a fox", ""):
        logits = logits.roll(2, 0)
    assert told.mix(logits).tolist() == [[-8.0], [-16.0]]


def test_images_tell_nothing(photo):
    told = tell(parse_prompts(image=[str(photo)]), 3)
    assert told.texts == ("",)
    assert told.mix(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
