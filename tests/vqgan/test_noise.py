"""Pictures to start from."""

from __future__ import annotations

import math

import pytest
import torch

from guidance.errors import InputError
from guidance.vqgan.noise import NOISES, gradient, gradient_noise, noise_image, perlin, pixels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("size", [(48, 64), (2, 2), (8, 200)])
def test_pictures_by_seed(kind, size):
    image = noise_image(kind, *size, seeded())
    assert image.shape == (1, 3, *size)
    assert image.dtype == torch.float32
    assert image.isfinite().all()
    assert image.min() >= 0
    assert image.max() <= 1
    assert torch.equal(image, noise_image(kind, *size, seeded()))
    assert not torch.equal(image, noise_image(kind, *size, seeded(1)))


def test_pixels_are_independent():
    image = pixels(64, 64, seeded())
    assert image.mean() == pytest.approx(0.5, abs=0.02)
    assert image.std() == pytest.approx(math.sqrt(1 / 12), abs=0.02)
    left, right = image[..., :-1].flatten() - 0.5, image[..., 1:].flatten() - 0.5
    assert abs((left * right).mean()) < 0.003


def test_gradients_are_linear():
    image = gradient(40, 60, seeded())
    for dim in (-1, -2):
        assert image.diff(n=2, dim=dim).abs().max() < 1e-5
    assert (image.amax((-1, -2)) - image.amin((-1, -2))).min() > 0.05
    slopes = image.diff(dim=-1)[0, :, 0, 0] / image.diff(dim=-2)[0, :, 0, 0]
    assert len({round(float(s), 3) for s in slopes}) == 3  # each channel has its own direction


def test_perlin_is_smooth_and_coloured():
    image = perlin(64, 96, seeded())
    rough = pixels(64, 96, seeded())
    assert image.diff(dim=-1).abs().mean() < 0.15 * rough.diff(dim=-1).abs().mean()
    assert image.mean() == pytest.approx(0.5, abs=0.01)
    assert image.std() == pytest.approx(0.2, abs=0.01)
    red, green = (image[0, c] - image[0, c].mean() for c in (0, 1))
    assert abs((red * green).mean()) < 0.5 * 0.2**2
    one = perlin(64, 96, seeded(), octaves=1)
    assert one.diff(dim=-1).abs().mean() < 0.7 * image.diff(dim=-1).abs().mean()


def slow_gradient_noise(y: float, x: float, angles: torch.Tensor) -> float:
    """Perlin's noise at one point, from the angles ``[rows, columns]`` of the lattice."""

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    top, left, value = math.floor(y), math.floor(x), 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            share = (1 - fade(abs(y - row))) * (1 - fade(abs(x - column)))
            angle = float(angles[row, column])
            value += share * (math.cos(angle) * (x - column) + math.sin(angle) * (y - row))
    return value


def test_gradient_noise_is_the_slow_one():
    frequency = 0.22
    image = gradient_noise(11, 17, frequency, seeded(2))
    rows, columns = int(10.5 * frequency) + 2, int(16.5 * frequency) + 2
    angles = torch.rand(3, rows, columns, generator=seeded(2)) * 2 * math.pi
    for c in range(3):
        for i in range(11):
            for j in range(17):
                y, x = (i + 0.5) * frequency, (j + 0.5) * frequency
                expected = slow_gradient_noise(y, x, angles[c])
                assert float(image[c, i, j]) == pytest.approx(expected, abs=1e-5)


def test_bad_input():
    with pytest.raises(InputError, match="unknown noise 'perlim'; did you mean perlin"):
        noise_image("perlim", 8, 8, seeded())
    with pytest.raises(InputError, match="cells must be"):
        perlin(8, 8, seeded(), cells=0)
    with pytest.raises(InputError, match="octaves must be"):
        perlin(8, 8, seeded(), octaves=0)
