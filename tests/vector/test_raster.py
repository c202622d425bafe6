"""The rasteriser against its dense reference, in value and gradient, and at its edges."""

import math
from dataclasses import replace

import pytest
import torch
from reference.dense_raster import dense_render
from scenes import leaves, line, make_scene, polygon, stroke

from guidance.errors import DivergedError, InputError
from guidance.vector.raster import render
from guidance.vector.scene import Scene

BACKENDS = ["torch", "numba"]
WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return request.param


def ink(scene: Scene, height: int, width: int, backend: str) -> torch.Tensor:
    """Return the coverage [H, W] of black shapes."""
    return 1 - render(scene, height, width, WHITE, backend=backend)[0, 0]


# values and gradients


@pytest.mark.parametrize(
    ("seed", "height", "width", "options"),
    [
        (0, 48, 48, {}),
        (1, 33, 50, {"widths": (0.0005, 0.01)}),
        (2, 50, 33, {"widths": (0.05, 0.6)}),
        (3, 40, 40, {"opaque": True, "closed": 0.3}),
        (4, 17, 64, {"spread": 2.0}),
        (5, 40, 40, {"spread": 0.01}),
    ],
)
def test_value_and_gradient_equal_the_dense_reference(backend, seed, height, width, options):
    scene = make_scene(10, seed, **options)
    background = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    inputs = [*leaves(scene), background.requires_grad_()]
    image = render(scene, height, width, background, backend=backend)
    expected = dense_render(scene, height, width, background)
    assert image.shape == (1, 3, height, width)
    torch.testing.assert_close(image, expected, atol=1e-12, rtol=0)
    cotangent = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)).double()
    got = torch.autograd.grad(image, inputs, cotangent)
    want = torch.autograd.grad(expected, inputs, cotangent)
    for name, x, y in zip(("points", "widths", "colors", "background"), got, want, strict=True):
        assert float(y.abs().max()) > 0 or name == "widths"
        torch.testing.assert_close(x, y, atol=1e-9, rtol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


def test_float32_is_close_to_the_reference(backend):
    scene = make_scene(12, seed=3)
    inputs, single = leaves(scene), scene.detach().to(dtype=torch.float32)
    single_inputs = leaves(single)
    image = render(single, 64, 64, WHITE, backend=backend)
    expected = dense_render(scene, 64, 64, torch.ones(3).double())
    assert image.dtype == torch.float32
    torch.testing.assert_close(image.double(), expected, atol=2e-5, rtol=0)
    got = torch.autograd.grad(image.square().sum(), single_inputs)
    want = torch.autograd.grad(expected.square().sum(), inputs)
    for x, y in zip(got, want, strict=True):
        torch.testing.assert_close(x.double(), y, atol=2e-3 * float(y.abs().max()), rtol=1e-3)


def test_gradcheck(backend):
    scene = replace(make_scene(2, seed=11), closed=torch.tensor([True, False]))
    background = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double()

    def draw(points, widths, colors, background):
        changed = replace(scene, points=points, widths=widths, colors=colors)
        return render(changed, 4, 5, background, backend=backend)

    assert torch.autograd.gradcheck(draw, (*leaves(scene), background.requires_grad_()))


def test_finite_differences_along_random_directions(backend):
    scene = make_scene(30, seed=5)
    inputs = leaves(scene)
    generator = torch.Generator().manual_seed(1)
    cotangent = torch.randn(1, 3, 40, 40, generator=generator).double()

    def loss(*tensors):
        changed = Scene(*tensors, scene.counts, scene.closed)
        return (render(changed, 40, 40, WHITE, backend=backend) * cotangent).sum()

    grads = torch.autograd.grad(loss(*inputs), inputs)
    for i in range(3):
        step = torch.randn(inputs[i].shape, generator=generator).double() * 1e-7
        up, down = ([x + s * step if j == i else x for j, x in enumerate(inputs)] for s in (1, -1))
        slope = float((loss(*up) - loss(*down)).detach()) / 2
        assert slope == pytest.approx(float((grads[i] * step).sum()), rel=1e-4)


def test_opaque_stacks_hide_what_is_below(backend):
    lower = line((0.1, 0.5), (0.9, 0.5), width=0.5, colour=(1.0, 0.0, 0.0, 1.0))
    upper = line((0.1, 0.5), (0.9, 0.5), width=0.5, colour=(0.0, 0.0, 1.0, 1.0))
    both = Scene(
        *(torch.cat([getattr(s, n) for s in (lower, upper)]) for n in Scene.__annotations__)
    )
    inputs = leaves(both)
    image = render(both, 32, 32, WHITE, backend=backend)
    assert image[0, :, 16, 16].tolist() == [0.0, 0.0, 1.0]
    grad = torch.autograd.grad(image[0, 0, 16, 16], inputs)[2]
    assert grad[0].tolist() == [0.0] * 4
    assert grad[1].tolist() == [1.0, 0.0, 0.0, -1.0]  # less alpha lets the red below through


# coverage


def test_thin_strokes_fade_in_proportion_to_their_width(backend):
    for pixels in (0.05, 0.3, 0.9):
        cover = ink(line((-0.5, 0.5), (1.5, 0.5), width=pixels / 33), 33, 33, backend)
        torch.testing.assert_close(cover.sum(0), torch.full((33,), pixels).double())


def test_a_stroke_of_no_width_draws_nothing_but_can_grow(backend):
    scene = line((0.2, 0.5), (0.8, 0.5), width=0.0)
    inputs = leaves(scene)
    image = render(scene, 33, 33, WHITE, backend=backend)
    assert bool((image == 1).all())
    grad = torch.autograd.grad(image.sum(), inputs)
    assert float(grad[1]) < 0  # a wider black stroke darkens the image
    assert all(bool(torch.isfinite(g).all()) for g in grad)


def test_a_stroke_without_length_is_a_dot(backend):
    scene = stroke([(0.5, 0.5)] * 4, width=0.4)
    inputs = leaves(scene)
    cover = ink(scene, 50, 50, backend)
    assert float(cover.detach().sum()) == pytest.approx(math.pi * 10**2, rel=0.01)
    assert float(cover.detach()[25, 25]) == 1
    of_points, of_width, _ = torch.autograd.grad(cover.sum(), inputs)
    assert bool(torch.isfinite(of_points).all())
    assert float(of_width) == pytest.approx(2 * math.pi * 10 * 25, rel=0.15)  # by ring pixels


def test_widths_up_to_the_canvas(backend):
    assert bool((ink(line((0.0, 0.5), (1.0, 0.5), width=1.2), 20, 20, backend) == 1).all())
    assert bool((ink(line((5.0, 5.0), (6.0, 6.0), width=1e9), 20, 20, backend) == 1).all())


def test_widths_are_fractions_of_the_shorter_side(backend):
    cover = ink(line((-1.0, 0.5), (2.0, 0.5), width=0.25), 40, 100, backend)
    torch.testing.assert_close(cover.sum(0), torch.full((100,), 10.0).double())
    cover = ink(line((-1.0, 0.5), (2.0, 0.5), width=0.25), 100, 40, backend)
    torch.testing.assert_close(cover.sum(0), torch.full((40,), 10.0).double())


def test_a_filled_polygon_covers_exactly_its_area(backend):
    cover = ink(polygon([(0.13, 0.21), (0.91, 0.33), (0.47, 0.88)]), 40, 40, backend)
    area = abs((0.78 * 0.67) - (0.34 * 0.12)) / 2 * 1600
    assert float(cover.sum()) == pytest.approx(area, rel=1e-9)


def test_winding_fills_overlaps_and_spares_reversed_rings(backend):
    outer = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]
    inner = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)]
    same = ink(polygon([*outer, outer[0], *inner, inner[0]]), 40, 40, backend)
    hole = ink(polygon([*outer, outer[0], *inner[:1], *inner[:0:-1], inner[0]]), 40, 40, backend)
    assert float(same.sum()) == pytest.approx(32 * 32)
    assert float(hole.sum()) == pytest.approx(32 * 32 - 16 * 16)
    assert float(hole[20, 20]) == pytest.approx(0, abs=1e-12)


def test_a_shape_around_the_canvas_covers_all_of_it(backend):
    corners = [(-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0)]
    torch.testing.assert_close(ink(polygon(corners), 20, 30, backend), torch.ones(20, 30).double())


# edges


def test_an_empty_scene_is_its_background(backend):
    scene = make_scene(0, seed=0)
    picture = torch.rand(3, 8, 9, generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(render(scene, 8, 9, picture, backend=backend)[0], picture)
    assert bool((render(scene, 8, 9, (0.0, 0.5, 1.0), backend=backend)[0, 1] == 0.5).all())


def test_shapes_outside_the_canvas_cost_and_change_nothing(backend):
    scene = make_scene(20, seed=0)
    for shift in (-3.0, 3.0, 1e7):
        moved = replace(scene, points=scene.points + shift)
        image = render(moved, 30, 30, WHITE, backend=backend)
        assert bool((image == 1).all())


def test_far_points_draw_like_long_lines(backend):
    cover = ink(line((-1e6, 0.5), (1e6, 0.5), width=0.2), 50, 50, backend)
    torch.testing.assert_close(cover.sum(0), torch.full((50,), 10.0).double())


def test_points_of_padding_are_not_read(backend):
    scene = make_scene(6, seed=2)
    used = torch.arange(10) < (3 * scene.counts + (~scene.closed))[:, None]
    broken = replace(scene, points=torch.where(used[..., None], scene.points, torch.nan))
    assert torch.equal(
        render(broken, 30, 30, WHITE, backend=backend),
        render(scene, 30, 30, WHITE, backend=backend),
    )


@pytest.mark.parametrize("name", ["points", "widths", "colors"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_raise(backend, name, value):
    scene = make_scene(3, seed=0)
    getattr(scene, name).view(-1)[0] = value
    with pytest.raises(DivergedError, match=name):
        render(scene, 16, 16, WHITE, backend=backend)


def test_colours_outside_the_range_draw_like_the_nearest_inside(backend):
    scene = make_scene(5, seed=0)
    wild = replace(scene, colors=scene.colors * 4 - 1.5)
    tame = replace(scene, colors=wild.colors.clamp(0, 1))
    assert torch.equal(
        render(wild, 16, 16, WHITE, backend=backend), render(tame, 16, 16, WHITE, backend=backend)
    )


def test_one_pixel_canvas(backend):
    assert render(make_scene(4, seed=0), 1, 1, WHITE, backend=backend).shape == (1, 3, 1, 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_the_cpu():
    scene = make_scene(30, seed=0)
    inputs = leaves(scene)
    expected = render(scene, 40, 40, WHITE, backend="torch")
    moved = scene.to("cuda")
    image = render(moved, 40, 40, WHITE)
    torch.testing.assert_close(image.cpu(), expected, atol=1e-12, rtol=0)
    got = torch.autograd.grad(image.square().sum(), inputs)
    want = torch.autograd.grad(expected.square().sum(), inputs)
    torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-9)
    with pytest.raises(InputError, match="cpu"):
        render(moved, 40, 40, WHITE, backend="numba")


# arguments


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "height must be between 1 and 8192 pixels but is 0"),
        ({"width": 10.5}, "width must be between 1 and 8192 pixels but is 10.5"),
        ({"background": (1.0, 1.0)}, r"background must have shape .* but has \[2\]"),
        ({"background": torch.ones(3, 5, 5)}, r"but has \[3, 5, 5\]"),
        ({"backend": "gpu"}, "backend must be auto, torch or numba but is 'gpu'"),
    ],
)
def test_arguments_that_are_not_allowed(change, message):
    arguments = {"height": 16, "width": 16, "background": WHITE, "backend": "auto"}
    with pytest.raises(InputError, match=message):
        render(make_scene(2, seed=0), **{**arguments, **change})
