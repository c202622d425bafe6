"""Options ↔ TOML tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from guidance.clipdraw import ClipDrawOptions
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.options import from_table
from guidance.command.runner import command
from guidance.errors import InputError


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
        ({"prompt": "x", "segments": [1, 2, 3]}, "segments must have 2 values but has 3"),
        ({"prompt": "x", "width": [1.0]}, "width must have 2 values but has 1"),
        ({"prompt": "x", "opacity": []}, "opacity must have 2 values but has 0"),
        ({"prompt": "x", "segments": [1, 2.5]}, "segments must be of type int but is 2.5"),
        ({"prompt": "x", "width": [1, "2"]}, "width must be of type float but is '2'"),
        ({"prompt": "x", "palette": "red"}, "palette must be a list but is 'red'"),
        ({"prompt": "x", "steps": 3.0}, "steps must be of type int but is 3.0"),
        ({"prompt": "x", "steps": 10**5000}, "steps must have at most 64 bits but is a number of"),
        ({"prompt": "x", "points_lr": 10**5000}, "points_lr must be of type float but is a number"),
        ({"prompt": "x", "points_lr": True}, "points_lr must be of type float but is True"),
        ({"prompt": "x", "closed": 1}, "closed must be of type bool but is 1"),
        ({"prompt": "x", "closed": [True]}, r"closed must be of type bool but is \[True\]"),
        ({"prompt": b"x"}, "prompt must be of type str but is b'x'"),
        ({"prompt": "x", "video": 3}, "video must be one of mp4, gif, none but is 3"),
        ({"prompt": "x", "video": ["gif"]}, "video must be one of mp4, gif, none but is"),
        ({"prompt": "x", "steps": torch.ones(300, 3)}, "steps must be of type int but is tensor"),
        ({"prompt": "x", "steps": "x" * 10**6}, "steps must be of type int but is 'xxx.*'$"),
        ({"prompt": "x", "x" * 10**6: 3}, "unknown option 'xxx"),
        ({"prompt": "x", "video": "avi"}, "video must be one of mp4, gif, none but is 'avi'"),
    ],
)
def test_wrong_tables(table, message):
    with pytest.raises(InputError, match=message) as caught:
        from_table(ClipDrawOptions, table, "here")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_a_value_nested_to_death_is_one_line():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError, match="steps must be of type int but is"):
        from_table(ClipDrawOptions, {"prompt": "x", "steps": value}, "here")


def test_what_python_users_have_at_hand(tmp_path):
    table = {"prompt": "x", "init": tmp_path / "a.png", "steps": np.int64(3)}
    table |= {"width": (np.float32(2), np.int64(9)), "points_lr": np.float64(0.5)}
    options = from_table(ClipDrawOptions, table, "draw")
    assert options.init == str(tmp_path / "a.png")
    assert (options.steps, options.width, options.points_lr) == (3, (2.0, 9.0), 0.5)
    assert {type(v) for v in (options.steps, *options.width)} == {int, float}


def test_options_under_their_earlier_names():
    old = {"prompt": "a fox", "color_lr": 0.05}
    assert from_table(ClipDrawOptions, old, "manifest.toml").colour_lr == 0.05


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


def test_the_help_of_the_seed_names_what_else_decides(capsys):
    assert command(CLIPDRAW, ["--help"]) == 0
    assert "number of threads (OMP_NUM_THREADS)" in " ".join(
        capsys.readouterr().out.replace("│", " ").split()
    )


def test_options_of_python_are_of_their_types():
    made = ClipDrawOptions(prompt="a", width=[1, 2], points_lr=1, init=Path("x.svg"))
    assert (made.width, made.points_lr, made.init) == ((1.0, 2.0), 1.0, "x.svg")
    for name, value in (("steps", "9"), ("steps", True), ("width", (1.0,)), ("video", "mp3")):
        with pytest.raises(InputError, match=f"^{name} must "):
            ClipDrawOptions(prompt="a", **{name: value})
    for name, value in (("init", " "), ("clip", "x" * 300), ("output", "")):
        with pytest.raises(InputError, match=f"{name} must be a name but"):
            ClipDrawOptions(prompt="a", **{name: value})
