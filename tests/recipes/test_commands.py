"""The commands of all pages that run a recipe, at tiny size."""

from __future__ import annotations

import runpy
import shlex
import sys
from pathlib import Path

import pytest
from pages import ROOT, commands, pictures_to_read
from PIL import Image
from tiny_dalle import write_model

TINY = {
    "best_of_ten": ["--seeds", "3", "--keep", "2", "--steps", "1", "--strokes", "6"],
    "draw_then_paint": ["--draw-steps", "1", "--paint-steps", "1", "--strokes", "6",
                        "--size", "32"],
    "restyle": ["--steps", "1", "--size", "32"],
    "clip_or_classifier_free": ["--steps", "1", "--number", "2"],
    "build_a_scene": ["--steps", "1", "--number", "1"],
    "best_of_many": ["--number", "2", "--draw-steps", "1", "--paint-steps", "1", "--strokes", "6",
                     "--size", "32"],
}  # fmt: skip


@pytest.mark.parametrize("recipe", sorted(p.stem for p in (ROOT / "recipes").glob("*.py")))
def test_commands(recipe, tmp_path, monkeypatch, tiny_clip_path, capsys):
    monkeypatch.chdir(tmp_path)
    pictures_to_read()
    Path("runs/dalle").mkdir(parents=True)
    write_model(Path("runs/dalle"), tiny_clip_path)
    script = f"recipes/{recipe}.py"
    for command in commands(script):
        options = [*TINY[recipe], "--clip", str(tiny_clip_path), "--output", "out"]
        monkeypatch.setattr(sys, "argv", [script, *shlex.split(command), *options])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        said = capsys.readouterr()
        assert not end.value.code, said.err
        with Image.open(Path(said.out.splitlines()[-1])) as sheet:
            assert sheet.width >= 2 * 256
        if recipe == "best_of_ten":
            assert "1. seed-" in said.out
