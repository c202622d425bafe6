"""Runs end to end through the command line, with tiny real networks."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from runs import assert_same_when_stopped, bad_files, pixels

import guidance
from guidance import ClipScorer
from guidance.artefacts.manifest import read_manifest
from guidance.command.run import execute
from guidance.command.runner import command
from guidance.diffusion.generator import Denoising
from guidance.diffusion.options import DiffusionOptions
from guidance.diffusion.technique import DIFFUSION

SMALL = ["--cuts", "4", "--video", "none", "--steps", "3"]


@pytest.fixture
def small(folders, tiny_clip_path) -> list[str]:
    return [*SMALL, "--model", str(folders["sd"]), "--clip", str(tiny_clip_path)]


def sample(*arguments: object) -> int:
    return command(DIFFUSION, [str(a) for a in arguments])


def test_leaves_all_artefacts(tmp_path, small, tiny_clip_path, capsys):
    out = tmp_path / "run"
    options = ["--video", "mp4", "--video-size", 48, "-n", 3, "--size", "48x32", "--seed", 5]
    assert sample("a fox", *small, *options, "-o", out) == 0
    assert {p.name for p in out.iterdir()} == {
        "image.png", "image-2.png", "image-3.png", "sheet.png", "progress.mp4", "steps.csv",
        "manifest.toml", "checkpoint.safetensors"
    }  # fmt: skip
    result = read_manifest(out)["result"]
    assert result["status"] == "finished"
    assert sorted(result["seeds"]) == [5, 6, 7]
    assert result["scores"] == sorted(result["scores"], reverse=True)
    files = [out / "image.png", out / "image-2.png", out / "image-3.png"]
    for path, seed, score in zip(files, result["seeds"], result["scores"], strict=True):
        with Image.open(path) as image:
            assert image.size == (48, 32)
            assert (int(image.text["seed"]), float(image.text["score"])) == (seed, score)
            assert json.loads(image.text["guidance"])["technique"] == "diffusion"
    ranked = guidance.rank(files, "a fox", clip=str(tiny_clip_path), device="cpu")
    assert [r.index for r in ranked] == [0, 1, 2]
    assert "score=" in capsys.readouterr().err


def test_what_nobody_asked_is_not_shown(tmp_path, small, capsys):
    """Without guidance a step has neither loss nor score."""
    assert sample("a fox", *small, "-n", 1, "--clip-scale", 0, "-o", tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert "3/3" in said
    assert "nan" not in said


def test_one_picture_has_no_sheet(tmp_path, small):
    assert sample("a fox", *small, "-n", 1, "-q", "-o", tmp_path / "run") == 0
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "image.png", "steps.csv", "manifest.toml", "checkpoint.safetensors"
    }  # fmt: skip


def test_guidance_raises_the_score_on_the_same_seeds(folders, tiny_clip_path):
    """Each picture of a Stable Diffusion from a folder, by CLIP itself and not by its cuts."""
    scorer = ClipScorer(str(tiny_clip_path), device="cpu")
    options = {"model": str(folders["sd"]), "clip": str(tiny_clip_path), "steps": 12, "number": 3,
               "cuts": 4, "augment": (), "clamp": 0.3, "device": "cpu"}  # fmt: skip

    def scores(**more: object) -> torch.Tensor:
        *_, last = guidance.diffuse("a red fox", **options, **more)
        return scorer.similarity(last.image, ["a red fox"])[:, 0]

    unguided = scores(clip_scale=0)
    for gradient in ("full", "direct"):
        assert (scores(clip_scale=1000, gradient=gradient) - unguided).min() > 0.02
    late = scores(clip_scale=1000, guide_from=0.5) - unguided
    assert 0.002 < late.mean() < 0.9 * (scores(clip_scale=1000) - unguided).mean()


def test_resume_is_exact(tmp_path, folders, tiny_clip_path):
    options = ["a fox", *SMALL, "--steps", 8, "--save-every", 2, "--sampler", "dpm++2m-sde",
               "-n", 2, "--guide-every", 2, "--model", folders["ddpm"], "-q",
               "--clip", tiny_clip_path]  # fmt: skip
    files = ("image.png", "image-2.png", "steps.csv")
    assert_same_when_stopped(sample, Denoising, options, tmp_path, at=5, files=files)


@pytest.mark.parametrize("sampler", ["pndm", "unipc", "heun"])
def test_a_run_that_stops_anywhere_goes_on(tmp_path, folders, tiny_clip_path, sampler, monkeypatch):
    """Stopped after every step in turn, in one process."""
    import guidance.command.run as runner

    class Stop(Exception):
        pass

    def options(name: str) -> DiffusionOptions:
        return DiffusionOptions(
            prompt="a fox", model=str(folders["sd"]), clip=str(tiny_clip_path), number=1, steps=3,
            sampler=sampler, save_every=1, cuts=2, video="none", quiet=True, device="cpu",
            output=str(tmp_path / name),
        )  # fmt: skip

    assert execute(DIFFUSION, options("whole")) == 0
    real = runner._Run._keep

    def keep_and_stop(*arguments: object) -> None:
        real(*arguments)
        raise Stop

    monkeypatch.setattr(runner._Run, "_keep", keep_and_stop)
    for number in range(options("x").total()):
        with pytest.raises(Stop):
            execute(DIFFUSION, options("cut"), resume=tmp_path / "cut" if number else None)
    monkeypatch.undo()
    assert execute(DIFFUSION, options("cut"), resume=tmp_path / "cut") == 0
    for name in ("image.png", "steps.csv"):
        whole, cut = ((tmp_path / run / name).read_bytes() for run in ("whole", "cut"))
        assert name == "image.png" or whole == cut
    assert (pixels(tmp_path / "whole/image.png") == pixels(tmp_path / "cut/image.png")).all()


def test_mask_leaves_the_rest_of_the_picture(tmp_path, small, photo, mask):
    out = tmp_path / "run"
    assert sample("a fox", *small, "--init", photo, "--mask", mask, "-n", 2, "-q", "-o", out) == 0
    before = pixels(photo)
    for name in ("image.png", "image-2.png"):
        after = pixels(out / name)
        assert (after == before)[:, :16].all()
        assert abs(after - before)[:, 20:].mean() > 10


def test_outpaint_grows_the_picture(tmp_path, small, photo):
    out = tmp_path / "run"
    options = ["--init", photo, "--outpaint", "16,0,0,8", "-n", 1, "-q", "-o", out]
    assert sample("a fox", *small, *options) == 0
    after = pixels(out / "image.png")
    assert after.shape == (40, 48, 3)
    assert (after[:32, 16:] == pixels(photo)).all()


def test_from_manifest_repeats_a_run(tmp_path, small):
    first = tmp_path / "first"
    options = ["-n", 2, "--clip-scale", "[10]+[20]", "--cut-overview", "[2]*3+[1]", "--cfg", 2.5]
    assert sample("a fox:2 | fog:-0.5", *small, *options, "-q", "-o", first) == 0
    assert sample("--from", first, "-o", tmp_path / "second", "-q") == 0
    for name in ("image.png", "image-2.png"):
        same = (first / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
        assert same, name


def test_other_names_of_options(tmp_path, folders, tiny_clip_path):
    out = tmp_path / "run"
    arguments = ["-p", "a fox", "-i", 3, "-m", tiny_clip_path, "--diffusion-model", folders["sd"],
                 "-cgs", 50, "--clamp-max", 0.1, "--cutn-batches", 2, "--cut-ic-pow", 2, "-cuts", 2,
                 "--guidance-scale", 2, "--guidance-rescale", 0.5, "-sd", 4, "-n", 1,
                 "--video", "none", "-q", "-o", out]  # fmt: skip
    assert sample(*arguments) == 0
    kept = read_manifest(out)["options"]
    wanted = {"clip_scale": "50", "clamp": 0.1, "cut_batches": 2, "cut_power": 2, "cfg": 2}
    assert {name: kept[name] for name in wanted} == wanted


BAD = {
    "unknown model": (["a fox", "--model", "mimi"], "did you mean mini"),
    "missing folder": (["a fox", "--model", "./none"], "./none"),
    "missing checkpoint": (["a fox", "--model", "none.pt"], "none.pt does not exist"),
    "unknown sampler": (["a fox", "--sampler", "eulr"], "did you mean euler"),
    "eta of another sampler": (["a fox", "--sampler", "lms", "--eta", "1"], "eta must be 0"),
    "karras of ddim": (["a fox", "--karras"], "karras must be off"),
    "too many steps": (["a fox", "--steps", "1001"], "at most 1000"),
    "no picture": (["a fox", "-n", "0"], "number must be"),
    "too many pictures": (["a fox", "-n", "1025"], "at most 1024"),
    "no batch": (["a fox", "--batch", "0"], "batch must be"),
    "negative cfg": (["a fox", "--cfg", "-1"], "cfg must be"),
    "nan cfg": (["a fox", "--cfg", "nan"], "cfg must be"),
    "rescale above 1": (["a fox", "--cfg-rescale", "2"], "cfg_rescale must be"),
    "threshold above 1": (["a fox", "--threshold", "2"], "threshold must be"),
    "schedule": (["a fox", "--clip-scale", "[1]*x"], "column 5"),
    "code": (["a fox", "--clip-scale", "__import__('os')"], "clip_scale must be"),
    "negative scale": (["a fox", "--clip-scale", "[1]+[-1]"], "clip_scale must be"),
    "negative clamp": (["a fox", "--clamp", "-1"], "clamp must be"),
    "never": (["a fox", "--guide-every", "0"], "guide_every must be"),
    "from after until": (["a fox", "--guide-from", "0.5", "--guide-until", "0.5"], "below"),
    "until 2": (["a fox", "--guide-until", "2"], "guide_until must be"),
    "half a cut": (["a fox", "--cut-overview", "[1.5]"], "whole numbers"),
    "no cuts": (["a fox", "--cut-overview", "[1]+[0]", "--cut-innercut", "0"], "at least one cut"),
    "too many cuts": (["a fox", "--cut-innercut", "4000", "--cut-batches", "2"], "at most 4096"),
    "no recurrence": (["a fox", "--recurrence", "0"], "recurrence must be"),
    "negative smoothness": (["a fox", "--smoothness", "-1"], "smoothness must be"),
    "negative range": (["a fox", "--range", "-1"], "range must be"),
    "strength alone": (["a fox", "--strength", "0.5"], "--strength needs --init"),
    "strength 0": (["a fox", "--init", "{photo}", "--strength", "0"], "strength must be"),
    "mask without init": (["a fox", "--mask", "{mask}"], "--mask needs --init"),
    "outpaint without init": (["a fox", "--outpaint", "8"], "--outpaint needs --init"),
    "mask and outpaint": (["a fox", "--init", "{photo}", "--mask", "{mask}", "--outpaint", "8"],
                          "contradict"),
    "margins": (["a fox", "--init", "{photo}", "--outpaint", "1,2"], "LEFT,TOP,RIGHT,BOTTOM"),
    "decoder of mini": (["a fox", "--decoder", "madebyollin/taesd"], "decoder"),
    "a prompt too late": (["0: a fox | 9: a wolf", "--steps", "9"], "starts at step 9"),
    "a prompt too late for the strength": (
        ["0: a fox | 8: a wolf", "--steps", "10", "--init", "{photo}"], "the run has 7 steps"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(case, photo, mask, refused):
    arguments, expected = BAD[case]
    refused(sample, [a.format(photo=photo, mask=mask) for a in arguments], expected)


LATE = {  # what only the loaded network or the pixels of a file can tell
    "size between cells": ("sd", ["--size", "30x33"], "the nearest are 28x32 and 32x32"),
    "cfg without texts": ("ddpm", ["--cfg", "3"], "ddpm is unconditional"),
    "threshold of latents": ("sd", ["--threshold", "0.9"], "works on latents"),
    "more steps than it has": ("short", ["--steps", "30"], "steps must be"),
    "black mask": ("sd", ["--init", "{photo}", "--mask", "{black}"], "black everywhere"),
    "init that is no image": ("sd", ["--init", "{text}"], "text.png"),
}


@pytest.mark.parametrize("case", LATE)
def test_late_bad_input_also_leaves_nothing(
    case, tmp_path, folders, tiny_clip_path, photo, refused
):
    import tiny_diffusion

    kind, arguments, expected = LATE[case]
    if kind == "short":
        tiny_diffusion.save(tmp_path / "short", "ddpm", schedule={"num_train_timesteps": 20})
    model = folders.get(kind, tmp_path / "short")
    files = {"photo": photo, **bad_files(tmp_path)}
    more = [*SMALL, "--model", model, "--clip", tiny_clip_path]
    refused(sample, ["a fox", *more, *(a.format(**files) for a in arguments)], expected)
