"""Runs end to end through the command line, with tiny real networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_vqgan
import torch
from PIL import Image
from runs import assert_same_when_stopped, bad_files, pixels

import guidance
from guidance.artefacts.manifest import read_manifest
from guidance.command.runner import command
from guidance.images import to_pil
from guidance.vqgan.generator import Painting
from guidance.vqgan.technique import VQGAN

SMALL = ["--size", "32", "--cuts", "4", "--video", "none"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return tiny_vqgan.save(tmp_path_factory.mktemp("vqgan") / "vq")


@pytest.fixture
def small(tiny, tiny_clip_path) -> list[str]:
    return [*SMALL, "--vqgan", str(tiny), "--clip", str(tiny_clip_path)]


def paint(*arguments: object) -> int:
    return command(VQGAN, [str(a) for a in arguments])


def test_leaves_all_artefacts(tmp_path, tiny, tiny_clip_path):
    out = tmp_path / "run"
    arguments = ["--size", "48x32", "--cuts", "4", "--render-size", "96", "--video-size", "48"]
    names = ["--vqgan", tiny, "--clip", tiny_clip_path]
    assert paint("a fox", *arguments, *names, "--steps", 3, "-q", "-o", out) == 0
    assert {p.name for p in out.iterdir()} == {
        "image.png", "progress.mp4", "steps.csv", "manifest.toml", "checkpoint.safetensors"
    }  # fmt: skip
    with Image.open(out / "image.png") as image:
        assert image.size == (96, 64)
        assert json.loads(image.text["guidance"])["technique"] == "vqgan"
    assert read_manifest(out)["result"]["status"] == "finished"


def test_score_rises(tiny, tiny_clip_path):
    steps = list(
        guidance.paint("a red ball", vqgan=str(tiny), clip=str(tiny_clip_path), size="48",
                       steps=60, cuts=6, augment=[], lr=0.2)
    )  # fmt: skip
    first = sum(s.score for s in steps[:5]) / 5
    last = sum(s.score for s in steps[-5:]) / 5
    assert last > first + 0.05
    assert steps[0].image.shape == (1, 3, 48, 48)


@pytest.mark.parametrize("kind", ["kl", "tiny"])
def test_continuous_latents_run(kind, tmp_path, tiny_clip_path):
    folder = tiny_vqgan.save(tmp_path / kind, kind)
    names = ["--vqgan", folder, "--clip", tiny_clip_path]
    assert paint("a fox", *SMALL, *names, "--steps", 2, "-q", "-o", tmp_path / "run") == 0
    assert pixels(tmp_path / "run/image.png").shape == (32, 32, 3)


def test_resume_is_exact(tmp_path, small):
    options = ["a fox", *small, "--steps", 12, "--save-every", 3, "--ema", 0.9, "--gumbel", 0.5,
               "--init-noise", "perlin", "--lr", 0.3, "-q"]  # fmt: skip
    assert_same_when_stopped(paint, Painting, options, tmp_path, at=8)


def test_mask_leaves_the_rest_of_the_picture(tmp_path, small, photo, mask):
    out = tmp_path / "run"
    options = ["--init", photo, "--mask", mask, "--steps", 5, "--lr", 0.5, "-q", "-o", out]
    assert paint("a fox", *small, *options) == 0
    before, after = pixels(photo), pixels(out / "image.png")
    assert abs(after - before)[:, :16].max() <= 1
    assert abs(after - before)[:, 20:].mean() > 10  # and elsewhere it is painted over


@pytest.fixture
def flexible(tmp_path, tiny_clip_path) -> list[str]:
    """Return options with continuous latents, which even a random decoder can make follow."""
    folder = tiny_vqgan.save(tmp_path / "kl", "kl")
    return [*SMALL, "--vqgan", str(folder), "--clip", str(tiny_clip_path)]


def test_init_weight_pulls_back(tmp_path, flexible, photo):
    to_pil(torch.full((1, 3, 32, 32), 0.25)).save(photo)
    ends = {}
    for weight in (0, 1000):
        out = tmp_path / str(weight)
        options = ["--init", photo, "--init-weight", weight, "--steps", 40, "--lr", 0.3,
                   "-q", "-o", out]  # fmt: skip
        assert paint("a fox", *flexible, *options) == 0
        ends[weight] = abs(pixels(out / "image.png") - pixels(photo)).mean()
    assert ends[1000] < 0.9 * ends[0]


def test_palette_pulls_towards_its_colours(tmp_path, flexible):
    ends = {}
    for name, more in (("plain", []), ("navy", ["--palette", "navy", "--palette-weight", "100"])):
        out = tmp_path / name
        assert paint("a fox", *flexible, *more, "--steps", 40, "--lr", 0.3, "-q", "-o", out) == 0
        ends[name] = abs(pixels(out / "image.png") - np.array([0, 0, 128])).mean()
    assert ends["navy"] < 0.92 * ends["plain"]
    table = (tmp_path / "navy" / "steps.csv").read_text().splitlines()[0]
    assert "loss_palette" in table


def test_older_flags(tmp_path, tiny, tiny_clip_path):
    out = tmp_path / "run"
    arguments = ["-p", "a fox | [noise 3]:0.1", "-i", 2, "-s", "32", "-m", tiny_clip_path,
                 "-ckpt", tiny, "-in", "gradient", "-lr", 0.2, "-cutm", "latest", "-cuts", 3,
                 "-opt", "AdamW", "-nps", 5, "-npw", 0.2, "-sd", 4, "-q", "-o", out]  # fmt: skip
    assert paint(*arguments) == 0
    kept = read_manifest(out)["options"]
    assert kept["optimizer"] == "AdamW"
    assert kept["noise_prompt_seeds"] == [5]
    assert paint("--from", out, "-o", tmp_path / "again", "-q") == 0
    same = (tmp_path / "again/image.png").read_bytes() == (out / "image.png").read_bytes()
    assert same


BAD = {
    "unknown model": (["a fox", "--vqgan", "mimi"], "did you mean mini"),
    "missing checkpoint": (["a fox", "--vqgan", "none.ckpt"], "none.ckpt does not exist"),
    "config of the mini model": (["a fox", "--vqgan-config", "x.yaml"], "config belongs to"),
    "size between cells": (["a fox", "--size", "100x90"], "the nearest are 96x88 and 104x88"),
    "render size 1": (["a fox", "--render-size", "1"], "between 8 and"),
    "nan rate": (["a fox", "--lr", "nan"], "lr must be"),
    "lr_end above 1": (["a fox", "--lr-end", "2"], "lr_end must be"),
    "unknown optimizer": (["a fox", "--optimizer", "adamm"], "did you mean adam"),
    "ema 1": (["a fox", "--ema", "1"], "ema must be"),
    "negative gumbel": (["a fox", "--gumbel", "-1"], "gumbel must be"),
    "negative init weight": (["a fox", "--init-weight", "-1"], "init_weight must be"),
    "negative smoothness": (["a fox", "--smoothness", "-1"], "smoothness must be"),
    "nan saturation": (["a fox", "--saturation", "nan"], "saturation must be"),
    "negative palette weight": (["a fox", "--palette-weight", "-1"], "palette_weight must be"),
    "unknown colour": (["a fox", "--palette", "whtie"], "did you mean white"),
    "unknown cut method": (["a fox", "--cut-method", "latets"], "did you mean latest"),
    "missing mask": (["a fox", "--mask", "none.png"], "--mask: the file 'none.png'"),
    "init and noise": (["a fox", "--init", "{photo}", "--init-noise", "perlin"], "contradict"),
    "mask without init": (["a fox", "--mask", "{mask}"], "--mask needs --init"),
    "init weight alone": (["a fox", "--init-weight", "1"], "--init-weight needs --init"),
    "noise weights": (["a fox", "--noise-prompt-weights", "1"], "noise_prompt_seeds (0)"),
    "negative noise seed": (["a fox", "--noise-prompt-seeds", "-1"], "noise seed must be"),
    "noise weight 0": (["a fox", "-nps", "1", "-npw", "0"], "weight"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(case, photo, mask, refused):
    arguments, expected = BAD[case]
    refused(paint, [a.format(photo=photo, mask=mask) for a in arguments], expected)


LATE = {  # what only the loaded decoder or the pixels of a file can tell
    "size between cells": (
        ["--size", "30x33"],
        "multiple of 4 pixels",
        "the nearest are 28x32 and 32x32",
    ),
    "black mask": (["--init", "{photo}", "--mask", "{black}"], "black.png is black everywhere", ""),
    "mask that is no image": (["--init", "{photo}", "--mask", "{text}"], "text.png", ""),
    "init that is no image": (["--init", "{text}"], "text.png", ""),
}


@pytest.mark.parametrize("case", LATE)
def test_late_bad_input_also_leaves_nothing(case, tmp_path, small, photo, refused):
    arguments, *expected = LATE[case]
    files = {"photo": photo, **bad_files(tmp_path)}
    arguments = [a.format(**files) for a in arguments]
    refused(paint, ["a fox", *small, *arguments, "--steps", 1], *expected)


def test_paint_checks_before_it_loads():
    with pytest.raises(guidance.GuidanceError, match="unknown option 'sizes'; did you mean size"):
        guidance.paint("a fox", sizes=3)
    with pytest.raises(guidance.GuidanceError, match="lr must be"):
        guidance.paint("a fox", lr=-1.0)


def test_options_are_plain_values():
    """A run is repeated from its manifest, which holds plain values only."""
    from guidance.vqgan import VqganOptions

    for name, value in vars(VqganOptions(prompt="x")).items():
        kinds = str | int | float | bool | tuple | None
        assert isinstance(value, kinds), name
