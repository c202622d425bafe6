"""The commands of all pages that train something, for a step or two each, in the pages' order."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

import pytest
import timm
import torch
from emoji import COLOURS, SHAPES, emoji
from pages import call, commands

from guidance.clip import load_clip
from guidance.models.dalle.load import load_dalle
from guidance.models.load_latents import load_latents
from guidance.score.aesthetic import load_head

NAMES = [f"{colour} {shape}" for colour in list(COLOURS)[:3] for shape in list(SHAPES)[:4]]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with captioned and rated pictures and a classifier's file."""
    pytest.importorskip("resvg_py")
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    captions, ratings = ["image,caption"], ["image,rating"]
    for number, name in enumerate(NAMES):
        emoji(name, number, outlined=False).save(f"photos/{number}.png")
        captions.append(f"{number}.png,a {name}")
        ratings.append(f"{number}.png,{number % 5}")
    Path("photos/captions.csv").write_text("\n".join(captions))
    Path("photos/ratings.csv").write_text("\n".join(ratings))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("tf_efficientnet_lite0")
    torch.save(network.state_dict(), "efficientnet-lite0-57934424.pth")
    return tmp_path


def run(program: str, *small: str | Path) -> None:
    """Run all commands of a program, with options that make them small."""
    for command in commands(program):
        assert call(program, [*shlex.split(command), *small]) == 0


@pytest.mark.parametrize("command", commands("guidance.train.clip"))
def test_clips(command, place, capsys):
    short = ["--batch", "4", "--steps", "1", "--threads", "1"]
    if importlib.util.find_spec("tensorboard") is None:
        command = command.replace("--log-dir runs/log", "")
    assert call("guidance.train.clip", [*shlex.split(command), *short]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1  100.0 %  loss ")
    assert said.endswith(f"wrote {Path('runs/mine/clip')} after 1 step\n")
    assert load_clip("runs/mine/clip").encode_text(["a fox"]).shape == (1, 384)


def test_vqgans(place):
    run("guidance.train.vqgan", "--steps", "1", "--batch", "2", "--side", "32")
    load_latents("runs/vq/vqgan", device="cpu")


def test_diffusion_models(place):
    run("guidance.train.latents")
    run("guidance.train.diffusion", "--steps", "1", "--batch", "2")
    assert Path("runs/diffusion/diffusion.safetensors").stat().st_size > 0


def test_dalles(place):
    run("guidance.train.latents")
    run("guidance.train.dalle", "--steps", "1", "--batch", "1")
    load_dalle("runs/dalle/dalle.safetensors", device="cpu")


def test_aesthetic_heads(place, tiny_clip_path):
    run("guidance.train.aesthetic", "--clip", tiny_clip_path, "--quiet")
    load_head("taste.safetensors")
