"""Sizes of pictures: every one that is accepted works, and a photo keeps its shape."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tiny_diffusion
import torch
from diffusing import finish, make
from PIL import Image
from reference.slow_adm import Layout, entries, random_state
from runs import pixels

from guidance.artefacts.manifest import read_manifest
from guidance.command import run as runner
from guidance.command.runner import command
from guidance.diffusion.frame import Frame, Margins
from guidance.diffusion.options import DiffusionOptions
from guidance.diffusion.technique import DIFFUSION
from guidance.errors import InputError
from guidance.images import to_pil, to_tensor
from guidance.models.denoiser import Denoiser
from guidance.models.denoiser_config import denoiser_shape
from guidance.models.load_denoiser import load_denoiser
from guidance.models.pipeline_config import Shape
from guidance.objective.regularisers import Smoothness
from guidance.step.loop import Step

DEEP = {  # four levels whose ways back cannot be told how many cells there were
    "block_out_channels": (8, 16, 16, 16),
    "down_block_types": ("DownBlock2D", *("AttnDownBlock2D",) * 3),
    "up_block_types": (*("AttnUpBlock2D",) * 3, "UpBlock2D"),
}
MODELS = {
    "sd": ("sd", {}, 4),
    "xl": ("xl", {}, 4),
    "ldm": ("ldm", {}, 4),
    "ddpm": ("ddpm", {}, 1),
    "deep sd": ("sd", DEEP, 4),
    "deep ldm": ("ldm", DEEP, 4),
    "deep ddpm": ("ddpm", DEEP, 1),
    "openai": ("openai", {}, 1),
}


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> dict[str, Path]:
    """Return what `--model` names, a kind each."""
    root = tmp_path_factory.mktemp("kinds")
    made = {k: tiny_diffusion.save(root / k, kind, **config)
            for k, (kind, config, _) in MODELS.items() if kind != "openai"}  # fmt: skip
    made["openai"] = root / "model.pt"
    torch.save(random_state(entries(Layout(32, (2, 2, 2, 2, 2, 4), (5,), 1))), made["openai"])
    return made


@pytest.fixture
def photo(tmp_path) -> tuple[Path, np.ndarray]:
    """Return the path of a picture of 24 x 18 pixels, and its pixels."""
    values = np.random.default_rng(0).integers(0, 256, (18, 24, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "photo.png")
    return tmp_path / "photo.png", values


@pytest.mark.parametrize("kind", MODELS)
def test_sizes_that_are_accepted_work(named, kind):
    factor = MODELS[kind][2]
    model = load_denoiser(str(named[kind]), device="cpu")
    least = max(8, factor)
    for wide, high in itertools.product((least, 20, 36), (least + factor, 28)):
        options = {"size": f"{wide}x{high}", "steps": 1, "number": 1}
        DiffusionOptions(prompt="a fox", model=str(named[kind]), **options).check()
        generator = make(model, **options)
        finish(generator, Smoothness())
        assert generator.render(*generator.final_size).shape == (1, 3, high, wide)


@pytest.mark.parametrize("kind", [k for k, v in MODELS.items() if v[2] > 1])
def test_other_sizes_are_refused_before_anything_is_loaded(named, kind, tmp_path):
    folder = tmp_path / "model"
    for file in named[kind].rglob("*.json"):
        kept = folder / file.relative_to(named[kind])
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(file.read_bytes())
    assert denoiser_shape(str(folder)) == Shape((32, 32), 4)
    with pytest.raises(InputError, match=r"of 4 pixels .* is 34x32; .* are 32x32 and 36x32"):
        DiffusionOptions(prompt="a fox", model=str(folder), size="34x32").check()


def test_the_mini_model_takes_whole_cells():
    assert denoiser_shape("mini") == Shape((128, 128), 8)
    for size in ("192x144", "136x104", "8", "8x200"):
        DiffusionOptions(prompt="a fox", size=size).check()
    with pytest.raises(InputError, match="mini but is 100x96; the nearest are 96x96 and 104x96"):
        DiffusionOptions(prompt="a fox", size="100x96").check()


def test_a_photo_keeps_its_shape(photo):
    path, _ = photo
    given = DiffusionOptions(prompt="a fox", init=str(path))
    assert given.frame(Shape((128, 128), 8)) == Frame((120, 160))
    assert given.notes(Frame((120, 160))) == []
    given = DiffusionOptions(prompt="a fox", init=str(path), size="128")
    assert given.frame(Shape((128, 128), 8)) == Frame((128, 128))
    assert given.notes(Frame((128, 128))) == [
        f"--init: {path} is 24x18; its middle, 18x18, fills the picture of 128x128"
    ]


@pytest.mark.parametrize(
    ("outpaint", "size", "frame"),
    [
        ("32,0,32,0", None, Frame((120, 160), Margins(32, 0, 32, 0))),
        ("0,8,0,0", None, Frame((120, 160), Margins(0, 8, 0, 0))),
        ("5", "160x120", Frame((120, 160), Margins(8, 8, 8, 8))),
        ("3,0,0,0", "160x120", Frame((120, 160), Margins(8, 0, 0, 0))),
        ("0,3,0,6", "161x120", None),
    ],
)
def test_margins_make_up_for_the_cells(photo, outpaint, size, frame):
    given = DiffusionOptions(prompt="x", init=str(photo[0]), outpaint=outpaint, size=size)
    if frame is None:  # there is no margin on the side that does not fit
        with pytest.raises(InputError, match="is 161x120; the nearest are 160x120 and 168x120"):
            given.accept(Shape((128, 128), 8))
        return
    assert given.frame(Shape((128, 128), 8)) == frame
    notes = given.notes(frame)
    assert len(notes) == (frame.margins != given.margins())
    assert all(f"{frame.margins} rather than {given.margins()}" in note for note in notes)


def sample(*arguments: object) -> int:
    return command(DIFFUSION, [str(a) for a in arguments])


def test_the_whole_photo_is_in_a_wider_picture(named, photo, tmp_path, tiny_clip_path, capsys):
    path, values = photo
    small = ["--model", named["ddpm"], "--clip", tiny_clip_path, "--steps", 3, "--cuts", 2,
             "--video", "none", "-n", 1, "--save-every", 1, "-o", tmp_path / "run"]  # fmt: skip
    assert sample("a fox", *small, "--init", path, "--size", "24x18", "--outpaint", "8,0,4,0") == 0
    after = pixels(tmp_path / "run/image.png")
    assert after.shape == (18, 36, 3)
    assert (after[:, 8:32] == values).all()
    assert "rather than" not in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--outpaint", "7,0,0,0"]], ids=["init", "outpaint"])
def test_runs_with_a_photo_are_repeated_and_resumed(
    named, photo, tmp_path, tiny_clip_path, monkeypatch, more
):
    path, _ = photo
    small = ["--model", named["sd"], "--clip", tiny_clip_path, "--steps", 3, "--cuts", 2, "-q",
             "--video", "none", "-n", 1, "--save-every", 1, "--strength", 1,
             "--init", path]  # fmt: skip
    assert sample("a fox", *small, *more, "-o", tmp_path / "whole") == 0
    # the photo's shape and about the pixels of 32x32; beside 37x28 the margin makes up for 44x28
    size = (28, 44) if more else (24, 32)
    assert pixels(tmp_path / "whole/image.png").shape == (*size, 3)
    assert "size" not in read_manifest(tmp_path / "whole")["options"]
    assert sample("--from", tmp_path / "whole", "-o", tmp_path / "again", "-q") == 0

    class Stop(Exception):
        pass

    def stop(work: runner._Run, step: Step) -> None:
        real(work, step)
        if step.index == 1:
            raise Stop

    real = runner._Run._keep
    monkeypatch.setattr(runner._Run, "_keep", stop)
    with pytest.raises(Stop):
        sample("a fox", *small, *more, "-o", tmp_path / "cut")
    monkeypatch.undo()
    assert sample("--resume", tmp_path / "cut") == 0
    whole = pixels(tmp_path / "whole/image.png")
    for name in ("again", "cut"):
        assert (pixels(tmp_path / name / "image.png") == whole).all()


def test_what_is_cut_is_told_in_one_line(named, photo, tmp_path, tiny_clip_path, capsys):
    path, _ = photo
    small = ["--model", named["ddpm"], "--clip", tiny_clip_path, "--steps", 2, "--cuts", 2,
             "--video", "none", "-n", 1, "--init", path, "--size", 16]  # fmt: skip
    assert sample("a fox", *small, "-o", tmp_path / "run") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "--init" in line]
    assert len(told) == 1
    assert told[0].endswith("photo.png is 24x18; its middle, 18x18, fills the picture of 16x16")
    assert sample("a fox", *small, "-q", "-o", tmp_path / "quiet") == 0
    assert capsys.readouterr().err == ""


def test_a_mask_lies_over_the_whole_photo(named, photo, tmp_path):
    path, values = photo
    mask = np.zeros((36, 48), np.uint8)
    mask[:, 24:] = 255  # the right half of the photo, drawn twice as large
    Image.fromarray(mask).save(tmp_path / "mask.png")
    model: Denoiser = load_denoiser(str(named["ddpm"]), device="cpu")
    options = {"init": str(path), "mask": str(tmp_path / "mask.png"), "size": "24x18", "number": 1}
    generator = make(model, **options)
    image = finish(generator, Smoothness())[-1].image
    assert torch.equal(image[..., :12], to_tensor(Image.fromarray(values))[..., :12])
    assert (image - to_tensor(Image.fromarray(values)))[..., 13:].abs().mean() > 0.05
    to_pil(torch.ones(1, 3, 18, 18)).save(tmp_path / "square.png")
    with pytest.raises(InputError, match=r"init image, 24x18, but .*square\.png is 18x18"):
        make(model, **options | {"mask": str(tmp_path / "square.png")})
