"""Patches × words → similarity: FILIP's late interaction, beside CLIP's one dot product.

Yao et al. 2021, "FILIP: Fine-grained Interactive Language-Image Pre-Training" (arXiv:2111.07783),
section 3.1: each patch finds the word it fits best and the mean of these cosines is the similarity
from image to text (equation 4); each word finds its best patch, and their mean is the similarity
from text to image (equation 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.clip.tokens import TokenTower, patch_embeddings, word_embeddings
from guidance.conventions import check_images
from guidance.errors import InputError
from guidance.images import ImageLike, as_tensor


def filip(patches: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Compare each image with each text, token by token.

    Args:
        patches: ``[N, I, D]``, unit length.
        words: ``[P, L, D]``, unit length.
        mask: ``[P, L]``, true where `words` holds a token; at least one a text.

    Returns:
        The similarity from image to text and the one from text to image, ``[N, P]`` each, in
        [-1, 1], differentiable.

    Raises:
        InputError: shapes that do not belong together, or a text without a token.
    """
    if patches.ndim != 3 or words.ndim != 3 or patches.shape[-1] != words.shape[-1]:
        raise InputError(
            "patches must be [N, I, D] and words [P, L, D] but they are "
            f"{list(patches.shape)} and {list(words.shape)}"
        )
    if mask.shape != words.shape[:2] or not mask.any(dim=1).all():
        raise InputError("mask must be [P, L] with at least one token in each row")
    to_text, to_image = [], []
    for text, real in zip(words, mask, strict=True):  # one text at a time: memory N · I · L
        cosines = patches @ text[real].T  # [N, I, L']
        to_text.append(cosines.amax(dim=2).mean(dim=1))
        to_image.append(cosines.amax(dim=1).mean(dim=1))
    return torch.stack(to_text, dim=1), torch.stack(to_image, dim=1)


class LateScorer:
    """Scores as `ClipScorer` does, but by patches and words; ensembles average.

    Models that were not trained this way align only the end mark of a text with images. With
    ``words="end"`` a text is its usual one embedding, and image to text becomes the mean over the
    patches, text to image the best patch; ``words="all"`` is FILIP proper.

    Args:
        scorer: the models and their weights.
        words: ``"end"`` or ``"all"``.

    Raises:
        InputError: another value of `words`.
        ModelError: a tower gives no tokens.

    Example:
        >>> late = LateScorer(ClipScorer("mini", device="cpu"))
        >>> late.similarity(torch.rand(2, 3, 64, 64), ["a fox", "a boat", "a lemon"]).shape
        torch.Size([2, 3])
    """

    def __init__(self, scorer: ClipScorer, *, words: str = "end"):
        if words not in ("end", "all"):
            raise InputError(f"words must be end or all but is {words!r}")
        for model in scorer.models:
            TokenTower(model)
        self.scorer = scorer
        self.words = words

    def similarity(self, images: Tensor | Sequence[ImageLike], texts: Sequence[str]) -> Tensor:
        """Return the mean of both directions of `filip`, ``[N, P]`` in [-1, 1]."""
        to_text, to_image = self.directions(images, texts)
        return (to_text + to_image) / 2

    def directions(
        self, images: Tensor | Sequence[ImageLike], texts: Sequence[str]
    ) -> tuple[Tensor, Tensor]:
        """Return the similarities from image to text and from text to image, ``[N, P]`` each."""
        if not isinstance(images, Tensor):
            parts = [self.directions(as_tensor(image), texts) for image in images]
            if not parts:
                raise InputError("images must not be empty")
            return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        check_images("images", images)
        forth = back = torch.zeros((), device=images.device)
        for model, weight in zip(self.scorer.models, self.scorer.weights, strict=True):
            patches = patch_embeddings(model, images).flatten(2).transpose(1, 2)
            to_text, to_image = filip(patches, *self._texts(model, texts))
            forth, back = forth + weight * to_text, back + weight * to_image
        return forth, back

    def _texts(self, model, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        if self.words == "all":
            return word_embeddings(model, texts)
        ends = model.encode_text(texts)[:, None]
        return ends, torch.ones(ends.shape[:2], dtype=torch.bool, device=ends.device)
