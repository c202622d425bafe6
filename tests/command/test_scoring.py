"""The order of arguments on the command lines that score images."""

import doctest

import pytest

from guidance.command import scoring as scoring_options
from guidance.command.scoring import spread


def test_examples():
    result = doctest.testmod(scoring_options)
    assert result.attempted >= 2
    assert result.failed == 0


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("x --labels a b c", "x --labels a --labels b --labels c"),
        ("x -l a b -q y", "x -l a -l b -q y"),
        ("--labels a b -- x y", "--labels a --labels b -- x y"),
        ("--labels a b --top 3 x", "--labels a --labels b --top 3 x"),
        ("--labels=a x --labels -b c", "--labels=a x --labels -b --labels c"),
        ("x -- --labels a b", "x -- --labels a b"),
        ("x --labels", "x --labels"),
        ("--labels -q", "--labels -q"),
        ("--labels a b --csv f -l c", "--labels a --labels b --csv f -l c"),
    ],
)
def test_values_go_on_to_the_next_option(typed, expected):
    assert spread(typed.split(), ["--labels", "-l"]) == expected.split()
