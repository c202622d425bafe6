"""Video → frames → cosines over time ``[T, P]`` → one score a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.conventions import check_range
from guidance.images import to_tensor
from guidance.images.films import animation_frames, is_animation, video_frames

SHRINK = 3  # frames are reduced to no less than this many times CLIP's input


def read_frames(path: Path, fps: float) -> Iterator[tuple[float, Image.Image]]:
    """Give `fps` frames for each second of a video, with their time in seconds.

    Of an animation the frames that are shown at these times are given, each once, with the time at
    which it appears.

    Raises:
        FileError: it cannot be read, is damaged, or has frames that are too large.
    """
    check_range("fps", fps, 0, 1000, above=True)
    if not is_animation(path):
        yield from ((number / fps, frame) for number, frame in enumerate(video_frames(path, fps)))
        return
    due = 0  # the number of the next time
    for start, end, frame in animation_frames(path):
        if due < end * fps - 1e-6:
            due = math.ceil(end * fps - 1e-6)
            yield start, frame


@torch.no_grad()
def score_frames(
    frames: Iterator[tuple[float, Image.Image]],
    texts: list[str],
    scorer: ClipScorer,
    *,
    batch: int = 32,
) -> tuple[list[float], Tensor]:
    """Return the times of the frames in seconds, and their cosines to the texts ``[T, P]``."""
    targets = scorer.encode_text(texts)
    least = SHRINK * max(m.image_size for m in scorer.models)
    times: list[float] = []
    waiting: list[Tensor] = []
    scores: list[Tensor] = []

    def flush() -> None:
        if waiting:
            scores.append((scorer.encode_image(torch.cat(waiting)) @ targets.T).cpu())
            waiting.clear()

    for seconds, frame in frames:
        factor = max(1, min(frame.size) // least)
        pixels = to_tensor(frame.reduce(factor) if factor > 1 else frame)
        if waiting and waiting[0].shape != pixels.shape:
            flush()
        times.append(seconds)
        waiting.append(pixels)
        if len(waiting) == batch:
            flush()
    flush()
    return times, torch.cat(scores) if scores else torch.zeros(0, len(texts))


def pool_attention(scores: Tensor, temperature: float) -> Tensor:
    """Pool cosines over time, each moment weighted by how well it fits the text itself.

    The attention over the similarity matrix of X-CLIP (Ma et al. 2022, arXiv:2207.07285, section
    3.4): the sum over the frames of softmax(score / temperature) × score.

    Args:
        scores: ``[T, P]``.
        temperature: above 0; towards 0 the result is the maximum, towards infinity the mean.

    Returns:
        ``[P]``.
    """
    check_range("temperature", temperature, 0, above=True)
    return ((scores / temperature).softmax(dim=0) * scores).sum(dim=0)
