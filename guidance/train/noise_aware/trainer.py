"""One run of `guidance.train.noise_aware`: noisy latents and the head that tells them apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.conventions import derive_seed, make_generator
from guidance.models.folder import read_json
from guidance.models.latent_unet import LatentUNet
from guidance.models.noise_aware import NoiseAware
from guidance.pretrained.eight_bit import load_weights
from guidance.train import losses
from guidance.train.diffusion.latent_data import LatentData, Views
from guidance.train.diffusion.trainer import levels, save_weights
from guidance.train.loop import schedule, trainer
from guidance.train.noise_aware.options import NoiseAwareTraining


class Trainer(trainer.Trainer[NoiseAwareTraining, Views]):
    """The training of a head on the first half of a diffusion network, which stays as it is."""

    def read(self) -> None:
        """Open the data, the configuration and the diffusion model's weights."""
        given = self.options
        self.config = read_json(given.config, ("unet", "scheduler"))
        self.data = LatentData(given.data)
        self.weights = load_weights(given.diffusion / "diffusion.safetensors")
        self.result = given.out / "diffusion.safetensors"

    def build(self) -> None:
        """Build the head on the frozen network."""
        with torch.random.fork_rng():  # the head's weights follow from the seed alone
            self.body = LatentUNet(self.config["unet"])
        self.body.load_state_dict(self.weights)
        self.body.requires_grad_(False).eval().to(self.device)
        self.network = self.head = NoiseAware(self.body).to(self.device)
        self.clip_norm = math.inf
        self.alphas, self.sigmas = (x.to(self.device) for x in levels(self.config["scheduler"]))
        self.optimisers = [torch.optim.AdamW(self.network.parameters(), weight_decay=0.01)]

    def batches(self, start: int) -> Iterator[Views]:
        """Yield views of latents."""
        for step in itertools.count(start):
            yield self.data.batch(self.options.batch, (self.options.seed, step))

    def schedule(self, done: float) -> float:
        """Return the factor of the learning rate, which falls as a line."""
        return schedule.line(done)

    def loss(self, views: Views, done: float) -> Tensor:
        """Contrast noisy latents and the conditions of their pictures."""
        rng = make_generator(derive_seed(self.options.seed, "noise", self.step))
        t = torch.randint(len(self.alphas), (len(views.latents),), generator=rng)
        noise = torch.randn(views.latents.shape, generator=rng).to(self.device)
        x0, t = self.body.normalise(views.latents.to(self.device)), t.to(self.device)
        alpha, sigma = (x[t].view(-1, 1, 1, 1) for x in (self.alphas, self.sigmas))
        vectors = self.body.vector(views.texts.to(self.device), views.images.to(self.device))
        with torch.no_grad(), self.mixed():
            features = self.head.features(alpha * x0 + sigma * noise, t)
        said = F.normalize(self.head.head(features.float()), dim=-1)
        scale = self.head.log_scale.exp()
        return losses.paired(said, F.normalize(vectors, dim=-1), scale)

    def export(self) -> None:
        """Write ``diffusion.safetensors``."""
        save_weights(self.average.state, self.result)


def train(options: NoiseAwareTraining) -> None:
    """Run ``python -m guidance.train.noise_aware``."""
    Trainer(options).run()
