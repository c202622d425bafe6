"""Zero-shot classification: class names → embeddings, the nearest of which is the class.

Radford et al. 2021, arXiv:2103.00020, section 3.1: the class whose name, put into sentences, is
nearest to the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.clip.scorer import ClipScorer
from guidance.clip.text_cache import encode_text
from guidance.errors import InputError


def class_embeddings(
    model: ClipModel | ClipScorer,
    names: Sequence[str],
    templates: Sequence[str],
    *,
    cache: bool = True,
) -> Tensor:
    """Return one embedding for each class, the mean over `templates`: unit vectors ``[C, D]``.

    Args:
        model: one CLIP, or a scorer; of an ensemble the embeddings are joined as those of
            `ClipScorer.encode_text`, each model's mean of unit length for itself.
        names: what goes into the templates.
        templates: sentences with ``{}``, of `guidance.score.templates`.
        cache: keep many texts on disk, see `guidance.clip.text_cache`.
    """
    if not len(names) or not len(templates):
        raise InputError("names and templates must not be empty")
    texts = [t.replace("{}", n) for n in names for t in templates]
    return mean_embeddings(model, texts, len(templates), cache=cache)


def mean_embeddings(
    model: ClipModel | ClipScorer, texts: Sequence[str], each: int, *, cache: bool = True
) -> Tensor:
    """Return the mean direction of every `each` successive texts: unit vectors ``[P / each, D]``.

    For the rest see `class_embeddings`.
    """
    models = model.models if isinstance(model, ClipScorer) else [model]
    weights = model.weights if isinstance(model, ClipScorer) else [1.0]
    parts = []
    for single, weight in zip(models, weights, strict=True):
        embedded = encode_text(single, texts, cache=cache).unflatten(0, (-1, each))
        parts.append(F.normalize(embedded.mean(1), dim=-1) * weight**0.5)
    return torch.cat(parts, dim=-1)
