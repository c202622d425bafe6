"""A batch through the towers of a student, its loss, and the gradient back, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from guidance.clip.context import cut
from guidance.data import Samples
from guidance.train.clip import model, start
from guidance.train.clip.loader import Batch, Loader
from guidance.train.clip.objective import Lessons, Objective
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.teachers import Teachers, tokenize_all
from guidance.train.loop.chunks import Chunks, Forward, Network
from guidance.train.loop.depthwise import fast_depthwise

PART = 16  # pictures per CPU thread and pass
READ_PART = 128  # texts per CPU thread and pass


class Passes:
    """What the steps of a CLIP training are made of.

    Args:
        options: Of the run.
        config: Of the CLIP.
        samples: Captioned pictures.
        device: Where it runs.
        chunks: Threads.

    Attributes:
        part: Pictures in one pass.
        size: Side of the CLIP's pictures, pixels.
        loader: Of batches.
        tokens: Of all captions ``[T, L]``.
        student: The network that learns.
        teachers: What it learns from besides its pairs.
        rng: Source of randomness; seeded anew for each step.
    """

    def __init__(
        self, options: ClipOptions, config: dict[str, Any], samples: Samples,
        device: torch.device, chunks: Chunks,
    ) -> None:  # fmt: skip
        self.options, self.device, self.chunks = options, device, chunks
        sampling, cpu = options.sampling, device.type == "cpu"
        if cpu:
            torch.backends.cuda.enable_flash_sdp(False)  # its bfloat16 backward is slow on a CPU
        self.part = PART if cpu else -(-sampling.batch // sampling.accumulate)
        self.size = model.image_size(config)
        side = sampling.side or self.size
        self.loader = Loader(samples, sampling, side, options.seed, chunks, device, self.part)
        self.tokens = tokenize_all(model.tokenizer(config), self.loader.texts)
        self.student = start.build(options, config).to(device)
        self.student.to(memory_format=torch.channels_last)
        if cpu and options.precision == "bf16":
            fast_depthwise(self.student.network.visual)
        self.student.tune(options.model)
        groups = torch.from_numpy(self.loader.caption_groups()).to(device)
        self.teachers = Teachers(
            options, self.loader.texts, self.student, self.tokens, groups, chunks
        )
        self.objective = Objective(options)
        self.rng = torch.Generator(device)

    def look(self, images: Tensor, *, watch: bool = False) -> tuple[Forward, list[Tensor]]:
        """Run the image tower; `watch` keeps the parts for their own gradients."""
        parts = [p.clone().requires_grad_(watch) for p in images.split(self.part)]
        return self.forward(self.student.look, parts), parts

    def read(self, tokens: Tensor) -> Forward:
        """Run the text tower on `tokens` ``[T, L]``."""
        size = READ_PART if self.device.type == "cpu" else self.part
        return self.forward(self.student.read, tokens.to(self.device).split(size))

    def forward(self, network: Network, parts: Sequence[Tensor], *, learn: bool = True) -> Forward:
        """Run a tower on the `parts` of a batch, in the run's arithmetic."""
        dtype = torch.bfloat16 if self.options.precision == "bf16" else torch.float32
        keep = learn and self.options.sampling.accumulate == 1
        return self.chunks.forward(network, parts, dtype, keep=keep)

    def learn(
        self, batch: Batch, seen: Forward, weight: float, lessons: Lessons, extra: Tensor | None
    ) -> dict[str, float]:
        """Add the gradient of `weight` times the loss on `seen` to the parameters.

        Args:
            batch: Captions and groups.
            seen: What the image tower makes of the pictures: ``[N, D + K]``.
            weight: Factor of the loss.
            lessons: Of the teachers.
            extra: Tokens of texts without pictures ``[E, L]``, or None.
        """
        tokens = self.tokens[batch.captions.cpu()]
        tokens = tokens if extra is None else torch.cat([tokens, extra])
        frozen = self.teachers.table
        with cut(self.student.network, tokens) as short:
            written = None
            if frozen is None:
                written = self.read(short)
                features = written.features
            else:
                features = self.student.place(frozen[batch.captions])
            loss, parts = self.objective(self.student, seen.features, features, batch, lessons)
            (weight * loss).backward()
            seen.backward()
            if written:
                written.backward()
        return {"loss": loss.item(), **parts}
