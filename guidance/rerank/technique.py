"""Files × prompts → ranking, printed and saved: what ``python -m guidance.rerank`` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from guidance import scoring_options
from guidance.errors import FileError, InputError
from guidance.files import printable
from guidance.rerank.options import RerankOptions


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
    prompts, paths = options.split()
    # the rest of the imports takes seconds, and a usage error should not
    from guidance.collect import collect
    from guidance.conventions import check_count
    from guidance.ranking import prompts_for_ranking, rank
    from guidance.rerank.outputs import check_outputs

    check_count("top", options.top, 0)
    parsed = prompts_for_ranking(prompts, options.negative)
    _check_copy_to(options.copy_to, paths)
    files = collect(paths, recursive=options.recursive, leave_out=options.copy_to)
    files = check_outputs(options, files)
    ranking = rank(
        files,
        parsed,
        clip=options.clip,
        device=options.device,
        precision=options.precision,
        batch=options.batch,
        workers=options.workers,
        on_error="skip",
        progress=not options.quiet,
    )
    if not ranking:
        first = ranking.skipped[0]
        raise FileError(
            f"none of {len(files)} files can be ranked; the first: {first.source} {first.reason}"
        )
    _print(options, ranking)
    _write(options, ranking)
    if ranking.skipped and not options.quiet:
        print(f"skipped {len(ranking.skipped)} of {len(files)} files:", file=sys.stderr)
        for s in ranking.skipped:
            print(f"  {printable(s.source)} {printable(s.reason)}", file=sys.stderr)
    return int(options.strict and bool(ranking.skipped))


def _check_copy_to(folder: str | None, paths: Sequence[str]) -> None:
    for path in map(Path, paths):
        if folder is not None and path.is_dir() and path.resolve() == Path(folder).resolve():
            raise InputError(f"--copy-to must not be a folder that is ranked but is {folder}")


def _print(options: RerankOptions, ranking) -> None:
    """Print the best of all, or of each prompt."""
    from guidance.rerank.outputs import table, title

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


def _write(options: RerankOptions, ranking) -> None:
    from guidance.rerank import outputs

    best = ranking[: options.top or None]
    notes = []
    if options.csv is not None:
        outputs.write_csv(options.csv, ranking)
        notes.append(options.csv)
    if options.json is not None:
        outputs.write_json(options.json, ranking, options.clip)
        notes.append(options.json)
    if options.sheet is not None:
        shown = outputs.write_sheet(options.sheet, best)
        notes.append(options.sheet + (f" (the first {shown})" if shown < len(best) else ""))
    if options.copy_to is not None:
        outputs.copy_best(options.copy_to, best)
        notes.append(options.copy_to)
    if notes and not options.quiet:
        print(printable(f"wrote {', '.join(notes)}"), file=sys.stderr)
