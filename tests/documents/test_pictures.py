"""The commands of all pages that make pictures, at tiny size."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import tiny_dalle
import tiny_vqgan
from commands_told import check_out_of_reach
from pages import ROOT, call, commands, pictures_to_read
from PIL import Image

SMALL = ["--size", "32", "--cuts", "2", "--video-size", "32", "--quiet", "-o", "out"]
STROKES = ["--steps", "2", "--strokes", "8", "--cuts", "2", "--size", "48", "--render-size", "64",
           "--video-size", "32", "--quiet"]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, tiny_clip_path):
    """A working directory with the recipes and what the commands read."""
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    for recipe in (ROOT / "recipes").glob("*.toml"):  # what comes at step 200 comes at step 2
        text = recipe.read_text(encoding="utf-8").replace("| 200: ", "| 2: ")
        (Path("recipes") / recipe.name).write_text(text, encoding="utf-8")
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/clip").symlink_to(tiny_clip_path)
    tiny_vqgan.save(Path("runs/vq/vqgan"))
    pictures_to_read()


def needs_the_hub(arguments: list[str], option: str) -> bool:
    """Say whether an option names weights that nobody has made here: there is no hub."""
    return option in arguments and not Path(arguments[arguments.index(option) + 1]).exists()


@pytest.mark.parametrize("command", commands("guidance.clipdraw"))
def test_drawings(command, tiny_clip_path, capsys):
    arguments = shlex.split(command)
    if needs_the_hub(arguments, "--clip"):
        assert call("guidance.clipdraw", [*arguments, *STROKES]) == 2
        check_out_of_reach(capsys.readouterr().err, "clipdraw", command)
        return
    if earlier := re.findall(r"outputs/\S+", command):
        folder = Path(earlier[0]).parent if ".svg" in earlier[0] else earlier[0]
        first = ["a fox", *STROKES, "-o", folder, "--clip", tiny_clip_path]
        assert call("guidance.clipdraw", first) == 0
    if "--resume" not in arguments:
        arguments += [*STROKES, "--steps", "3", "-o", "out", "--clip", tiny_clip_path]
    assert call("guidance.clipdraw", arguments) == 0


@pytest.mark.parametrize("command", commands("guidance.vqgan"))
def test_paintings(command, tiny_clip_path, capsys):
    arguments = [*shlex.split(command), *SMALL]
    if needs_the_hub(arguments, "--clip"):
        assert call("guidance.vqgan", arguments) == 2
        check_out_of_reach(capsys.readouterr().err, "vqgan", command)
        return
    arguments += ["--steps", "2"]
    if {"--fade", "--from"} & {*arguments}:
        # scenes are longer than what joins them, and the camera moves
        arguments += ["--steps", "12", "--fade", "1", "--zoom-every", "5"]
    if "--video-in" in arguments:
        arguments += ["--frame-steps", "2"]
    assert call("guidance.vqgan", [*arguments, "--clip", tiny_clip_path]) == 0
    with Image.open("out/image.png") as image:
        assert image.size == (32, 32)
    assert Path("out/progress.mp4").stat().st_size > 0


@pytest.mark.parametrize("command", commands("guidance.pixels"))
def test_pixels(command, tiny_clip_path):
    small = [*SMALL, "--steps", "2", "--clip", tiny_clip_path]
    assert call("guidance.pixels", [*shlex.split(command), *small]) == 0
    assert Path("out/image.png").exists()


@pytest.mark.parametrize("command", commands("guidance.diffusion"))
def test_diffusions(command, tiny_clip_path, capsys):
    few = ["--steps", "2", "-n", "2", "--cuts", "2", "--video-size", "32", "--quiet", "-o", "out"]
    arguments = [*shlex.split(command), *few]
    if needs_the_hub(arguments, "--model"):
        assert call("guidance.diffusion", arguments) == 2
        check_out_of_reach(capsys.readouterr().err, "diffusion", command)
        assert not Path("out").exists()
        return
    assert call("guidance.diffusion", [*arguments, "--clip", tiny_clip_path]) == 0
    with Image.open("out/image.png") as first, Image.open("out/image-2.png") as second:
        wide = 64 if "--outpaint" in arguments else 0
        assert first.size == second.size == (256 + 2 * wide, 256)


@pytest.mark.parametrize("command", commands("guidance.dalle"))
def test_dalles(command, tiny_clip_path):
    Path("runs/dalle").mkdir()
    tiny_dalle.write_model(Path("runs/dalle"), tiny_clip_path)
    small = ["-n", "2", "--steps", "2", "--video-size", "32", "--quiet", "-o", "out"]
    arguments = shlex.split(command)
    if "--rows" in arguments:
        small += ["--rows", "2"]
    if "--judge" in arguments:
        small += ["--judge", tiny_clip_path]
    assert call("guidance.dalle", [*arguments, *small, "--clip", tiny_clip_path]) == 0
    assert Path("out/image-2.png").exists()
