"""What the commands that score images begin with."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from guidance.artefacts.sheet import write_sheet
from guidance.command.pictures import embed_pictures, find_pictures, load_scorer
from guidance.command.scoring import ScoringOptions
from guidance.errors import FileError


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, colour in (("a.png", "red"), ("b.png", "lime")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / name)
    (tmp_path / "bad.png").write_text("no")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "best").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "best" / "c.png")
    return tmp_path


def test_pictures_are_found_and_the_rest_is_counted(folder):
    options = ScoringOptions(recursive=True)
    found = find_pictures(options, [str(folder)], leave_out=folder / "best")
    assert [f.name for f in found.files] == ["a.png", "b.png", "bad.png"]
    assert (len(found), found.passed) == (3, Counter({".txt": 1}))
    assert len(find_pictures(options, [str(folder)])) == 4
    write_sheet(folder / "sheet.png", [(folder / "a.png", "a")])
    assert len(find_pictures(options, [str(folder)])) == 5
    assert len(find_pictures(options, [str(folder)], sheet=str(folder / "sheet.png"))) == 4


def test_embeddings_come_from_the_store_the_second_time(folder, tiny_clip_path, monkeypatch):
    options = ScoringOptions(clip=str(tiny_clip_path), device="cpu", store=str(folder / "store"))
    scorer = load_scorer(options)
    files = find_pictures(options, [str(folder)]).files
    first = embed_pictures(options, files, scorer, "read")
    assert [f.name for f in first.sources] == ["a.png", "b.png"]
    assert [s.source.name for s in first.skipped] == ["bad.png"]
    expected = scorer.encode_image(files[:2]).cpu()
    torch.testing.assert_close(first.vectors, expected, atol=1e-3, rtol=0)
    monkeypatch.setattr("guidance.embeddings.reading.load_image", None)  # none is decoded again
    again = embed_pictures(options, first.sources, scorer, "read")
    assert torch.equal(again.vectors, first.vectors)


def test_another_clip_may_be_named(tiny_clip_path):
    options = ScoringOptions(clip="none", device="cpu")
    assert len(load_scorer(options, str(tiny_clip_path)).models) == 1


def test_no_picture_that_can_be_read(folder, tiny_clip_path):
    options = ScoringOptions(clip=str(tiny_clip_path), device="cpu", quiet=True)
    bad = folder / "bad.png"
    said = f"none of 1 file can be ranked; the first: {bad} is not an image of a known format"
    with pytest.raises(FileError, match=re.escape(said)):
        embed_pictures(options, [bad], load_scorer(options), "ranked")
