"""Latent spaces of tiny real networks of all three classes."""

from __future__ import annotations

import pytest
import torch
from reference.slow_quantise import slow_quantise
from tiny_vqgan import NAMES, SPATIAL, build
from torch import nn

from guidance.errors import InputError, ModelError
from guidance.models.latents import Latents, wrap


def latents(kind: str = "vq", **config: object) -> Latents:
    return wrap(build(kind, **config), f"tiny {kind}").place("cpu")


def picture(generator: torch.Generator, height: int = 16, width: int = 24) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=generator)


@pytest.mark.parametrize("kind", NAMES)
def test_shapes_and_ranges(kind, generator):
    space = latents(kind)
    z = space.encode(picture(generator))
    assert (space.factor, space.channels) == (4, 4)
    assert z.shape == (2, 4, 4, 6)
    assert z.dtype == torch.float32
    out = space.decode(z)
    assert out.shape == (2, 3, 16, 24)
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1
    start = space.random(3, 5, generator)
    assert start.shape == (1, 4, 3, 5)
    assert space.decode(start).shape == (1, 3, 12, 20)


@pytest.mark.parametrize("kind", ["kl", "tiny"])
def test_continuous_latents_are_not_quantised(kind, generator):
    space = latents(kind)
    assert space.codebook is None
    assert space.low.tolist() == [-torch.inf] * 4
    assert space.high.tolist() == [torch.inf] * 4
    z = torch.randn(1, 4, 3, 3, generator=generator)
    assert torch.equal(space.quantise(z), z)
    assert torch.equal(space.quantise(z, 1.0), z)
    network = build(kind)
    expected = ((network.decode(z).sample + 1) / 2).clamp(0, 1)
    assert torch.allclose(space.decode(z), expected, atol=1e-5)


@pytest.mark.parametrize("config", [{}, SPATIAL])
def test_vq_decode_is_that_of_the_network(config, generator):
    space, network = latents(**config), build(**config)
    z = torch.randn(2, 4, 3, 5, generator=generator)
    codes = slow_quantise(z, network.quantize.embedding.weight.detach())
    assert torch.equal(space.quantise(z), codes)
    with torch.no_grad():
        expected = network.decode(codes, force_not_quantize=True).sample
        quantised_there = network.decode(z).sample
    assert torch.allclose(expected, quantised_there, atol=1e-5)
    assert torch.allclose(space.decode(z), ((expected + 1) / 2).clamp(0, 1), atol=1e-5)


@pytest.mark.parametrize("kind", NAMES)
def test_encode_is_that_of_the_network(kind, generator):
    space, network, image = latents(kind), build(kind), picture(generator)
    with torch.no_grad():
        out = network.encode(image * 2 - 1)
    expected = out.latent_dist.mean if kind == "kl" else out.latents
    assert torch.allclose(space.encode(image), expected, atol=1e-5)


def test_a_network_of_unit_pixels(generator):
    """One that looks its codes up, as aMUSEd's, sees and makes pixels in [0, 1]."""
    space = latents(lookup_from_codebook=True)
    network, image = build(lookup_from_codebook=True), picture(generator)
    with torch.no_grad():
        expected = network.encode(image).latents
        index = torch.tensor([[3, 1], [0, 31]])
        codes = network.quantize.embedding.weight[index].permute(2, 0, 1)[None]
        shape = (1, 2, 2, 4)
        decoded = network.decode(index.flatten(), force_not_quantize=True, shape=shape).sample
    assert space.unit
    assert torch.allclose(space.encode(image), expected, atol=1e-5)
    assert torch.allclose(space.decode(codes), decoded.clamp(0, 1), atol=1e-5)


def test_gradient_goes_to_the_latents_only(generator):
    space = latents()
    z = torch.randn(1, 4, 4, 4, generator=generator, requires_grad=True)
    space.decode(z).square().mean().backward()
    assert z.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in space.parameters())


@pytest.mark.parametrize("kind", NAMES)
def test_gradient_is_the_networks(kind, generator):
    """Autograd through diffusers' own decoder at the chosen codes gives the same gradient."""
    space, network = latents(kind), build(kind)
    z = 0.3 * torch.randn(1, 4, 3, 3, generator=generator)
    weight = torch.rand(1, 3, 12, 12, generator=generator)
    ours = z.clone().requires_grad_()
    (space.decode(ours) * weight).sum().backward()
    theirs = space.quantise(z).requires_grad_()
    plain = {"force_not_quantize": True} if kind == "vq" else {}
    out = (network.decode(theirs, **plain).sample + 1) / 2
    # with a weight above 0 only pixels below 0 are held back
    (out * weight * (out >= 0)).sum().backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-4)


def test_random_codes_are_codes(generator):
    space = latents()
    codes = space.random(6, 7, generator)
    assert torch.equal(space.quantise(codes), codes)
    cells = codes[0].flatten(1).T
    assert (cells[:, None] == space.codebook).all(-1).any(-1).all()
    assert len(torch.unique(cells, dim=0)) > 15  # of 32 codes in 42 cells
    assert (cells >= space.low).all()
    assert (cells <= space.high).all()


def test_gumbel_draws_codes(generator):
    space = latents()
    z = space.random(8, 8, generator).requires_grad_()
    drawn = space.quantise(z, 1.0, torch.Generator().manual_seed(0))
    cells = drawn[0].flatten(1).T
    assert (cells[:, None] == space.codebook).all(-1).any(-1).all()
    assert (drawn != z).any()
    cold = space.quantise(z * 5, 1e-3, torch.Generator().manual_seed(0))
    drawn.sum().backward()
    assert z.grad.abs().sum() > 0
    assert cold.shape == z.shape
    with pytest.raises(InputError, match="needs a generator"):
        space.decode(z, 1.0)


def test_bf16_is_close_and_gives_float32(generator):
    space, fast = latents(), wrap(build(), "x").place("cpu", "bf16")
    z = space.random(4, 4, generator).requires_grad_()
    exact, rounded = space.decode(z), fast.decode(z)
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert (exact - rounded).abs().max() < 0.05
    rounded.sum().backward()
    assert z.grad.dtype == torch.float32
    assert z.grad.abs().sum() > 0


def test_it_stays_frozen(generator):
    space = latents().train()
    assert not space.training
    assert not space.network.training


def test_bad_input(generator):
    space = latents()
    with pytest.raises(InputError, match="multiples of 4 pixels but it has 24x18"):
        space.encode(torch.rand(1, 3, 18, 24))
    with pytest.raises(InputError, match="images must have shape"):
        space.encode(torch.rand(1, 1, 16, 16))
    with pytest.raises(InputError, match=r"z must have shape \[B, 4, h, w\]"):
        space.decode(torch.rand(1, 3, 4, 4))
    with pytest.raises(InputError, match="precision must be one of"):
        space.place("cpu", "fp8")


def test_other_networks_are_refused():
    with pytest.raises(ModelError, match=r"must be a VQModel, AutoencoderKL .* but is Linear"):
        wrap(nn.Linear(2, 2), "line.pt")
    with pytest.raises(ModelError, match="RGB"):
        wrap(build(in_channels=1, out_channels=1), "grey.pt")


def test_the_mini_config_is_a_network():
    import json
    from importlib.resources import files

    from diffusers import VQModel

    config = json.loads((files("guidance.models") / "configs/mini-vqgan.json").read_text())
    del config["_class_name"]
    network = VQModel(**config)
    space = wrap(network, "mini")
    assert (space.factor, space.channels) == (8, 8)
    assert space.codebook.shape == (8192, 8)
    assert sum(p.numel() for p in network.parameters()) < 5e6  # 10 MB in fp16
