"""Schedules as disco-diffusion users write them, read without evaluating anything."""

from __future__ import annotations

import ast
import doctest
import random
import re

import pytest

from guidance.diffusion import schedule_text
from guidance.diffusion.schedule_text import MAX_LENGTH, Steps, parse_steps
from guidance.errors import InputError


def numbers(text: str, count: int | None = None) -> list[float]:
    """Return what each step of a run uses."""
    steps = parse_steps("cuts", text)
    count = len(steps) if count is None else count
    return [steps.at(i / count) for i in range(count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", [12]),
        (" -1.5e2 ", [-150]),
        ("[12]*400+[4]*600", [12] * 400 + [4] * 600),
        ("[12]*400 + [4]*600", [12] * 400 + [4] * 600),
        ("[ 3 , 2,1 ] * 10", [3, 2, 1] * 10),
        ("[0.5]", [0.5]),
        ("[1,2]+[3]\t+\n[.25, 5.]*2", [1, 2, 3, 0.25, 5, 0.25, 5]),
        ("[+7]*1", [7]),
    ],
)
def test_values(text, expected):
    assert numbers(text) == expected


def test_random_schedules_are_what_python_would_make_of_them():
    pick = random.Random(0)
    for _ in range(200):
        lists = []
        for _ in range(pick.randint(1, 5)):
            values = ", ".join(
                str(pick.choice([0, 4, -2, 0.125, 1e3])) for _ in range(pick.randint(1, 4))
            )
            lists.append(f"[{values}]" + pick.choice(["", f"*{pick.randint(1, 30)}"]))
        text = pick.choice(["+", " + "]).join(lists)
        expected = []
        for part in lists:
            values, _, count = part.partition("*")
            expected += ast.literal_eval(values) * int(count or 1)
        assert numbers(text) == expected, text


def test_stretched_over_any_run():
    text = "[12]*400+[4]*600"
    assert numbers(text, 10) == [12] * 4 + [4] * 6
    assert numbers(text, 5) == [12] * 2 + [4] * 3
    assert numbers(text, 2000) == [12] * 800 + [4] * 1200
    assert numbers("[1,2]", 3) == [1, 1, 2]
    assert numbers("9", 4) == [9] * 4
    for count in range(1, 400):  # i / count * count is often just below i
        values = ",".join(map(str, range(count)))
        assert numbers(f"[{values}]") == list(range(count))
    steps = parse_steps("cuts", text)
    assert (steps.at(0), steps.at(1)) == (12, 4)
    assert (steps.low, steps.high) == (4, 12)
    assert steps == Steps((((12.0,), 400), ((4.0,), 600)))


def test_long_schedules_are_not_written_out():
    steps = parse_steps("cuts", f"[1]*{MAX_LENGTH // 2} + [2,3]*{MAX_LENGTH // 4}")
    assert len(steps) == MAX_LENGTH
    assert steps.runs == (((1.0,), 500000), ((2.0, 3.0), 250000))
    assert (steps.at(0.499999), steps.at(0.5), steps.at(1)) == (1, 2, 3)
    for text in (f"[1]*{MAX_LENGTH + 1}", f"[1]*{MAX_LENGTH}+[1]", "[1,2]*" + "9" * 5000):
        with pytest.raises(InputError, match="at most 1000000 numbers"):
            parse_steps("cuts", text)
    with pytest.raises(InputError, match="cuts must be at most 100000 characters but has 100001"):
        parse_steps("cuts", "1" * 100001)


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ("", "expected a number", 1),
        ("twelve", "expected a number", 1),
        ("nan", "expected a number", 1),
        ("1e999", "expected a number", 1),
        ("[12]*", "expected how many times", 6),
        ("[12]*0", "expected how many times", 6),
        ("[12]*-3", "expected how many times", 6),
        ("[12]*4.5", "expected how many times", 6),
        ("[12]*1e3", "expected how many times", 6),
        ("[12]*[3]", "expected how many times", 6),
        ("[12]*400+", "expected a list", 10),
        ("[12]*400+4", "expected a list", 10),
        ("[12]*400-[4]", r"expected '\+'", 9),
        ("[12]*400 [4]", r"expected '\+'", 10),
        ("[12]*4*4", r"expected '\+'", 7),
        ("[]", "expected a number", 2),
        ("[1,]", "expected a number", 4),
        ("[1;2]", r"expected ',' or '\]'", 3),
        ("[1", r"expected ',' or '\]'", 3),
        ("[[1]]", "expected a number", 2),
        ("12+4", "one number stands alone", 3),
        ("400*[12]", "one number stands alone", 4),
        ("[12]*400 + [__import__('os')]", "expected a number", 13),
        ("[1٣]", r"expected ',' or '\]'", 3),
    ],
)
def test_anything_else_is_refused(text, reason, column):
    with pytest.raises(InputError, match=reason) as caught:
        parse_steps("cut_overview", text)
    message = str(caught.value)
    assert message.startswith("cut_overview must be a number or lists such as [12]*400+[4]*600: ")
    assert int(re.search(r"\(column (\d+) of", message)[1]) == column
    assert "\n" not in message


def test_long_text_is_shown_around_the_column():
    with pytest.raises(InputError) as caught:
        parse_steps("cuts", "[1]+" * 100 + "x" + "+[1]" * 100)
    assert "column 401" in str(caught.value)
    assert "…" in str(caught.value)
    assert len(str(caught.value)) < 250


def test_bad_fraction_and_examples():
    steps = parse_steps("cuts", "[1]*10")
    for fraction in (-0.01, 1.01, float("nan")):
        with pytest.raises(InputError, match="fraction must be at least 0 and at most 1"):
            steps.at(fraction)
    assert doctest.testmod(schedule_text).failed == 0
