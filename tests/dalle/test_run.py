"""The command whole: pictures, sheet, curve, judge; from a manifest, resumed, and from Python."""

from __future__ import annotations

import csv
from pathlib import Path

import min_dalle_files
import pytest
import tomllib
import torch
from PIL import Image

import guidance
from guidance.dalle.__main__ import main
from guidance.dalle.options import DalleOptions
from guidance.dalle.technique import DALLE
from guidance.step import checkpoint
from guidance.step.loop import run


@pytest.fixture
def given(model_path, tiny_clip_path, tmp_path, monkeypatch) -> list[str]:
    """Return options of six tiny pictures, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return ["a fox", "--model", str(model_path), "--clip", str(tiny_clip_path), "-n", "6",
            "--batch", "4", "--steps", "2", "--best", "3", "--device", "cpu"]  # fmt: skip


def make(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_best_are_saved_with_a_sheet_and_the_curve(given, tiny_clip_path, capsys):
    more = ["--judge", tiny_clip_path, "--video", "gif", "-o", "run"]
    assert make(*given, *more) == 0
    assert "finished after 4 of 4 steps" in capsys.readouterr().out
    names = {path.name for path in Path("run").iterdir()}
    assert names >= {"image.png", "image-2.png", "image-3.png", "sheet.png", "progress.gif"}
    assert names >= {"gain.svg", "gain.csv", "scores.csv", "manifest.toml", "steps.csv"}
    assert "image-4.png" not in names
    with Image.open("run/image.png") as image:
        assert image.size == (16, 16)
    scores = table(Path("run/scores.csv"))
    assert len(scores) == 6
    assert sorted(int(row["seed"]) for row in scores) == list(range(6))
    cosines = [float(row["score"]) for row in scores]
    assert cosines == sorted(cosines, reverse=True)
    assert [row["judgement"] for row in scores] == [row["score"] for row in scores], "one CLIP"
    result = tomllib.loads(Path("run/manifest.toml").read_text())["result"]
    assert result["seeds"] == [int(row["seed"]) for row in scores[:3]]
    assert result["scores"] == pytest.approx(cosines[:3], abs=1e-6)
    assert result["judgements"] == result["scores"]
    curve = table(Path("run/gain.csv"))
    assert [row["n"] for row in curve] == ["1", "2", "3", "4", "6"]
    assert float(curve[-1]["score"]) == pytest.approx(cosines[0], abs=1e-5)
    assert float(curve[0]["score"]) == pytest.approx(sum(cosines) / 6, abs=1e-5)


def test_a_manifest_repeats_a_run_and_a_batch_changes_nothing(given):
    more = ["--video", "none", "-q"]
    assert make(*given, *more, "-o", "a") == 0
    assert make("--from", "a", "-q", "-o", "b") == 0
    assert make(*given, *more, "--batch", 2, "-o", "c") == 0
    assert make(*given, *more, "--seed", 9, "-o", "d") == 0
    for name in ("image.png", "image-3.png"):
        pictures = [Path(folder, name).read_bytes() for folder in "ab"]
        assert pictures[0] == pictures[1]
    shown = []
    for folder in "acd":
        with Image.open(Path(folder, "image.png")) as image:
            shown.append(image.tobytes())
    assert shown[0] == shown[1] != shown[2]


def test_a_stopped_run_is_resumed_to_the_same_bytes(given, tmp_path):
    more = [*given, "--video", "none", "-q", "--save-every", "1"]
    assert make(*more, "-o", "whole") == 0
    assert make(*more, "-o", "parts") == 0
    options = DalleOptions(
        prompt="a fox", model=given[2], clip=given[4], number=6, batch=4, steps=2, best=3,
        device="cpu", video="none", save_every=1,
    )  # fmt: skip
    generator, objective = DALLE.prepare(options)
    for step in run(generator, objective, options.total()):
        if step.index == 2:  # in the middle of the second batch
            break
    file = tmp_path / "parts/checkpoint.safetensors"
    checkpoint.save(file, generator, 3, DALLE.fingerprint(options))
    for path in tmp_path.glob("parts/image*.png"):
        path.unlink()
    assert make("--resume", "parts", "-q") == 0
    for name in ("image.png", "image-2.png", "image-3.png", "scores.csv"):
        assert Path("parts", name).read_bytes() == Path("whole", name).read_bytes()


def test_a_photo_is_continued(given, photo):
    more = ["--init", photo, "--rows", 2, "--video", "none", "-q", "--no-rerank"]
    assert make(*given, *more, "-o", "run") == 0
    assert not Path("run/gain.svg").exists()
    pixels = []
    for name in ("image.png", "image-2.png", "image-3.png"):
        with Image.open(Path("run", name)) as image:
            pixels.append(image.convert("RGB").crop((0, 0, 16, 4)).tobytes())
    # a decoder looks at neighbours: the very first row is far from what differs
    top = [list(p[:48]) for p in pixels]
    assert max(abs(a - b) for row in top[1:] for a, b in zip(top[0], row, strict=True)) < 60
    result = tomllib.loads(Path("run/manifest.toml").read_text())["result"]
    assert result["seeds"] == [0, 1, 2]


def test_memory_is_looked_at_before_sampling(given, monkeypatch, refused):
    monkeypatch.setattr("guidance.dalle.build.free_memory", lambda device: 25_000)
    refused(make, [*given, "-o", "run"], "pictures at once need about", "--batch")


def test_sampling_from_python(given):
    options = {"model": given[2], "clip": given[4], "number": 3, "steps": 4, "device": "cpu"}
    steps = list(guidance.sample("a fox", **options))
    assert [step.image.shape for step in steps] == [(3, 3, 16, 16)] * 4
    assert all(step.score != step.score for step in steps[:-1]), "nothing is whole before"
    assert -1 <= steps[-1].score <= 1
    assert torch.equal(steps[-1].image, steps[-1].generator.image())
    grey = [int((step.image == 0.5).all(1).all(-1).sum()) for step in steps]
    assert grey == [3 * 12, 3 * 8, 3 * 4, 0], "each shows what was written by then"


def test_min_dalle_s_files_are_sampled_too(given, tmp_path):
    min_dalle_files.write(tmp_path / "bart")
    more = ["--model", tmp_path / "bart", "--video", "none", "-q"]
    assert make("a fox", *given[3:], *more, "--negative", "a sun", "-o", "run") == 0
    with Image.open("run/image.png") as image:
        assert image.size == (16, 16)
    assert len(table(Path("run/scores.csv"))) == 6


def test_min_dalle_without_a_file_is_refused(given, tmp_path, refused):
    min_dalle_files.write(tmp_path / "bart")
    (tmp_path / "bart/merges.txt").unlink()
    arguments = ["a fox", "--model", tmp_path / "bart"]
    refused(make, arguments, "bart lacks merges.txt; a DALL·E mini or mega has")
