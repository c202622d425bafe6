"""The losses of all trainings; each sums its own in ``trainer.py``, CLIP's in ``objective.py``.

Embeddings are of unit length, ``[N, D]``. `contrast` of images and texts in both directions is the
loss of CLIP; where every caption of a batch is different it equals ``open_clip.loss.ClipLoss``.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def paired(ours: Tensor, theirs: Tensor, scale: Tensor) -> Tensor:
    """Contrast in both directions of rows that belong together and are all different."""
    own = torch.eye(len(ours), dtype=torch.bool, device=ours.device)
    none = torch.zeros_like(own)
    return (contrast(ours, theirs, scale, own, none) + contrast(theirs, ours, scale, own, none)) / 2


def knowledge(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL divergence of two sets of class logits ``[N, C]``, teacher softened by `temperature`."""
    target = (teacher / temperature).softmax(-1)
    return F.kl_div(student.log_softmax(-1), target, reduction="batchmean")


def relative(got: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance of rows, relative to that of their mean: 1 is "knows nothing"."""
    spread = (wanted - wanted.mean(0)).square().sum(1).mean()
    return (got - wanted).square().sum(1).mean() / spread


@dataclass(frozen=True)
class Keys:
    """Embeddings ``[M, D]`` with captions and groups; a picture of nothing has caption -1."""

    features: Tensor
    captions: Tensor
    groups: Tensor


def matches(a: Keys, b: Keys) -> Tensor:
    """Tell which pairs share a caption or a group (if not negative): bool ``[N, M]``."""
    grouped = (a.groups[:, None] == b.groups) & (a.groups[:, None] >= 0)
    return grouped | (a.captions[:, None] == b.captions)


def alike(a: Keys, b: Keys, meaning: Tensor) -> Tensor:
    """Tell which pairs have captions that mean nearly the same: bool ``[N, M]``.

    `meaning` are the unit embeddings of all captions ``[T, D]``.
    """
    known = b.captions >= 0
    cosines = meaning[a.captions].float() @ meaning[b.captions.clamp(min=0)].float().T
    return (cosines > SAME_MEANING) & known


def hinge(real: Tensor, made: Tensor) -> Tensor:
    """Return the judge's hinge loss (Lim and Ye 2017, arXiv:1705.02894)."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())


def likeness(student: Tensor, teacher: Tensor, scale: float = 20.0) -> Tensor:
    """Cosine distance plus KL of in-batch similarities (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        student: ``[N, D]``, not normalised.
        teacher: ``[N, D]``, unit length.
        scale: of the cosines.
    """
    student = F.normalize(student, dim=-1)
    cosine = 1 - (student * teacher).sum(-1).mean()
    target = (scale * teacher @ teacher.T).softmax(-1)
    log_p = (scale * student @ teacher.T).log_softmax(-1)
    return 2 * cosine + F.kl_div(log_p, target, reduction="batchmean")


def min_snr(error: Tensor, snr: Tensor, floor: float, gamma: float) -> Tensor:
    """Weigh squared errors of v ``[N]`` by their signal-to-noise ratios ``[N]``.

    The weight for the error of the noise is min(snr, γ) / snr (Hang et al. 2023, arXiv:2303.09556),
    which is min(snr, γ) / (snr + 1) for that of v. The floor (Salimans and Ho 2022,
    arXiv:2202.00512, section 4) keeps the noisiest steps, which decide the composition.
    """
    return error * snr.clamp(floor, gamma) / (snr + 1)
