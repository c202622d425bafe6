"""One run of ``guidance.train.vqgan --kind dvae``: patches → a discrete variational autoencoder.

Ramesh et al. 2021, arXiv:2102.12092, section 2.1 and appendix A.2: the evidence lower bound with
codes relaxed by the Gumbel-softmax trick (Jang, Gu and Poole 2017, arXiv:1611.01144; Maddison et
al. 2017, arXiv:1611.00712), whose temperature falls as a cosine, a distance from the uniform prior
whose weight rises, and a logit-Laplace likelihood. Different here: both schedules are parts of the
run rather than numbers of steps, since ours are short.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from guidance.conventions import derive_seed, make_generator
from guidance.data import shards
from guidance.errors import InputError
from guidance.models.dvae import Dvae
from guidance.models.dvae_config import parse
from guidance.models.folder import read_json
from guidance.models.load_dvae import save_dvae
from guidance.models.logit_laplace import expected, log_likelihood
from guidance.train.loop import checkpoint, trainer
from guidance.train.vqgan.codebook import perplexity
from guidance.train.vqgan.options import VqganTraining
from guidance.train.vqgan.patches import PatchLoader


class DvaeTrainer(trainer.Trainer[VqganTraining, Tensor]):
    """The training of a dVAE."""

    def read(self) -> None:
        """Open the data and the architecture's configuration."""
        given = self.options
        path = given.architecture()
        self.config = parse(read_json(path), path)
        if given.side % self.config.factor:
            raise InputError(
                f"side must be a multiple of {self.config.factor} pixels for this dVAE but is "
                f"{given.side}"
            )
        self.data = shards.read(given.data, captioned=False)
        self.result = given.out / "dvae"

    def build(self) -> None:
        """Build the network."""
        given = self.options
        self.loader = PatchLoader(self.data, given.weights, given.side, given.batch, given.seed)
        self.network = self.dvae = Dvae(self.config).to(self.device)
        self.dvae.to(memory_format=torch.channels_last)
        self.optimisers = [
            torch.optim.AdamW(
                self.dvae.parameters(), lr=given.rate, betas=(0.9, 0.999), weight_decay=1e-4
            )
        ]
        if given.init and not given.resume:
            failure = "init: {} does not fit the architecture"
            checkpoint.restore(
                given.init, self.device, lambda s: self.dvae.load_state_dict(s["averaged"]), failure
            )

    def batches(self, start: int) -> Iterator[Tensor]:
        """Yield patches ``[N, 3, s, s]`` in [0, 1]."""
        return self.loader.batches(start)

    def export(self) -> None:
        """Write the folder ``dvae``."""
        save_dvae(self.config, self.average.state, self.result)

    def gradients(self, images: Tensor, done: float) -> dict[str, float]:
        """Learn from patches ``[N, 3, s, s]`` in [0, 1]."""
        images = images.to(self.device, memory_format=torch.channels_last)
        parts = enumerate(images.split(self.share(len(images))))
        made = self.chunks.map(lambda part: self.learn(part[0], part[1], len(images), done), parts)
        values = {name: sum(said[name] for said, _ in made) for name in made[0][0]}
        numbers = torch.cat([codes for _, codes in made])
        return values | {
            "temperature": temperature(done, self.options.temperature, self.options.anneal),
            "codes in use": perplexity(numbers, self.config.codes),
        }

    def learn(
        self, number: int, images: Tensor, count: int, done: float
    ) -> tuple[dict[str, float], Tensor]:
        """Send the gradient of a part of the batch back.

        Args:
            number: of the part.
            images: ``[n, 3, s, s]`` of the `count` in the batch.
            done: fraction of the run.

        Returns:
            The part's share of what the log shows, and the likeliest codes.
        """
        given, share = self.options, len(images) / count
        rng = make_generator(derive_seed(given.seed, "gumbel", self.step, number))
        with self.mixed():
            logits = self.dvae.logits(images)
        logits = logits.float()
        heat = temperature(done, given.temperature, given.anneal)
        with self.mixed():
            told = self.dvae.told(relaxed(logits, heat, rng))
        told = told.float()
        likelihood = log_likelihood(images, told).mean()
        distance = divergence(logits)
        weight = given.kl * (min(1.0, done / given.kl_rise) if given.kl_rise else 1.0)
        # both sums are divided by the values of a picture, of which a cell has 3 · factor²
        bound = weight * distance / (3 * self.config.factor**2) - likelihood
        (share * bound).backward()
        error = (expected(told.detach()) - images).abs().mean()
        said = {"loss": bound, "likelihood": likelihood, "kl": distance, "error": error}
        return {k: share * float(v.detach()) for k, v in said.items()}, logits.detach().argmax(1)


def temperature(done: float, lowest: float, anneal: float) -> float:
    """Return the temperature at fraction `done` of a run: from 1 down to `lowest`, as a cosine."""
    part = min(1.0, done / anneal) if anneal else 1.0
    return lowest + (1 - lowest) * (0.5 + 0.5 * math.cos(math.pi * part))


def relaxed(logits: Tensor, heat: float, rng: torch.Generator) -> Tensor:
    """Return random weights of the codes, nearly one code where `heat` is low: ``[N, K, h, w]``.

    Args:
        logits: ``[N, K, h, w]``.
        heat: temperature, above 0.
        rng: on the CPU, so that every device draws the same.
    """
    noise = -torch.empty(logits.shape).exponential_(generator=rng).log()
    return ((logits + noise.to(logits)) / heat).softmax(1)


def divergence(logits: Tensor) -> Tensor:
    """Return the mean divergence of the codes' distributions from the uniform one, in nats."""
    log = logits.log_softmax(1)
    return (log.exp() * log).sum(1).mean() + math.log(logits.shape[1])
