"""Ranking → table, groups, CSV, JSON, contact sheet and copies of the best."""

from __future__ import annotations

import filecmp
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guidance.artefacts import sheet
from guidance.command import outputs
from guidance.errors import counted
from guidance.files import tables
from guidance.files.writing import atomic, make_folder, printable, write
from guidance.prompts.grammar import Prompt
from guidance.rerank.options import RerankOptions
from guidance.score.ranking import Ranked, Ranking

OUTPUTS = ("csv", "json", "sheet", "gallery", "gain")


def check_outputs(options: RerankOptions, files: Sequence[Path]) -> list[Path]:
    """Check where results will go, and return `files` without an earlier contact sheet.

    Raises:
        InputError: an unknown suffix, two outputs in one place, or one that would replace an image.
        FileError: a folder is missing or cannot be written.
    """
    files = sheet.without_sheet(files, options.sheet)
    outputs.check_outputs({name: getattr(options, name) for name in OUTPUTS}, files)
    if options.copy_to is not None:
        make_folder(options.copy_to)
    return files


def table(ranked: Sequence[Ranked]) -> str:
    """Return rank, score, the parts of the score if it has any, and file as lines of text."""
    names = _parts(ranked)
    widths = [max(7, len(n)) for n in names]
    heads = [f"{n:>{w}}" for n, w in zip(names, widths, strict=True)]
    lines = ["  ".join([f"{'rank':>4}", f"{'score':>7}", *heads, "file"])]
    for r in ranked:
        parts = [f"{r.parts[n]:>{w}.4f}" for n, w in zip(names, widths, strict=True)]
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


def write_csv(path: str | os.PathLike, ranking: Ranking) -> None:
    """Write all of `ranking`; file names that are not UTF-8 keep their bytes."""
    several = len(ranking.prompts) > 1
    names = _parts(ranking)
    grouped = any(getattr(r, "group", None) is not None for r in ranking)
    titles = [*map(title, ranking.prompts)] if several else []
    head = ["rank", "score", "file", *names, *titles, *(["group"] if grouped else [])]
    rows: list[list[object]] = [head]
    for r in ranking:
        scores = [r.parts[n] for n in names] + list(r.scores if several else ())
        last = [r.group] if grouped else []
        rows.append([r.rank, f"{r.score:.6f}", r.source, *(f"{s:.6f}" for s in scores), *last])
    tables.write_csv(path, rows)


def write_json(path: str | os.PathLike, ranking: Ranking, about: Mapping[str, Any]) -> None:
    """Write all of `ranking`, its prompts, what was skipped, and `about` it what there is."""
    content = {
        **about,
        "prompts": [{"text": p.text, "weight": p.weight} for p in ranking.prompts],
        "ranking": [_entry(r) for r in ranking],
        "skipped": [{"file": str(s.source), "reason": s.reason} for s in ranking.skipped],
    }
    write(path, json.dumps(content, indent=2) + "\n")


def _entry(r: Ranked) -> dict[str, Any]:
    entry = {
        "rank": r.rank,
        "score": round(r.score, 6),
        "scores": [round(s, 6) for s in r.scores],
        "file": str(r.source),
    }
    for name, value in getattr(r, "parts", {}).items():
        entry.setdefault("parts", {})[name] = round(value, 6) if math.isfinite(value) else None
    if getattr(r, "group", None) is not None:
        entry["group"] = r.group
    return entry


def _parts(ranked: Sequence[Ranked]) -> list[str]:
    """Return the names of the parts that the scores are made of."""
    return list(getattr(ranked[0], "parts", {})) if ranked else []


def write_sheet(path: str | os.PathLike, ranked: Sequence[Ranked]) -> int:
    """Draw a contact sheet of the best; return how many images it shows."""
    return sheet.write_sheet(path, ((r.source, f"{r.rank}   {r.score:.3f}") for r in ranked))


def copy_best(folder: str | os.PathLike, ranked: Sequence[Ranked]) -> None:
    """Copy files to `folder` as ``01_0.312_name.png``; nothing that is there is overwritten.

    Raises:
        FileError: a file cannot be read any more, or a copy cannot be written.
    """
    digits = max(2, len(str(len(ranked))))
    for r in ranked:
        start = f"{r.rank:0{digits}}_{r.score:.3f}_"
        target = _free_name(Path(folder), start, r.source)
        if target is None:
            continue
        with atomic(target) as temporary:
            shutil.copyfile(r.source, temporary)


def _free_name(folder: Path, start: str, source: Path) -> Path | None:
    """Return where to copy `source` to, or None if the same copy is there already."""
    number = 1
    while True:
        end = source.suffix if number == 1 else f"-{number}{source.suffix}"
        room = 255 - len(os.fsencode(start + end))  # the longest name of common file systems
        stem = os.fsencode(source.stem)[:room]
        target = folder / (start + os.fsdecode(stem) + end)
        if not os.path.lexists(target):
            return target
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            return None
        number += 1


def title(prompt: Prompt) -> str:
    """Return a prompt as it is typed, with its weight if that is not 1."""
    return prompt.text if prompt.weight == 1 else f"{prompt.text}:{prompt.weight:g}"
