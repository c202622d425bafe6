"""The order of arguments on the command lines that score images."""

import doctest
import subprocess
import sys

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


QUICK = """
import sys
from importlib import import_module
for name, code, *argv in {calls}:
    assert import_module("guidance." + name + ".__main__").main(argv) == code, (name, argv)
    assert "torch" not in sys.modules, (name, argv)
"""


def test_help_and_mistakes_need_no_torch():
    calls = [
        ("classify", 0, "--help"),
        ("classify", 2, "--tpo", "3"),
        ("classify", 2, "a.png", "--labels", ""),
        ("classify", 2, "a.png", "--labels", "a", "b", "--top", "-1"),
        ("interrogate", 0, "--help"),
        ("interrogate", 2),
        ("look", 0, "--help"),
        ("look", 2, "matrxi"),
        ("look", 0, "heat", "--help"),
        ("look", 2, "heat", "a.png", "--texts", "a", "--zoom", "0"),
        ("probe", 0, "--help"),
        ("probe", 2, "folder", "--shots", "few"),
        ("rerank", 0, "--help"),
        ("rerank", 2, "a fox", "a.png", "--by", "beauty"),
        ("rerank", 2, "a fox:0", "a.png"),
        ("rerank", 2, "0: a fox | 9: a wolf", "a.png"),
        ("rerank", 2, "a fox", "a.png", "--judge", "mini"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", QUICK.format(calls=calls)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
