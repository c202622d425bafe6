"""``python -m guidance.classify --benchmark`` on pieces of photos."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from calling import calling
from photos import CAT, COFFEE, ROCKET
from PIL import Image

from guidance.artefacts.plot import save, to_image
from guidance.classify import matrix
from guidance.classify.__main__ import main as command
from guidance.data.shards import Sample, ShardWriter

CLASSES = {"cat": CAT, "cup_of_coffee": COFFEE, "rocket": ROCKET}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder of three classes with three pieces of one photo each."""
    place = tmp_path / "things"
    for name, photo in CLASSES.items():
        (place / name).mkdir(parents=True)
        with Image.open(photo) as whole:
            whole.thumbnail((200, 200))
            for number, cut in enumerate((0, 10, 20)):
                size = (cut, cut // 2, whole.width - cut // 2, whole.height - cut)
                whole.convert("RGB").crop(size).save(place / name / f"{number}.jpg")
    return place


@pytest.fixture
def call(capsys):
    return calling(command, capsys, "--device", "cpu")


def test_mini_is_right_and_all_forms_are_told(call, folder, tmp_path):
    files = ("--csv", tmp_path / "b.csv", "--json", tmp_path / "b.json")
    code, out, _ = call("--benchmark", folder, *files, "--sheet", tmp_path / "b.png")
    assert code == 0
    assert f"9 images of 3 classes in {folder}, by mini" in out
    for row in ("1  {}", "2  a photo of a {}.", "3  simple7 (7)", "4  all together (9)"):
        (line,) = [line for line in out.splitlines() if line.startswith(row)]
        assert float(line.removeprefix(row).split()[0]) == 100
    assert "2  cup of coffee" in out
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["classes"] == ["cat", "cup of coffee", "rocket"]
    for form in found["forms"]:
        assert form["confusion"] == [[3, 0, 0], [0, 3, 0], [0, 0, 3]]
        assert form["per class"] == dict.fromkeys(found["classes"], 100)
        assert sum(form["reliability"]["count"]) == 9
    assert found["forms"][1]["sentences"]["rocket"] == ["a photo of a rocket."]
    with (tmp_path / "b.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["{}"] for r in rows] == [r["class"] for r in rows]
    assert rows[0]["file"] == "cat/0.jpg"
    with Image.open(tmp_path / "b.png") as sheet:
        assert sheet.width > 600


def test_captions_beside_the_folders_are_used(call, folder, tmp_path):
    captions = folder / "_tokenization.txt"
    captions.write_text("a cat\na cup of coffee\na rocket\n")
    _, out, _ = call("--benchmark", folder, "--json", tmp_path / "b.json")
    (form,) = json.loads((tmp_path / "b.json").read_text())["forms"]
    assert form["form"] == "captions"
    assert form["figures"]["top-1"] == 100
    captions.write_text("a cup of coffee\na rocket\na cat\n")  # of the wrong classes
    _, out, _ = call("--benchmark", folder, "--json", tmp_path / "b.json", "-t", "name")
    wrong, right = json.loads((tmp_path / "b.json").read_text())["forms"]
    assert wrong["figures"]["top-1"] == 0
    assert wrong["figures"]["ECE"] > 50
    assert wrong["confusion"] == [[0, 0, 3], [3, 0, 0], [0, 3, 0]]
    assert right["figures"]["top-1"] == 100
    assert "form 2: is, taken for" in out  # the best of both


def test_forms_side_by_side_and_together(call, folder, tmp_path):
    forms = ("-t", "{} thing", "-t", "a photo of a {}.", "-t", "photo")
    call("--benchmark", folder, *forms, "--json", tmp_path / "b.json")
    titles = [f["form"] for f in json.loads((tmp_path / "b.json").read_text())["forms"]]
    assert titles == ["{} thing", "a photo of a {}.", "all together (2)"]


def test_damaged_pictures_are_listed(call, folder, tmp_path, tiny_clip_path):
    (folder / "cat" / "broken.jpg").write_text("no picture")
    code, out, err = call("--benchmark", folder, "--clip", tiny_clip_path, "--strict", "-t", "name")
    assert code == 1
    assert "9 images of 3 classes" in out
    assert "skipped 1 of 10 files:" in err
    assert "broken.jpg" in err


def test_shards_with_labels(call, folder, tmp_path):
    with ShardWriter(tmp_path, "things") as shards:
        for path in sorted(folder.glob("*/*.jpg")):
            label = path.parent.name.replace("_", " ")
            key = f"{path.parent.name}-{path.stem}"
            shards.add(Sample(key, (f"this is {key}",), label=label), path.read_bytes())
        shards.add(Sample("damaged", ("x",), label="cat"), b"no picture")
    code, out, err = call("--benchmark", tmp_path / "things-*.tar", "-t", "photo")
    assert code == 0
    assert "9 images of 3 classes" in out
    (line,) = [line for line in out.splitlines() if line.startswith("1  a photo of a {}.")]
    assert line.removeprefix("1  a photo of a {}.").split()[0] == "100.00"
    assert "skipped 1 of 10 files:" in err


def test_many_classes_show_the_most_confused(call, tmp_path, tiny_clip_path):
    place = tmp_path / "many"
    for number in range(60):
        (place / f"thing {number:02}").mkdir(parents=True)
        with Image.open(CAT) as whole:
            whole.convert("RGB").resize((32, 32)).save(place / f"thing {number:02}" / "a.png")
    code, out, _ = call("--benchmark", place, "--clip", tiny_clip_path, "-t", "name")
    assert code == 0
    assert "the 50 hardest classes" in out
    assert "form 1: most confused" in out
    assert out.count(" → ") == 10  # one picture, so all are taken for the same class


def test_the_picture_shows_where_it_is_wrong():
    counts = torch.tensor([[4, 0], [3, 1]])
    picture = to_image(matrix.draw([("form", counts)], ["a", "b"]))
    colours = {c: n for n, c in picture.getcolors(1 << 20)}
    full = matrix.CELL**2
    quarter = tuple(round(255 + 0.75 * (c - 255)) for c in matrix.WRONG)
    assert 0.7 * full < colours[matrix.RIGHT] <= full  # without the number in it
    assert 0.7 * full < colours[quarter] <= full
    many = matrix.draw([("x", torch.eye(700).long())] * 5, [f"class {n}" for n in range(700)])
    assert many.bbox.width < 3 * (matrix.SIDE + 600)


def test_the_picture_names_the_classes(tmp_path):
    names = ["狐", "_cat", "$1", "x" * 300]
    counts = torch.diag(torch.tensor([4, 3, 2, 100]))
    save(matrix.draw([("form one", counts), ("two", counts)], names), tmp_path / "a.svg")
    found = [t.text for t in ET.parse(tmp_path / "a.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert {"form one", "two", "100"} <= set(found)
    for name in names[:3]:
        assert found.count(name) == 4  # beside and above each
    assert sum(t.startswith("xxx") and t.endswith("…") for t in found) == 4
