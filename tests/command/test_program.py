"""Usage and messages say what the user has typed, whichever way a command is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs import CONSOLE

from guidance.__main__ import main
from guidance.command.program import called_as

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(tmp_path):
    """Return a function that calls a command in a process of its own: exit code, stdout, stderr."""
    (tmp_path / "clip-guidance").write_text(CONSOLE)

    def call(*words: str) -> tuple[int, str, str]:
        start = [str(tmp_path / words[0])] if words[0] == "clip-guidance" else ["-m", words[0]]
        done = subprocess.run(
            [sys.executable, *start, *words[1:]],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["clip-guidance", "look", "heat"], "clip-guidance look heat"),
        (["guidance", "train", "text", "embed"], "python -m guidance train text embed"),
        (["guidance.pixels"], "python -m guidance.pixels"),
    ],
)
def test_what_was_typed_is_said(call, words, typed):
    code, out, _ = call(*words, "--help")
    assert code == 0
    assert f"usage: {typed} " in " ".join(out.split())
    code, _, err = call(*words, "--qiuet")
    assert code == 2
    assert err.startswith(f"{typed.removeprefix('python -m ')}: error: unknown option '--qiuet'")


def test_all_are_listed_as_they_are_called(call):
    code, out, _ = call("clip-guidance")
    assert code == 0
    assert "  clip-guidance clipdraw " in out
    assert "Trainings, clip-guidance train NAME: aesthetic, clip," in out
    assert call("clip-guidance", "clipdrw")[2].startswith("clip-guidance: error: unknown technique")


def test_in_a_process_of_another_kind():
    assert called_as("evaluate clip") == "python -m guidance.evaluate clip"
    assert called_as("train.clip") == "python -m guidance.train.clip"
    assert called_as() == "python -m guidance"


def test_a_training_is_run_by_name(capsys):
    assert main(["train", "ship", "--help"]) == 0
    assert "usage: python -m guidance.train.ship" in " ".join(capsys.readouterr().out.split())
    assert main(["train"]) == 2
    assert main(["train", "shp"]) == 2
    assert "unknown training 'shp'; did you mean ship?" in capsys.readouterr().err


def test_the_console_command_is_announced():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"clip-guidance": "guidance.__main__:main"}
