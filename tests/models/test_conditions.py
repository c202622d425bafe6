"""Texts → what a network is told: against diffusers' own pipelines, mixed and joined."""

import pytest
import torch
from denoisers import denoiser, randn

from guidance.errors import InputError
from guidance.models.conditions import Condition

TEXTS = ["a fox at sunrise", "the red house"]


def test_the_empty_text_of_the_large_model_may_be_read_like_any_other(pipelines):
    pipe = pipelines("xl")
    model = denoiser(pipe, "xl")
    assert not any(t.any() for t in model.empty().tensors.values())
    model.reader.zeros = False
    expected = model.condition([""])[0].tensors
    empty = model.place("cpu").empty().tensors
    assert empty.keys() == expected.keys() == {"encoder_hidden_states", "text_embeds"}
    assert all(torch.equal(empty[k], expected[k]) and empty[k].any() for k in empty)


def test_encoders_that_mask_the_padding(pipelines):
    pipe = pipelines("sd")
    reader = denoiser(pipe, "sd").reader
    plain = reader.read(TEXTS)[0].tensors["encoder_hidden_states"]
    pipe.text_encoder.config.use_attention_mask = True
    try:
        masked = reader.read(TEXTS)[0].tensors["encoder_hidden_states"]
        expected = pipe.encode_prompt(TEXTS[0], "cpu", 1, False)[0]
    finally:
        del pipe.text_encoder.config.use_attention_mask
    torch.testing.assert_close(masked, expected)
    assert (masked - plain).abs().max() > 1e-3


def test_a_text_that_is_too_long_is_reported(pipelines):
    reader = denoiser(pipelines("sd"), "sd").reader
    long = "a fox at sunrise " * 4
    with pytest.warns(UserWarning, match=r"longer than the 16 tokens sd reads.*'at sunrise'"):
        cut = reader.read([long])[0].tensors["encoder_hidden_states"]
    kept = reader.read(["a fox at sunrise " * 3 + "a fox"])[0].tensors["encoder_hidden_states"]
    assert torch.equal(cut, kept)
    for wrong in ("a fox", [3]):
        with pytest.raises(InputError, match="texts must be a list of strings"):
            reader.read(wrong)


def test_conditions_are_repeated_mixed_and_joined():
    one, two = ({"a": randn(1, 3, seed=s), "b": randn(1, 2, 2, seed=s)} for s in (0, 1))
    first, second = Condition(one), Condition(two)
    mixed = Condition.mix([first, second], [1, 3]).tensors
    assert mixed.keys() == {"a", "b"}
    for key, tensor in mixed.items():
        torch.testing.assert_close(tensor, 0.25 * one[key] + 0.75 * two[key])
    assert Condition.mix([first], [0.2]) is first
    both = Condition.cat([first, second])
    assert len(both) == 2
    assert torch.equal(both[1:].tensors["b"], two["b"])
    assert both.rows(2).tensors["a"].shape == (2, 3)
    assert torch.equal(first.rows(3).tensors["b"], one["b"].repeat(3, 1, 1))
    assert first.to("meta").tensors["a"].device.type == "meta"


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda c: c.rows(3).rows(2), "a condition for 2 pictures must have 1 or 2 rows, not 3"),
        (lambda c: Condition.mix([c, c], [1]), "as many weights but got 2 and 1"),
        (lambda c: Condition.mix([], []), "needs conditions"),
        (lambda c: Condition.mix([c, c], [2, -1]), r"must be positive but are \[2, -1\]"),
        (lambda c: Condition.mix([c], [0.0]), "must be positive"),
        (lambda c: Condition.mix([c, c], [1, float("nan")]), "must be positive"),
        (lambda c: Condition.mix([c, Condition({"b": randn(1, 3)})], [1, 1]), "must be alike"),
        (lambda c: Condition.mix([c, c.rows(2)], [1, 1]), "must be alike"),
        (
            lambda c: Condition.mix([Condition({"a": torch.tensor([1])})] * 2, [1, 1]),
            r"whole numbers \(a\) cannot be mixed",
        ),
        (lambda c: Condition.cat([]), "no conditions to join"),
        (lambda c: Condition.cat([c, Condition({"a": randn(1, 4)})]), "must be alike"),
        (lambda c: Condition({"a": randn(1, 3), "b": randn(2, 3)}), "must have equal rows"),
        (lambda c: Condition({}), "must have equal rows"),
    ],
)
def test_conditions_that_are_refused(attempt, message):
    with pytest.raises(InputError, match=message):
        attempt(Condition({"a": randn(1, 3)}))
