"""One run of `guidance.train.diffusion`: latents, network and noise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from guidance.conventions import derive_seed, make_generator
from guidance.errors import InputError
from guidance.files.writing import atomic
from guidance.models.folder import read_json
from guidance.models.latent_unet import LatentUNet
from guidance.train import conditions, losses
from guidance.train.diffusion.latent_data import LatentData, Views
from guidance.train.diffusion.options import DiffusionTraining
from guidance.train.diffusion.start import start
from guidance.train.loop import trainer

MEASURED = 8192  # views whose statistics normalise latents and embeddings


class Trainer(trainer.Trainer[DiffusionTraining, Views]):
    """The training of a latent diffusion model or of its upsampler."""

    def read(self) -> None:
        """Open the data and the configuration."""
        given = self.options
        self.config = read_json(given.config, ("unet", "scheduler"))
        self.data = LatentData(given.data)
        channels = self.config["unet"]
        self.upsampler = channels["in_channels"] > channels["out_channels"]
        if self.upsampler and self.data.low is None:
            raise InputError("data: an upsampler needs latents prepared with --low")
        wanted = channels["out_channels"], channels["projection_class_embeddings_input_dim"] // 2
        held = self.data.latents.shape[1], self.data.images.shape[1]
        if held != wanted:
            raise InputError(
                f"data: latents have {held[0]} channels and embeddings {held[1]} numbers, but "
                f"--config is for {wanted[0]} and {wanted[1]}"
            )
        self.result = given.out / "diffusion.safetensors"

    def build(self) -> None:
        """Build the network, with the statistics of the data in it."""
        given = self.options
        if self.chunks.pool:
            # what is left to this thread are small operations, where threads wait for each other
            torch.set_num_threads(1)
        self.network = self.unet = LatentUNet(self.config["unet"])
        views = self.data.batch(MEASURED, (given.seed, 2**32))
        for side, values in (
            ("latent", views.latents), ("text", views.texts), ("image", views.images)
        ):  # fmt: skip
            self.unet.measure(side, values)
        self.network.to(self.device).to(memory_format=torch.channels_last)
        self.alpha, self.sigma = (x.to(self.device) for x in levels(self.config["scheduler"]))
        self.optimisers = [
            torch.optim.AdamW(
                self.network.parameters(), lr=given.rate, weight_decay=given.decay, fused=True
            )
        ]
        if given.init and not given.resume:
            start(self.unet, given, views.latents, upsampler=self.upsampler)

    def batches(self, start: int) -> Iterator[Views]:
        """Yield views of latents."""
        for step in itertools.count(start):
            yield self.data.batch(self.options.batch, (self.options.seed, step))

    def export(self) -> None:
        """Write ``diffusion.safetensors``."""
        save_weights(self.average.state, self.result)

    def gradients(self, views: Views, done: float) -> dict[str, float]:
        """Learn to tell noise and latents apart."""
        size = len(views.latents)
        rng = make_generator(derive_seed(self.options.seed, "noise", self.step))
        # stratified: every step sees all noise levels
        t = ((torch.arange(size) + torch.rand(size, generator=rng)) / size * len(self.alpha)).long()
        noise = torch.randn(views.latents.shape, generator=rng)
        spread = self.unet.get_buffer("image_std").cpu()
        images = views.images + conditions.doubt(views.images, spread, self.options.blur, rng)
        kinds = torch.rand(size, generator=rng)
        share = self.share(size)
        whole = (views.latents, noise, t, views.texts, images, kinds, views.sizes)
        parts = list(zip(*(x.split(share) for x in whole), strict=True))
        lows = [None] * len(parts) if views.low is None else views.low.split(share)
        shares = self.chunks.map(
            lambda job: self.part(*job, total=size), zip(parts, lows, strict=True)
        )
        return {"loss": sum(shares)}

    def part(self, rows: tuple[Tensor, ...], low: Tensor | None, *, total: int) -> float:
        """Send the gradient of a part of the batch back; return its share of the loss.

        Args:
            rows: Latents, noise, time steps, texts, images, the kinds of conditions, sizes.
            low: Latents of the smaller pictures, for an upsampler.
            total: Rows of the whole batch.
        """
        z, noise, t, texts, images, kinds, sizes = (x.to(self.device) for x in rows)
        network, options = self.unet, self.options
        x0 = network.normalise(z)
        alpha, sigma = (x[t].view(-1, 1, 1, 1) for x in (self.alpha, self.sigma))
        given = None if low is None else network.normalise(low.to(self.device))
        vector = network.vector(texts, images) * self.shown(kinds)
        with self.mixed():
            said = network(alpha * x0 + sigma * noise, t, vector, given, sizes)
        error = (said.float() - (alpha * noise - sigma * x0)).pow(2).mean((1, 2, 3))
        snr = (alpha / sigma).pow(2).flatten()
        loss = losses.min_snr(error, snr, options.floor, options.gamma).sum() / total
        loss.backward()
        return float(loss.detach())

    def shown(self, kinds: Tensor) -> Tensor:
        """Return which halves of the conditions ``[N, 2 D]`` are shown, from uniform numbers."""
        halves = conditions.shown(kinds, self.options.drop, self.options.single)
        return halves.float().repeat_interleave(self.unet.dim, 1)


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Write weights as they are, in one move."""
    with atomic(path) as temporary:
        save_file({k: v.cpu().contiguous() for k, v in state.items()}, temporary)


def levels(config: dict) -> tuple[Tensor, Tensor]:
    """Return how much picture and how much noise is in each time step, ``[T]`` each."""
    from diffusers import DDIMScheduler

    share = DDIMScheduler.from_config(config).alphas_cumprod
    return share.sqrt(), (1 - share).sqrt()


def train(options: DiffusionTraining) -> None:
    """Run ``python -m guidance.train.diffusion``."""
    Trainer(options).run()
