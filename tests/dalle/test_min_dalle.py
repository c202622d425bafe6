"""The command with a DALL·E mini in min-dalle's files."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import calling
from min_dalle_files import write
from PIL import Image

from guidance.dalle.__main__ import main


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, tiny_clip_path):
    """Return the command, in a folder with a tiny model under ``model``."""
    monkeypatch.chdir(tmp_path)
    write(Path("model"), "_mini")
    more = ["--clip", tiny_clip_path, "--device", "cpu", "--video", "none", "-o", "run"]
    return calling(main, capsys, *more, after=1)


def test_what_it_cannot_do_is_one_line(call):
    Image.new("RGB", (16, 16), "red").save("photo.png")
    code, _, said = call(
        "a fox", "--model", "model", "-n", 2, "--init", "photo.png", "--rows", 2, "--steps", 2
    )
    assert code == 2
    assert "detoker.pt paints codes and reads no pictures" in said
    code, _, said = call("a fox", "--model", "kuprel/min-dalle/mini", "-n", 1)
    assert code == 2
    assert "could not be downloaded" in said
    assert "use --model mini, which ships with the package, or a local folder" in said
