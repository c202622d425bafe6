"""A head that tells pictures apart in noise."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import unit
from tiny_latents import DIM, TINY

from guidance.errors import InputError
from guidance.models.latent_unet import LatentUNet
from guidance.models.noise_aware import NoiseAware
from guidance.train.diffusion.latent_data import LatentData
from guidance.train.diffusion.trainer import levels
from guidance.train.noise_aware import trainer as noise_aware


def test_a_noise_aware_clip_tells_pictures_apart_in_noise(place):
    (place / "run").mkdir()
    torch.manual_seed(0)
    network = LatentUNet(TINY["unet"])
    data = LatentData([place / "pairs.safetensors"])
    views = data.batch(200, (0, 1))
    for side, values in (("latent", views.latents), ("text", views.texts),
                         ("image", views.images)):  # fmt: skip
        network.measure(side, values)
    save_file(network.state_dict(), place / "run/diffusion.safetensors")
    noise_aware.train(
        noise_aware.NoiseAwareTraining(
            data=(place / "pairs.safetensors",), diffusion=place / "run", out=place / "head",
            config=place / "tiny.json", batch=16, steps=150, rate=3e-3,
        )
    )  # fmt: skip
    model = NoiseAware(network.eval())
    model.load_state_dict(load_file(place / "head/diffusion.safetensors"))
    views = data.batch(64, (7, 7))
    owner = (views.latents.mean((1, 2, 3)) < 0).long()
    vectors = network.vector(unit(3, DIM, seed=1)[[0, 2]], unit(2, DIM))
    rights = []
    for t in (100, 500, 999):
        x0, noise = network.normalise(views.latents), torch.randn(64, 3, 4, 4)
        alpha, sigma = (x[t] for x in levels(TINY["scheduler"]))
        with torch.no_grad():
            said = model(alpha * x0 + sigma * noise, torch.tensor(t))
        rights.append(float(((said @ vectors.T).argmax(1) == owner).float().mean()))
    assert rights[0] > 0.95
    assert rights[1] > 0.9
    assert rights[2] < 0.8, "pure noise tells nothing"
    with pytest.raises(InputError, match="does not exist"):
        noise_aware.NoiseAwareTraining(
            data=(place / "pairs.safetensors",), diffusion=place, out=place
        ).check()
