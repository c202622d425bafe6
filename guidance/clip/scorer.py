"""Images and texts → similarity, with one CLIP model or a weighted ensemble.

``[N, 3, H, W]`` and P texts → ``[N, P]``, differentiable in the images.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from guidance.clip.fingerprint import combine
from guidance.clip.names import parse_specs
from guidance.clip.registry import load_clip
from guidance.conventions import check_images, resolve_device
from guidance.errors import InputError
from guidance.images import ImageLike, as_tensor

if TYPE_CHECKING:
    from guidance.clip.model import ClipModel


class ClipScorer:
    """Differentiable image-text similarity.

    Args:
        clip: names as in `guidance.clip.registry`, in one string (``"mini,ViT-B-32/openai:0.5"``)
            or a list, or a list of loaded models.
        device: ``"auto"`` means CUDA, then MPS, then CPU.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"`` for the image towers.
        weights: of the models, if they are given loaded; normalised to sum 1.
        guide: take the image towers made for gradients, where a named model has one: they see
            less, but following them draws things. The command lines of the generators do.

    Raises:
        InputError: unknown name, device or precision, before anything is loaded.
        ModelError: weights are damaged or out of reach.

    Example:
        >>> scorer = ClipScorer("mini", device="cpu")
        >>> scorer.similarity(torch.rand(2, 3, 64, 64), ["a fox", "a boat", "a lemon"]).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        clip: str | Sequence[str] | Sequence[ClipModel] = "mini",
        *,
        device: str | torch.device = "auto",
        precision: str = "fp32",
        weights: Sequence[float] | None = None,
        guide: bool = False,
    ):
        if isinstance(clip, os.PathLike):
            clip = os.fspath(clip)
        if not isinstance(clip, Iterable):
            raise InputError(f"clip must be a name, or a list of names or models but is {clip!r}")
        given = [clip] if isinstance(clip, str) else list(clip)
        models = [c for c in given if not isinstance(c, str)]
        names = ",".join(c for c in given if isinstance(c, str))
        if names and models:
            raise InputError("clip must be all names or all models but is a mixture of both")
        if names or isinstance(clip, str):
            if weights is not None:
                raise InputError('weights of named models belong to the names: "mini:2,RN50:1"')
            specs = parse_specs(names)
            target = resolve_device(str(device))
            self.models = [
                load_clip(s, device=target, precision=precision, guide=guide) for s in specs
            ]
            weights = [s.weight for s in specs]
        else:
            self.models = models
            weights = [1.0] * len(self.models) if weights is None else list(weights)
        positive = all(0 < w < math.inf for w in weights)
        if not self.models or len(weights) != len(self.models) or not positive:
            raise InputError("clip must name at least one model, each with a positive weight")
        self.weights = [w / sum(weights) for w in weights]

    @property
    def device(self) -> torch.device:
        """Where the models run."""
        return self.models[0].device

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stand for how images are embedded; see `ClipModel`.

        That of the model itself if there is one; an ensemble's depends on order and weights.
        """
        if len(self.models) == 1:
            return self.models[0].fingerprint
        weights = [f"{w:.6f}" for w in self.weights]
        return combine([m.fingerprint for m in self.models] + weights)

    @property
    def length(self) -> int:
        """Length D of the embeddings."""
        return self.encode_text(["a"]).shape[-1]

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as ``[P, D]``, unit length.

        For an ensemble the embeddings are concatenated, each scaled by the root of its model's
        weight, so that the dot product of two of them is the weighted mean of the cosines.
        """
        return self.join([m.encode_text(texts) for m in self.models])

    def encode_image(self, images: Tensor | Sequence[ImageLike]) -> Tensor:
        """Embed images as ``[N, D]``, unit length (ensembles as in `encode_text`).

        Args:
            images: ``[N, 3, H, W]`` in [0, 1], or a list of tensors, PIL images and paths, which
                may differ in size.
        """
        if not isinstance(images, Tensor):
            return torch.cat([self.encode_image(as_tensor(image)) for image in self._some(images)])
        check_images("images", images)
        return self.join([m.encode_image(images) for m in self.models])

    def similarity(self, images: Tensor | Sequence[ImageLike], texts: Sequence[str]) -> Tensor:
        """Return the cosine of each image and text, ``[N, P]`` in [-1, 1]."""
        return self.encode_image(images) @ self.encode_text(texts).T

    @property
    def sigmoid(self) -> bool:
        """Whether all models were trained with a sigmoid, see `ClipModel.sigmoid`."""
        return all(m.sigmoid for m in self.models)

    def probabilities(
        self,
        images: Tensor | Sequence[ImageLike],
        texts: Sequence[str],
        *,
        softmax: bool = False,
    ) -> Tensor:
        """Return how likely each text is that of the image, ``[N, P]`` in [0, 1].

        Models trained to tell texts apart (CLIP, Radford et al. 2021, section 2.3) give the softmax
        over the texts, so that rows sum to 1, and one text alone always has 1. Those trained with a
        sigmoid (SigLIP, Zhai et al. 2023, arXiv:2303.15343, section 3.2) judge each text by itself:
        rows of texts that all fit or that do not fit sum to anything.

        Args:
            images: as in `encode_image`.
            texts: P of them.
            softmax: compare the texts with each other whatever the models are. An ensemble that is
                not all of one kind always does, for what only some can say is not comparable.
        """
        logits = self.logits(self.encode_image(images), self.encode_text(texts))
        return self.to_probabilities(logits, softmax=softmax)

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return scale × cosine + bias of embedded images ``[N, D]`` and texts ``[P, D]``.

        Scale and bias are those each model was trained with; ensembles average the logits.
        """
        if len(self.models) == 1:
            return self.models[0].logit_scale * (images @ texts.T) + self.models[0].logit_bias
        sizes = [model.encode_text(["a"]).shape[1] for model in self.models]
        scales = [torch.full((n,), m.logit_scale) for n, m in zip(sizes, self.models, strict=True)]
        bias = sum(w * m.logit_bias for w, m in zip(self.weights, self.models, strict=True))
        return (images * torch.cat(scales).to(images)) @ texts.T + bias

    def to_probabilities(self, logits: Tensor, *, softmax: bool = False) -> Tensor:
        """Return the probabilities of `logits` ``[N, P]``, see `probabilities`."""
        return logits.sigmoid() if self.sigmoid and not softmax else logits.softmax(dim=-1)

    def join(self, parts: list[Tensor]) -> Tensor:
        """Concatenate embeddings of each model, ``[N, D]`` each, as `encode_text` says."""
        if len(parts) == 1:
            return parts[0]
        return torch.cat([p * w**0.5 for p, w in zip(parts, self.weights, strict=True)], dim=-1)

    @staticmethod
    def _some(images: Sequence[ImageLike]) -> Sequence[ImageLike]:
        if isinstance(images, str) or not hasattr(images, "__iter__"):
            raise InputError("images must be a tensor or a list of paths, PIL images or tensors")
        images = list(images)
        if not images:
            raise InputError("images must not be empty")
        return images
