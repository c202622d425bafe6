"""What a probe has learned ↔ one safetensors file that names its classes and its CLIP."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.errors import FileError, ModelError, line
from guidance.files.writing import atomic
from guidance.probe.logistic import Linear
from guidance.probe.methods import Learned
from guidance.probe.options import METHODS
from guidance.probe.prompts import Prompts

KEY = "guidance.probe"


@dataclass(frozen=True)
class About:
    """What a head is.

    Attributes:
        method: linear, coop or cocoop.
        names: of the classes.
        clip, fingerprint: the model it was learned with, as typed, and what tells its weights.
        source: features or embeddings.
        context: the words or number of vectors that learned prompts began with.
    """

    method: str
    names: tuple[str, ...]
    clip: str
    fingerprint: str
    source: str
    context: str = ""


@dataclass(frozen=True)
class Head:
    """A file of `save`, read: what it is, and its tensors."""

    about: About
    tensors: dict[str, Tensor]

    def learned(self, clip: ClipModel) -> Learned:
        """Return the classifier, to be used with `clip`.

        Raises:
            ModelError: it was learned with other weights, or its tensors do not fit.
        """
        about = self.about
        if clip.fingerprint != about.fingerprint:
            raise ModelError(
                f"the head was learned with {about.clip} and does not fit {clip.name} "
                f"in {str(clip.dtype).removeprefix('torch.')}"
            )
        try:
            if about.method == "linear":
                weight, bias = self.tensors["weight"], self.tensors["bias"]
                if weight.shape[0] != len(about.names) or bias.shape != weight.shape[:1]:
                    raise ValueError("the tensors are of other shapes")
                return Learned(Linear(weight, bias), about.source)
            each = self.tensors["context"].shape[0] > 1
            conditional = about.method == "cocoop"
            prompts = Prompts(
                clip, about.names, context=about.context, conditional=conditional, each=each
            )
            prompts.load_state_dict(self.tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelError(f"the head does not fit {clip.name}: {line(error)}") from error
        return Learned(prompts, about.source)


def save(
    path: str | os.PathLike,
    learned: Learned,
    *,
    method: str,
    names: Sequence[str],
    clip: ClipModel,
    context: str = "",
) -> None:
    """Write a classifier with the names of its classes."""
    if isinstance(learned.model, Linear):
        tensors, context = {"weight": learned.model.weight, "bias": learned.model.bias}, ""
    else:
        tensors = learned.model.state_dict()
    about = About(method, tuple(names), clip.name, clip.fingerprint, learned.source, context)
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={KEY: json.dumps(asdict(about))})


def load(path: str | os.PathLike) -> Head:
    """Read a file of `save`.

    Raises:
        FileError: it does not exist or is no such file.
    """
    if not Path(path).is_file():
        raise FileError(f"the head {str(path)!r} does not exist")
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts["names"] = tuple(facts["names"])
        about = About(**facts)
        texts = (about.clip, about.fingerprint, about.context, *about.names)
        if about.method not in METHODS or not all(isinstance(t, str) for t in texts):
            raise ValueError("unknown entries")
        if about.source not in ("features", "embeddings") or len(about.names) < 2:
            raise ValueError("unknown entries")
        if not all(torch.isfinite(t).all() for t in tensors.values()):
            raise ValueError("values that are not finite")
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise FileError(f"{path} is not a head saved by guidance.probe ({line(error)})") from error
    return Head(about, tensors)
