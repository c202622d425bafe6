"""Cosines and true classes → how often zero-shot is right, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.score.zero_shot import class_embeddings

BINS = 15


@dataclass(frozen=True)
class Classes:
    """Labelled embeddings: images ``[N, D]``, class numbers ``[N]``, names of the classes."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]


def accuracy(cosines: Tensor, labels: Tensor) -> dict[str, float]:
    """Return top-1, top-5 (with more than five classes) and mean per-class accuracy, in per cent.

    Args:
        cosines: ``[N, C]``.
        labels: Class numbers ``[N]``.
    """
    place = (cosines > cosines.gather(1, labels[:, None])).sum(1)
    first = (place < 1).float()
    out = {"top-1": 100 * first.mean().item()}
    if cosines.shape[1] > 5:
        out["top-5"] = 100 * (place < 5).float().mean().item()
    present = labels.unique()
    means = torch.stack([first[labels == c].mean() for c in present])
    return out | {"mean per class": 100 * means.mean().item()}


def calibration(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return how far the probabilities can be trusted.

    They are the softmax over the classes, for models trained with a sigmoid too: of the classes of
    a benchmark exactly one is right.

    Args:
        logits: Scale times cosine, ``[N, C]``.
        labels: Class numbers ``[N]``.

    Returns:
        ECE, the expected calibration error with 15 bins of equal width (Guo et al. 2017,
        arXiv:1706.04599, section 2), and mean confidence, in per cent; NLL in nats.
    """
    bins = reliability(logits, labels)
    gap = bins["confidence"] - bins["accuracy"]
    count = bins["count"]
    return {
        "ECE": 100 * ((gap.abs() * count).sum() / count.sum()).item(),
        "confidence": 100 * ((bins["confidence"] * count).sum() / count.sum()).item(),
        "NLL": F.cross_entropy(logits, labels).item(),
    }


def reliability(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the reliability diagram (Guo et al. 2017, section 2): 15 bins of the confidence.

    Args:
        logits: Scale times cosine, ``[N, C]``.
        labels: Class numbers ``[N]``.

    Returns:
        ``count``, and mean ``confidence`` and ``accuracy`` in [0, 1] (0 in an empty bin) of the
        images whose highest probability lies in bin b of [b / 15, (b + 1) / 15): ``[15]`` each.
    """
    confidence, guess = logits.softmax(-1).max(-1)
    right = (guess == labels).to(confidence)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)

    def total(values: Tensor) -> Tensor:
        return torch.zeros(BINS, dtype=values.dtype, device=values.device).index_add_(
            0, bins, values
        )

    count = total(torch.ones_like(confidence))
    some = count.clamp_min(1)
    return {
        "count": count,
        "confidence": total(confidence) / some,
        "accuracy": total(right) / some,
    }


def confusion(cosines: Tensor, labels: Tensor) -> Tensor:
    """Return how many images of each class (row) were taken for each (column), ``[C, C]``.

    Args:
        cosines: ``[N, C]``; of equal ones the first counts.
        labels: Class numbers ``[N]``.
    """
    count = cosines.shape[1]
    flat = labels * count + cosines.argmax(1)
    return torch.bincount(flat, minlength=count * count).view(count, count)


def evaluate(
    model: ClipModel, classes: Classes, templates: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the accuracy with each of a few `templates` and with their ensemble.

    With more than five templates only the ensemble is told. It comes with its calibration.
    """
    found = {}
    if 1 < len(templates) <= 5:
        for template in templates:
            texts = class_embeddings(model, classes.names, [template])
            found[template] = accuracy(classes.images @ texts.T, classes.labels)
    texts = class_embeddings(model, classes.names, templates)
    cosines = classes.images @ texts.T
    name = templates[0] if len(templates) == 1 else f"ensemble of {len(templates)}"
    found[name] = accuracy(cosines, classes.labels)
    found[name] |= calibration(model.logit_scale * cosines, classes.labels)
    return found
