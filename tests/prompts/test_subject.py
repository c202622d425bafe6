"""The subject of a prompt, and the prompts it adds."""

import pytest

from guidance.prompts.grammar import Prompt, parse_prompts
from guidance.prompts.subject import subject, with_subjects


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a fox at sunrise", "a fox"),
        ("a red fox under a tree in autumn", "a red fox"),
        ("A castle On a hill", "A castle"),
        ("a wolf, watercolour", "a wolf"),
        ("a chair next to a table", "a chair"),
        ("a bowl of soup", None),
        ("a fox", None),
        ("in the forest", None),
        ("an inn", None),
        ("", None),
        ("狐 at 夜明け", "狐"),
    ],
)
def test_subject(text, expected):
    assert subject(text) == expected


def test_subjects_follow_weight_and_schedule():
    prompts = parse_prompts(
        "0: a fox at sunrise:2 | 50: a wolf | fog in a valley:-1 | b at c:1:0.3"
    )
    added = with_subjects(prompts, 0.5)
    assert added[: len(prompts)] == prompts
    assert added[len(prompts) :] == (Prompt("a fox", weight=1.0, start=0, end=50),)


def test_a_file_name_is_no_subject():
    prompts = parse_prompts("photo.png on a wall")
    assert with_subjects(prompts, 1.0) == prompts


def test_no_factor_no_subjects():
    prompts = parse_prompts("a fox at sunrise")
    assert with_subjects(prompts, 0.0) == prompts
    assert with_subjects(parse_prompts("a fox at sunrise:1000"), 5)[1].weight == 1000
