"""``python -m guidance.classify`` on photos, from its arguments to output and files."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch
from calling import calling
from photos import ASTRONAUT, CAT, COFFEE, ROCKET
from PIL import Image
from tiny_clip import build_tiny

from guidance.classify.__main__ import main as command
from guidance.classify.records import Classified
from guidance.clip.scorer import ClipScorer

LABELS = ("an astronaut", "a cat", "a cup of coffee", "a rocket", "a dog")
PHOTOS = {ASTRONAUT: "an astronaut", CAT: "a cat", COFFEE: "a cup of coffee", ROCKET: "a rocket"}


@pytest.fixture
def call(capsys):
    return calling(command, capsys, "--device", "cpu")


def test_mini_tells_photos_apart(call, tmp_path):
    files = ("--csv", tmp_path / "c.csv", "--json", tmp_path / "c.json")
    code, out, err = call(*PHOTOS, "--top", 2, *files, "--labels", *LABELS)
    assert code == 0
    assert err == f"wrote {tmp_path / 'c.csv'}, {tmp_path / 'c.json'}\n"
    blocks = out.split("\n\n")
    assert len(blocks) == 4
    for block, (path, label) in zip(blocks, PHOTOS.items(), strict=True):
        name, first, second = block.strip("\n").split("\n")
        assert name == str(path)
        assert first.endswith(f" %  {label}")
        assert 50 < float(first.split()[0]) <= 100
        assert float(first.split()[0]) + float(second.split()[0]) <= 100.01
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "best", *LABELS]
    assert [row["best"] for row in rows] == list(PHOTOS.values())
    for row in rows:
        assert sum(float(row[label]) for label in LABELS) == pytest.approx(1, abs=1e-5)


def test_the_figures_are_those_of_the_scorer(call, tmp_path, mini):
    path = tmp_path / "c.json"
    assert call(*PHOTOS, "--json", path, "-l", *LABELS, "-q")[0] == 0
    found = json.loads(path.read_text())
    assert found["templates"] == ["{}"]
    probabilities = mini.probabilities(list(PHOTOS), LABELS)
    cosines = mini.similarity(list(PHOTOS), LABELS)
    for image, p, c in zip(found["images"], probabilities, cosines, strict=True):
        for entry in image["labels"]:
            place = LABELS.index(entry["label"])
            # files are resized in 8 bits, see `guidance.embeddings.local`
            assert entry["cosine"] == pytest.approx(float(c[place]), abs=0.01)
            assert entry["probability"] == pytest.approx(float(p[place]), abs=0.05)
        order = [entry["probability"] for entry in image["labels"]]
        assert order == sorted(order, reverse=True)


def test_templates_are_averaged(call, tmp_path, mini):
    forms = ("a photo of {}", "{} in a picture")
    path = tmp_path / "c.json"
    given = [a for form in forms for a in ("-t", form)]
    assert call(CAT, "--json", path, *given, "-l", *LABELS, "-q")[0] == 0
    image = mini.encode_image([CAT])[0]
    for entry in json.loads(path.read_text())["images"][0]["labels"]:
        mean = mini.encode_text([f.format(entry["label"]) for f in forms]).mean(0)
        expected = float(image @ torch.nn.functional.normalize(mean, dim=0))
        assert entry["cosine"] == pytest.approx(expected, abs=0.01)


def test_a_set_of_templates_and_an_ensemble(call, tiny_clip_path, tmp_path):
    path = tmp_path / "c.json"
    clip = f"mini,{tiny_clip_path}:0.25"
    code, out, _ = call(CAT, "--clip", clip, "-t", "simple", "--json", path, "-l", *LABELS)
    assert code == 0
    assert out.splitlines()[1].endswith("a cat")
    assert len(json.loads(path.read_text())["templates"]) == 7


def test_labels_from_a_file_and_images_after_a_dash(call, tmp_path):
    (tmp_path / "labels.txt").write_text("a cat\na dog\n")
    _, out, _ = call("--labels-file", tmp_path / "labels.txt", "--top", 1, CAT)
    assert out.splitlines()[1].endswith("%  a cat")
    _, same, _ = call("--top", 1, "--labels", "a cat", "a dog", "--", CAT)
    assert same == out


def test_damaged_files_are_listed(call, tmp_path, tiny_clip_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.open(CAT).save(folder / "good.png")
    (folder / "bad.png").write_text("no picture")
    arguments = (folder, "--clip", tiny_clip_path, "--json", tmp_path / "c.json", "-l", "a", "b")
    code, out, err = call(*arguments)
    assert code == 0
    assert "good.png" in out
    assert "bad.png" not in out
    assert f"skipped 1 of 2 files:\n  {folder / 'bad.png'} is not an image" in err
    assert json.loads((tmp_path / "c.json").read_text())["skipped"][0]["reason"].startswith(
        "is not"
    )
    assert call(*arguments, "--strict")[0] == 1
    (folder / "good.png").unlink()
    code, _, err = call(*arguments)
    assert code == 2
    assert "none of 1 file can be classified" in err


def test_a_sheet_of_all(call, tmp_path, tiny_clip_path):
    path = tmp_path / "sheet.png"
    code, _, _ = call(*PHOTOS, "--clip", tiny_clip_path, "--sheet", path, "-l", "a", "b")
    assert code == 0
    with Image.open(path) as sheet:
        assert sheet.width > 2 * 256
        assert len(sheet.convert("RGB").resize((64, 64)).getcolors(4096)) > 500


def test_a_sheet_among_the_images_is_replaced_not_classified(call, tmp_path, tiny_clip_path):
    shutil.copy(CAT, tmp_path / "a.png")
    argv = (tmp_path, "--clip", tiny_clip_path, "--sheet", tmp_path / "s.png", "-l", "a", "b")
    first, second = call(*argv), call(*argv)
    assert first[:2] == second[:2]
    assert first[0] == 0
    (tmp_path / "a.png").unlink()
    code, _, err = call(*argv)
    assert (code, "no images besides an earlier contact sheet" in err) == (2, True)


def test_equal_labels_keep_their_order():
    result = Classified(CAT, (0.25, 0.5, 0.25), (0.0, 0.0, 0.0))
    assert result.best() == [1, 0, 2]
    assert result.best(1) == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CAT], "labels must be two or more"),
        (["-l", "a", "b"], "images or folders are needed"),
        (["nowhere.png", "-l", "a", "b"], "nowhere.png does not exist"),
        ([CAT, "-t", "a photo", "-l", "a", "b"], "must hold {} once"),
        ([CAT, "-t", "form.txt", "-l", "a", "b"], "form.txt does not exist"),
        ([CAT, "--csv", "x.txt", "-l", "a", "b"], "unknown suffix '.txt'"),
        ([CAT, "--json", "no/x.json", "-l", "a", "b"], "the folder no does not exist"),
        ([CAT, "--top", "-1", "-l", "a", "b"], "top must be"),
        ([CAT, "--batch", "0", "-l", "a", "b"], "batch must be"),
        ([CAT, "--clip", "mni", "-l", "a", "b"], "did you mean mini"),
        (["--benchmark", "x", CAT], "--benchmark takes no further images"),
        (["--benchmark", "x", "-l", "a", "b"], "takes its labels from the folders"),
        (["--benchmark", "nowhere"], "nothing matches 'nowhere'"),
    ],
)
def test_bad_input_ends_with_one_line(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_an_image_is_not_overwritten(call, tmp_path):
    path = tmp_path / "cat.png"
    Image.open(CAT).save(path)
    code, _, err = call(path, "--sheet", path, "-l", "a", "b")
    assert code == 2
    assert "--sheet would overwrite the image" in err


def test_a_store_keeps_the_embeddings(call, tmp_path, tiny_clip_path):
    store = tmp_path / "store"
    arguments = (*PHOTOS, "--clip", tiny_clip_path, "--store", store, "-l", "a", "b")
    first = call(*arguments)
    kept = {path: path.read_bytes() for path in store.rglob("*.parquet")}
    assert kept
    assert call(*arguments) == first
    assert {path: path.read_bytes() for path in store.rglob("*.parquet")} == kept
    (tmp_path / "file").touch()
    code, _, err = call(CAT, "--store", tmp_path / "file", "-l", "a", "b")
    assert code == 2
    assert "is a file, not a folder of embeddings" in err


def test_a_sigmoid_model_needs_no_second_label(call, tmp_path):
    model = build_tiny(tmp_path / "sigmoid", bias=-1.5)
    scorer = ClipScorer(str(model), device="cpu")
    want = scorer.probabilities([CAT], ["a cat", "a dog"])[0].tolist()
    for labels, some in ((["a cat"], want[:1]), (["a cat", "a dog"], want)):
        code, out, _ = call(
            CAT, "--clip", model, "--json", tmp_path / "c.json", "--labels", *labels
        )
        assert code == 0
        found = json.loads((tmp_path / "c.json").read_text())
        assert found["probabilities"] == "sigmoid"
        shown = {e["label"]: e["probability"] for e in found["images"][0]["labels"]}
        assert [shown[label] for label in labels] == pytest.approx(some, abs=1e-3)
        assert f"{100 * shown['a cat']:.2f} %  a cat" in out
    arguments = (CAT, "--clip", model, "--softmax", "--json", tmp_path / "c.json", "--labels")
    assert call(*arguments, "a cat", "a dog")[0] == 0
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["probabilities"] == "softmax"
    entries = found["images"][0]["labels"]
    assert sum(e["probability"] for e in entries) == pytest.approx(1, abs=2e-6)
    code, _, err = call(*arguments, "a cat")
    assert (code, "labels must be two or more" in err) == (2, True)
