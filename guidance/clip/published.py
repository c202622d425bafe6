"""How published weights were trained: open_clip's tags → activation and preprocessing.

A tag (``ViT-B-32/openai``) says both. A file says neither, so for ``ARCHITECTURE=FILE`` they are
taken from the tag that the file can be recognised as, or else from what the tags of its
architecture agree on; ``ARCHITECTURE/TAG=FILE`` names the tag.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidance.errors import InputError, unknown

if TYPE_CHECKING:
    from torch import Tensor

NOTES = logging.getLogger("guidance")
OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")  # only OpenAI saves these
_FIELDS = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Training:
    """What the weights of a network do not say about it.

    Attributes:
        quick_gelu: the activation is ``x · sigmoid(1.702 x)``, OpenAI's approximation of GELU.
        preprocess: open_clip's ``preprocess_cfg``: mean, std, interpolation, resize_mode.
    """

    quick_gelu: bool
    preprocess: Mapping[str, Any]

    def __str__(self) -> str:
        p = self.preprocess
        mean, std = (", ".join(f"{v:.3g}" for v in p[k]) for k in ("mean", "std"))
        activation = "QuickGELU" if self.quick_gelu else "GELU"
        return f"{activation}, mean {mean}, std {std}, {p['interpolation']}, {p['resize_mode']}"


def tags(arch: str) -> tuple[str, ...]:
    """Return the tags of the published weights of an architecture."""
    import open_clip

    return tuple(open_clip.list_pretrained_tags_by_model(arch))


def published(arch: str, tag: str) -> Training:
    """Return how the weights of a tag were trained.

    Raises:
        InputError: the architecture has no such tag.
    """
    import open_clip

    from_tag = open_clip.get_pretrained_cfg(arch, tag)
    if not from_tag:
        raise InputError(unknown(f"tag of {arch}", tag, tags(arch)))
    # an architecture with QuickGELU in its name or configuration was only ever trained with it
    quick = bool(from_tag.get("quick_gelu")) or _quick(arch)
    return Training(quick, {k: from_tag[k] for k in _FIELDS})


def of_file(arch: str, path: Path, state: Mapping[str, Tensor]) -> Training:
    """Return how the weights in a file were probably trained, and tell the user what was taken.

    Raises a warning where weights of this architecture were trained in several ways and nothing
    says which these are.
    """
    tag, why = recognise(arch, path, state)
    if tag in tags(arch):
        taken = published(arch, tag)
        NOTES.info("%s is taken for %s/%s, %s: %s", path, arch, tag, why, taken)
        return taken
    ways = Counter(str(published(arch, t)) for t in tags(arch))
    taken = _usual(arch, quick=tag == "openai" or None)
    if tag == "openai":
        NOTES.info("%s is taken for weights of OpenAI, %s: %s", path, why, taken)
    elif not ways:
        NOTES.info("%s: no weights of %s are published; taken is %s", path, arch, taken)
    elif len(ways) == 1:
        NOTES.info("%s is computed as the published weights of %s are: %s", path, arch, taken)
    else:
        others = [t for t in tags(arch) if published(arch, t) != taken]
        shown = ", ".join(others[:6]) + (", …" if len(others) > 6 else "")
        warnings.warn(
            f"weights of {arch} were trained in {len(ways)} ways; {path} is computed with {taken}. "
            f"If it is like {shown}, name that: {arch}/{others[0]}={path}",
            stacklevel=2,
        )
    return taken


def recognise(arch: str, path: Path, state: Mapping[str, Tensor]) -> tuple[str, str]:
    """Return the tag that a file's content or name stands for and why, or two empty strings."""
    import open_clip

    if all(mark in state for mark in OPENAI_MARKS):
        return "openai", "for it holds what only OpenAI's files do"
    place = Path(*path.absolute().parts[-4:])
    words = f"-{re.sub(r'[^a-z0-9]+', '-', f'{place.parent.name}-{place.stem}'.lower())}-"
    found = []
    for tag in tags(arch):
        source = open_clip.get_pretrained_cfg(arch, tag)
        repository = "--".join(["models", *source.get("hf_hub", "").split("/")[:2]])
        name = Path(source.get("url", "")).name
        if repository in place.parts:
            return tag, "for its place in the hub's cache"
        if name == path.name and tag != "openai":  # ViT-B-32.pt may be anybody's
            return tag, "for its name"
        if f"-{tag.lower().replace('_', '-')}-" in words:
            found.append(tag)
    if found:
        return max(found, key=len), "for its name"
    if _half_as_openai(state):
        return "openai", "for what of it is in half precision"
    return "", ""


def _half_as_openai(state: Mapping[str, Tensor]) -> bool:
    """Return whether OpenAI's package had these weights on a GPU: all but norms and tables half."""
    import torch

    half = {k for k, v in state.items() if v.dtype == torch.float16}
    full = {k for k, v in state.items() if v.dtype == torch.float32}
    table, projection = "token_embedding.weight", "text_projection"
    return table in full and "ln_final.weight" in full and projection in half


def _quick(arch: str) -> bool:
    import open_clip

    return bool(open_clip.get_model_config(arch).get("quick_gelu"))


def _usual(arch: str, *, quick: bool | None) -> Training:
    """Return the most common preprocessing of an architecture, the first of equally common ones.

    Counted are the tags with this activation, if any; None takes the one that all tags have, or
    the architecture's own. OpenAI's preprocessing is taken where nothing is published.
    """
    import open_clip

    ways = [published(arch, t) for t in tags(arch)]
    if quick is None:
        activations = {w.quick_gelu for w in ways}
        quick = activations.pop() if len(activations) == 1 else _quick(arch)
    same = [w for w in ways if w.quick_gelu == quick] or ways
    if not same:
        usual = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD,
                 "interpolation": "bicubic", "resize_mode": "shortest"}  # fmt: skip
        return Training(quick, usual)
    counts = Counter(str(w) for w in same)
    best = max(same, key=lambda w: counts[str(w)])  # the first of those
    return Training(quick, best.preprocess)
