"""The checks at public boundaries, and where randomness and devices come from."""

import math

import numpy as np
import pytest
import torch

from guidance.conventions import (
    MAX_SEED,
    check_count,
    check_images,
    check_range,
    check_shape,
    check_size,
    derive_seed,
    make_generator,
    resolve_device,
)
from guidance.errors import InputError


def test_shapes():
    check_shape("x", torch.zeros(2, 3, 5), ["B", 3, "W"])
    for shape in ([2, 4, 5], [3, 5], [2, 3, 5, 1]):
        with pytest.raises(InputError, match=rf"x must have shape \[B, 3, W\] but has \{shape}"):
            check_shape("x", torch.zeros(shape), ["B", 3, "W"])
    with pytest.raises(InputError, match=r"tensor of shape \[B, 3\] but is ndarray"):
        check_shape("x", np.zeros((2, 3)), ["B", 3])


def test_images():
    check_images("images", torch.zeros(1, 3, 2, 2))
    for bad, message in (
        (torch.zeros(1, 1, 2, 2), r"shape \[B, 3, H, W\] but has \[1, 1, 2, 2\]"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.uint8), "floating point in .* but is torch.uint8"),
        (torch.zeros(0, 3, 2, 2), "must not be empty"),
        (torch.zeros(1, 3, 2, 0), "must not be empty"),
    ):
        with pytest.raises(InputError, match=message):
            check_images("images", bad)


def test_sizes():
    for side in (8, 224, 8192):
        check_size("width", side)
    for side in (7, 8193, -1, 224.0):
        with pytest.raises(InputError, match=f"width must be between 8 and 8192 pixels .* {side}"):
            check_size("width", side)


def test_ranges():
    check_range("x", 0, 0, 1)
    check_range("x", 1, 0, 1)
    check_range("x", -1e9)
    check_range("x", 1e-9, 0, above=True)
    cases = [
        ((2, 0, 1), {}, "x must be at least 0 and at most 1 but is 2"),
        ((0, 0), {"above": True}, "x must be greater than 0 but is 0"),
        ((math.nan, 0, 1), {}, "but is nan"),
        ((-0.1, 0), {}, "x must be at least 0 but is -0.1"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(InputError, match=message):
            check_range("x", *arguments, **options)


def test_counts():
    check_count("n", 3, 1)
    check_count("n", np.int64(3), 1, 3)
    for value, message in ((2.0, "whole number but is 2.0"), ("2", "whole"), (4, "at most 3")):
        with pytest.raises(InputError, match=message):
            check_count("n", value, 1, 3)


def test_generators_depend_on_the_seed_alone():
    first, again, other = (torch.rand(4, generator=make_generator(s)) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    make_generator(MAX_SEED)
    for seed in (-1, MAX_SEED + 1, 0.5):
        with pytest.raises(InputError, match="seed must be between 0 and"):
            make_generator(seed)


def test_derived_seeds_differ_and_last():
    seeds = {derive_seed(s, p, i) for s in range(10) for p in ("cuts", "noise") for i in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= s <= MAX_SEED for s in seeds)
    # a changed value would change every picture ever made from a seed
    assert derive_seed(0, "cuts", 0) == 1197952125570956949


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "meta", "", "cpu:x"):
        with pytest.raises(InputError, match=f"device must be auto, .* but is '{name}'"):
            resolve_device(name)
    with pytest.raises(InputError, match="but is 'cudda'; did you mean cuda"):
        resolve_device("cudda")
    with pytest.raises(InputError, match=r"device 'cuda:99' is not there: .*; auto takes what"):
        resolve_device("cuda:99")


@pytest.mark.parametrize(
    ("built", "driver", "count", "name", "reason"),
    [
        (None, False, 0, "cuda", r"this torch \(.*\) is built for CPUs, without CUDA"),
        ("13.0", False, 0, "cuda:1", "torch finds no GPU, or its driver is missing or too old"),
        ("13.0", True, 1, "cuda:1", "there is only cuda:0"),
        ("13.0", True, 4, "cuda:4", "the GPUs are cuda:0 to cuda:3"),
    ],
)
def test_a_device_that_is_not_there(monkeypatch, built, driver, count, name, reason):
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: driver)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(InputError, match=f"device '{name}' is not there: {reason}"):
        resolve_device(name)
