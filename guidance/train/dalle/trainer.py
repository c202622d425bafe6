"""One run of `guidance.train.dalle`: codes, network, and bits a code."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from guidance.conventions import derive_seed, make_generator
from guidance.errors import InputError
from guidance.files.writing import atomic
from guidance.models.codec import VqganCodec
from guidance.models.dalle.load import check_same
from guidance.models.dalle.names import Facts
from guidance.models.dalle.transformer import Transformer
from guidance.models.load_latents import load_latents
from guidance.models.weights_fit import faults
from guidance.train import conditions
from guidance.train.dalle.code_data import CodeData, Sentences
from guidance.train.dalle.options import DalleTraining
from guidance.train.loop import checkpoint, trainer

MEASURED = 8192  # views whose statistics normalise embeddings
AT_ONCE = 16  # pictures whose logits exist at once, of a thread: 16 x 256 x 8192 are 134 MB
BITS = 1 / math.log(2)


class Trainer(trainer.Trainer[DalleTraining, Sentences]):
    """The training of a transformer of codes."""

    def read(self) -> None:
        """Open the data and the configuration."""
        given = self.options
        self.config = config = given.built()
        self.data = CodeData(given.data, given.kept)
        held = *self.data.grid, self.data.images.shape[1]
        wanted = config.rows, config.columns, config.embedding
        if held != wanted:
            raise InputError(
                f"data: pictures of {held[0]} x {held[1]} codes and embeddings of {held[2]} "
                f"numbers, but --config is for {wanted[0]} x {wanted[1]} and {wanted[2]}"
            )
        if (most := int(self.data.held.max())) >= config.codes:
            raise InputError(
                f"data: there is a code {most}, but --config is for {config.codes} codes"
            )
        self.result = given.out / "dalle.safetensors"

    def build(self) -> None:
        """Build the network, with the statistics of the data in it, and its optimiser."""
        given, said = self.options, self.data.facts
        if self.chunks.pool:
            torch.set_num_threads(1)  # see the trainer of the diffusion model
        self.network = self.writer = Transformer(self.config)
        vqgan, digest = said.get("vqgan", "mini"), said.get("vqgan_digest", "")
        self.facts = Facts(self.config, said.get("clip", "mini-guide"), vqgan, digest)
        if not (given.resume or given.init):
            latents = load_latents(vqgan, device="cpu")
            check_same(latents, digest, "data")
            self.writer.take_codebook(VqganCodec(latents).vectors)
        views = self.data.batch(MEASURED, (given.seed, 2**32))
        self.writer.measure("text", views.texts)
        self.writer.measure("image", views.images)
        if given.init and not given.resume:
            failure = "init: {} holds no weights of this transformer"
            checkpoint.restore(given.init, torch.device("cpu"), self._start, failure)
        self.network.to(self.device)
        kinds: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, value in self.network.named_parameters():
            kinds[value.ndim > 1 and name.endswith(".weight")].append(value)
        # what stands for a code or a place is seen rarely and would only fade
        groups = [{"params": kinds[True]}, {"params": kinds[False], "weight_decay": 0.0}]
        self.optimisers = [
            torch.optim.AdamW(
                groups, lr=given.rate, betas=(0.9, 0.95), weight_decay=given.decay, fused=True
            )
        ]

    def _start(self, state: dict) -> None:
        own = {k: tuple(v.shape) for k, v in self.network.state_dict().items()}
        if failing := faults(own, state["averaged"]):
            raise ValueError(f"it {' and '.join(failing)}")
        self.network.load_state_dict(state["averaged"])

    def batches(self, start: int) -> Iterator[Sentences]:
        """Yield views of pictures."""
        for step in itertools.count(start):
            yield self.data.batch(self.options.batch, (self.options.seed, step))

    def export(self) -> None:
        """Write ``dalle.safetensors``."""
        state = {k: v.cpu().contiguous() for k, v in self.average.state.items()}
        with atomic(self.result) as temporary:
            save_file(state, temporary, self.facts.metadata())

    def gradients(self, views: Sentences, done: float) -> dict[str, float]:
        """Learn to foretell each code; the log shows bits a code."""
        given, size = self.options, len(views.codes)
        rng = make_generator(derive_seed(given.seed, "conditions", self.step))
        spread = self.writer.image_std.cpu()
        images = views.images + conditions.doubt(views.images, spread, given.blur, rng)
        halves = conditions.shown(torch.rand(size, generator=rng), given.drop, given.single)
        share = min(self.share(size), AT_ONCE)
        rows = (x.split(share) for x in (views.codes, views.texts, images, halves))
        bits = self.chunks.map(lambda part: self.part(*part, total=size), zip(*rows, strict=True))
        return {"bits": sum(bits)}

    def part(
        self, codes: Tensor, texts: Tensor, images: Tensor, halves: Tensor, *, total: int
    ) -> float:
        """Send the gradient of a part of the batch back; return its share of the bits a code.

        Args:
            codes: ``[n, P]``.
            texts, images: embeddings ``[n, D]``.
            halves: which of them are shown, ``[n, 2]``.
            total: rows of the whole batch.
        """
        loss = self.cost(self.writer, codes, self.told(texts, images, halves)).sum() / total
        loss.backward()
        return float(loss.detach()) * BITS

    def told(self, texts: Tensor, images: Tensor, halves: Tensor) -> Tensor:
        """Return conditions ``[n, 2 D]``, zeros for what is not shown."""
        texts, images, halves = (x.to(self.device) for x in (texts, images, halves))
        vector = self.writer.vector(texts, images)
        return vector * halves.float().repeat_interleave(self.writer.dim, 1)

    def cost(self, network: nn.Module, codes: Tensor, vector: Tensor) -> Tensor:
        """Return the mean cost of a code of each picture ``[n]``, in nats."""
        codes = codes.to(self.device)
        with self.mixed():
            logits = network(vector, codes)
        each = F.cross_entropy(logits.float().flatten(0, 1), codes.flatten(), reduction="none")
        return each.view_as(codes).mean(1)

    def saved(self) -> None:
        """Say and log what the codes of pictures that were kept back cost."""
        if not len(self.data.back):
            return
        bits = self.measure()
        self.log.say(self.step, "kept back: " + ", ".join(
            f"{value:.3f} bits {name}" for name, value in bits.items()
        ))  # fmt: skip
        self.log.scalars(self.step, {f"kept/{name}": value for name, value in bits.items()})

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return bits a code of the pictures kept back, by the averaged weights."""
        views, others = self.data.kept_back()
        averaged = copy.deepcopy(self.network)
        averaged.load_state_dict(self.average.state)
        kinds = {
            "with the text": (views.texts, (1, 0)),
            "with a wrong text": (others, (1, 0)),
            "with text and picture": (views.texts, (1, 1)),
            "with nothing": (views.texts, (0, 0)),
        }
        found = {}
        for name, (texts, half) in kinds.items():
            halves = torch.tensor([half]).expand(len(texts), 2)
            rows = (x.split(AT_ONCE) for x in (views.codes, texts, views.images, halves))
            costs = self.chunks.map(
                lambda part: self.quietly(averaged, *part), zip(*rows, strict=True)
            )
            found[name] = float(torch.cat(costs).mean()) * BITS
        return found

    @torch.no_grad()
    def quietly(self, network: nn.Module, codes: Tensor, *given: Tensor) -> Tensor:
        """Return `cost` without a gradient; every thread has its own switch for these."""
        return self.cost(network, codes, self.told(*given)).cpu()


def train(options: DalleTraining) -> None:
    """Run ``python -m guidance.train.dalle``."""
    Trainer(options).run()
