"""A picture × prompts → one score, whole and in parts: what is judged before it is finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.conventions import check_images
from guidance.prompts.grammar import Prompt
from guidance.score.prompts import prompts_for_ranking
from guidance.score.ranking import RankOptions, rank

PART = 0.8  # side of a part, as a fraction of the picture's shorter side


class Judge:
    """Scores of pictures by the image tower that ranks, as `guidance.rank` gives them.

    A tower that follows gradients can be pleased by what nobody else sees; where a CLIP has another
    one for looking, as mini has, it is that one that judges.

    Args:
        prompts: parsed, without a schedule; negative weights count against a picture.
        clip: name of the model; it is loaded at once.
        device: "auto" (CUDA, then MPS, then CPU), or one that PyTorch knows.
        precision: arithmetic of the image tower.

    Raises:
        InputError, ModelError: as `guidance.rank`.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        clip: str = "mini",
        *,
        device: str | torch.device = "auto",
        precision: str = "fp32",
    ):
        self.prompts = prompts_for_ranking(prompts)
        self._scorer = ClipScorer(clip, device=device, precision=precision)

    def __call__(self, images: Tensor) -> float:
        """Return the mean score of the pictures ``[B, 3, H, W]`` in [0, 1] and their parts.

        What is in a picture by chance is not in all its parts. In [-1, 1], rounded as scores are
        told, so that equal pictures have equal ones.
        """
        check_images("images", images)
        looks = [look for image in images for look in _looks(image)]
        ranking = rank(looks, self.prompts, scorer=self._scorer, options=RankOptions(workers=0))
        return round(sum(r.score for r in ranking) / len(ranking), 6)


def _looks(image: Tensor) -> Iterator[Tensor]:
    """Yield ``[3, H, W]`` and its squares at the corners and in the middle."""
    height, width = image.shape[-2:]
    side = max(1, round(PART * min(height, width)))
    down, right = height - side, width - side
    yield image
    for top, left in ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)):
        yield image[:, top : top + side, left : left + side]
