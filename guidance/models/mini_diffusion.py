"""The diffusion models inside the package: a latent one that CLIP conditions, and its upsampler.

Pictures of 128 pixels are latents of the mini VQGAN, 16 x 16 x 8, which a `LatentUNet` makes from
noise. The condition is the mini CLIP's embedding of a text, together with the embedding that a
picture of the text has, as its prior says (`guidance.clip.prior`); or that of a picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from guidance.clip.registry import load_clip
from guidance.conventions import derive_seed, make_generator
from guidance.errors import InputError
from guidance.models.clip_reader import ClipReader
from guidance.models.conditions import Condition
from guidance.models.denoiser import Denoiser
from guidance.models.denoiser_space import LatentSpace
from guidance.models.latent_unet import LatentUNet, enlarge, labels
from guidance.models.latents import Latents
from guidance.models.load_latents import load_latents
from guidance.models.noise_aware import NoiseAware
from guidance.models.pipeline_config import shape
from guidance.pretrained.eight_bit import load_weights
from guidance.pretrained.packaged import packaged, pretrained

BASE, UPSAMPLER, NOISE_AWARE = "mini-diffusion", "mini-upsampler", "mini-noise-aware"
CLIP = "mini-guide"  # whose embeddings the networks have learned
CFG = 2.5  # the usual scale of classifier-free guidance
UPSAMPLING_STEPS = 14  # of a whole run, of which this share is made:
UPSAMPLING_STRENGTH = 0.3


class MiniDenoiser(Denoiser):
    """The mini diffusion model, which images condition as well as texts."""

    sees = True

    def image_condition(self, images: Tensor) -> list[Condition]:
        """Return the condition of each of ``images [N, 3, H, W]`` in [0, 1], of one row."""
        if not isinstance(self.reader, ClipReader):
            raise InputError(f"the reader of {self.name} sees no images")
        return self.reader.look(images)

    def predict(self, x: Tensor, t: Tensor, tensors: dict[str, Tensor]) -> Tensor:
        """Call the network, for sharp pictures."""
        told = labels(self.network, tensors["class_labels"])
        return super().predict(x, t, {**tensors, "class_labels": told})


class Upsampler(nn.Module):
    """Pictures → the same with sides twice as long, details made up by a diffusion model.

    A second diffusion model as in GLIDE, conditioned on the small picture (Ho et al. 2021,
    arXiv:2106.15282). It runs on the latents of the enlarged picture, a few deterministic steps
    (DDIM, Song et al. 2020, arXiv:2010.02502), and begins with the picture under as much noise as
    hides its grain (SDEdit, Meng et al. 2021, arXiv:2108.01073): from pure noise this small network
    repaints what it should only sharpen.
    """

    factor = 2

    def __init__(self, network: LatentUNet, latents: Latents, schedule: dict):
        super().__init__()
        from diffusers import DDIMScheduler

        self.network, self.latents = network, latents
        self.scheduler = DDIMScheduler.from_config(schedule, timestep_spacing="trailing")

    @torch.no_grad()
    def forward(self, images: Tensor, condition: Condition, seeds: Sequence[int]) -> Tensor:
        """Return ``[B, 3, 2 H, 2 W]`` in [0, 1].

        Args:
            images: ``[B, 3, H, W]`` in [0, 1], both sides multiples of 8.
            condition: of the base model, one row or B.
            seeds: of the noise, one a picture.
        """
        network = self.network
        low = network.normalise(self.latents.encode(enlarge(images)))
        noise = [
            torch.randn(low.shape[1:], generator=make_generator(derive_seed(seed, "upsample")))
            for seed in seeds
        ]
        vector = condition.rows(len(low)).tensors["class_labels"].to(low)
        self.scheduler.set_timesteps(UPSAMPLING_STEPS)
        first = round(UPSAMPLING_STEPS * (1 - UPSAMPLING_STRENGTH))
        steps = self.scheduler.timesteps[first:]
        x = self.scheduler.add_noise(low, torch.stack(noise).to(low), steps[:1])
        for t in steps:
            x = self.scheduler.step(network(x, t.to(x.device), vector, low), t, x).prev_sample
        pictures = [self.latents.decode(network.restore(one)) for one in x.split(1)]
        return torch.cat(pictures).clamp(0, 1)


def load_mini(device: torch.device | str, precision: str = "fp32") -> MiniDenoiser:
    """Load the mini diffusion model with its autoencoder, CLIP and upsampler.

    Raises:
        ModelError: a file is missing or not the one that was shipped.
    """
    network, schedule = _network(BASE)
    latents = load_latents("mini", device=device, precision=precision)
    model = MiniDenoiser(
        network.unet,
        LatentSpace(latents, mean=network.latent_mean, std=network.latent_std),
        name="mini",
        size=shape(network.unet.config, latents.factor, latent=True).size,
        schedule=schedule,
        reader=ClipReader(load_clip(CLIP, device=device), network),
        cfg=CFG,
    )
    clip = NoiseAware(network)
    clip.load_state_dict(weights(NOISE_AWARE))
    model.noise_aware = clip.eval().to(device)
    network, schedule = _network(UPSAMPLER)
    model.upsampler = Upsampler(network.to(device), latents, schedule)
    model.place(device, precision)
    return model


def _network(name: str) -> tuple[LatentUNet, dict]:
    """Return a shipped network and the config of its scheduler."""
    with packaged(f"models/configs/{name}.json") as file:
        config = json.loads(file.read_text(encoding="utf-8"))
    network = LatentUNet(config["unet"])
    network.load_state_dict(weights(name))  # half precision is converted
    return network.eval().requires_grad_(False), config["scheduler"]


def weights(name: str) -> dict[str, Tensor]:
    """Return the shipped weights of `BASE`, `UPSAMPLER` or `NOISE_AWARE`.

    Raises:
        ModelError: the file is missing or not the one that was shipped.
    """
    with pretrained(f"{name}.safetensors") as path:
        return load_weights(path)
