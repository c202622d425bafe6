"""What recipes share: the recipe of the docstring, run as it stands, and what leaves no folder."""

from __future__ import annotations

import re
import runpy
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from PIL import Image

from guidance.command import recipe
from guidance.errors import FileError, InputError


@pytest.fixture
def twice(tmp_path, monkeypatch) -> Path:
    """The recipe in the docstring, as a file, with a CLIP and lengths for a test."""
    monkeypatch.chdir(tmp_path)
    text = textwrap.dedent(recipe.__doc__.partition("::\n")[2].partition("Nothing here")[0])
    path = tmp_path / "mine" / "twice.py"
    path.parent.mkdir()
    path.write_text(text)
    return path


def run(path: Path, *arguments: str) -> int | str | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
    return end.value.code


def test_the_recipe_of_the_docstring_works(twice, tiny_clip_path, capsys):
    small = f'steps=1, cuts=2, size="48", clip={str(tiny_clip_path)!r}'
    twice.write_text(twice.read_text().replace("strokes=strokes", f"strokes=strokes, {small}"))
    assert run(twice, "a fox at sunrise") == 0
    sheet = Path("outputs/twice-a-fox-at-sunrise/both.png")
    assert capsys.readouterr().out == f"{sheet}\n"
    assert {p.name for p in sheet.parent.iterdir()} == {"16.png", "256.png", "both.png"}
    with Image.open(sheet) as picture, Image.open(sheet.with_name("16.png")) as drawing:
        assert 2 * 384 < picture.width < 3 * 384
        assert drawing.size == (512, 512)


def test_mistakes_are_told_with_the_name_of_the_recipe(twice, capsys):
    assert run(twice, "a fox", "--ouput", "x") == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"mine/twice\.py: error: [^\n]*--output[^\n]*\n", said)
    assert not Path("outputs").exists()


def test_help_names_the_folder(twice, capsys):
    assert run(twice, "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: python mine/twice.py")
    assert "Folder; by default a new one under outputs/." in said


def test_pictures_of_every_kind(tmp_path):
    folder = recipe.Folder(str(tmp_path / "made"), "kind", "words")
    assert not folder.path.exists()
    red = torch.zeros(1, 3, 8, 12)
    red[:, 0] = 1
    path = folder.save("red.png", red)
    assert folder.write("note.txt", "rouge") == tmp_path / "made/note.txt"
    kinds = [red, red[0], folder.pictures[0], path, str(path)]
    sheet = folder.sheet("all.png", kinds, ["red"] * 5, tile=64, columns=5)
    with Image.open(sheet) as picture:
        assert picture.width // 64 == 5
        assert sum(n for n, colour in picture.getcolors(10_000) if colour == (255, 0, 0)) == 5 * 96
    with pytest.raises(InputError, match="label for each"):
        folder.sheet("none.png", [], [])


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FileError, match="taken"):
        recipe.Folder(str(tmp_path / "taken"), "kind", "words").save("a.png", torch.zeros(3, 4, 4))


def test_the_last_step():
    assert recipe.last(iter("abc")) == "c"
    with pytest.raises(InputError, match="at least one step"):
        recipe.last([])
