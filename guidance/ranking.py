"""Images × prompts → ordered list: the flow without a step.

Each image becomes the cosine to every prompt, ``[N, P]``, and their weighted mean is its score.
Files are decoded by worker threads a little ahead of the scoring, and an image is kept only at
the size CLIP reads, so memory does not grow with the number of images or their sizes.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.conventions import check_count, check_images
from guidance.errors import FileError, InputError
from guidance.images import ImageLike, as_tensor, hide_warnings, load_image, to_tensor
from guidance.prefetch import ahead
from guidance.prompts import Prompt, parse_prompts
from guidance.scorer import ClipScorer

# Files are shrunk by a whole factor, by the JPEG decoder where there is one, to no less than this
# many times CLIP's input before the exact resize. On photo mosaics that moved scores of the mini
# model by 0.0014 at most, 8-bit resizing by 0.0011, and a factor of 2 here by 0.0033.
SHRINK = 3
MAX_ASPECT = 100  # resizing the shorter side of a thinner image would fill the memory


@dataclass(frozen=True)
class Ranked:
    """One image in its place.

    Attributes:
        rank: from 1, the best.
        score: weighted mean of `scores`, in [-1, 1].
        scores: cosine to each prompt, in the order of the prompts.
        index: place in the input, from 0; of a batch each image counts.
        source: the file, or None for an image that was given as such.
    """

    rank: int
    score: float
    scores: tuple[float, ...]
    index: int
    source: Path | None = None


@dataclass(frozen=True)
class Skipped:
    """One image that could not be scored, and why."""

    index: int
    source: Path | None
    reason: str


class Ranking(list[Ranked]):
    """The ranked images, best first; equal scores stay in the order of the input.

    Attributes:
        prompts: in the order of `Ranked.scores`.
        skipped: what could not be scored.
    """

    def __init__(
        self,
        ranked: Iterable[Ranked] = (),
        prompts: Sequence[Prompt] = (),
        skipped: Iterable[Skipped] = (),
    ):
        super().__init__(ranked)
        self.prompts = tuple(prompts)
        self.skipped = tuple(skipped)

    def by_prompt(self, number: int) -> list[Ranked]:
        """Return the images ranked by one prompt alone, the cosine to it as their score."""
        order = sorted(self, key=lambda r: (-_rounded(r.scores[number]), r.index))
        return [
            Ranked(place, r.scores[number], r.scores, r.index, r.source)
            for place, r in enumerate(order, 1)
        ]


def _rounded(score: float) -> float:
    """Drop the last bits, which depend on an image's place in its batch: equal images stay tied."""
    return round(score, 6)


def rank(
    images: Tensor | Iterable[ImageLike],
    prompts: str | Sequence[str] | Sequence[Prompt],
    *,
    negative: Sequence[str] = (),
    clip: str = "mini",
    scorer: ClipScorer | None = None,
    device: str | torch.device = "auto",
    precision: str = "fp32",
    batch: int = 32,
    workers: int = 2,
    on_error: str = "raise",
    progress: bool = False,
) -> Ranking:
    """Order images by how well they fit the prompts, best first.

    Args:
        images: ``[N, 3, H, W]`` in [0, 1]; or any iterable of paths, PIL images and tensors
            ``[3, H, W]`` or ``[B, 3, H, W]``, which is read once, a little ahead of the scoring.
        prompts: texts or image paths as in `guidance.prompts`, ``"a fox:2 | fog:-0.5"``. The
            score is the sum of weight × cosine over the sum of the weights' magnitudes.
        negative: prompts to be far from.
        clip: name of the model, as in `guidance.clip.registry`.
        scorer: a loaded one, instead of `clip`, `device` and `precision`.
        batch: images scored at once; changes speed and memory, not the result.
        workers: threads that decode; 0 decodes in between.
        on_error: ``"raise"``, or ``"skip"`` unreadable files and images that are not finite and
            list them in `Ranking.skipped`.
        progress: show a bar on stderr if it takes longer than 2 seconds.

    Raises:
        InputError: an argument is not allowed; checked before anything is loaded.
        FileError: an image cannot be read and `on_error` is ``"raise"``.
        ModelError: weights are damaged or out of reach.

    Example:
        >>> tensor = torch.rand(4, 3, 64, 64)
        >>> best = rank(tensor, "a fox", clip="mini")[0]  # doctest: +SKIP
        >>> tensor[best.index]  # doctest: +SKIP
    """
    if on_error not in ("raise", "skip"):
        raise InputError(f"on_error must be raise or skip but is {on_error!r}")
    check_count("batch", batch, 1, 65536)
    check_count("workers", workers, 0, 64)
    _check_iterable(images)
    parsed = prompts_for_ranking(prompts, negative)
    if scorer is None:
        scorer = ClipScorer(clip, device=device, precision=precision)
    ranked: list[Ranked] = []
    skipped: list[Skipped] = []
    stream = _score(images, _Scorer(scorer, parsed), batch, workers)
    with hide_warnings(), _bar(images, progress) as advance, contextlib.closing(stream):
        for results in stream:
            advance(len(results))
            for result in results:
                if isinstance(result, Ranked):
                    ranked.append(result)
                elif on_error == "skip":
                    skipped.append(result)
                else:
                    name = result.source or f"image {result.index}"
                    raise FileError(f"{name} {result.reason}")
    if not ranked and not skipped:
        raise InputError("images must not be empty")
    order = sorted(ranked, key=lambda r: (-_rounded(r.score), r.index))
    places = [Ranked(n, r.score, r.scores, r.index, r.source) for n, r in enumerate(order, 1)]
    return Ranking(places, parsed, skipped)


def prompts_for_ranking(
    prompts: str | Sequence[str] | Sequence[Prompt], negative: Sequence[str] = ()
) -> tuple[Prompt, ...]:
    """Parse prompts and refuse what has no meaning for finished images; load nothing.

    A stop value is left out of account: it says when an optimisation should no longer push.

    Raises:
        PromptError: a prompt does not follow the grammar.
        InputError: there is none, or one is a schedule, noise or without weight.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    parsed = tuple(p for p in texts if isinstance(p, Prompt))
    if len(parsed) < len(texts) or negative:
        strings = [p for p in texts if not isinstance(p, Prompt)]
        if not all(isinstance(p, str) for p in strings):
            raise InputError("prompts must be a text, or a list of texts or of parsed prompts")
        parsed += parse_prompts(strings, negative=tuple(negative), every=1)  # stories: see below
    if not parsed:
        raise InputError("prompts must not be empty")
    for prompt in parsed:
        if prompt.start != 0 or prompt.end is not None:
            raise InputError(f"ranking has no steps, so a schedule cannot be used: {prompt.text!r}")
        if prompt.kind not in ("text", "image"):
            raise InputError(f"a prompt must be a text or an image but is {prompt.kind}")
    if not any(p.weight for p in parsed):
        raise InputError("at least one prompt must have a weight other than 0")
    return parsed


class _Scorer:
    """Prepares single images and scores batches of prepared ones."""

    def __init__(self, scorer: ClipScorer, prompts: Sequence[Prompt]):
        self.scorer = scorer
        self.targets = [_embed(model, prompts) for model in scorer.models]  # [P, D] each
        self.min_side = SHRINK * max(m.image_size for m in scorer.models)
        weights = torch.tensor([p.weight for p in prompts], dtype=torch.float64)
        self.weights = weights / weights.abs().sum()

    def prepare(self, image: ImageLike) -> list[Tensor]:
        """Resize one image ``[1, 3, H, W]`` as each model wants it, ``[3, S, S]`` a model."""
        if isinstance(image, Tensor):
            pixels = as_tensor(image).detach()
        else:
            pixels = to_tensor(load_image(image, min_side=self.min_side, animated=False))
        short, long = sorted(pixels.shape[-2:])
        if long > MAX_ASPECT * short:
            raise _Unusable(f"is too narrow: its sides are {short} and {long} pixels")
        resized: dict[object, Tensor] = {}
        for model in self.scorer.models:
            if model.preprocess not in resized:
                small = model.preprocess.resize(pixels)[0]
                resized[model.preprocess] = small.to(model.device)
        if not all(r.isfinite().all() for r in resized.values()):
            raise _Unusable("holds values that are not finite")
        return [resized[m.preprocess] for m in self.scorer.models]

    @torch.no_grad()
    def cosines(self, prepared: Sequence[list[Tensor]]) -> Tensor:
        """Return the cosine of each image and prompt, ``[N, P]`` float64 on the CPU."""
        total = 0
        columns = zip(*prepared, strict=True)
        models = zip(self.scorer.models, self.scorer.weights, self.targets, columns, strict=True)
        for model, weight, target, images in models:
            total = total + weight * (model.encode_image(torch.stack(images)) @ target.T)
        return total.cpu().double().clamp(-1, 1)


class _Unusable(Exception):
    """Why an image that was read cannot be scored."""


@torch.no_grad()
def _embed(model: ClipModel, prompts: Sequence[Prompt]) -> Tensor:
    rows = [
        model.encode_text([p.text]) if p.kind == "text" else model.encode_image(as_tensor(p.text))
        for p in prompts
    ]
    return torch.cat(rows)


def _score(
    images: Iterable[ImageLike], scorer: _Scorer, batch: int, workers: int
) -> Iterator[list[Ranked | Skipped]]:
    """Score `images` batch by batch; give what became of each, in no particular order."""
    prepared = ahead(
        lambda item: (item[0], _file(item[1]), _prepare_or_reason(scorer, item[1])),
        enumerate(_each(images)),
        workers=workers,
        depth=batch + 2 * workers,
        inline=lambda item: isinstance(item[1], Tensor),
    )
    waiting: list[tuple[int, Path | None, list[Tensor]]] = []
    for _, (index, source, tensors) in prepared:
        if isinstance(tensors, str):
            yield [Skipped(index, source, tensors)]
            continue
        waiting.append((index, source, tensors))
        if len(waiting) == batch:
            yield _score_batch(waiting, scorer)
            waiting = []
    if waiting:
        yield _score_batch(waiting, scorer)


def _score_batch(
    waiting: Sequence[tuple[int, Path | None, list[Tensor]]], scorer: _Scorer
) -> list[Ranked | Skipped]:
    cosines = scorer.cosines([tensors for _, _, tensors in waiting])
    means = (cosines @ scorer.weights).tolist()
    results: list[Ranked | Skipped] = []
    for (index, source, _), row, mean in zip(waiting, cosines.tolist(), means, strict=True):
        if math.isfinite(mean):
            results.append(Ranked(0, mean, tuple(row), index, source))
        else:  # half precision can overflow inside the network
            results.append(Skipped(index, source, "has a score that is not finite"))
    return results


@torch.no_grad()  # a setting of each thread
def _prepare_or_reason(scorer: _Scorer, image: ImageLike) -> list[Tensor] | str:
    try:
        return scorer.prepare(image)
    except _Unusable as error:
        return str(error)
    except FileError as error:
        name = "the image" if isinstance(image, Image.Image) else str(image)
        return str(error).removeprefix(f"{name} ")


def _file(image: ImageLike) -> Path | None:
    return Path(image) if isinstance(image, str | os.PathLike) else None


def _each(images: Iterable[ImageLike]) -> Iterator[ImageLike]:
    """Give single images, tensors as ``[1, 3, H, W]``."""
    for image in [images] if isinstance(images, Tensor) else images:
        if not isinstance(image, Tensor):
            if not isinstance(image, str | os.PathLike | Image.Image):
                kind = type(image).__name__
                raise InputError(f"an image must be a path, PIL image or tensor but is {kind}")
            yield image
            continue
        image = image[None] if image.ndim == 3 else image
        check_images("images", image)
        yield from image.split(1)


def _check_iterable(images: object) -> None:
    if isinstance(images, str | os.PathLike | Image.Image) or not hasattr(images, "__iter__"):
        raise InputError(
            "images must be a tensor [N, 3, H, W] or an iterable of paths, PIL images or tensors "
            f"but is {type(images).__name__}"
        )


@contextlib.contextmanager
def _bar(images: object, show: bool) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    total = len(images) if hasattr(images, "__len__") else None
    with tqdm(total=total, unit="image", disable=not show, delay=2, dynamic_ncols=True) as bar:
        yield bar.update
