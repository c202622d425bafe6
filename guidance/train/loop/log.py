"""What a training says of itself: lines, retrieval figures and TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guidance.data import Samples
from guidance.errors import InputError, counted
from guidance.evaluate.retrieval import embed_pairs, recalls
from guidance.train.clip.options import ClipOptions

GALLERY = 1000  # held-out pictures at most
SHOWN = 12  # rows and columns of the matrix of samples


class Log:
    """Prints, and writes to TensorBoard if the run has a ``--log-dir``."""

    def __init__(self, options: ClipOptions, device: torch.device) -> None:
        self.device, self.writer, self.every = device, None, options.log_every
        self.last: tuple[float, int] | None = None
        self.values: dict[str, list[float]] = {}  # since the last line
        if options.log_dir:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError(
                    "log_dir: TensorBoard is not installed; pip install 'clip-guidance[train]'"
                ) from None
            self.writer = SummaryWriter(str(options.log_dir))

    def step(self, step: int, done: float, values: dict[str, float]) -> None:
        """Take the `values` of one step at fraction `done` of the run; report the means of many."""
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)
        if step % self.every == 0:
            self._report(step, done)

    def _report(self, step: int, done: float) -> None:
        now = time.perf_counter()
        speed = ""
        if self.last:
            speed = f"  {(step - self.last[1]) / (now - self.last[0]):.2f} step/s"
        self.last = now, step
        means = {name: sum(values) / len(values) for name, values in self.values.items()}
        self.values = {}
        shown = "  ".join(f"{k} {v:.3g}" for k, v in means.items())
        print(f"{step}  {100 * done:.1f} %  {shown}{speed}", flush=True)
        if self.writer:
            for name, value in means.items():
                self.writer.add_scalar(name.replace(" ", "/"), value, step)

    def check(
        self, step: int, config: dict[str, Any], state: dict[str, Tensor], val: Samples | None
    ) -> None:
        """Report retrieval of the averaged weights on held-out pairs, and show a few of them."""
        if val is None:
            return
        from guidance.train.clip.checks import clip_model

        model = clip_model(config, state, self.device)
        images, texts, owner = embed_pairs(model, val, limit=GALLERY)
        figures = recalls(images, texts, owner)
        shown = "  ".join(f"{k} {v:.1f}" for k, v in figures.items())
        print(f"{step}  held out, {len(images)} pictures, %: {shown}", flush=True)
        if self.writer:
            for name, value in figures.items():
                self.writer.add_scalar(f"retrieval/{name}", value, step)
            self.writer.add_image("samples", matrix(val, images, texts), step)

    def finish(self, step: int, out: Path) -> None:
        """Report the last steps, say that the run is over and where its model lies."""
        if self.values:
            self._report(step, 1.0)
        print(f"wrote {out} after {counted(step, 'step')}", flush=True)
        if self.writer:
            self.writer.close()


def matrix(val: Samples, images: Tensor, texts: Tensor, side: int = 48) -> Tensor:
    """Draw the cosines of the first pictures (rows) and captions: ``[3, H, W]`` in [0, 1].

    The left column shows the pictures; white is the largest cosine and black the smallest.
    """
    import numpy as np
    from PIL import ImageOps

    count = min(SHOWN, len(images))
    cosines = (images[:count] @ texts[:count].T).cpu()
    low, high = cosines.min(), cosines.max()
    cells = ((cosines - low) / (high - low).clamp_min(1e-6)).repeat_interleave(side, 0)
    cells = cells.repeat_interleave(side, 1)[None].expand(3, -1, -1)
    small = [ImageOps.fit(val.image(i).convert("RGB"), (side, side)) for i in range(count)]
    column = torch.from_numpy(np.concatenate([np.asarray(s) for s in small])).permute(2, 0, 1)
    return torch.cat([column.float() / 255, cells], 2)
