"""The command on real pictures: curves, chart, files, a head saved and applied, errors."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import ASTRONAUT, CAT, COFFEE, ROCKET
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_clip import build_tiny

from guidance.probe.__main__ import main as command
from guidance.probe.curve import Point, possible
from guidance.probe.data import Bank

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def crops(folder: Path, count: int = 10) -> Path:
    """Fill `folder` with random crops of real photos, a class each."""
    random = np.random.default_rng(0)
    photos = {"astronaut": ASTRONAUT, "cat": CAT, "cup_of_coffee": COFFEE, "rocket": ROCKET}
    for name, path in photos.items():
        (folder / name).mkdir(parents=True)
        with Image.open(path) as photo:
            photo = photo.convert("RGB")
        for i in range(count):
            side = int(random.uniform(0.5, 0.8) * min(photo.size))
            left, top = (int(random.integers(0, s - side)) for s in photo.size)
            part = photo.crop((left, top, left + side, top + side)).resize((64, 64))
            part.save(folder / name / f"{i}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return crops(tmp_path_factory.mktemp("probe") / "photos")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """Return a folder of handwritten digits (UCI, as they come with scikit-learn)."""
    folder = tmp_path_factory.mktemp("probe") / "digits"
    package = Path(importlib.util.find_spec("sklearn").origin).parent  # its import takes seconds
    table = np.loadtxt(package / "datasets/data/digits.csv.gz", delimiter=",", max_rows=400)
    count = dict.fromkeys(DIGITS, 0)
    for row in table:
        array, name = row[:64].reshape(8, 8), DIGITS[int(row[64])]
        count[name] += 1
        if count[name] <= 12:
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray((255 - array * 255 / 16).astype(np.uint8))
            picture.resize((32, 32), Image.Resampling.BICUBIC).save(
                folder / name / f"{count[name]}.png"
            )
    return folder


@pytest.fixture
def call(capsys, tiny_clip_path):
    """Return a function: arguments → exit code, stdout, stderr."""

    def run(*argv: object, clip: object = tiny_clip_path) -> tuple[int, str, str]:
        code = command([*map(str, argv), "--clip", str(clip), "--device", "cpu", "--quiet"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def points(path: Path) -> dict[tuple[str, object], dict]:
    return {(p["method"], p["shots"]): p for p in json.loads(path.read_text())["points"]}


def test_features_tell_digits_apart_that_names_do_not(call, digits, tmp_path):
    out = tmp_path / "out.json"
    code, text, err = call(digits, "--shots", "1,6", "--draws", 2, "--json", out, clip="mini")
    assert (code, err) == (0, "")
    found = points(out)
    chance = 0.1
    zero, few = found["zero-shot", 0]["accuracy"], found["linear", 6]["accuracy"]
    assert few > zero + 0.2
    assert few > found["linear", 1]["accuracy"] > chance
    assert found["linear", "all"]["accuracy"] > 0.6
    assert found["linear", 6]["images"] == 60
    assert len(found["linear", 6]["runs"]) == len(found["linear", 6]["lambda"]) == 2
    assert all(1e-6 <= s <= 1e6 for s in found["linear", 6]["lambda"])
    assert text.splitlines()[0].startswith("10 classes, pictures: 80 train, 20 val, 20 test; mini")
    assert f"{100 * few:.1f} ± " in text


def test_all_files_and_methods(call, photos, tmp_path):
    names = {n: tmp_path / f"out.{s}" for n, s in
             (("csv", "csv"), ("json", "json"), ("plot", "png"))}  # fmt: skip
    options = [f"--{n}={p}" for n, p in names.items()]
    methods = [o for m in ("linear", "coop", "cocoop") for o in ("--method", m)]
    code, text, err = call(
        photos, *methods, *options, "--shots", "1,4,99", "--draws", 2, "--steps", 4
    )
    assert (code, err) == (0, "")
    found = points(names["json"])
    shots = [1, 4, "all"]
    assert set(found) == {
        ("zero-shot", 0), *((m, k) for m in ("linear", "coop", "cocoop") for k in shots)
    }  # fmt: skip
    with names["csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["method"], r["shots"]) for r in rows] == [(m, str(k)) for m, k in found]
    for row, point in zip(rows, found.values(), strict=True):
        assert float(row["accuracy"]) == pytest.approx(np.mean(point["runs"]), abs=1e-5)
        spread = np.std(point["runs"], ddof=1) if len(point["runs"]) > 1 else 0
        assert float(row["deviation"]) == pytest.approx(spread, abs=1e-5)
    with Image.open(names["plot"]) as chart:
        assert len(chart.convert("RGB").getcolors(1 << 20)) > 20
    lines = text.splitlines()
    assert lines[2].split() == ["shots", "zero-shot", "linear", "coop", "cocoop"]
    assert [line.split()[0] for line in lines[3:]] == ["0", "1", "4", "all"]


def test_the_same_seed_gives_the_same_figures(call, photos, tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / f"{name}.csv"
        call(photos, "--csv", out, "--shots", "1", "--method", "coop", "--context", 2,
             "--steps", 2, "--seed", seed, "--store", tmp_path / "store")  # fmt: skip
        runs.append(out.read_bytes())
    assert runs[0] == runs[1] != runs[2]


def test_coop_without_a_step_is_zero_shot(call, photos, tmp_path):
    out = tmp_path / "out.json"
    call(photos, "--method", "coop", "--method", "cocoop", "--steps", 0, "--json", out,
         "--shots", "1", "--draws", 1)  # fmt: skip
    accuracies = {p["accuracy"] for p in points(out).values()}
    assert len(accuracies) == 1


@pytest.mark.parametrize("method", ["linear", "coop", "cocoop"])
def test_a_saved_head_says_the_same_of_new_pictures(call, photos, tmp_path, method):
    head, out = tmp_path / "head.safetensors", tmp_path / "out.json"
    code, _, _ = call(photos, "--method", method, "--shots", "none", "--save", head, "--json", out,
                      "--steps", 3)  # fmt: skip
    assert code == 0
    accuracy = points(out)[method, "all"]["accuracy"]
    code, text, _ = call("--apply", head, photos, "-r", "--json", out, "--csv", tmp_path / "c.csv",
                         "--top", 1)  # fmt: skip
    assert code == 0
    said = json.loads(out.read_text())
    assert said["method"] == method
    names = {"astronaut", "cat", "cup of coffee", "rocket"}
    assert all(set(i["probabilities"]) == names for i in said["images"])
    assert len(said["images"]) == 40 == text.count(" %")
    assert all(sum(i["probabilities"].values()) == pytest.approx(1, abs=1e-4)
               for i in said["images"])  # fmt: skip
    # the test pictures are drawn again and must be right as often as was measured
    from guidance.probe.data import read

    pictures = read(str(photos), val_share=0.2, test_share=0.2, seed=0)
    best = {i["file"]: max(i["probabilities"], key=i["probabilities"].get) for i in said["images"]}
    right = [
        best[str(f)] == pictures.names[label]
        for f, label, part in zip(pictures.files, pictures.labels, pictures.parts, strict=True)
        if part == "test"
    ]
    assert np.mean(right) == pytest.approx(accuracy, abs=1e-5)
    with (tmp_path / "c.csv").open() as file:
        assert {r["file"]: r["class"] for r in csv.DictReader(file)} == best


def test_a_head_needs_the_model_it_was_learned_with(call, photos, tmp_path, tiny_clip_path):
    head = tmp_path / "head.safetensors"
    call(photos, "--shots", "none", "--save", head)
    other = build_tiny(tmp_path / "other", seed=1)
    code, _, err = call("--apply", head, photos / "cat", clip=other)
    assert code == 2
    assert "was learned with" in err
    # without --clip the head's own is taken
    assert command(["--apply", str(head), str(photos / "cat"), "--device", "cpu", "-q"]) == 0
    for bad in (b"", b"x" * 100):
        (tmp_path / "bad.safetensors").write_bytes(bad)
        assert call("--apply", tmp_path / "bad.safetensors", photos / "cat")[0] == 2
    save_file({"a": torch.zeros(1)}, tmp_path / "bad.safetensors")
    code, _, err = call("--apply", tmp_path / "bad.safetensors", photos / "cat")
    assert code == 2
    assert "not a head" in err
    assert load_file(head)["weight"].shape == (4, 64)


def test_kept_features_are_read_again(call, photos, tmp_path):
    store, first, second = tmp_path / "store", tmp_path / "a.csv", tmp_path / "b.csv"
    arguments = [photos, "--shots", "2", "--store", store, "--csv"]
    call(*arguments, first)
    files = sorted(store.rglob("*.parquet"))
    assert files
    call(*arguments, second)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(store.rglob("*.parquet")) == files


def test_damaged_pictures_are_listed_and_left_out(capsys, photos, tmp_path, tiny_clip_path):
    folder = crops(tmp_path / "photos", 6)
    (folder / "cat" / "bad.png").write_bytes(b"no picture")
    arguments = [str(folder), "--clip", str(tiny_clip_path), "--device", "cpu", "--shots", "1"]
    assert command([*arguments, "--strict"]) == 1
    err = capsys.readouterr().err
    assert "skipped 1 of 25 files" in err
    assert "bad.png is not an image of a known format" in err
    assert command(arguments) == 0


def test_captions_are_the_zero_shot_prompts(call, tmp_path):
    crops(tmp_path / "x", 4)
    out = tmp_path / "out.json"
    # every class is called by the name of the next: zero-shot of mini can hardly be right
    (tmp_path / "x" / "_tokenization.txt").write_text(
        "a photo of a cat\na cup of coffee\na rocket launch\na photo of an astronaut\n"
    )
    wrong, right = [], []
    for more, kept in (([], wrong), (["--template", "photo"], right)):
        call(tmp_path / "x", *more, "--shots", "none", "--json", out, clip="mini")
        kept.append(points(out)["zero-shot", 0]["accuracy"])
    assert right[0] >= 0.5 > wrong[0]


def test_only_shots_that_every_class_has_are_possible():
    labels = torch.tensor([0] * 5 + [1] * 3)
    rows = torch.arange(8)
    bank = Bank(("a", "b"), rows[:, None], rows[:, None], labels, rows[1:], rows[:1], rows[:1])
    assert possible(bank, [1, 2, 3, 4, 8]) == [1, 2, 3]


def test_mean_and_deviation():
    point = Point("linear", 1, 4, (0.5, 0.7, 0.9))
    assert point.mean == pytest.approx(0.7)
    assert point.deviation == pytest.approx(0.2)
    assert Point("linear", 1, 4, (0.5,)).deviation == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one folder"),
        (["a", "b"], "one folder"),
        (["nowhere"], "is none"),
        (["x", "--shots", "1,,2"], "--shots"),
        (["x", "--shots", "-1"], "--shots"),
        (["x", "--shots", "none", "--plot", "p.png"], "--shots none"),
        (["x", "--draws", "0"], "draws"),
        (["x", "--rate", "nan"], "rate"),
        (["x", "--val-share", "1"], "--val-share"),
        (["x", "--plot", "p.gif"], "suffix"),
        (["x", "--save", "p.pt"], "suffix"),
        (["x", "--save", "p.safetensors", "--method", "linear", "--method", "coop"], "one method"),
        (["x", "--csv", "missing/p.csv"], "does not exist"),
        (["x", "--template", "no braces"], "{}"),
        (["--apply", "missing.safetensors", "x"], "does not exist"),
        (["--apply", "missing.safetensors"], "images"),
        (["x", "--apply", "h.safetensors", "--plot", "p.png"], "--plot"),
        (["x", "--clip", "mini,mini-guide"], "one CLIP"),
        (["x", "--engine", "ray"], "local"),
    ],
)
def test_usage_errors_are_one_line(capsys, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_chart_without_a_point_is_told_before_the_work(call, photos, tmp_path):
    code, _, err = call(photos, "--shots", "50", "--plot", tmp_path / "p.png", clip="mini")
    assert code == 2
    assert "from 50 shots on but a class has 6 pictures" in err


def test_a_context_that_does_not_fit_is_told_before_the_work(call, photos):
    code, _, err = call(photos, "--method", "coop", "--context", 15)
    assert code == 2
    assert "16 tokens" in err


def test_help(capsys):
    assert command(["--help"]) == 0
    assert "--val-share" in capsys.readouterr().out
