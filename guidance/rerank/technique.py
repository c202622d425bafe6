"""Files × prompts → ranking, printed and saved: what ``python -m guidance.rerank`` does."""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guidance.command import scoring as scoring_options
from guidance.errors import FileError, InputError, counted
from guidance.files.writing import printable
from guidance.rerank.options import RerankOptions

if TYPE_CHECKING:
    from guidance.rerank.judge import Verdict
    from guidance.rerank.scoring import Candidates


def command(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return scoring_options.command(
        RerankOptions, rerank, prog="python -m guidance.rerank", argv=argv
    )


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
    prompts, paths = options.split()
    # the rest of the imports takes seconds, and a usage error should not
    from guidance.command.outputs import say_skipped
    from guidance.conventions import check_count
    from guidance.images.collect import collect
    from guidance.rerank.outputs import check_outputs
    from guidance.score.aesthetic import load_head
    from guidance.score.ranking import prompts_for_ranking

    check_count("top", options.top, 0)
    options.check_embedding()
    parsed = prompts_for_ranking(prompts, options.negative) if prompts else ()
    _check_copy_to(options.copy_to, paths)
    _check_judge(options)
    passed: Counter[str] = Counter()
    files = collect(paths, recursive=options.recursive, leave_out=options.copy_to, passed=passed)
    files = check_outputs(options, files)
    head = None if options.aesthetic is None else load_head(options.aesthetic)
    from guidance.rerank import scoring

    found = scoring.gather(options, files, parsed, head)
    if not len(found):
        first = found.skipped[0]
        raise FileError(
            f"none of {counted(len(files), 'file')} can be ranked; the first: "
            f"{first.source} {first.reason}"
        )
    ranking, scores, groups = scoring.order(options, found, parsed)
    near = [[found.sources[i] for i in group] for group in groups]
    verdict = _judged(options, found)
    _print(options, ranking, near, verdict)
    _write(options, ranking, near, verdict, _curves(options, found, scores))
    say_skipped(found.skipped, len(files), passed, quiet=options.quiet)
    return int(options.strict and bool(found.skipped))


def _check_copy_to(folder: str | None, paths: Sequence[str]) -> None:
    if folder is not None and not folder.strip():
        raise InputError("--copy-to must be a folder but is empty")
    for path in map(Path, paths):
        if folder is not None and path.is_dir() and path.resolve() == Path(folder).resolve():
            raise InputError(f"--copy-to must not be a folder that is ranked but is {folder}")


def _check_judge(options: RerankOptions) -> None:
    """Look at the names of both models before the first is loaded."""
    from guidance.clip.names import parse_specs

    own = {spec.name for spec in parse_specs(options.clip)}
    if options.judge is not None:
        judges = {spec.name for spec in parse_specs(options.judge)}
        if own & judges:
            raise InputError(
                f"--judge must be another CLIP than --clip but both name {min(own & judges)}"
            )


def _judged(options: RerankOptions, found: Candidates) -> Verdict | None:
    """Compare the CLIP that ranks with its judge, and warn if they disagree about the best."""
    if found.judged is None:
        return None
    from guidance.rerank.judge import FEWEST, verdict

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


def _curves(options: RerankOptions, found: Candidates, scores) -> dict | None:
    if options.gain is None:
        return None
    from guidance.rerank.gain import gain

    if len(found) < 2:
        raise InputError(f"--gain needs at least two images but got {len(found)}")
    if found.judged is None:
        return gain(scores)
    known = found.judged.isfinite()
    return gain(scores[known], found.judged[known])


def _print(options: RerankOptions, ranking, near, verdict: Verdict | None) -> None:
    """Print the best of all, or of each prompt, then near-duplicates and the judge's verdict."""
    from guidance.rerank.outputs import groups_text, table, title

    parts = {"": list(ranking)}
    if options.per_prompt:
        parts = {title(p): ranking.by_prompt(n) for n, p in enumerate(ranking.prompts)}
    for number, (heading, ranked) in enumerate(parts.items()):
        best = ranked[: options.top or None]
        if options.filepath_only:
            print("\n".join(printable(r.source) for r in best))
            continue
        if heading:
            print(("\n" if number else "") + printable(heading))
        print(table(best))
    if options.filepath_only:
        return
    if options.threshold is not None:
        print("\n" + groups_text(near, options.threshold))
    if verdict is not None:
        print(f"\njudge {printable(options.judge)}: {verdict}")


def _write(options: RerankOptions, ranking, near, verdict: Verdict | None, curves) -> None:
    from guidance.rerank import outputs

    best = ranking[: options.top or None]
    heading = ", ".join(map(outputs.title, ranking.prompts)) or f"by {options.by}"
    notes = []
    if options.csv is not None:
        outputs.write_csv(options.csv, ranking)
        notes.append(options.csv)
    if options.json is not None:
        outputs.write_json(options.json, ranking, _about(options, near, verdict))
        notes.append(options.json)
    if options.sheet is not None:
        shown = outputs.write_sheet(options.sheet, best)
        notes.append(options.sheet + (f" (the first {shown})" if shown < len(best) else ""))
    if options.gallery is not None:
        from guidance.rerank.gallery import write_gallery

        shown = write_gallery(options.gallery, ranking, title=heading, progress=not options.quiet)
        notes.append(options.gallery + (f" (the first {shown})" if shown < len(ranking) else ""))
    if curves is not None:
        from guidance.rerank.gain import write_gain

        unit = "cosine" if options.by == "prompt" else f"score by {options.by}"
        write_gain(options.gain, curves, unit=unit, title=f"Best of N: {heading}")
        notes.append(options.gain)
    if options.copy_to is not None:
        outputs.copy_best(options.copy_to, best)
        notes.append(options.copy_to)
    if notes and not options.quiet:
        print(printable(f"wrote {', '.join(notes)}"), file=sys.stderr)


def _about(options: RerankOptions, near, verdict: Verdict | None) -> dict:
    """Return what the JSON says beside the ranking."""
    from guidance.rerank.criteria import parse_by

    about: dict = {"clip": options.clip}
    if options.by != "prompt":
        about["by"] = parse_by(options.by)
    if options.aesthetic is not None:
        about["aesthetic"] = options.aesthetic
    if options.threshold is not None:
        about["duplicates"] = {
            "threshold": options.threshold,
            "groups": [list(map(str, group)) for group in near],
        }
    if options.judge is not None:
        about["judge"] = {"clip": options.judge}
    if verdict is not None:
        about["judge"] |= {
            "count": verdict.count,
            "spearman": None if math.isnan(verdict.spearman) else round(verdict.spearman, 6),
            "lead": round(verdict.lead, 6),
            "judged_lead": round(verdict.judged_lead, 6),
            "doubtful": verdict.doubtful,
        }
    return about
