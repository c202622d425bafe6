"""Any text, long and hostile prompts: parsed in linear time, or refused with the reason."""

from __future__ import annotations

import math
import random
import re
import time

import pytest

from guidance.errors import PromptError
from guidance.prompts.grammar import Prompt, format_prompts, parse_prompts

pytestmark = pytest.mark.usefixtures("picture_folder")

INF = -math.inf


# weighted towards what the parser could trip over
TOKENS = (
    *":::||^[]\\\\{}()_'\" .,-+=abt0129é狐🦊",
    *("0: ", "5-: ", "3:2", "12:30", ", 7: ", ":sin(t)", ":nan", ": inf", "_[", "https://", "{0: "),
    *(".png", "a b.png", "(1.0)", ":2_x", "noise 1", "\\:", ":1.5", "x: y", "-1", "1e3", "3:2 _"),
)


def random_prompt(chance: random.Random) -> Prompt:
    weight = chance.choice([1, 1, 2, -0.5, 1e-7, -1000, round(chance.uniform(0.01, 9), 3)])
    stop = chance.choice([INF, math.copysign(chance.choice([0.5, 1, 1e-5, 2.25]), weight)])
    start = chance.choice([0, 0, 5, 100])
    more = {"start": start, "end": chance.choice([None, 100, 200]) if start < 100 else None}
    kind = chance.choice(["text"] * 6 + ["image", "noise"])
    if kind == "noise":
        return Prompt(str(chance.randrange(2**63)), weight, stop, kind, **more)
    if kind == "image":
        names = ["photo.png", "a[1].png", "b|c.png", "artist signature.png", "plain"]
        return Prompt(chance.choice(names), weight, stop, kind, **more)
    while True:
        words = "".join(chance.choice(TOKENS) for _ in range(chance.randint(1, 7)))
        try:
            return Prompt(words, weight, stop, **more)
        except PromptError as error:
            assert re.search("must not be empty|name of an image", str(error))  # noqa: PT017


def test_any_prompts_round_trip():
    chance = random.Random(0)
    for _ in range(1500):
        one = random_prompt(chance)
        assert parse_prompts(str(one)) == (one,), repr(one)
        several = tuple(random_prompt(chance) for _ in range(chance.randint(1, 5)))
        assert parse_prompts(format_prompts(several)) == several, several


def test_parsing_any_text_either_works_or_says_why():
    chance = random.Random(1)
    for _ in range(1500):
        given = "".join(chance.choice(TOKENS) for _ in range(chance.randint(0, 12)))
        try:
            found = parse_prompts(given, every=chance.choice([None, 10]))
        except PromptError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert parse_prompts(format_prompts(found)) == found


def test_format_is_the_string_a_person_would_write():
    for given in (
        "a fox",
        "Star Wars: a city:2",
        "ink | 0: a fox | 200: a wolf:2 | snow",
        "50-80: a",
        "route 66 :2",
        "ratio 3:2 at 12:30",
        "[photo.png]:0.5:0.25 | [noise 3]:-1",
    ):
        assert format_prompts(parse_prompts(given)) == given


LONG = [
    "fox " * 50_000,
    "fox:1 " * 30_000,
    "a" * 300_000 + ":",
    "a" + " " * 100_000 + "b",
    "5" + " " * 100_000 + "x",
    "5-" + " " * 100_000 + "x",
    "5" * 100_000 + "x",
    "x:" + "5" * 100_000 + "x",
    "\\" * 100_000 + "x",
    "1" + ":1" * 50_000,
    "," * 100_000,
    "0-: " + ", 5" * 50_000,
    "a: " * 50_000,
    "_" * 100_000,
    "{" + "'" * 50_000 + "x",
    " | ".join(["a fox:2"] * 10_000),
]


@pytest.mark.parametrize("given", LONG, ids=lambda v: repr(v[:12]))
def test_long_prompts_take_linear_time(given):
    started = time.process_time()
    found = parse_prompts(given)
    assert parse_prompts(format_prompts(found)) == found
    assert time.process_time() - started < 10


@pytest.mark.parametrize("given", ["[" * 100_000, "{0: " + "[" * 100_000, "{0: " * 50_000,
                                   "{0:" + "9" * 100_000 + "x}"], ids=lambda v: v[:8])  # fmt: skip
def test_hostile_prompts_are_refused_quickly(given):
    started = time.process_time()
    try:
        parse_prompts(given)
    except PromptError as error:
        assert len(str(error)) < 500  # noqa: PT017
    assert time.process_time() - started < 10
