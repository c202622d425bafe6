"""x0 of a network ⇄ pictures: latents as the pipelines scale them, and drafts of decoders."""

import pytest
import tiny_vqgan
import torch
from denoisers import denoiser, randn

from guidance.errors import ModelError
from guidance.models.denoiser_space import LatentSpace, Pixels
from guidance.models.latents import wrap


@torch.no_grad()
def test_latents_are_scaled_as_the_pipeline_does(pipelines):
    pipe = pipelines("sd")
    model = denoiser(pipe, "sd")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x0 = model.encode(images)
    expected = pipe.vae.encode(images * 2 - 1).latent_dist.mode() * 0.18215
    torch.testing.assert_close(x0, expected, atol=1e-5, rtol=1e-4)
    decoded = pipe.vae.decode(x0 / 0.18215).sample / 2 + 0.5
    assert decoded.min() < 0
    torch.testing.assert_close(model.decode(x0, clamp=False), decoded, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.decode(x0), decoded.clamp(0, 1), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_statistics_of_every_channel():
    mean, std = [0.1, -0.2, 0.3, 0.0], [0.5, 1.0, 2.0, 4.0]
    network = tiny_vqgan.build("kl", scaling_factor=0.7, latents_mean=mean, latents_std=std)
    space = LatentSpace.of(wrap(network, "kl"))
    x0 = randn(1, 4, 3, 3)
    # as in Stable Diffusion XL's pipeline
    rows = [torch.tensor(v).view(1, 4, 1, 1) for v in (mean, std)]
    expected = network.decode(x0 * rows[1] / 0.7 + rows[0]).sample / 2 + 0.5
    torch.testing.assert_close(space.decode(x0, clamp=False), expected, atol=1e-5, rtol=1e-4)
    shifted = LatentSpace.of(wrap(tiny_vqgan.build("kl", shift_factor=0.25), "kl"))
    assert torch.equal(shifted.mean, torch.full((1, 4, 1, 1), 0.25))


@pytest.mark.parametrize(("given", "std"), [({}, 1.0), ({"scaling_factor": 0.5}, 2.0)])
def test_a_vqgan_is_scaled_only_if_its_config_says_so(given, std):
    space = LatentSpace.of(wrap(tiny_vqgan.build("vq", **given), "vq"))
    assert torch.equal(space.std, torch.full((1, 4, 1, 1), std))


@torch.no_grad()
def test_codes_are_decoded_of_a_vqgan():
    network = tiny_vqgan.build("vq", scaling_factor=0.5)
    space = LatentSpace.of(wrap(network, "vq"))
    x0 = randn(2, 4, 3, 3)
    expected = network.decode(x0 / 0.5).sample / 2 + 0.5
    torch.testing.assert_close(space.decode(x0, clamp=False), expected, atol=1e-5, rtol=1e-4)


def test_a_draft_decoder_serves_the_gradient_and_not_the_final_picture(pipelines):
    pipe = pipelines("sd")
    own = wrap(pipe.vae, "own")
    taesd = wrap(tiny_vqgan.build("tiny"), "taesd")
    space = LatentSpace.of(own, LatentSpace.of(taesd))
    x0 = randn(2, 4, 8, 8).requires_grad_()
    # a decoder of the same latents that scales them by itself
    expected = (taesd.network.decode(x0).sample + 1) / 2
    fast = space.decode(x0, clamp=False)
    torch.testing.assert_close(fast, expected)
    (slope,) = torch.autograd.grad(fast.sum(), x0)
    (true,) = torch.autograd.grad(expected.sum(), x0)
    torch.testing.assert_close(slope, true)
    final = space.decode(x0, fast=False, clamp=False)
    torch.testing.assert_close(final, LatentSpace.of(own).decode(x0, clamp=False))
    assert (final - fast).abs().max() > 0.01
    other = wrap(tiny_vqgan.build("tiny", latent_channels=8), "eight")
    with pytest.raises(ModelError, match=r"eight must take 4 channels at 4 pixels .* takes 8 at"):
        LatentSpace.of(own, LatentSpace.of(other))


def test_the_gradient_of_an_unclamped_picture_does_not_die():
    x0 = torch.tensor([-3.0, 0.5, 3.0]).expand(1, 3, 1, 3).clone().requires_grad_()
    space = Pixels()
    (slope,) = torch.autograd.grad(space.decode(x0, clamp=False).sum(), x0)
    assert torch.equal(slope, torch.full_like(x0, 0.5))
    (slope,) = torch.autograd.grad(space.decode(x0).sum(), x0)
    assert slope[0, 0, 0].tolist() == [0, 0.5, 0]
    images = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(space.decode(space.encode(images)), images)


def test_an_autoencoder_that_overflows_in_float16_runs_in_bfloat16():
    x0 = randn(1, 4, 3, 3)
    pictures = []
    for upcast, precision in ((True, "fp16"), (True, "bf16"), (False, "fp16")):
        network = tiny_vqgan.build("kl", force_upcast=upcast)
        space = LatentSpace.of(wrap(network, "kl")).place("cpu", precision)
        pictures.append(space.decode(x0))
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[1], pictures[2])
