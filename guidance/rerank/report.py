"""Ranking → table and groups for the terminal, and the rows, facts and labels of the files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from guidance.errors import counted
from guidance.files.writing import printable
from guidance.prompts.grammar import Prompt
from guidance.rerank.criteria import parse_by
from guidance.rerank.judge import Verdict
from guidance.rerank.options import RerankOptions
from guidance.rerank.scoring import Scored
from guidance.score.ranking import Ranked, Ranking


def table(ranked: Sequence[Ranked]) -> str:
    """Return rank, score, the parts of the score if it has any, and file as lines of text."""
    names = _names(ranked)
    widths = [max(7, len(n)) for n in names]
    heads = [f"{n:>{w}}" for n, w in zip(names, widths, strict=True)]
    lines = ["  ".join([f"{'rank':>4}", f"{'score':>7}", *heads, "file"])]
    for r in ranked:
        parts = [f"{_parts(r)[n]:>{w}.4f}" for n, w in zip(names, widths, strict=True)]
        lines.append("  ".join([f"{r.rank:>4}", f"{r.score:>7.4f}", *parts, printable(r.source)]))
    return "\n".join(lines)


def groups_text(groups: Sequence[Sequence[Path]], threshold: float) -> str:
    """Return the groups of near-duplicates as lines of text, the best of each first."""
    if not groups:
        return f"no near-duplicates (cosine of at least {threshold:g})"
    count = sum(map(len, groups))
    found = f"{counted(count, 'near-duplicate')} in {counted(len(groups), 'group')}"
    lines = [f"{found} (cosine of at least {threshold:g})"]
    for number, files in enumerate(groups, 1):
        lines += [f"{number if not n else '':>4}  {printable(f)}" for n, f in enumerate(files)]
    return "\n".join(lines)


def rows(ranking: Ranking) -> Iterator[list[object]]:
    """Give a line for each image, with a column for each prompt if they are several."""
    several = len(ranking.prompts) > 1
    names = _names(ranking)
    grouped = any(_group(r) is not None for r in ranking)
    titles = [*map(title, ranking.prompts)] if several else []
    yield ["rank", "score", "file", *names, *titles, *(["group"] if grouped else [])]
    for r in ranking:
        scores = [_parts(r)[n] for n in names] + list(r.scores if several else ())
        last = [_group(r)] if grouped else []
        yield [r.rank, f"{r.score:.6f}", r.source, *(f"{s:.6f}" for s in scores), *last]


def content(ranking: Ranking, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `facts` about it, its prompts and all of `ranking`."""
    return {
        **facts,
        "prompts": [{"text": p.text, "weight": p.weight} for p in ranking.prompts],
        "ranking": [_entry(r) for r in ranking],
    }


def entries(ranked: Sequence[Ranked]) -> Iterator[tuple[Path, str]]:
    """Give each image with its rank and score, for a contact sheet."""
    return ((r.file, f"{r.rank}   {r.score:.3f}") for r in ranked)


def about(
    options: RerankOptions, near: Sequence[Sequence[Path]], verdict: Verdict | None
) -> dict[str, Any]:
    """Return what the JSON says beside the ranking; see `groups_text` for `near`."""
    facts: dict[str, Any] = {"clip": options.clip}
    if options.by != "prompt":
        facts["by"] = parse_by(options.by)
    if options.aesthetic is not None:
        facts["aesthetic"] = options.aesthetic
    if options.threshold is not None:
        facts["duplicates"] = {
            "threshold": options.threshold,
            "groups": [list(map(str, group)) for group in near],
        }
    if options.judge is not None:
        facts["judge"] = {"clip": options.judge}
    if verdict is not None:
        facts["judge"] |= {
            "count": verdict.count,
            "spearman": None if math.isnan(verdict.spearman) else round(verdict.spearman, 6),
            "lead": round(verdict.lead, 6),
            "judged_lead": round(verdict.judged_lead, 6),
            "doubtful": verdict.doubtful,
        }
    return facts


def _entry(r: Ranked) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "rank": r.rank,
        "score": round(r.score, 6),
        "scores": [round(s, 6) for s in r.scores],
        "file": str(r.source),
    }
    for name, value in _parts(r).items():
        entry.setdefault("parts", {})[name] = round(value, 6) if math.isfinite(value) else None
    if _group(r) is not None:
        entry["group"] = _group(r)
    return entry


def _names(ranked: Sequence[Ranked]) -> list[str]:
    """Return the names of the parts that the scores are made of."""
    return list(_parts(ranked[0])) if ranked else []


def _parts(r: Ranked) -> Mapping[str, float]:
    return r.parts if isinstance(r, Scored) else {}


def _group(r: Ranked) -> int | None:
    return r.group if isinstance(r, Scored) else None


def title(prompt: Prompt) -> str:
    """Return a prompt as it is typed, with its weight if that is not 1."""
    return prompt.text if prompt.weight == 1 else f"{prompt.text}:{prompt.weight:g}"
