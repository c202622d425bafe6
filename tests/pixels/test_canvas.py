"""The three parameterisations: starts, known pictures, ranges and gradients."""

import math

import pytest
import torch

from guidance.objective.regularisers import nearest_colours
from guidance.pixels import Art, Fourier, Rgb

PALETTE = torch.tensor([[1.0, 0, 0], [0, 0, 1], [1, 1, 1]])


def make(kind: str, noise: float = 0.1):
    options = {"noise": noise, "generator": torch.Generator().manual_seed(0)}
    if kind == "art":
        return Art((4, 6), 5, **options)
    return (Rgb if kind == "rgb" else Fourier)((20, 30), **options)


def picture(height: int, width: int) -> torch.Tensor:
    """Return two smooth ramps and a disc, values from 0.05 to 0.95."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disc = ((x - 0.4).square() + (y - 0.5).square() < 0.06).float()
    return torch.stack([x, y, disc])[None] * 0.9 + 0.05


@pytest.mark.parametrize("kind", ["rgb", "fourier", "art"])
def test_the_start_is_faint_noise_on_grey(kind):
    for noise in (0.0, 0.02):
        image = make(kind, noise)()
        assert image.shape == (1, 3, 20, 30)
        assert image.mean().item() == pytest.approx(0.5, abs=0.02)
        assert image.std().item() < 0.03
        assert (image.std() > 0) == (noise > 0)


@pytest.mark.parametrize("kind", ["rgb", "fourier"])
def test_takes_an_image_whole(kind):
    canvas, image = make(kind), picture(20, 30)
    canvas.take(image)
    torch.testing.assert_close(canvas().detach(), image, atol=1e-5, rtol=1e-4)
    canvas.take(picture(80, 90))
    assert canvas().shape == image.shape
    assert (canvas() - image).abs().mean() < 0.02


def test_art_takes_the_mean_of_each_cell():
    canvas = make("art")
    image = torch.zeros(1, 3, 40, 60)
    image[..., :20, :] = 0.8
    canvas.take(image)
    assert canvas.final()[0, 0, :, 0].tolist() == pytest.approx([0.8, 0.8, 0, 0], abs=0.11)


def test_art_is_flat_squares():
    canvas = make("art")
    squares = canvas().reshape(1, 3, 4, 5, 6, 5)
    assert torch.equal(squares, squares[..., :1, :, :1].expand_as(squares))
    assert torch.equal(squares[..., 0, :, 0], canvas.values)


def test_art_gives_way_to_its_palette(generator):
    canvas = Art((4, 6), 5, palette=PALETTE, noise=0.5, generator=generator)
    allowed = nearest_colours(canvas.values, PALETTE)
    weight = torch.rand(canvas().shape, generator=generator)
    want = torch.nn.functional.avg_pool2d(weight, 5) * 25
    for progress, share in ((0.0, 0), (0.5, 0), (0.7, 0.5), (0.9, 1), (1.0, 1)):
        canvas.prepare(progress)
        shown = canvas()[..., ::5, ::5]
        torch.testing.assert_close(shown, (1 - share) * canvas.values + share * allowed)
        assert torch.equal(canvas.final(), allowed)
        canvas.values.grad = None
        (canvas() * weight).sum().backward()
        torch.testing.assert_close(canvas.values.grad, want)


def slow_fourier(canvas: Fourier, height: int, width: int) -> torch.Tensor:
    """Return the picture as an explicit sum of waves, in float64."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    scaled = (canvas.values * canvas.scale).double()[0]
    image = torch.zeros(3, height, width, dtype=torch.float64)
    for row in range(height):
        for column in range(width // 2 + 1):
            angle = 2 * math.pi * (row * y / height + column * x / width)
            # each wave stands for its mirror image too, but for those that are their own
            twice = 1 if column in (0, width / 2) else 2
            real, imaginary = scaled[:, row, column].unbind(-1)
            image += twice * (
                real[:, None, None] * angle.cos() - imaginary[:, None, None] * angle.sin()
            )
    mixed = torch.einsum("ahw,ac->chw", image / math.sqrt(height * width), canvas.axes.double())
    return mixed.sigmoid()[None]


@pytest.mark.parametrize("size", [(8, 10), (9, 8), (7, 11)])
@pytest.mark.parametrize("decorrelate", [True, False])
def test_fourier_is_a_sum_of_waves(size, decorrelate, generator):
    canvas = Fourier(size, noise=0.5, decorrelate=decorrelate, generator=generator)
    want = slow_fourier(canvas, *size).float()
    torch.testing.assert_close(canvas().detach(), want, atol=1e-5, rtol=1e-4)


def test_fourier_scale_falls_with_the_frequency(generator):
    for decay in (0.0, 1.0, 2.0):
        scale = Fourier((32, 32), decay=decay, noise=0.1, generator=generator).scale[..., 0]
        assert float(scale[0, 4] / scale[0, 8]) == pytest.approx(2**decay, rel=1e-4)
        assert float(scale[0, 0] / scale[0, 1]) == pytest.approx(1)
        assert float(scale[3, 4] / scale[-3, 4]) == pytest.approx(1)


def test_fourier_colours_are_mostly_brightness(generator):
    decorrelated, plain = (
        Fourier((64, 64), noise=0.1, decorrelate=d, generator=generator)() for d in (True, False)
    )
    for image, bar in ((decorrelated, 0.5), (plain, 0.1)):
        channels = torch.corrcoef(image.detach().flatten(2)[0])
        assert (channels[0, 1] > bar) == (image is decorrelated)


@pytest.mark.parametrize("kind", ["rgb", "fourier", "art"])
def test_gradients(kind):
    canvas = make(kind).double()
    values = canvas.values.detach().clone().requires_grad_()

    def image(values):
        return torch.func.functional_call(canvas, {"values": values}, ())

    assert torch.autograd.gradcheck(image, values, fast_mode=True)


@pytest.mark.parametrize("kind", ["rgb", "art"])
def test_colours_stay_in_range(kind):
    canvas = make(kind)
    canvas.values.data.sub_(0.5).mul_(10)
    canvas.project()
    assert (canvas().min(), canvas().max()) == (0, 1)
