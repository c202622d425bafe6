"""Options ↔ TOML tables."""

from __future__ import annotations

import dataclasses

import pytest

from guidance.clipdraw import ClipDrawOptions
from guidance.errors import InputError
from guidance.options import from_table


def test_round_trip():
    options = ClipDrawOptions(prompt="a fox", palette=("red",), segments=(2, 3), init="x.svg")
    table = {k: v for k, v in dataclasses.asdict(options).items() if v is not None}
    table |= {k: list(v) for k, v in table.items() if isinstance(v, tuple)}  # as TOML gives them
    assert from_table(ClipDrawOptions, table, "here") == options


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "here lacks the option prompt"),
        ({"prompt": "x", "stroks": 3}, "here: unknown option 'stroks'; did you mean strokes"),
        ({"prompt": "x", "strokes": "many"}, "here: strokes must be of type int but is 'many'"),
        ({"prompt": "x", "strokes": True}, "strokes must be of type int"),
        ({"prompt": "x", "segments": 3}, "segments must be a list"),
        ({"prompt": "x", "video": "avi"}, "video must be one of mp4, gif, none but is 'avi'"),
    ],
)
def test_wrong_tables(table, message):
    with pytest.raises(InputError, match=message):
        from_table(ClipDrawOptions, table, "here")


def test_whole_numbers_are_fine_for_rates():
    options = from_table(ClipDrawOptions, {"prompt": "x", "points_lr": 2}, "here")
    assert options.points_lr == 2.0
    assert isinstance(options.points_lr, float)


def test_clipdraw_negatives():
    prompts = ClipDrawOptions(prompt="a fox", clipdraw_negatives=True).prompts()
    assert [(p.text, p.weight) for p in prompts] == [
        ("a fox", 1.0),
        ("A badly drawn sketch.", -0.3),
        ("Many ugly, messy drawings.", -0.3),
    ]


def test_what_may_be_left_out_may_be_none():
    assert from_table(ClipDrawOptions, {"prompt": "x", "init": None}, "here").init is None
    with pytest.raises(InputError, match="strokes must be of type int but is None"):
        from_table(ClipDrawOptions, {"prompt": "x", "strokes": None}, "here")
