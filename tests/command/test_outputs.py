"""What a command that scores images leaves, and what it says of it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from guidance.artefacts.plot import line_chart
from guidance.command.outputs import Report, first_of
from guidance.command.scoring import ScoringOptions
from guidance.embeddings.results import Skipped
from guidance.errors import FileError, InputError

NAMES = ("csv", "json", "sheet", "plot")


@dataclass(frozen=True, kw_only=True)
class Options(ScoringOptions):
    """Of a command with every output."""

    csv: str | None = None
    json: str | None = None
    sheet: str | None = None
    plot: str | None = None
    strict: bool = False


def never(*_: object) -> object:
    raise AssertionError("it was not asked for")


def test_nothing_is_computed_for_what_is_not_asked_for(capsys):
    def rows():
        never()
        yield []

    out = Report(Options(), NAMES)
    out.csv(rows())
    out.json(never, [])
    out.sheet(rows())
    out.picture("sheet", never)
    out.plot("plot", never)
    assert out.end([], 3) == 0
    assert capsys.readouterr() == ("", "")


def test_everything_is_written_and_told_in_order(tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (32, 24), "red").save(photo)
    suffixes = ("csv", "json", "jpg", "svg")
    places = {n: str(tmp_path / f"out.{s}") for n, s in zip(NAMES, suffixes, strict=True)}
    out = Report(Options(**places), NAMES, [photo])
    skipped = [Skipped(1, Path("b.png"), "is no image")]
    out.csv([["file", "best"], [photo, "=red"]])
    out.json(lambda: {"clip": "mini"}, skipped)
    out.sheet([(photo, "red")] * 3, total=3)
    out.plot("plot", lambda: line_chart({"a": [(0, 0), (1, 1)]}))
    assert out.end(skipped, 1234, Counter({".txt": 1})) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"wrote {', '.join(places.values())}",
        "passed over 1 file that is no image: 1 .txt",
        "skipped 1 of 1,234 files:",
        "  b.png is no image",
    ]
    with open(places["csv"], newline="") as file:
        assert list(csv.reader(file)) == [["file", "best"], [str(photo), "'=red"]]
    assert json.loads(Path(places["json"]).read_text()) == {
        "clip": "mini", "skipped": [{"file": "b.png", "reason": "is no image"}],
    }  # fmt: skip
    with Image.open(places["sheet"]) as sheet:
        assert sheet.format == "JPEG"
    assert Path(places["plot"]).read_text().startswith("<?xml")


def test_quiet_and_strict(tmp_path, capsys):
    skipped = [Skipped(0, Path("a.png"), "is no image")]
    for strict in (False, True):
        options = Options(csv=str(tmp_path / "o.csv"), quiet=True, strict=strict)
        out = Report(options, NAMES)
        out.csv([["a"]])
        assert out.end(skipped, 1, Counter({".txt": 1})) == strict
        assert out.end([], 1) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"csv": "o.txt"}, r"--csv o\.txt: unknown suffix '\.txt' \(known: \.csv\)"),
        ({"sheet": "s.svg"}, "unknown suffix '.svg'"),
        ({"sheet": "photo.png"}, "--sheet would overwrite the image photo.png"),
        ({"sheet": "o.png", "plot": "o.png"}, "--plot must not be a file that is written already"),
    ],
)
def test_places_that_are_refused(tmp_path, monkeypatch, places, message):
    monkeypatch.chdir(tmp_path)
    Path("photo.png").touch()
    with pytest.raises(InputError, match=message):
        Report(Options(**places), NAMES, [Path("photo.png")])
    with pytest.raises(FileError, match="the folder none does not exist"):
        Report(Options(csv="none/o.csv"), NAMES)
    Report(Options(sheet="s.svg"), NAMES, drawn=("sheet",))
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_the_note_of_what_did_not_fit():
    assert first_of(400, 1000) == " (the first 400)"
    assert first_of(400, 400) is None
    assert first_of(400, None) is None
