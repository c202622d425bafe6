"""A picture before and after a word is written on it → what a CLIP says of both."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.images import to_tensor
from guidance.objective.text_off import without_direction


def chances_of(
    scorer: ClipScorer, image: Image.Image, off: Tensor | None, texts: list[str], softmax: bool
) -> list[float]:
    """Return the probabilities of the texts; `off` is directions to take out of the image."""
    with torch.no_grad():
        embedding = scorer.encode_image(to_tensor(image))
        if off is not None:
            embedding = without_direction(embedding, off)
        logits = scorer.logits(embedding, scorer.encode_text(texts))
        return scorer.to_probabilities(logits, softmax=softmax)[0].tolist()


def how_moved(
    scorer: ClipScorer, image: Image.Image, attacked: Image.Image, off: Tensor | None
) -> str:
    """Say how far the word moves the embedding, as it is and with text off in both."""
    with torch.no_grad():
        pair = torch.cat([scorer.encode_image(to_tensor(i)) for i in (image, attacked)])
    said = f"it moves the picture to a cosine of {(pair[0] @ pair[1]).item():.3f}"
    if off is None:
        return said
    pair = without_direction(pair, off)
    return f"{said}, text off {(pair[0] @ pair[1]).item():.3f}"
