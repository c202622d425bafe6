"""Files → their scores by every criterion, and their order.

Without a need for the embeddings of all images at once, files are streamed through
`guidance.score.ranking`; otherwise the embeddings are held, 4 D bytes an image.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from guidance.command.pictures import embed_pictures, load_scorer
from guidance.embeddings import topk
from guidance.embeddings.results import Skipped
from guidance.rerank.criteria import parse_by
from guidance.rerank.judge import judge_column
from guidance.rerank.options import RerankOptions
from guidance.score.aesthetic import AestheticHead
from guidance.score.ranking import Ranked, Ranking, RankOptions, rank, targets
from guidance.score.statistics import standardised


@dataclass(frozen=True)
class Scored(Ranked):
    """A ranked image with what its score is made of.

    Attributes:
        parts: criterion, or ``"judge"``, → score in its own unit.
        group: number of its group of near-duplicates, from 1; None if it has none.
    """

    parts: Mapping[str, float] = field(default_factory=dict)
    group: int | None = None


@dataclass
class Candidates:
    """N images that could be read, in the order of the input.

    Attributes:
        sources: the files.
        indices: their places in the input.
        cosines: ``[N, P]`` to the prompts, float64.
        columns: criterion → scores ``[N]`` float64.
        vectors: embeddings ``[N, D]``, if they were needed.
        skipped: what could not be read.
        judged: scores ``[N]`` of the judge, NaN where it could not read an image.
    """

    sources: list[Path]
    indices: list[int]
    cosines: Tensor
    columns: dict[str, Tensor]
    vectors: Tensor | None
    skipped: Sequence[Skipped]
    judged: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def embeddings(self) -> Tensor:
        """Return `vectors`, which must have been needed."""
        assert self.vectors is not None, "the embeddings were not held"
        return self.vectors


def gather(
    options: RerankOptions,
    files: Sequence[Path],
    head: AestheticHead | None = None,
) -> Candidates:
    """Score `files` by what ``options.by`` names, and by the judge.

    Raises:
        InputError: the head does not fit the CLIP.
        ModelError: weights are damaged or out of reach.
    """
    held = options.diversity > 0 or options.threshold is not None
    if held or set(parse_by(options.by)) != {"prompt"}:
        found = _embedded(options, files, head)
    else:
        found = _streamed(_ranking(options, files, options.clip))
    if options.judge is not None and len(found):
        left = [files[i] for i in found.indices]
        ranking = _ranking(options, left, options.judge)
        scores = {found.indices[r.index]: r.score for r in ranking}
        found.judged = judge_column(found.indices, scores)
    return found


def order(options: RerankOptions, found: Candidates) -> tuple[Ranking, Tensor, list[list[int]]]:
    """Rank candidates as `options` say.

    Returns:
        The ranking of `Scored` images; the scores ``[N]`` of all candidates, in their order; and
        the groups of near-duplicates as places among the candidates, the best first in each.
    """
    scores = combine(found.columns, parse_by(options.by))
    rounded = [round(s, 6) for s in scores.tolist()]  # the last bits depend on the batch
    best_first = sorted(range(len(found)), key=lambda i: (-rounded[i], i))
    place = {i: n for n, i in enumerate(best_first)}
    groups: list[list[int]] = []
    if options.threshold is not None:
        groups = topk.duplicates(found.embeddings(), options.threshold)
        groups = [sorted(group, key=place.__getitem__) for group in groups]
    if options.unique:
        others = {i for group in groups for i in group[1:]}
        best_first = [i for i in best_first if i not in others]
    if options.diversity > 0:
        best_first = _diverse(options, found.embeddings(), scores, best_first)
    number = {i: n for n, group in enumerate(groups, 1) for i in group}
    entries = [
        Scored(
            rank=n,
            score=float(scores[i]),
            scores=tuple(found.cosines[i].tolist()),
            index=found.indices[i],
            source=found.sources[i],
            parts=_parts(found, i),
            group=number.get(i),
        )
        for n, i in enumerate(best_first, 1)
    ]
    return Ranking(entries, options.wanted, found.skipped), scores, groups


def combine(columns: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return one score an image, ``[N]`` float64.

    One criterion of weight 1 is its own score. Otherwise their units differ, so each is counted
    in standard deviations above its mean: the score is the sum of weight × that over the sum of
    the weights' magnitudes.

    Args:
        columns: criterion → scores ``[N]``.
        weights: criterion → weight, as of `parse_by`.
    """
    counting = {name: weight for name, weight in weights.items() if weight}
    if len(counting) == 1 and (one := next(iter(counting))) and counting[one] > 0:
        return columns[one].double()
    total = sum(abs(weight) for weight in counting.values())
    parts = [weight / total * standardised(columns[name]) for name, weight in counting.items()]
    return sum(parts, start=torch.zeros((), dtype=torch.float64))


def _diverse(options, vectors: Tensor, scores: Tensor, best_first: list[int]) -> list[int]:
    """Put a varied choice of the best before the others.

    The scores are stretched to 0 to 1, since those of one model differ far less than its cosines
    of two images do, and standard deviations far more.
    """
    places = torch.tensor(best_first)
    own = scores[places]
    spread = own.max() - own.min()
    own = (own - own.min()) / spread if spread > 0 else torch.zeros_like(own)
    count = options.top or len(best_first)
    chosen = topk.mmr(own, vectors[places], count, 1 - options.diversity)
    taken = set(chosen)
    rest = [n for n in range(len(best_first)) if n not in taken]
    return [best_first[n] for n in [*chosen, *rest]]


def _parts(found: Candidates, place: int) -> dict[str, float]:
    # a single criterion is the score itself
    shown = found.columns if len(found.columns) > 1 else {}
    parts = {name: float(column[place]) for name, column in shown.items()}
    if found.judged is not None:
        parts["judge"] = float(found.judged[place])
    return parts


def _ranking(options: RerankOptions, files: Sequence[Path], clip: str) -> Ranking:
    how = RankOptions(
        batch=options.batch,
        workers=options.workers,
        on_error="skip",
        engine=options.engine,
        address=options.ray_address,
        progress=not options.quiet,
    )
    scorer = load_scorer(options, clip)
    return rank(files, options.wanted, scorer=scorer, store=options.store, options=how)


def _streamed(ranking: Ranking) -> Candidates:
    ranked = sorted(ranking, key=lambda r: r.index)
    scores = torch.tensor([r.score for r in ranked], dtype=torch.float64)
    cosines = torch.tensor([r.scores for r in ranked], dtype=torch.float64)
    return Candidates(
        [r.file for r in ranked],
        [r.index for r in ranked],
        cosines,
        {"prompt": scores},
        None,
        ranking.skipped,
    )


def _embedded(
    options: RerankOptions,
    files: Sequence[Path],
    head: AestheticHead | None,
) -> Candidates:
    prompts = options.wanted
    scorer = load_scorer(options)
    goals = targets(prompts, scorer).cpu() if prompts else None
    if head is not None:
        warning = head.check(scorer.length, options.clip, scorer.fingerprint)
        if warning is not None:
            warnings.warn(warning, stacklevel=1)
    images = embed_pictures(options, files, scorer, "ranked")
    vectors, lost = images.vectors, {s.index for s in images.skipped}
    columns, cosines = {}, torch.zeros(len(vectors), 0, dtype=torch.float64)
    for name in parse_by(options.by):
        if name == "prompt":
            assert goals is not None  # the options want a prompt then
            cosines = (vectors @ goals.T).double().clamp(-1, 1)
            weights = torch.tensor([p.weight for p in prompts], dtype=torch.float64)
            columns[name] = cosines @ (weights / weights.abs().sum())
        elif name == "uniqueness":
            columns[name] = topk.uniqueness(vectors).double()
        else:
            assert head is not None  # the options want one then
            columns[name] = head(vectors)
    indices = [i for i in range(len(files)) if i not in lost]
    return Candidates(images.sources, indices, cosines, columns, vectors, images.skipped)
