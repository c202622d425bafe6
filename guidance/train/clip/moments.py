"""Running moments of embeddings and class logits → what a picture of each class is like."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# How far a class lies from the mean picture, as a multiple of what the formula says.
SHARPNESS = 3.0
DECAY = 0.995  # of the running moments, a batch


def class_images(centre: Tensor, covariance: Tensor) -> Tensor:
    """Return the unit embedding of a typical picture of each class ``[C, D]``.

    Linear discriminant analysis (Hastie et al. 2009, section 4.3) read backwards: there, weights
    are the inverse covariance of the features times the class means, so the class means are the
    covariance times the weights, which is the covariance of features and logits.

    Args:
        centre: Mean embedding ``[D]``.
        covariance: Of the classifier's logits and the embeddings ``[C, D]``.
    """
    return F.normalize(centre + SHARPNESS * covariance, dim=-1)


class Moments:
    """Moving averages of what a tower and a classifier say of the same pictures.

    The tower changes while it learns, so what it said long ago counts less and less.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    def add(self, images: Tensor, logits: Tensor) -> None:
        """Take note of unit embeddings ``[N, D]`` and class logits ``[N, C]`` of one batch."""
        images, logits = images.detach().float(), logits - logits.mean(1, keepdim=True)
        means = {
            "image": images.mean(0), "logit": logits.mean(0),
            "both": logits.T @ images / len(images),
        }  # fmt: skip
        if not self.state:
            self.state = {k: torch.zeros_like(v) for k, v in means.items()}
            self.state["batches"] = torch.zeros((), dtype=torch.int64, device=images.device)
        seen = int(self.state["batches"])
        share = max(1 - DECAY, 1 / (1 + seen))
        for key, value in means.items():
            self.state[key].lerp_(value, share)
        self.state["batches"] += 1

    @property
    def batches(self) -> int:
        """How many batches were noted."""
        return int(self.state["batches"]) if self.state else 0

    @property
    def centre(self) -> Tensor:
        """The mean embedding ``[D]``."""
        return self.state["image"]

    def class_images(self) -> Tensor:
        """Return the unit embedding of a typical picture of each class ``[C, D]``."""
        covariance = self.state["both"] - torch.outer(self.state["logit"], self.state["image"])
        return class_images(self.centre, covariance)
