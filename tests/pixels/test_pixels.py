"""Pixels: fits a target, follows CLIP, keeps cells and palette; options, resume and bad input."""

from __future__ import annotations

import dataclasses
import doctest

import pytest
import torch
from PIL import Image
from runs import assert_same_when_stopped, bad_files

from guidance.command.runner import command
from guidance.errors import InputError
from guidance.images import to_pil, to_tensor
from guidance.objective.regularisers import Likeness, Smoothness
from guidance.pixels import Pixels, PixelsOptions, evolve, technique
from guidance.pixels.build import build, regularisers
from guidance.pixels.options import DEFAULTS
from guidance.pixels.technique import PIXELS
from guidance.step.loop import run

CPU = torch.device("cpu")
KINDS = ("fourier", "rgb", "art")
SMALL = ["--size", "48", "--grid", "12", "--render-size", "100", "--cuts", "4",
         "--video-size", "48"]  # fmt: skip


def pixels(*arguments: object) -> int:
    return command(PIXELS, [str(a) for a in arguments])


def disc(side: int = 48) -> torch.Tensor:
    """Return a yellow disc on blue."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    inside = ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09).float()
    return torch.stack([0.2 + 0.7 * inside, 0.3 + 0.3 * inside, 0.8 - 0.7 * inside])[None]


# squares of 2 pixels cannot follow the edge of the disc as pixels can
@pytest.mark.parametrize(("kind", "bar"), [("fourier", 0.002), ("rgb", 1e-4), ("art", 0.012)])
def test_fits_a_target_image(kind, bar):
    generator = build(PixelsOptions(prompt="x", kind=kind, size="48", grid=24), CPU)
    losses = [step.loss for step in run(generator, Likeness(disc()), 150)]
    assert losses[0] > 0.06
    assert losses[-1] < bar


@pytest.mark.parametrize("kind", KINDS)
def test_score_rises(kind, tiny_clip_path):
    steps = list(
        evolve("a red ball", kind=kind, clip=str(tiny_clip_path), steps=40, size="48", grid=12,
               cuts=8, augment=())
    )  # fmt: skip
    first = sum(s.score for s in steps[:5]) / 5
    last = sum(s.score for s in steps[-5:]) / 5
    assert last > first + 0.05
    assert steps[0].image.shape == (1, 3, 48, 48)
    assert all(0 <= s.image.min() <= s.image.max() <= 1 for s in steps)


def test_the_rate_falls():
    generator = build(PixelsOptions(prompt="x", lr=0.2, size="16", grid=4), CPU)
    seen = []
    for index in (0, 50, 99):
        generator.prepare(index, 100)
        seen.append(generator.optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([0.2, 0.11, 0.0218])


@pytest.mark.parametrize(
    ("size", "grid", "cells", "canvas", "final"),
    [
        ("224", 32, (32, 32), (224, 224), (1024, 1024)),
        ("224", 48, (48, 48), (192, 192), (1008, 1008)),
        ("320x224", 32, (22, 32), (220, 320), (704, 1024)),
        ("64x128", 20, (20, 10), (120, 60), (1020, 510)),
        ("200x8", 100, (4, 100), (8, 200), (40, 1000)),
    ],
)
def test_art_has_whole_square_cells(size, grid, cells, canvas, final):
    options = PixelsOptions(prompt="x", kind="art", size=size, grid=grid)
    options.check()
    generator = build(options, CPU)
    assert generator.canvas.values.shape[-2:] == cells == options.cells()
    assert generator.image().shape[-2:] == canvas
    assert options.final() == final
    cell = final[0] // cells[0]
    shown = generator.render(*final).reshape(3, cells[0], cell, cells[1], cell)
    assert torch.equal(shown, generator.canvas.final()[0, :, :, None, :, None].expand_as(shown))


def test_art_on_the_command_line(tmp_path, tiny_clip_path):
    """The PNG has squares of whole pixels in colours of the palette alone."""
    options = [*SMALL, "--kind", "art", "--palette", "#102030, white", "--palette", "tomato"]
    out = tmp_path / "run"
    assert pixels("a fox", *options, "--steps", 8, "--clip", tiny_clip_path, "-o", out) == 0
    with Image.open(out / "image.png") as image:
        assert image.size == (96, 96)
        colors = {colour for _, colour in image.getcolors()}
        picture = to_tensor(image)[0]
    assert colors <= {(16, 32, 48), (255, 255, 255), (255, 99, 71)}
    assert len(colors) > 1
    cells = picture.reshape(3, 12, 8, 12, 8)
    assert torch.equal(cells, cells[:, :, :1, :, :1].expand_as(cells))
    assert (out / "progress.mp4").stat().st_size > 0


def test_palette_is_learned():
    options = PixelsOptions(prompt="x", kind="art", palette=("red,blue", "white"), size="48")
    generator = build(options, CPU)
    blue = torch.tensor([0.0, 0, 1]).view(1, 3, 1, 1).expand_as(generator.image())
    steps = list(run(generator, Likeness(blue), 60))
    assert steps[0].loss > 0.1
    assert steps[-1].loss == 0
    assert torch.equal(generator.render(*blue.shape[-2:]), blue)


@pytest.mark.parametrize("kind", KINDS)
def test_starts_from_an_image(kind, tmp_path):
    to_pil(disc(96)).save(tmp_path / "disc.png")
    options = PixelsOptions(
        prompt="x", kind=kind, init=str(tmp_path / "disc.png"), size="48", grid=24
    )
    assert (build(options, CPU).image() - disc()).abs().mean() < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_to_start_from_keeps_its_shape(kind, tmp_path):
    wide = torch.zeros(1, 3, 60, 90)
    wide[:, 0, :, 15:75] = 1  # its middle, as high as it is wide
    to_pil(wide).save(tmp_path / "wide.png")
    given = PixelsOptions(prompt="x", kind=kind, init=str(tmp_path / "wide.png"), render_size=300)
    height, width = given.canvas()
    assert width / height == pytest.approx(1.5, abs=0.02)
    assert height * width == pytest.approx(224 * 224, rel=0.05)
    picture = build(given, CPU)
    assert picture.notes == []
    red = picture.image()[0, 0].mean(0)
    assert red[: width // 9].max() < 0.3
    assert red[width // 3 : width // 2].min() > 0.7
    square = dataclasses.replace(given, size="48", grid=24)
    assert build(square, CPU).image()[:, 0].min() > 0.7
    assert build(square, CPU).notes[0].endswith("60x60, fills the picture of 48x48")


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_start(kind):
    a, b, c = (
        build(PixelsOptions(prompt="x", kind=kind, seed=seed, size="48"), CPU).image()
        for seed in (1, 1, 2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("kind", KINDS)
def test_smoothness_has_a_weight_for_each_kind(kind):
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    for given, want in ((None, DEFAULTS[kind].smoothness), (0.0, 0), (3.0, 3)):
        extra = regularisers(PixelsOptions(prompt="x", smoothness=given, kind=kind), CPU)
        got = 0 if extra is None else float(extra(image))
        assert got == pytest.approx(want * float(Smoothness()(image)))


@pytest.mark.parametrize("kind", KINDS)
def test_resume_is_exact(kind, tmp_path, tiny_clip_path):
    """A run stopped in the middle and continued ends in the same bytes."""
    options = ["a fox", *SMALL, "--kind", kind, "--steps", 9, "--save-every", 4, "-q",
               "--clip", tiny_clip_path, "--video", "none"]  # fmt: skip
    assert_same_when_stopped(pixels, Pixels, options, tmp_path, at=6)


BAD = {
    "unknown kind": (["a fox", "--kind", "fourrier"], "fourier"),
    "render size 0": (["a fox", "--render-size", "0"], "render_size must be between 8 and"),
    "grid of one": (["a fox", "--kind", "art", "--grid", "1"], "grid must be at least 2"),
    "grid finer than the canvas": (["a fox", "--size", "64", "--grid", "65"], "at most 64"),
    "palette without art": (["a fox", "--palette", "red"], "needs --kind art, but kind is fourier"),
    "unknown colour": (["a fox", "--kind", "art", "--palette", "rde"], "did you mean red"),
    "negative decay": (["a fox", "--decay", "-1"], "decay must be at least 0"),
    "nan rate": (["a fox", "--lr", "nan"], "lr must be"),
    "negative smoothness": (["a fox", "--smoothness", "-1"], "smoothness must be at least 0"),
    "damaged init": (["a fox", "--init", "{text}"], "text.png is not an image"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(case, tmp_path, refused):
    arguments, expected = BAD[case]
    refused(pixels, [a.format(**bad_files(tmp_path)) for a in arguments], expected)


def test_evolve_checks_before_it_loads():
    with pytest.raises(InputError, match="unknown option 'gird'; did you mean grid"):
        evolve("a fox", gird=3)
    with pytest.raises(InputError, match="grid must be"):
        evolve("a fox", kind="art", grid=0)


def test_docstring_example():
    result = doctest.testmod(technique)
    assert result.attempted > 0
    assert result.failed == 0
