"""The rasteriser: the same bytes whatever the threads, and little kept for the backward pass."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from scenes import leaves, make_scene

from guidance.vector.raster import render
from guidance.vector.scene import Scene

BACKENDS = ["torch", "numba"]


WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return request.param


def bytes_of(scene: Scene, backend: str) -> list[bytes]:
    inputs = leaves(scene)
    image = render(scene, 100, 90, WHITE, backend=backend)
    tensors = [image, *torch.autograd.grad(image.square().sum(), inputs)]
    return [x.detach().numpy().tobytes() for x in tensors]


def test_the_same_bytes_whatever_the_threads(backend):
    scene = make_scene(100, seed=0, dtype=torch.float32)
    expected = bytes_of(scene, backend)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3) if backend == "numba" else (before,):
            torch.set_num_threads(threads)
            assert all(bytes_of(scene, backend) == expected for _ in range(3))
    finally:
        torch.set_num_threads(before)


def test_rendering_in_several_threads_at_once(backend):
    scenes = [make_scene(30, seed=s, dtype=torch.float32) for s in range(6)]
    expected = [bytes_of(scene, backend) for scene in scenes]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda s: bytes_of(s, backend), scenes * 2)) == expected * 2


def test_memory_is_a_few_bytes_per_covered_pixel():
    scene = make_scene(1024, seed=0, closed=0.2, widths=(1 / 224, 50 / 224), dtype=torch.float32)
    leaves(scene)
    image = render(scene, 224, 224, WHITE, backend="numba")
    saved = sum(x.nbytes for strip in image.grad_fn.fragments for x in strip)
    assert saved < 10 * 1024 * 224**2 / 5  # a fifth of shapes × pixels is covered at most


def test_without_gradient_the_image_is_the_same(backend):
    scene = make_scene(200, seed=0, widths=(0.1, 0.5), dtype=torch.float32)
    image = render(scene, 60, 70, WHITE, backend=backend)
    leaves(scene)
    assert torch.equal(image, render(scene, 60, 70, WHITE, backend=backend).detach())
    with torch.no_grad():
        assert torch.equal(image, render(scene, 60, 70, WHITE, backend=backend))


def test_a_scene_changed_in_place_before_backward_is_noticed():
    scene = make_scene(3, seed=0)
    inputs = [x.clone() for x in leaves(scene)]
    image = render(Scene(*inputs, scene.counts, scene.closed), 16, 16, WHITE, backend="numba")
    with torch.no_grad():
        for x in inputs:
            x += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        image.sum().backward()
