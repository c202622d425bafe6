"""Zero-shot classification (Radford et al. 2021, section 3.1) and its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip import ClipModel

BINS = 15


@dataclass(frozen=True)
class Classes:
    """Labelled embeddings: images ``[N, D]``, class numbers ``[N]``, names of the classes."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]


def class_embeddings(model: ClipModel, names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Return one embedding for each class, the mean over `templates`: unit vectors ``[C, D]``."""
    texts = [t.format(n) for n in names for t in templates]
    embedded = model.encode_text(texts).view(len(names), len(templates), -1)
    return F.normalize(embedded.mean(1), dim=-1)


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

    Args:
        logits: Scale times cosine, ``[N, C]``.
        labels: Class numbers ``[N]``.

    Returns:
        ECE, the expected calibration error with 15 bins of equal width (Guo et al. 2017,
        arXiv:1706.04599, section 2), and mean confidence, in per cent; NLL in nats.
    """
    probabilities = logits.softmax(-1)
    confidence, guess = probabilities.max(-1)
    right = (guess == labels).float()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gap = torch.zeros(BINS, device=logits.device).index_add_(0, bins, confidence - right)
    return {
        "ECE": 100 * (gap.abs().sum() / len(labels)).item(),
        "confidence": 100 * confidence.mean().item(),
        "NLL": F.cross_entropy(logits, labels).item(),
    }


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
