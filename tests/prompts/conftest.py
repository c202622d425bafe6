"""Fixtures of the tests of prompts."""

import pytest
from PIL import Image


@pytest.fixture
def picture_folder(tmp_path, monkeypatch):
    """Work in a folder with a few image files."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "artist signature.png", "a[1].png", "PIC.JPG", "b|c.png", "plain"):
        Image.new("RGB", (8, 8)).save(tmp_path / name, "PNG")
    (tmp_path / "folder.png").mkdir()
