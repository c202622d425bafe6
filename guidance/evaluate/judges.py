"""Judges of pictures that had no part in making them: an ImageNet classifier or another CLIP."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from guidance.clip.classifier import image_classifier
from guidance.clip.registry import load_clip
from guidance.errors import InputError, ModelError, unknown
from guidance.evaluate.judge_names import CLASSIFIERS, check_judge, module_of
from guidance.images.resize import resize


class Classifier:
    """An ImageNet classifier: images ``[N, 3, H, W]`` in [0, 1] → log-probabilities."""

    def __init__(self, network: Any, size: int, device: torch.device) -> None:
        self.network, self.size = network.to(device).eval(), size
        config = network.default_cfg
        self.mean, self.std = (
            torch.tensor(config[k], device=device).view(1, 3, 1, 1) for k in ("mean", "std")
        )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return log-probabilities of the 1,000 classes ``[N, 1000]``."""
        x = resize(images, (self.size, self.size))
        return self.network((x - self.mean) / self.std).log_softmax(-1)


class ClipJudge:
    """A CLIP: images → log-probabilities of `texts`, as ``[N, P]``."""

    def __init__(self, name: str, texts: list[str], device: torch.device) -> None:
        self.model = load_clip(name, device=device)
        self.texts = self.model.encode_text(texts)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return log-probabilities of the texts ``[N, P]``."""
        cosines = self.model.encode_image(images) @ self.texts.T
        return (self.model.logit_scale * cosines).log_softmax(-1)


def load_judge(name: str, texts: list[str], device: torch.device) -> Classifier | ClipJudge:
    """Load a judge.

    Args:
        name: A key of `CLASSIFIERS`, or a CLIP as for ``--clip``.
        texts: What a CLIP has to choose from.
        device: Where it runs.

    Raises:
        InputError: the name does not exist.
        ModelError: its weights are damaged or out of reach.
    """
    check_judge(name)
    if name not in CLASSIFIERS:
        return ClipJudge(name, texts, device)
    return Classifier(load_classifier(name), CLASSIFIERS[name][1], device)


def load_classifier(name: str) -> nn.Module:
    """Load the network of a key of `CLASSIFIERS` from its installed package.

    Raises:
        InputError: the name does not exist, or the package is missing.
        ModelError: its weights are damaged.
    """
    if name not in CLASSIFIERS:
        raise InputError(unknown("classifier", name, CLASSIFIERS))
    check_judge(name)
    found = importlib.util.find_spec(module_of(name))
    if found is None or found.origin is None:  # a folder that was left behind
        raise ModelError(f"{module_of(name)} holds no weights of {name}")
    folder = Path(found.origin).parent
    files = sorted((folder / "models").glob("*.pth"))
    if not files:
        raise ModelError(f"{folder} holds no weights of {name}")
    return image_classifier(files[0], CLASSIFIERS[name][0])
