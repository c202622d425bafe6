"""Data parallelism on CPU threads: one batch, several parts, one joint loss.

Small convolutions leave the cores waiting for each other when PyTorch splits every operation. Here
each thread takes its own part of the batch with one core instead; the features of all parts meet
in the loss, and the gradient flows back into each part (the split of Gao et al. 2021,
arXiv:2101.06983). The sum over parts is rounded in the order the threads finish, so two runs agree
to rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Forward:
    """Features ``[N, D]`` of a batch, cut from the graph, with the graphs of its parts."""

    features: Tensor
    parts: list[Tensor]
    chunks: Chunks

    def backward(self) -> None:
        """Send the gradient that reached `features` back through all parts."""
        grads = self.features.grad.split([len(p) for p in self.parts])
        self.chunks.map(lambda pair: pair[0].backward(pair[1]), zip(self.parts, grads, strict=True))


class Chunks:
    """A pool of `threads` workers that use one core each."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.pool = ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1))

    def map(self, work: Callable, parts: Iterable) -> list:
        """Return ``[work(p) for p in parts]``, several at a time."""
        return list(self.pool.map(work, parts))

    def forward(
        self, network: Callable[[Tensor], Tensor], parts: Sequence[Tensor], dtype=torch.bfloat16
    ) -> Forward:
        """Run `network` on every part under autocast to `dtype`."""

        def work(part: Tensor) -> Tensor:
            with torch.enable_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                return network(part).float()

        graphs = self.map(work, parts)
        features = torch.cat([g.detach() for g in graphs]).requires_grad_()
        return Forward(features, graphs, self)
