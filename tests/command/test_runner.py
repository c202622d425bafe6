"""Runs end to end through the command line: artefacts, kill and resume, replay, bad input."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from runs import finish, start, wait_for_checkpoint
from safetensors.torch import save_file
from systems import posix

from guidance.artefacts.manifest import read_manifest
from guidance.clip.prior import remember
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.runner import command

ROOT = Path(__file__).parents[2]
SMALL = ["--strokes", "12", "--size", "48", "--render-size", "96", "--cuts", "4",
         "--video-size", "48"]  # fmt: skip


def draw(*arguments: object) -> int:
    return command(CLIPDRAW, [str(a) for a in arguments])


def test_leaves_all_artefacts(tmp_path, tiny_clip_path, capsys):
    out = tmp_path / "run"
    assert draw("a fox", *SMALL, "--steps", 6, "--clip", tiny_clip_path, "--output", out) == 0
    names = {p.name for p in out.iterdir()}
    assert names == {"image.png", "drawing.svg", "progress.mp4", "steps.csv", "manifest.toml",
                     "checkpoint.safetensors"}  # fmt: skip
    with Image.open(out / "image.png") as image:
        assert image.size == (96, 96)
        assert image.text["prompt"] == "a fox"
        assert '"seed": 0' in image.text["guidance"]
    assert len((out / "steps.csv").read_text().splitlines()) == 7
    manifest = read_manifest(out)
    assert manifest["result"]["status"] == "finished"
    assert manifest["options"]["strokes"] == 12
    shown = capsys.readouterr()
    assert str(out) in shown.out
    assert "score=" in shown.err


def test_no_prior_aims_at_the_words(tmp_path, tiny_clip_path):
    """With a prior beside the weights ``--no-prior`` draws what it draws without that file."""
    folder = shutil.copytree(tiny_clip_path, tmp_path / "clip")
    rng = torch.Generator().manual_seed(0)
    texts, images = torch.nn.functional.normalize(torch.randn(2, 9, 32, generator=rng), dim=-1)
    state = remember(texts, images, rank=32)
    arguments = ["a fox", *SMALL, "--steps", 4, "--clip", folder]
    draw(*arguments, "--output", tmp_path / "without")
    save_file(state, folder / "open_clip_model-prior.safetensors")
    draw(*arguments, "--output", tmp_path / "with")
    draw(*arguments, "--output", tmp_path / "refused", "--no-prior")
    without, aimed, refused = (
        (tmp_path / name / "drawing.svg").read_bytes() for name in ("without", "with", "refused")
    )
    assert without == refused != aimed


@posix
def test_killed_and_resumed_is_byte_identical(tmp_path, tiny_clip_path):
    options = ["a fox", *SMALL, "--steps", 24, "--save-every", 4, "--clip", tiny_clip_path]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start("clipdraw", [*options, "--output", whole]))
    process = start("clipdraw", [*options, "--output", killed])
    wait_for_checkpoint(process, killed)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finish(start("clipdraw", ["--resume", killed]))
    for name in ("image.png", "drawing.svg", "steps.csv"):
        same = (whole / name).read_bytes() == (killed / name).read_bytes()
        assert same, f"{name} differs after resume"
    assert not list(killed.glob(".tmp-*.png"))


@posix
def test_ctrl_c_leaves_the_last_step_and_resumes(tmp_path, tiny_clip_path):
    out = tmp_path / "run"
    options = ["--steps", 100000, "--save-every", 3, "--clip", tiny_clip_path, "-o", out]
    process = start("clipdraw", ["a fox", *SMALL, *options])
    wait_for_checkpoint(process, out)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    done = read_manifest(out)["result"]
    assert done["status"] == "interrupted"
    assert done["steps"] >= 3
    assert (out / "image.png").exists()
    assert (out / "drawing.svg").exists()
    assert (out / "progress.mp4").exists()
    assert (out / ".frames/000000.jpg").exists(), "a run that goes on needs its frames"


def test_from_manifest_repeats_a_run(tmp_path, tiny_clip_path):
    first, second = tmp_path / "first", tmp_path / "second"
    options = [*SMALL, "--steps", 3, "--clip", tiny_clip_path, "--seed", 5, "-q", "-o", first]
    assert draw("a fox", *options) == 0
    assert draw("--from", first / "manifest.toml", "-o", second) == 0
    assert (first / "image.png").read_bytes() == (second / "image.png").read_bytes()
    assert draw("--from", first, "-o", tmp_path / "third", "--seed", 6) == 0
    assert (first / "drawing.svg").read_bytes() != (tmp_path / "third/drawing.svg").read_bytes()


def test_default_folder_is_new_each_time(tmp_path, tiny_clip_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        draw("a fox", *SMALL, "--steps", 1, "--clip", tiny_clip_path, "-q", "--video", "none")
    assert {p.name for p in Path("outputs").iterdir()} == {"clipdraw-a-fox-0", "clipdraw-a-fox-0-2"}


def test_a_folder_is_named_after_the_words_alone(tmp_path, tiny_clip_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for prompt in ("0: a fox:2 | 1: a wolf:0.5", "dusk ^ dawn", "{0: 'ink:2:0.4'}"):
        few = ["--steps", 2, "--clip", tiny_clip_path, "-q", "--video", "none", "--seed", 3]
        assert draw(prompt, *SMALL, *few) == 0
    names = {p.name for p in Path("outputs").iterdir()}
    assert names == {"clipdraw-a-fox-a-wolf-3", "clipdraw-dusk-dawn-3", "clipdraw-ink-3"}


def test_a_diverging_run_keeps_the_last_good_state(tmp_path, tiny_clip_path, capsys, monkeypatch):
    import torch

    import guidance.objective.prompted as objective

    real = objective.spherical_distance
    calls = []

    def sometimes_nan(a, b):
        calls.append(1)
        return real(a, b) * (torch.nan if len(calls) > 4 else 1)

    monkeypatch.setattr(objective, "spherical_distance", sometimes_nan)
    out = tmp_path / "run"
    assert draw("a fox", *SMALL, "--steps", 20, "--clip", tiny_clip_path, "-o", out) == 1
    assert read_manifest(out)["result"]["status"] == "diverged"
    assert "3 steps in a row" in capsys.readouterr().err
    assert (out / "image.png").exists()


BAD = {
    "size 100000": (["a fox", "--size", "100000"], "between 8 and"),
    "render size 0": (["a fox", "--render-size", "0"], "between 8 and"),
    "a prompt too late": (["0: a fox | 90: a wolf", "--steps", "90"], "starts at step 90"),
    "no strokes": (["a fox", "--strokes", "0"], "at least 1"),
    "segments reversed": (["a fox", "--segments", "3", "1"], "at least 3"),
    "widths reversed": (["a fox", "--width", "9", "1"], "at least 9"),
    "opacity above 1": (["a fox", "--opacity", "0", "1.5"], "opacity"),
    "opacity reversed": (["a fox", "--opacity", "0.5", "0.2"], "at least 0.5"),
    "nan rate": (["a fox", "--points-lr", "nan"], "points_lr"),
    "unknown colour": (["a fox", "--background", "whtie"], "did you mean white"),
    "ink and palette": (["a fox", "--black", "--palette", "red"], "contradict"),
    "ink and closed": (["a fox", "--black", "--closed"], "cannot be combined"),
    "empty palette": (["a fox", "--palette", ""], "palette must name a colour"),
    "a palette of commas": (["a fox", "--palette", ","], "palette must name a colour"),
    "a bound in full": (["a fox", "--steps", "0"], "at most 10000000 but"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(case, refused):
    arguments, expected = BAD[case]
    refused(draw, arguments, expected)


def test_odd_prompts_give_a_picture(tmp_path, tiny_clip_path, capsys):
    for number, prompt in enumerate(["🦊", "日出时的狐狸", "fox " * 10_000, 'a "<&>" fox']):
        out = tmp_path / str(number)
        options = [*SMALL, "--steps", 1, "--clip", tiny_clip_path, "-q", "--video", "none"]
        assert draw(prompt, *options, "-o", out) == 0
        assert (out / "image.png").exists()
    err = capsys.readouterr().err
    assert "words are ignored" in err
    assert "Traceback" not in err


def test_output_that_cannot_be_a_folder(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    assert draw("a fox", "-o", file) == 2
    assert draw("a fox", "-o", file / "below") == 2
    assert file.read_text() == "mine"
    assert capsys.readouterr().err.count("\n") == 2


def test_a_picture_of_ones_own_is_not_replaced(tmp_path, capsys):
    Image.new("RGB", (9, 9)).save(tmp_path / "image.png")
    before = (tmp_path / "image.png").read_bytes()
    assert draw("a fox", "--init", tmp_path / "image.png", "-o", tmp_path) == 2
    assert "holds image.png already" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["image.png"]
    assert (tmp_path / "image.png").read_bytes() == before
    (tmp_path / "image.png").rename(tmp_path / "drawing.svg")
    assert draw("a fox", "-o", tmp_path) == 2
    assert "holds drawing.svg already" in capsys.readouterr().err


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CLIPDRAW.options(prompt="a", output="~/run").output == str(tmp_path / "run")
    assert CLIPDRAW.options(prompt="a", output="~").output == str(tmp_path)


def test_output_of_another_run_is_not_overwritten(tmp_path, tiny_clip_path, capsys):
    options = ["a fox", *SMALL, "--steps", 1, "--clip", tiny_clip_path, "-q", "-o", tmp_path]
    assert draw(*options) == 0
    before = (tmp_path / "image.png").read_bytes()
    assert draw(*options, "--seed", 9) == 2
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "image.png").read_bytes() == before


@posix
def test_disk_full_is_one_line_and_leaves_no_half_file(tmp_path, tiny_clip_path):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000));"
        "from guidance.command.runner import command;"
        "from guidance.clipdraw.technique import CLIPDRAW;"
        "sys.exit(command(CLIPDRAW, sys.argv[1:]))"
    )
    options = ["a fox", *SMALL, "--strokes", 200, "--steps", 3, "--clip", tiny_clip_path,
               "--video", "none", "-o", tmp_path / "run"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, options)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "0"},
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    left = {p.name for p in (tmp_path / "run").iterdir()}
    assert left <= {"manifest.toml", "steps.csv"}
