"""Camera moves against their formula, and zoom videos that never change their pace."""

from __future__ import annotations

import itertools
import math

import pytest
import tiny_vqgan
import torch
from torch import Tensor, nn

from guidance.errors import InputError
from guidance.models.latents import wrap
from guidance.objective.prompted import Evaluation, Objective
from guidance.step.generator import Generator
from guidance.step.loop import run
from guidance.vqgan import Painting
from guidance.vqgan.camera import Move, Zoom

HEIGHT, WIDTH = 48, 64
MOVES = {
    "in": Move(1.04),
    "out": Move(0.96),
    "right and down": Move(1.0, (0.02, 0.01)),
    "clockwise": Move(1.0, (0.0, 0.0), 3.0),
    "all": Move(1.03, (-0.01, 0.02), -2.0),
}


def waves(height: int = HEIGHT, width: int = WIDTH, move: Move | None = None) -> Tensor:
    """Return a smooth picture, drawn from its formula where `move` sends it."""
    longer = max(height, width)
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5 - height / 2).double() / longer,
        (torch.arange(width) + 0.5 - width / 2).double() / longer,
        indexing="ij",
    )
    if move is not None:  # undo the shift, then the turn, then the scale
        turn = math.radians(move.angle)
        x, y = x - move.shift[0], y - move.shift[1]
        x, y = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        x, y = x / move.scale, y / move.scale
    rows = [torch.sin(9 * x + 2 * y), torch.cos(11 * y - 3 * x), torch.sin(12 * x * y + 5 * x)]
    return (0.5 + 0.4 * torch.stack(rows))[None].float()


def middle(image: Tensor, border: int = 8) -> Tensor:
    return image[..., border:-border, border:-border]


class Still(Objective):
    """Leaves a picture as it is."""

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        return Evaluation(0 * image.sum())


class Canvas(Generator):
    """Pixels without a decoder that would change them, with the camera of a painting."""

    def __init__(self, image: Tensor, camera: Zoom):
        super().__init__()
        self.pixels = nn.Parameter(image.clone())
        self.camera = camera
        self.optimizer = torch.optim.SGD([{"name": "pixels", "params": [self.pixels], "lr": 1.0}])

    def image(self) -> Tensor:
        return self.pixels * 1

    def prepare(self, index: int, steps: int) -> None:
        self.camera.before(self, index)

    def picture(self) -> Tensor:
        return self.image().detach()

    @torch.no_grad()
    def take(self, image: Tensor) -> None:
        self.pixels.copy_(image)

    @torch.no_grad()
    def render(self, height: int, width: int) -> Tensor:
        return self.camera.view(self.picture())


def film(zoom: Zoom, image: Tensor) -> list[Tensor]:
    """Return the frames of a video of `image` under the camera alone."""
    canvas = Canvas(image, zoom)
    steps = run(canvas, Still(), zoom.steps)
    return [canvas.render(HEIGHT, WIDTH) for step in steps if zoom.shows(step.index)]


@pytest.mark.parametrize("name", MOVES)
def test_a_move_is_its_formula(name):
    moved = MOVES[name](waves())
    expected = waves(move=MOVES[name])
    assert (middle(moved) - middle(expected)).abs().max() < 2e-3
    assert (middle(moved) - middle(waves())).abs().max() > 0.05


def test_whole_pixels_and_right_angles_are_exact():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    right = Move(1.0, (3 / 32, 0.0))(image)
    torch.testing.assert_close(right[..., 3:], image[..., :-3], atol=1e-5, rtol=0)
    down = Move(1.0, (0.0, 2 / 32))(image)
    torch.testing.assert_close(down[..., 2:, :], image[..., :-2, :], atol=1e-5, rtol=0)
    turned = Move(1.0, (0.0, 0.0), 90.0)(image)
    torch.testing.assert_close(turned, image.rot90(-1, (2, 3)), atol=1e-5, rtol=0)
    assert Move()(image) is image


def test_what_comes_in_over_the_border_is_a_reflection():
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    right = Move(1.0, (2 / 16, 0.0))(image)
    torch.testing.assert_close(right[..., :2], image[..., :2].flip(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MOVES)
def test_fractions_of_a_move_make_the_move(name):
    move = MOVES[name]
    (a, b), (c, d) = move.power(0.3), move.power(0.7)
    whole_a, whole_b = move.power(1.0)
    assert c * a == pytest.approx(whole_a, abs=1e-12)
    assert c * b + d == pytest.approx(whole_b, abs=1e-12)
    assert whole_b == pytest.approx(complex(*move.shift), abs=1e-12)
    assert move.power(0.0) == (1, 0)
    twice = move(move(waves(), 0.5), 0.5)
    assert (middle(twice) - middle(move(waves()))).abs().max() < 2e-3


@pytest.mark.parametrize("smooth", [1, 2, 3, 5])
@pytest.mark.parametrize("name", MOVES)
def test_frames_follow_each_other_by_the_same_move(name, smooth):
    """Of a painting that does not change, each frame is the one before, moved by one share."""
    move = MOVES[name]
    zoom = Zoom(move, start=3, every=5, smooth=smooth, steps=24)
    frames = film(zoom, waves())
    first = 1 if zoom.start else 0
    pairs = list(itertools.pairwise(frames))
    still = [k for k, (a, b) in enumerate(pairs) if torch.equal(a, b)]
    assert still == list(range(len(still))), "the camera must not stop once it has started"
    assert len(pairs) - len(still) >= 3 * smooth - first
    for before, after in pairs[len(still) :]:
        expected = move(before, 1 / smooth)
        wrong = (middle(after, 14) - middle(expected, 14)).abs().max()
        step = (middle(after, 14) - middle(before, 14)).abs().max()
        assert wrong < step / 20


@pytest.mark.parametrize(("smooth", "frames"), [(1, 5), (2, 10), (4, 20), (10, 50)])
def test_number_and_pace_of_frames(smooth, frames):
    zoom = Zoom(Move(1.01), every=10, smooth=smooth, steps=50)
    shown = [index for index in range(50) if zoom.shows(index)]
    assert len(shown) == frames - (smooth > 1)  # the last step is seen as it is painted
    assert [index for index in range(50) if zoom.due(index)] == [10, 20, 30, 40]
    places = [index // 10 + zoom.fraction(index) for index in shown]
    assert [b - a for a, b in itertools.pairwise(places)] == pytest.approx(
        [1 / smooth] * (len(shown) - 1)
    )


def test_the_picture_that_stays_is_seen_as_painted():
    zoom = Zoom(Move(1.1), every=4, smooth=4, steps=8)
    canvas = Canvas(waves(), zoom)
    assert torch.equal(canvas.render(HEIGHT, WIDTH), canvas.picture())  # a finished run, resumed
    for step in run(canvas, Still(), 8):
        same = torch.equal(canvas.render(HEIGHT, WIDTH), canvas.picture())
        assert same == (step.index in (0, 4, 7))


def test_a_painting_takes_the_moved_picture():
    latents = wrap(tiny_vqgan.build("kl"), "tiny")
    z = latents.encode(waves())
    zoom = Zoom(Move(1.1), every=2, steps=9)
    painting = Painting(latents, z, (HEIGHT, WIDTH), camera=zoom)
    before = painting.picture()
    painting.prepare(1, 9)
    assert torch.equal(painting.z, z)
    painting.prepare(2, 9)
    torch.testing.assert_close(painting.z.data, latents.encode(zoom.move(before)))
    assert not torch.allclose(painting.z.data, z)


@pytest.mark.parametrize(
    "values",
    [{"move": Move(0.0)}, {"every": 0}, {"smooth": 0}, {"smooth": 11}, {"start": -1}],
)
def test_bad_cameras(values):
    with pytest.raises(InputError, match="must be"):
        Zoom(**({"move": Move(), "steps": 50} | values))
