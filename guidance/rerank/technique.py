"""Files × prompts → ranking, printed and saved: what ``python -m guidance.rerank`` does."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from guidance.artefacts.gain import Curve, gain, write_gain
from guidance.command.outputs import Report, first_of
from guidance.command.pictures import check_some, find_pictures
from guidance.errors import InputError
from guidance.files.writing import make_folder, printable
from guidance.rerank import report, scoring
from guidance.rerank.copies import copy_best
from guidance.rerank.gallery import write_gallery
from guidance.rerank.judge import FEWEST, Verdict, verdict
from guidance.rerank.options import RerankOptions
from guidance.rerank.scoring import Candidates
from guidance.score.aesthetic import load_head
from guidance.score.ranking import Ranking

OUTPUTS = ("csv", "json", "sheet", "gallery", "gain")


def rerank(options: RerankOptions) -> int:
    """Rank the files of `options`, print the best and write what is asked for.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or a path cannot be used; found before
            anything is loaded. FileError also if no image at all can be read.
        ModelError: weights are damaged or out of reach.
    """
    options.check()
    _, paths = options.prompts_and_paths
    pictures = find_pictures(options, paths, sheet=options.sheet, leave_out=options.copy_to)
    out = Report(options, OUTPUTS, pictures.files)
    if options.copy_to is not None:
        make_folder(options.copy_to)
    head = None if options.aesthetic is None else load_head(options.aesthetic)
    found = scoring.gather(options, pictures.files, head)
    check_some(len(found), found.skipped, len(pictures), "ranked")
    ranking, scores, groups = scoring.order(options, found)
    near = [[found.sources[i] for i in group] for group in groups]
    judged = _judged(options, found)
    _print(options, ranking, near, judged)
    curves = _curves(options, found, scores)
    out.csv(report.rows(ranking))
    out.json(lambda: report.content(ranking, report.about(options, near, judged)), found.skipped)
    _pictures(options, out, ranking, curves)
    return out.end(found.skipped, len(pictures), pictures.passed)


def _judged(options: RerankOptions, found: Candidates) -> Verdict | None:
    """Compare the CLIP that ranks with its judge, and warn if they disagree about the best."""
    if found.judged is None:
        return None
    result = verdict(found.columns["prompt"], found.judged, options.top)
    if result is None and not options.quiet:
        print(f"judge: fewer than {FEWEST} images are too few to compare", file=sys.stderr)
    if result is not None and result.doubtful:
        warnings.warn(
            f"the judge does not see why the best are the best: {result}; they may fit the "
            f"weaknesses of {options.clip} rather than the prompt",
            stacklevel=2,
        )
    return result


def _curves(options: RerankOptions, found: Candidates, scores: Tensor) -> dict[str, Curve] | None:
    if options.gain is None:
        return None
    if len(found) < 2:
        raise InputError(f"--gain needs at least two images but got {len(found)}")
    if found.judged is None:
        return gain(scores)
    known = found.judged.isfinite()
    return gain(scores[known], found.judged[known])


def _print(
    options: RerankOptions,
    ranking: Ranking,
    near: Sequence[Sequence[Path]],
    judged: Verdict | None,
) -> None:
    """Print the best of all, or of each prompt, then near-duplicates and the judge's verdict."""
    parts = {"": list(ranking)}
    if options.per_prompt:
        parts = {report.title(p): ranking.by_prompt(n) for n, p in enumerate(ranking.prompts)}
    for number, (heading, ranked) in enumerate(parts.items()):
        best = ranked[: options.top or None]
        if options.filepath_only:
            print("\n".join(printable(r.source) for r in best))
            continue
        if heading:
            print(("\n" if number else "") + printable(heading))
        print(report.table(best))
    if options.filepath_only:
        return
    if options.threshold is not None:
        print("\n" + report.groups_text(near, options.threshold))
    if judged is not None:
        print(f"\njudge {printable(options.judge)}: {judged}")


def _pictures(
    options: RerankOptions, out: Report, ranking: Ranking, curves: dict[str, Curve] | None
) -> None:
    """Write contact sheet, page and curve, and copy the best."""
    best = ranking[: options.top or None]
    heading = ", ".join(map(report.title, ranking.prompts)) or f"by {options.by}"

    def gallery(place: str) -> str | None:
        shown = write_gallery(place, ranking, title=heading, progress=not options.quiet)
        return first_of(shown, len(ranking))

    unit = "cosine" if options.by == "prompt" else f"score by {options.by}"
    out.sheet(report.entries(best), total=len(best))
    out.file("gallery", gallery)
    if curves is not None:
        title = f"Best of N: {heading}"
        out.file("gain", lambda place: write_gain(place, curves, unit=unit, title=title))
    out.file("copy_to", lambda place: copy_best(place, best))
