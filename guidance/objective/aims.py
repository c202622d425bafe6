"""Where a CLIP's prompts pull a picture to, and what it should not be mistaken for.

With a prior (`guidance.clip.prior`) a prompt is aimed at the embedding of a picture rather than of
words. The pictures of all things have much in common, so nearness alone would draw what they share,
a meadow say, before what sets a thing apart: the picture is contrasted with those of other things
as well, by the kind of loss that CLIP was trained with (InfoNCE, van den Oord et al. 2018,
arXiv:1807.03748, equation 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.prompts.grammar import Prompt

TEXT_SHARE = 0.3  # of a prompt's text embedding beside the image embedding of a prior
# What sets a picture apart from the mean picture counts this much; 1 takes the prior's word for it.
SHARPEN = 1.6
SCALE = 30.0  # of the cosines in the contrast; it weighs 1 / SCALE, so that both pulls are alike


@dataclass(frozen=True)
class Aims:
    """The aims of P prompts for one CLIP.

    Attributes:
        targets: Unit embeddings to come close to ``[P, D]``.
        rivals: Unit embeddings of pictures of other things ``[M, D]``, by the number of each
            prompt that is aimed at a picture.
    """

    targets: Tensor
    rivals: dict[int, Tensor] = field(default_factory=dict)

    def confusion(self, features: Tensor, prompt: int) -> Tensor:
        """Return how easily views are mistaken for other things than `prompt`, a scalar ≥ 0.

        Args:
            features: Unit embeddings of the views ``[N, D]``.
            prompt: A key of `rivals`.
        """
        own, others = features @ self.targets[prompt], features @ self.rivals[prompt].T
        return confusion(own, others)


def aim(pictures: Tensor, texts: Tensor, centre: Tensor) -> Tensor:
    """Return the unit embeddings ``[N, D]`` that pictures of something are to come close to.

    A share of the text stays in it: what tells a thing from those a prior averages it with.

    Args:
        pictures: Unit embeddings of what such a picture is like ``[N, D]``.
        texts: Unit embeddings of the words for it ``[N, D]``.
        centre: The mean picture ``[D]``; shorter than 1.
    """
    sharp = F.normalize(centre + SHARPEN * (pictures - centre), dim=-1)
    return F.normalize(sharp + TEXT_SHARE * texts, dim=-1)


def confusion(own: Tensor, others: Tensor, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """Return how easily views are mistaken for other things than they should show, a scalar ≥ 0.

    Args:
        own: Cosine of each view to its own target ``[N]``.
        others: Cosines to pictures of other things ``[N, M]``; -inf leaves one out.
        reduction: Over the views.
    """
    likely = (SCALE * torch.cat([own[:, None], others], 1)).log_softmax(1)[:, 0]
    return (likely.mean() if reduction == "mean" else likely.sum()) / -SCALE


def take_aims(
    model: ClipModel, prompts: Sequence[Prompt], texts: Tensor, *, prior: bool = True
) -> Aims:
    """Return the aims of `prompts` with the embeddings `texts` ``[P, D]``.

    Positive text prompts without a stop are aimed at what the prior says, if the model has one.
    """
    rows = [i for i, prompt in enumerate(prompts) if prompt.plain]
    if not (rows and prior and model.prior):
        return Aims(texts)
    targets = texts.clone()
    imagined = model.imagine([prompts[i].text for i in rows])
    targets[rows] = aim(imagined, texts[rows], model.prior.centre)
    return Aims(targets, {i: model.prior.rivals(texts[i]) for i in rows})
