"""Losses of the image tower, for embeddings of unit length ``[N, D]``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SAME_MEANING = 0.85  # cosine of two captions above which they are neither match nor mismatch


def contrast(
    queries: Tensor,  # [N, D]
    keys: Tensor,  # [M, D]
    scale: Tensor,
    positive: Tensor,  # bool [N, M]
    ignore: Tensor,  # bool [N, M]
) -> Tensor:
    """Cross-entropy of each query against all keys, averaged over its positives; a scalar.

    Pairs in `ignore` that are not positive are left out of the sum over keys.
    """
    logits = scale * queries @ keys.T
    log_p = logits - logits.masked_fill(ignore & ~positive, -torch.inf).logsumexp(1, keepdim=True)
    share = positive / positive.sum(1, keepdim=True)
    return -(log_p.masked_fill(~positive, 0) * share).sum(1).mean()


def knowledge(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL divergence of two sets of class logits ``[N, C]``, teacher softened by `temperature`."""
    target = (teacher / temperature).softmax(-1)
    return F.kl_div(student.log_softmax(-1), target, reduction="batchmean")


def relative(got: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance of rows, relative to that of their mean: 1 is "knows nothing"."""
    spread = (wanted - wanted.mean(0)).square().sum(1).mean()
    return (got - wanted).square().sum(1).mean() / spread


class Queue:
    """The last image embeddings and the sentence embeddings of their captions, as more negatives.

    Cross-batch memory (Wang et al. 2020, arXiv:1912.06798). Clutter has a zero sentence vector.
    """

    def __init__(self, size: int, dim: int) -> None:
        self.size = size
        self.images, self.sentences = torch.zeros(0, dim), torch.zeros(0, dim)

    def push(self, images: Tensor, sentences: Tensor) -> None:
        """Add a batch and drop the oldest rows beyond `size`."""
        self.images = torch.cat([self.images, images.detach()])[-self.size :]
        self.sentences = torch.cat([self.sentences, sentences])[-self.size :]
