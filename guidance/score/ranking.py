"""Images × prompts → ordered list: the flow without a step.

Each image becomes the cosine to every prompt, ``[N, P]``, and their weighted mean is its score.
`guidance.embeddings` streams the images; what is kept of each is its scores.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.embeddings.check import check_all
from guidance.embeddings.embed import embed, store_for
from guidance.embeddings.reading import MAX_ASPECT as MAX_ASPECT
from guidance.embeddings.results import Embedded, Skipped
from guidance.errors import FileError, InputError
from guidance.images import ImageLike
from guidance.prompts.grammar import Prompt
from guidance.score.prompts import prompts_for_ranking


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

    @property
    def file(self) -> Path:
        """The file.

        Raises:
            InputError: the image was given as such.
        """
        if self.source is None:
            raise InputError(f"image {self.index} is no file")
        return self.source


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


@dataclass(frozen=True, kw_only=True)
class RankOptions:
    """How images are worked through; nothing here but `precision` changes a score.

    Attributes:
        precision: arithmetic of the image towers: fp32, bf16 or fp16; that of a loaded scorer
            stays as it is.
        batch: images scored at once; more need more memory.
        workers: threads that decode; 0 decodes in between.
        on_error: ``"raise"``, or ``"skip"`` unreadable files and images that are not finite and
            list them in `Ranking.skipped`.
        engine: ``"local"``, or ``"ray"`` for files on a Ray cluster.
        address: of the Ray cluster.
        progress: show a bar on stderr if it takes longer than 2 seconds.
    """

    precision: str = "fp32"
    batch: int = 32
    workers: int = 2
    on_error: str = "raise"
    engine: str = "local"
    address: str | None = None
    progress: bool = False


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
    store: str | os.PathLike | None = None,
    options: RankOptions = RankOptions(),
) -> Ranking:
    """Order images by how well they fit the prompts, best first.

    Args:
        images: ``[N, 3, H, W]`` in [0, 1]; or any iterable of paths, PIL images and tensors
            ``[3, H, W]`` or ``[B, 3, H, W]``, which is read once, a little ahead of the scoring.
        prompts: texts or image paths, ``"a fox:2 | fog:-0.5"`` (`guidance.prompts.grammar`). The
            score is the sum of weight × cosine over the sum of the weights' magnitudes.
        negative: prompts to be far from.
        clip: name of the model, as in `guidance.clip.registry`.
        scorer: a loaded one, instead of `clip` and `device`.
        device: "auto" (CUDA, then MPS, then CPU), or one that PyTorch knows.
        store: folder that keeps the embeddings of files, so that none is computed twice.
        options: how the images are worked through.

    Raises:
        InputError: an argument is not allowed; checked before anything is loaded.
        FileError: an image cannot be read and is not to be skipped.
        ModelError: weights are damaged or out of reach.

    Example:
        >>> tensor = torch.rand(4, 3, 64, 64)
        >>> best = rank(tensor, "a fox", clip="mini")[0]  # doctest: +SKIP
        >>> tensor[best.index]  # doctest: +SKIP
    """
    if options.on_error not in ("raise", "skip"):
        raise InputError(f"on_error must be raise or skip but is {options.on_error!r}")
    check_all(images, options.batch, options.workers, store, options.engine)
    parsed = prompts_for_ranking(prompts, negative)
    if scorer is None:
        scorer = ClipScorer(clip, device=device, precision=options.precision)
    goals = targets(parsed, scorer)
    weights = torch.tensor([p.weight for p in parsed], dtype=torch.float64)
    weights /= weights.abs().sum()
    ranked, skipped = [], []
    stream = embed(
        images, scorer,
        batch=options.batch, workers=options.workers, engine=options.engine,
        address=options.address, progress=options.progress,
        store=None if store is None else store_for(store, scorer),
    )  # fmt: skip
    with contextlib.closing(stream):
        for result in (r for part in stream for r in _score(part, goals, weights)):
            if isinstance(result, Ranked):
                ranked.append(result)
            elif options.on_error == "skip":
                skipped.append(result)
            else:
                raise FileError(f"{result.source or f'image {result.index}'} {result.reason}")
    skipped.sort(key=lambda s: s.index)
    if not ranked and not skipped:
        raise InputError("images must not be empty")
    order = sorted(ranked, key=lambda r: (-_rounded(r.score), r.index))
    places = [Ranked(n, r.score, r.scores, r.index, r.source) for n, r in enumerate(order, 1)]
    return Ranking(places, parsed, skipped)


@torch.no_grad()
def targets(prompts: Sequence[Prompt], scorer: ClipScorer) -> Tensor:
    """Return the embeddings of texts and image prompts, ``[P, D]``."""
    rows = [
        scorer.encode_text([p.text]) if p.kind == "text" else scorer.encode_image([p.text])
        for p in prompts
    ]
    return torch.cat(rows).float().cpu()


def _score(part: Sequence[Embedded], goals: Tensor, weights: Tensor) -> Iterator[Ranked | Skipped]:
    """Give the score of each image, without its rank, or why it has none."""
    good, vectors = [], []
    for e in part:
        if e.vector is None:
            yield Skipped(e.index, e.source, e.reason)
        else:
            good.append(e)
            vectors.append(e.vector)
    if not good:
        return
    cosines = (torch.stack(vectors) @ goals.T).double().clamp(-1, 1)
    means = (cosines @ weights).tolist()
    for e, row, mean in zip(good, cosines.tolist(), means, strict=True):
        yield Ranked(0, mean, tuple(row), e.index, e.source)
