"""Scores of M samples → what the best of N of them scores, for every N up to M.

The curve of reranking: Ramesh et al., "Zero-Shot Text-to-Image Generation", 2021, section 2.6.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from guidance.artefacts.plot import line_chart, save
from guidance.conventions import check_count, derive_seed
from guidance.errors import InputError
from guidance.files import tables

RESAMPLES = 1000  # for the band; fewer of very many scores
WORK = 20_000_000  # scores to sort for it, about 2 seconds
BAND = (0.025, 0.975)
NAMES = {"score": "the score that picks", "judge": "the judge, of the same picks"}


@dataclass(frozen=True)
class Curve:
    """The expected score of the best of N samples.

    Attributes:
        counts: N, ascending from 1 to the number of samples.
        means: expected score ``[K]``, one for each of `counts`.
        low, high: ends of the 95 % confidence band ``[K]``.
        spread: standard deviation of the scores.
    """

    counts: tuple[int, ...]
    means: Tensor
    low: Tensor
    high: Tensor
    spread: float


def gain(scores: Tensor, judged: Tensor | None = None) -> dict[str, Curve]:
    """Return the curve of the scores, and of what a judge thinks of the same picks.

    Without replacement, the expectation over all choices of N of the M samples is exact by order
    statistics: the i-th smallest is the best with probability C(i-1, N-1) / C(M, N). The band is
    of the percentile bootstrap (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993,
    section 13.3); where N comes near M it is too narrow, because no resample holds a better
    sample than the best of these.

    Args:
        scores: ``[M]``, by which the best is picked.
        judged: ``[M]``, another score of the same samples.

    Returns:
        ``"score"`` and, if `judged` is given, ``"judge"``.

    Raises:
        InputError: fewer than two samples, or lengths that differ.
    """
    if scores.ndim != 1 or len(scores) < 2 or (judged is not None and judged.shape != scores.shape):
        raise InputError("a gain curve needs the scores of at least two images")
    order = scores.double().argsort(stable=True)
    columns = {"score": scores.double()[order]}
    if judged is not None:
        columns["judge"] = _mean_of_ties(columns["score"], judged.double()[order])
    counts = steps(len(scores))
    chances = torch.stack([best_chances(len(scores), n) for n in counts])  # [K, M]
    drawn = _resample(columns, chances)
    ends = torch.tensor(BAND, dtype=torch.float64)
    curves = {}
    for name, values in columns.items():
        low, high = drawn[name].quantile(ends, dim=0)
        spread = float(values.std(correction=0))
        curves[name] = Curve(counts, chances @ values, low, high, spread)
    return curves


def steps(most: int) -> tuple[int, ...]:
    """Return 1, 2, 3, 4, 6, 8, 12, … up to `most`, which is the last."""
    found = {most}
    power = 1
    while power <= most:
        found |= {n for n in (power, power * 3 // 2) if n <= most}
        power *= 2
    return tuple(sorted(found))


def best_chances(total: int, count: int) -> Tensor:
    """Return for each of `total` samples, worst first, how likely it is the best of `count`.

    ``[total]`` float64 with sum 1: C(i-1, count-1) / C(total, count) for the i-th, by the ratio
    of neighbours, since the binomials themselves overflow.
    """
    check_count("count", count, 1, total)
    chances = torch.zeros(total, dtype=torch.float64)
    i = torch.arange(total, count, -1, dtype=torch.float64)  # the sample above, from 1
    ratios = torch.cat([torch.ones(1, dtype=torch.float64), (i - count) / (i - 1)])
    chances[count - 1 :] = (count / total * ratios.cumprod(0)).flip(0)
    return chances


def write_gain(path: str | os.PathLike, curves: dict[str, Curve], *, unit: str, title: str) -> None:
    """Write the curves as ``.csv``, in their own units, or as a chart.

    With a judge the chart shows both in standard deviations over one sample, since cosines of two
    models have different scales.

    Args:
        unit: of the score, for the axis.
    """
    if Path(path).suffix.lower() == ".csv":
        tables.write_csv(path, _rows(curves))
        return
    lines, bands = {}, {}
    for name, curve in curves.items():
        base, scale = (curve.means[0], curve.spread or 1) if len(curves) > 1 else (0, 1)
        means, low, high = (
            ((v - base) / scale).tolist() for v in (curve.means, curve.low, curve.high)
        )
        lines[NAMES[name]] = list(zip(curve.counts, means, strict=True))
        bands[NAMES[name]] = list(zip(curve.counts, low, high, strict=True))
    chart = line_chart(
        lines,
        bands=bands,
        title=title,
        x_label="samples to choose from",
        y_label=unit if len(curves) == 1 else "gain over one sample, standard deviations",
        log_x=True,
    )
    save(chart, path)


def _rows(curves: dict[str, Curve]) -> Iterator[list[object]]:
    yield ["n", *(c for name in curves for c in (name, f"{name}_low", f"{name}_high"))]
    for place, count in enumerate(next(iter(curves.values())).counts):
        values = [float(v[place]) for c in curves.values() for v in (c.means, c.low, c.high)]
        yield [count, *(f"{v:.6f}" for v in values)]


def _mean_of_ties(scores: Tensor, judged: Tensor) -> Tensor:
    """Give samples of equal score the mean judgement of theirs: any of them may be picked."""
    _, group = scores.round(decimals=6).unique_consecutive(return_inverse=True)
    sums = torch.zeros(int(group[-1]) + 1, dtype=torch.float64).index_add(0, group, judged)
    return (sums / group.bincount())[group]


def _resample(columns: dict[str, Tensor], chances: Tensor) -> dict[str, Tensor]:
    """Return the curve ``[R, K]`` of each of R resamples of the sorted columns ``[M]``."""
    total = chances.shape[1]
    generator = torch.Generator().manual_seed(derive_seed(0, "gain", total))
    left = max(100, min(RESAMPLES, WORK // total))
    drawn: dict[str, list[Tensor]] = {name: [] for name in columns}
    while left:
        rows = min(left, max(1, 2_000_000 // total))
        # sorted places are sorted scores, so one sort serves all columns
        places = torch.randint(total, (rows, total), generator=generator).sort(dim=1).values
        for name, values in columns.items():
            drawn[name].append(values[places] @ chances.T)
        left -= rows
    return {name: torch.cat(parts) for name, parts in drawn.items()}
