"""One batch in several parts with one joint loss: CPU threads, or pieces that fit in memory.

Small convolutions leave CPU cores waiting for each other when PyTorch splits every operation. Here
each thread takes its own part of the batch with one core instead; the features of all parts meet
in the loss, and the gradient flows back into each part. With ``keep=False`` the parts are run
again for the backward pass, one at a time, so that the memory of one is enough: the gradient
cache of Gao et al. 2021, arXiv:2101.06983. The sum over parts is rounded in the order the threads
finish, so two runs agree to rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

Network = Callable[[Tensor], Tensor]


@dataclass
class Forward:
    """Features ``[N, D]`` of a batch, cut from the graph, and how to go back into its parts."""

    features: Tensor
    sizes: list[int]
    back: Callable[[int, Tensor], None]
    chunks: Chunks

    def backward(self) -> None:
        """Send the gradient that reached `features` back through all parts."""
        if self.features.grad is None:
            return
        grads = self.features.grad.split(self.sizes)
        self.chunks.map(lambda pair: self.back(*pair), enumerate(grads))


class Chunks:
    """A pool of `threads` workers that use one core each; 0 does the work in the caller."""

    def __init__(self, threads: int) -> None:
        self.pool = None
        if threads:
            torch.set_num_threads(threads)
            self.pool = ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1))

    def map(self, work: Callable, parts: Iterable) -> list:
        """Return ``[work(p) for p in parts]``, several at a time."""
        return list(self.pool.map(work, parts) if self.pool else map(work, parts))

    def forward(
        self,
        network: Network,
        parts: Sequence[Tensor],
        dtype: torch.dtype = torch.bfloat16,
        *,
        keep: bool = True,
    ) -> Forward:
        """Run `network` on every part under autocast to `dtype`.

        Args:
            network: Part → features ``[n, D]``.
            parts: Inputs, cut along their first dimension.
            dtype: float32 switches autocast off.
            keep: Keep the graphs for the backward pass rather than run the parts again.
        """

        def run(part: Tensor, grad: bool) -> Tensor:
            kind = part.device.type
            mixed = torch.autocast(kind, dtype, enabled=dtype != torch.float32)
            with torch.set_grad_enabled(grad), mixed:
                return network(part).float()

        made = self.map(lambda part: run(part, keep), parts)

        def back(number: int, grad: Tensor) -> None:
            out = made[number] if keep else run(parts[number], True)
            if out.requires_grad:
                out.backward(grad)

        features = torch.cat([m.detach() for m in made]).requires_grad_()
        return Forward(features, [len(m) for m in made], back, self)
