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

from guidance.clip.scorer import ClipScorer
from guidance.embeddings import topk
from guidance.prompts.grammar import Prompt
from guidance.rerank.criteria import combine, parse_by
from guidance.rerank.judge import judge_column
from guidance.rerank.options import RerankOptions
from guidance.score.aesthetic import AestheticHead
from guidance.score.ranking import Ranked, Ranking, Skipped, rank, targets


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


def gather(
    options: RerankOptions,
    files: Sequence[Path],
    prompts: Sequence[Prompt],
    head: AestheticHead | None = None,
) -> Candidates:
    """Score `files` by what ``options.by`` names, and by the judge.

    Raises:
        InputError: the head does not fit the CLIP.
        ModelError: weights are damaged or out of reach.
    """
    held = options.diversity > 0 or options.threshold is not None
    if held or set(parse_by(options.by)) != {"prompt"}:
        found = _embedded(options, files, prompts, head)
    else:
        found = _streamed(_ranking(options, files, prompts, options.clip))
    if options.judge is not None and len(found):
        left = [files[i] for i in found.indices]
        ranking = _ranking(options, left, prompts, options.judge)
        scores = {found.indices[r.index]: r.score for r in ranking}
        found.judged = judge_column(found.indices, scores)
    return found


def order(
    options: RerankOptions, found: Candidates, prompts: Sequence[Prompt]
) -> tuple[Ranking, Tensor, list[list[int]]]:
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
        groups = topk.duplicates(found.vectors, options.threshold)
        groups = [sorted(group, key=place.__getitem__) for group in groups]
    if options.unique:
        others = {i for group in groups for i in group[1:]}
        best_first = [i for i in best_first if i not in others]
    if options.diversity > 0:
        best_first = _diverse(options, found.vectors, scores, best_first)
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
    return Ranking(entries, prompts, found.skipped), scores, groups


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


def _ranking(options: RerankOptions, files, prompts, clip: str) -> Ranking:
    return rank(
        files,
        prompts,
        clip=clip,
        device=options.device,
        precision=options.precision,
        batch=options.batch,
        workers=options.workers,
        on_error="skip",
        store=options.store,
        engine=options.engine,
        address=options.ray_address,
        progress=not options.quiet,
    )


def _streamed(ranking: Ranking) -> Candidates:
    ranked = sorted(ranking, key=lambda r: r.index)
    scores = torch.tensor([r.score for r in ranked], dtype=torch.float64)
    cosines = torch.tensor([r.scores for r in ranked], dtype=torch.float64)
    return Candidates(
        [r.source for r in ranked],
        [r.index for r in ranked],
        cosines,
        {"prompt": scores},
        None,
        ranking.skipped,
    )


def _embedded(options, files, prompts, head) -> Candidates:
    from guidance.embeddings.embed import embed_all

    scorer = ClipScorer(options.clip, device=options.device, precision=options.precision)
    goals = targets(prompts, scorer).cpu() if prompts else None
    if head is not None:
        dim = scorer.encode_text(["a"]).shape[-1]
        if warning := head.check(dim, options.clip, scorer.fingerprint):
            warnings.warn(warning, stacklevel=1)
    vectors, sources, skipped = embed_all(files, scorer, **options.embedding(scorer))
    lost = {s.index for s in skipped}
    columns, cosines = {}, torch.zeros(len(sources), 0, dtype=torch.float64)
    for name in parse_by(options.by) if sources else ():
        if name == "prompt":
            cosines = (vectors @ goals.T).double().clamp(-1, 1)
            weights = torch.tensor([p.weight for p in prompts], dtype=torch.float64)
            columns[name] = cosines @ (weights / weights.abs().sum())
        elif name == "uniqueness":
            columns[name] = topk.uniqueness(vectors).double()
        else:
            columns[name] = head(vectors)
    indices = [i for i in range(len(files)) if i not in lost]
    return Candidates(sources, indices, cosines, columns, vectors, skipped)
