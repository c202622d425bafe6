"""Behaviour of the drawing: it fits a target, follows CLIP, keeps to its limits."""

from __future__ import annotations

import pytest
import torch

import guidance
from guidance.clipdraw import ClipDrawOptions, Scene, from_svg, render
from guidance.clipdraw.build import build
from guidance.clipdraw.generator import Drawing, Export, random_scene, take_colours
from guidance.errors import InputError
from guidance.objective.regularisers import Likeness
from guidance.step.loop import run

CPU = torch.device("cpu")


def fit(drawing: Drawing, target: torch.Tensor, steps: int) -> tuple[float, float]:
    losses = [step.loss for step in run(drawing, Likeness(target), steps)]
    return losses[0], losses[-1]


@pytest.mark.parametrize("closed", [False, True])
def test_fits_a_target_image(closed, generator):
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
    disc = ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09).float()
    target = torch.stack([0.2 + 0.7 * disc, 0.3 + 0.3 * disc, 0.8 - 0.7 * disc])[None]
    scene = random_scene(40, (1, 3), closed=closed, width=(4 / 224, 4 / 224), generator=generator)
    drawing = Drawing(scene, (48, 48), lr=(3 / 224, 0.3 / 224, 0.03))
    first, last = fit(drawing, target, 120)
    assert first > 0.1
    assert last < 0.012


def test_score_rises(tiny_clip_path):
    steps = list(
        guidance.draw("a red ball", clip=str(tiny_clip_path), steps=60, strokes=24, size="48",
                      cuts=8, augment=(), colour_lr=0.05)
    )  # fmt: skip
    first = sum(s.score for s in steps[:5]) / 5
    last = sum(s.score for s in steps[-5:]) / 5
    assert last > first + 0.05
    assert steps[0].image.shape == (1, 3, 48, 48)


def test_final_picture_is_the_scored_drawing(generator):
    drawing = Drawing(random_scene(20, (1, 3), generator=generator), (64, 64))
    assert torch.equal(drawing.render(64, 64), drawing.image().detach())
    large = drawing.render(256, 256)
    small = torch.nn.functional.avg_pool2d(large, 4)
    assert (small - drawing.image()).abs().mean() < 0.01


def test_svg_is_the_drawing(generator):
    drawing = Drawing(random_scene(20, (1, 3), generator=generator), (64, 64))
    back = from_svg(drawing.artefacts()["drawing.svg"])
    assert (render(back, 64, 64) - drawing.image()).abs().max() < 0.01


def test_rates_are_clipdraws_and_fall(generator):
    drawing = Drawing(random_scene(4, (1, 1), generator=generator), (32, 32))
    seen = []
    for index in (0, 499, 500, 749, 750, 999):
        drawing.prepare(index, 1000)
        seen.append([round(g["lr"] * 224, 4) for g in drawing.optimizer.param_groups])
    points = [s[0] for s in seen]
    assert points == [1.0, 1.0, 0.4, 0.4, 0.1, 0.1]
    assert all(s[1:] == [0.1, 2.24] for s in seen)  # colours are not in pixels: 0.01 · 224


def test_stays_in_range(generator):
    drawing = Drawing(random_scene(8, (1, 2), generator=generator), (32, 32), lr=(1.0, 1.0, 1.0))
    fit(drawing, torch.rand(1, 3, 32, 32, generator=generator), 5)
    assert drawing.colors.min() >= 0
    assert drawing.colors.max() <= 1
    assert drawing.widths.max() <= 50 / 224 + 1e-6
    assert drawing.widths.min() >= 1 / 224 - 1e-6
    assert drawing.points.abs().max() <= 2


def test_ink_stays_black():
    drawing = build(ClipDrawOptions(prompt="x", black=True, strokes=8, size="32"), CPU)
    fit(drawing, torch.ones(1, 3, 32, 32) * 0.5, 5)
    assert torch.equal(drawing.scene().colors, torch.tensor([0.0, 0, 0, 1]).repeat(8, 1))


def test_palette_is_kept_and_learned(generator):
    options = ClipDrawOptions(prompt="x", palette=("red,#0000ff", "white"), strokes=30, size="32",
                              width=(8, 50), colour_lr=0.05)  # fmt: skip
    drawing = build(options, CPU)
    blue = torch.tensor([0.0, 0, 1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    first, last = fit(drawing, blue, 60)
    allowed = torch.tensor([[1.0, 0, 0], [0, 0, 1], [1, 1, 1]])
    assert torch.cdist(drawing.scene().colors[:, :3], allowed).min(dim=1).values.max() < 1e-6
    assert last < first / 2


def test_background():
    drawing = build(ClipDrawOptions(prompt="x", background="navy", strokes=1, size="32"), CPU)
    assert torch.allclose(drawing.image()[0, :, 0, 0], torch.tensor([0, 0, 128 / 255]))


def test_size_is_width_by_height():
    options = ClipDrawOptions(prompt="x", size="96x48", render_size=192, strokes=2)
    assert build(options, CPU).image().shape == (1, 3, 48, 96)
    assert options.final() == (96, 192)


def test_init_from_svg_and_image(tmp_path, generator):
    drawing = Drawing(random_scene(6, (1, 3), generator=generator), (64, 64))
    svg = tmp_path / "drawing.svg"
    svg.write_text(drawing.artefacts()["drawing.svg"])
    again = build(ClipDrawOptions(prompt="x", init=str(svg), size="64"), CPU)
    assert (again.image() - drawing.image()).abs().max() < 0.01
    from guidance.images import to_pil

    left_red = torch.zeros(1, 3, 16, 16)
    left_red[:, 0, :, :8] = 1
    left_red[:, 2, :, 8:] = 1
    to_pil(left_red).save(tmp_path / "photo.png")
    options = ClipDrawOptions(prompt="x", init=str(tmp_path / "photo.png"), strokes=50)
    scene = build(options, CPU).scene()
    left = scene.points[:, 0, 0] < 0.3
    assert (scene.colors[left, 0] > 0.9).all()
    assert (scene.colors[:, 3] == 1).all()


def test_an_image_to_start_from_keeps_its_shape(tmp_path):
    from guidance.images import to_pil

    wide = torch.zeros(1, 3, 60, 90)
    wide[:, 0, :, 15:75] = 1
    to_pil(wide).save(tmp_path / "wide.png")
    options = ClipDrawOptions(prompt="x", init=str(tmp_path / "wide.png"), strokes=80)
    assert options.canvas() == (182, 273)  # about as many pixels as 224x224
    assert options.final() == (683, 1024)
    drawing = build(options, CPU)
    assert drawing.image().shape == (1, 3, 182, 273)
    assert drawing.notes == []
    assert 0 < (drawing.scene().colors[:, 0] < 0.1).sum() < 40
    square = build(ClipDrawOptions(prompt="x", init=str(tmp_path / "wide.png"), size="64"), CPU)
    assert (square.scene().colors[:, 0] > 0.9).all()
    assert square.notes[0].endswith("its middle, 60x60, fills the picture of 64x64")


def test_a_drawing_to_continue_from_keeps_its_shape(tmp_path, generator):
    drawing = Drawing(
        random_scene(6, (1, 3), generator=generator), (48, 96), export=Export((512, 1024))
    )
    svg = tmp_path / "drawing.svg"
    svg.write_text(drawing.artefacts()["drawing.svg"])
    options = ClipDrawOptions(prompt="x", init=str(svg))
    height, width = options.canvas()
    assert (width, options.final()) == (2 * height, (512, 1024))
    again = build(options, CPU)
    assert again.notes == []
    assert (again.render(48, 96) - drawing.image()).abs().max() < 0.01
    (note,) = build(ClipDrawOptions(prompt="x", init=str(svg), size="64"), CPU).notes
    assert note.endswith("drawing.svg has another shape than --size and is stretched to it")


def test_take_colours_uses_only_real_points():
    points = torch.full((1, 7, 2), 5.0)
    points[0, :4] = 0.25
    scene = Scene(points, torch.ones(1) * 0.1, torch.zeros(1, 4), torch.tensor([1]),
                  torch.tensor([False]))  # fmt: skip
    image = torch.zeros(1, 3, 8, 8)
    image[:, 1, :4, :4] = 1
    assert take_colours(scene, image).tolist() == [[0, 1, 0, 1]]


def test_empty_scene_is_refused():
    empty = Scene(torch.zeros(0, 4, 2), torch.zeros(0), torch.zeros(0, 4),
                  torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))  # fmt: skip
    with pytest.raises(InputError, match="at least one stroke"):
        Drawing(empty, (32, 32))


def test_draw_checks_before_it_loads():
    with pytest.raises(InputError, match="unknown option 'stroks'; did you mean strokes"):
        guidance.draw("a fox", stroks=3)
    with pytest.raises(InputError, match="strokes must be"):
        guidance.draw("a fox", strokes=0)


@pytest.mark.parametrize(("given", "low", "high"), [({}, 0, 1), ({"opacity": (0.4, 0.9)}, 0.4, 0.9), ({"black": True}, 1, 1)])  # noqa: E501  # fmt: skip
def test_first_opacity(given, low, high):
    opacity = build(ClipDrawOptions(prompt="x", **given), CPU).colors[:, 3]
    assert opacity.min() >= low
    assert opacity.max() <= high
    assert opacity.max() - opacity.min() >= 0.9 * (high - low)
