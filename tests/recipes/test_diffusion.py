"""The recipes of diffusion as programs of their own, with tiny real networks."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_diffusion
from PIL import Image
from runs import pixels

import guidance

RECIPES = Path(__file__).parents[2] / "recipes"
SEEDS = ["--number", "2", "--steps", "3"]


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_clip_path) -> list[str]:
    """Return the options that name a tiny Stable Diffusion and a tiny CLIP."""
    folder = tiny_diffusion.save(tmp_path_factory.mktemp("models") / "sd", "sd")
    return ["--model", str(folder), "--clip", str(tiny_clip_path)]


def start(script: str, *arguments: str, cwd: Path) -> list[str]:
    """Run a recipe as its users do; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, RECIPES / f"{script}.py", *arguments],
        env=os.environ | {"PYTHONPATH": str(RECIPES.parent), "OMP_NUM_THREADS": "1"},
        cwd=cwd, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def refused(script: str, arguments: list[str], monkeypatch, capsys) -> str:
    """Run a recipe that ends with exit code 2; return the last line of what it says."""
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(RECIPES / f"{script}.py"), run_name="__main__")
    assert end.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_compares_kinds_of_guidance_on_the_same_seeds(tmp_path, models):
    arguments = ["a red fox", *models, *SEEDS, "--seed", "3", "--clip-scale", "1000"]
    *rows, sheet = start("clip_or_classifier_free", *arguments, cwd=tmp_path)
    out = tmp_path / "outputs/clip-or-classifier-free-a-red-fox"
    assert tmp_path / sheet == out / "sheet.png"
    kinds = ("no-guidance", "clip", "classifier-free", "both")
    names = {f"{kind}-{seed}.png" for kind in kinds for seed in (3, 4)}
    assert {p.name for p in out.iterdir()} == {"sheet.png", *names}
    with Image.open(out / "sheet.png") as image:  # rows of kinds, columns of seeds
        assert (image.width // 256, image.height // 256) == (2, 4)

    means = {}
    for kind, row in zip(kinds, rows, strict=True):
        name, mean = re.fullmatch(r"(.*\S) +mean score (-?\d\.\d{3})", row).groups()
        assert name.replace(" ", "-").lower() == kind
        files = [out / f"{kind}-{seed}.png" for seed in (3, 4)]
        ranking = guidance.rank(files, "a red fox", clip=models[-1], device="cpu")
        # of the pictures before they were rounded to 8 bits
        assert float(mean) == pytest.approx(np.mean([r.score for r in ranking]), abs=2e-3)
        means[kind] = float(mean)
    assert means["clip"] > means["no-guidance"]
    assert means["both"] > means["classifier-free"]

    # what each row is: one of the technique's own runs
    options = {"model": models[1], "clip": models[3], "number": 2, "steps": 3, "seed": 3}
    for kind, own in (("no-guidance", {"cfg": 1, "clip_scale": 0}),
                      ("clip", {"cfg": 1, "clip_scale": 1000}),
                      ("classifier-free", {"clip_scale": 0}),
                      ("both", {"clip_scale": 1000})):  # fmt: skip
        *_, last = guidance.diffuse("a red fox", device="cpu", **options, **own)
        for k, seed in enumerate((3, 4)):
            want = last.image[k].permute(1, 2, 0).mul(255).numpy()
            assert np.abs(pixels(out / f"{kind}-{seed}.png") - want).max() < 2


def test_comparison_is_refused(tmp_path, models, tiny_clip_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = "clip_or_classifier_free"
    said = refused(script, ["a fox", "--model", "miny"], monkeypatch, capsys)
    assert "miny" in said
    assert "did you mean mini" in said
    said = refused(script, ["0: a fox | 5: a wolf", *models], monkeypatch, capsys)
    assert "schedule" in said
    pixel_model = tiny_diffusion.save(tmp_path / "ddpm", "ddpm")
    options = ["--model", str(pixel_model), "--clip", str(tiny_clip_path), *SEEDS]
    assert "takes prompts" in refused(script, ["a fox", *options], monkeypatch, capsys)
    assert not Path("outputs").exists()


def test_builds_a_scene_step_by_step(tmp_path, models):
    edits = ["--edit", "a fox@0,0,0.5,0.5", "--edit", "a red house@0.25,0.5,1,1"]
    arguments = ["the sunrise", *edits, *models, *SEEDS, "--output", "scene"]
    *said, sheet = start("build_a_scene", *arguments, cwd=tmp_path)
    assert sheet == "scene/scene.png"
    assert [line.partition(":")[0] for line in said] == ["the sunrise", "a fox", "a red house"]
    out = tmp_path / "scene"
    states = [out / f"{n}-{name}.png"
              for n, name in enumerate(("the-sunrise", "a-fox", "a-red-house"))]  # fmt: skip
    masks = [out / "1-mask.png", out / "2-mask.png"]
    assert {*out.iterdir()} == {*states, *masks, out / "scene.png"}
    with Image.open(out / "scene.png") as image:
        assert (image.width // 256, image.height // 256) == (3, 1)

    boxes = (np.s_[0:16, 0:16], np.s_[16:32, 8:32])
    for before, after, mask, box in zip(states, states[1:], masks, boxes, strict=False):
        painted = np.zeros((32, 32), bool)
        painted[box] = True
        assert np.array_equal(pixels(mask)[..., 0], 255 * painted)
        change = np.abs(pixels(after) - pixels(before)).max(2)
        assert not change[~painted].any()  # pixel for pixel
        assert (change[painted] > 8).mean() > 0.5


@pytest.mark.parametrize("edit", [
    "a fox", "a fox@", "@0,0,1,1", "a fox@0,0,1", "a fox@0,0,1,1,1", "a fox@0,0,x,1",
    "a fox@0.5,0,0.5,1", "a fox@0,0.6,1,0.4", "a fox@-0.1,0,1,1", "a fox@0,0,1,1.1",
    "a fox@0,0,nan,1", "a fox@0,0,0.04,1",
])  # fmt: skip
def test_wrong_edits_are_refused(edit, tmp_path, models, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = refused("build_a_scene", ["--edit", edit, *models], monkeypatch, capsys)
    assert "--edit must be TEXT@LEFT,TOP,RIGHT,BOTTOM" in said
    assert repr(edit) in said
    assert not Path("outputs").exists()  # nothing was made


def test_wrong_texts_of_a_scene_are_refused(tmp_path, models, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["--edit", "a fox:0@0,0,1,1", *models]
    assert "not 0 but is 0" in refused("build_a_scene", arguments, monkeypatch, capsys)
    assert "schedule" in refused("build_a_scene", ["0: a | 5: b", *models], monkeypatch, capsys)
    assert not Path("outputs").exists()


def test_edit_boxes_may_be_as_narrow_as_they_say():
    recipe = runpy.run_path(str(RECIPES / "build_a_scene.py"))
    edit = recipe["Edit"].parse("a fox @ home@0.25,0.3,0.3,0.35")
    assert edit.text == "a fox @ home"
    assert np.asarray(edit.mask((32, 16))).sum() == 255 * 2  # 8 … 10 across, 5 … 6 down
    for text in recipe["EDITS"]:
        recipe["Edit"].parse(text)


def test_restyles_with_diffusion(tmp_path, models):
    slope = np.linspace(0, 255, 40).astype(np.uint8)
    photo = np.stack(np.broadcast_arrays(slope[:, None], slope, np.uint8(90)), -1)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    options = ["--with", "diffusion", "--strength", "0.5", "--steps", "6", *models]
    styles = ["--style", "a red fox", "--style", "blue", "--output", "out"]
    *said, sheet = start("restyle", "photo.png", *options, *styles, cwd=tmp_path)
    assert [line.partition(":")[0] for line in said] == ["a red fox", "blue"]
    assert sheet == "out/styles.png"
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {"a-red-fox.png", "blue.png", "styles.png"}
    with Image.open(out / "styles.png") as image:
        assert (image.width // 256, image.height // 256) == (3, 1)

    shared = {"model": models[1], "clip": models[3], "steps": 6, "number": 1, "device": "cpu",
              "init": str(tmp_path / "photo.png")}  # fmt: skip
    off = []
    for strength in (0.5, 1.0):
        *_, last = guidance.diffuse("blue", strength=strength, **shared)
        want = last.image[0].permute(1, 2, 0).mul(255).numpy()
        off.append(np.abs(pixels(out / "blue.png") - want).max())
        if strength == 0.5:
            assert said[1] == f"blue: score {last.score:.3f}"
    assert off[0] < 2 < 10 < off[1]


def test_restyling_without_a_photo_is_refused(tmp_path, models, monkeypatch, capsys):
    said = refused("restyle", ["none.jpg", "--with", "diffusion"], monkeypatch, capsys)
    assert "'none.jpg' does not exist" in said
    said = refused("restyle", ["none.jpg", "--with", "difusion"], monkeypatch, capsys)
    assert "vqgan" in said
