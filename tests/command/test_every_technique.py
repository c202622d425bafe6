"""What holds for every technique that makes pictures: seeds, replay, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_diffusion
import tiny_vqgan
from runs import pixels

from guidance.artefacts.manifest import read_manifest
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.runner import command
from guidance.diffusion.technique import DIFFUSION
from guidance.pixels.technique import PIXELS
from guidance.vqgan.technique import VQGAN

TECHNIQUES = {t.name: t for t in (CLIPDRAW, PIXELS, VQGAN, DIFFUSION)}
TINY = {
    "clipdraw": ["--size", "48", "--strokes", 8, "--render-size", 64],
    "pixels": ["--size", "48", "--render-size", 64],
    "vqgan": ["--size", "32", "--vqgan", "{vqgan}"],
    "diffusion": ["--model", "{diffusion}", "-n", 1, "--sampler", "euler_a"],
}


@pytest.fixture(params=TECHNIQUES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("networks")
    return {
        "vqgan": tiny_vqgan.save(root / "vq"),
        "diffusion": tiny_diffusion.save(root / "ddpm", "ddpm"),
    }


def make(name: str, *arguments: object) -> int:
    return command(TECHNIQUES[name], [str(a) for a in arguments])


@pytest.fixture
def tiny(name, networks, tiny_clip_path) -> list[str]:
    """Return options of a run that takes no time."""
    own = [str(option).format(**networks) for option in TINY[name]]
    return [*own, "--cuts", "3", "--steps", "2", "--video", "none", "-q", "--clip",
            str(tiny_clip_path)]  # fmt: skip


def test_the_seed_decides_every_byte_and_a_manifest_repeats_a_run(name, tiny, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert make(name, "a fox", *tiny, "--seed", seed, "-o", tmp_path / folder) == 0
    assert make(name, "--from", tmp_path / "a", "-q", "-o", tmp_path / "d") == 0
    a, b, c, d = ((tmp_path / folder / "image.png").read_bytes() for folder in "abcd")
    assert a == b
    assert a != c
    assert a == d


@pytest.mark.parametrize("name", ["clipdraw", "pixels", "vqgan"], indirect=True)
def test_the_best_of_several_tries_is_a_run_of_its_seed(name, tiny, tmp_path):
    more = ["--steps", 3, "--tries", 3, "--try-steps", 2]
    assert make(name, "a fox", *tiny, *more, "-o", tmp_path / "best") == 0
    tries = read_manifest(tmp_path / "best")["tries"]
    seed = tries["seeds"][tries["kept"] - 1]
    assert make(name, "a fox", *tiny, "--steps", 3, "--seed", seed, "-o", tmp_path / "one") == 0
    best, one = tmp_path / "best", tmp_path / "one"
    assert (best / "steps.csv").read_bytes() == (one / "steps.csv").read_bytes()
    assert (pixels(best / "image.png") == pixels(one / "image.png")).all()


BAD = {
    "empty prompt": ([""], "empty"),
    "blank prompt": (["   "], "empty"),
    "missing image prompt": (["none.png"], "none.png"),
    "a folder as a prompt": (["./."], "is a folder"),
    "unknown CLIP": (["a fox", "--clip", "mimi"], "did you mean mini?"),
    "CLIP without weights": (["a fox", "--clip", "ViT-B-32=none.pt"], "does not exist"),
    "no CLIP": (["a fox", "--clip", ""], "error: clip must be a name but is empty\n"),
    "size 0": (["a fox", "--size", "0"], "size must be between 8 and"),
    "size text": (["a fox", "--size", "big"], "WIDTHxHEIGHT"),
    "no steps": (["a fox", "--steps", "0"], "steps must be at least 1"),
    "steps that are no number": (["a fox", "--steps", "x"], "steps"),
    "unknown augmentation": (["a fox", "--augment", "perspektive"], "perspective"),
    "negative seed": (["a fox", "--seed", "-1"], "at least 0"),
    "unknown device": (["a fox", "--device", "gpu"], "device must be"),
    "half precision on a CPU": (["a fox", "--precision", "fp16", "--device", "cpu"], "GPU"),
    "missing init": (["a fox", "--init", "none.png"], "none.png' does not exist"),
    "missing run": (["--resume", "nowhere"], "nowhere"),
    "resume with options": (["--resume", "nowhere", "--steps", "5"], "no other options"),
    "resume without a folder": (["--resume"], "needs a value"),
    "from without a folder": (["--from", "--steps", "5"], "error: --from needs a value"),
    "empty folder": (["a fox", "--output="], "error: output must be a name but is empty\n"),
    "NUL in a folder": (["a fox", "-o", "a\0b"], "holds a NUL"),
    "a number too long": (["a fox", "--steps", "9" * 30], "error: steps must have at most 64 bits"),
    "a mistyped option": (["a fox", "--stpes", "3"], "did you mean --steps"),
    "no prompt": ([], "PROMPT"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(name, case, refused):
    arguments, expected = BAD[case]
    refused(lambda *a: make(name, *a), arguments, expected)
