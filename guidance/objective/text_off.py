"""Embeddings × the direction of written text → embeddings that read less.

CLIP reads: a word written on a picture pulls its embedding towards the word (the typographic attack
of Goh et al. 2021, "Multimodal Neurons in Artificial Neural Networks"). Here words are written on
pictures without text; the mean change of the embedding is the direction of "there is writing", the
principal components of what is left of the changes tell the words apart (compare Materzyńska et al.
2022, arXiv:2206.07835, who learn such a projection). Taking these directions out of the embedding
of an image leaves what else is in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.conventions import check_count, check_range, make_generator
from guidance.errors import InputError
from guidance.images import to_pil, to_tensor
from guidance.images.resize import resize

PLACES = {"top": 0.18, "centre": 0.5, "bottom": 0.82}  # part of the height, of the word's middle
# things that are often in pictures, for a word about them is what misleads
WORDS = (
    "dog", "house", "piano", "river", "bread", "clock", "train", "flower", "horse", "guitar",
    "window", "shoe", "bottle", "mountain", "candle", "ship", "book", "tiger", "bicycle", "cheese",
    "doctor", "island", "camera", "snow", "bridge", "lemon", "garden", "robot", "chair", "spoon",
    "eagle", "market",
)  # fmt: skip


def write_on(
    image: Image.Image, word: str, *, height: float = 0.2, place: str = "bottom"
) -> Image.Image:
    """Write `word` in black on a white label over a picture.

    Args:
        height: of the letters, as a part of the picture's height; less if the word is too wide.
        place: a key of `PLACES`.

    Raises:
        InputError: no word, an unknown place, or a height out of [0.02, 1].
    """
    if not word.strip():
        raise InputError("write must be a word but is empty")
    if place not in PLACES:
        raise InputError(f"place must be {', '.join(PLACES)} but is {place!r}")
    check_range("height", height, 0.02, 1)
    out = image.convert("RGB")
    out = out.copy() if out is image else out
    draw = ImageDraw.Draw(out)
    size = max(6.0, height * out.height)
    widest = ImageFont.load_default(size).getlength(word)
    size = max(6.0, size * min(1.0, 0.9 * out.width / max(widest, 1)))
    font = ImageFont.load_default(size)
    middle = (out.width / 2, out.height * PLACES[place])
    left, top, right, bottom = draw.textbbox(middle, word, font=font, anchor="mm")
    pad = size * 0.15
    draw.rectangle((left - pad, top - pad, right + pad, bottom + pad), "white")
    draw.text(middle, word, "black", font, anchor="mm")
    return out


def clouds(count: int, *, seed: int = 0, side: int = 256) -> list[Image.Image]:
    """Return pictures of soft random colours: plain ones for who has no others at hand."""
    generator = make_generator(seed)
    pictures = []
    for _ in range(count):
        total = torch.zeros(1, 3, side, side)
        for cells in (2, 4, 8, 16):
            noise = torch.rand(1, 3, cells, cells, generator=generator) - 0.5
            soft = resize(noise, (side, side), antialias=False, clip=False)
            total += soft * (2 / cells) ** 0.5
        pictures.append(to_pil((total + 0.5).clamp(0, 1)))
    return pictures


@torch.no_grad()
def text_directions(
    scorer: ClipScorer,
    pictures: Sequence[Image.Image],
    *,
    count: int = 1,
    words: Sequence[str] = WORDS,
    height: float = 0.2,
    seed: int = 0,
) -> Tensor:
    """Learn what written text does to embeddings of images.

    Each of the words is written on one of the pictures, at each place in turn.

    Args:
        pictures: without text in them.
        count: 1 for the mean change; then principal components of the rest, the strongest first.
        words: at least `count`.
        seed: of which word falls on which picture.

    Returns:
        ``[count, D]`` float32, orthonormal.

    Raises:
        InputError: no picture, or `count` out of range.
    """
    check_count("directions", count, 1, len(words))
    if not pictures:
        raise InputError("pictures without text are needed to learn what text does")
    places = list(PLACES)
    order = torch.randperm(len(words), generator=make_generator(seed)).tolist()
    plain = torch.cat([scorer.encode_image(to_tensor(p)) for p in pictures])
    changes = []
    for number, which in enumerate(order):
        place, index = places[number % len(places)], number % len(pictures)
        written = write_on(pictures[index], words[which], height=height, place=place)
        changes.append(scorer.encode_image(to_tensor(written))[0] - plain[index])
    changes = torch.stack(changes).cpu().double()  # which not every device has
    first = F.normalize(changes.mean(dim=0, keepdim=True), dim=-1)
    rest = changes - changes @ first.T @ first
    parts = torch.linalg.svd(rest, full_matrices=False).Vh[: count - 1]
    return torch.cat([first, parts]).float().to(scorer.device)


def without_direction(embeddings: Tensor, direction: Tensor) -> Tensor:
    """Take directions out of embeddings, and give these unit length again.

    Args:
        embeddings: ``[..., D]``.
        direction: ``[D]``, or ``[K, D]`` for several, not necessarily orthogonal.

    Returns:
        ``[..., D]``, unit length, orthogonal to each direction; differentiable in `embeddings`.

    Raises:
        InputError: lengths differ, or the directions are zero or not independent.
    """
    return without_basis(embeddings, _basis(embeddings, direction))


def without_basis(embeddings: Tensor, basis: Tensor) -> Tensor:
    """Take directions that are orthonormal already, ``[K, D]``, out of embeddings ``[..., D]``."""
    return F.normalize(embeddings - embeddings @ basis.T @ basis, dim=-1)


def _basis(embeddings: Tensor, direction: Tensor) -> Tensor:
    """Return an orthonormal basis ``[K, D]`` of the directions, checked, beside the embeddings."""
    rows = direction[None] if direction.ndim == 1 else direction
    if rows.ndim != 2 or rows.shape[-1] != embeddings.shape[-1]:
        raise InputError(
            f"direction must be [D] or [K, D] with D = {embeddings.shape[-1]} "
            f"but has {list(direction.shape)}"
        )
    basis, triangle = torch.linalg.qr(rows.cpu().double().T)  # [D, K]
    diagonal = triangle.diagonal().abs()
    longest = torch.linalg.vector_norm(rows, dim=-1).max().cpu()
    if len(rows) > len(basis) or diagonal.min() <= 1e-6 * longest:
        raise InputError("the directions must be independent and not zero")
    return basis.T.to(embeddings)
