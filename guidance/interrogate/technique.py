"""Images → words, printed and saved: what ``python -m guidance.interrogate`` does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidance.command import scoring as scoring_options
from guidance.errors import FileError, InputError, counted
from guidance.files.writing import printable, write
from guidance.interrogate.options import InterrogateOptions

if TYPE_CHECKING:
    from torch import Tensor

    from guidance.clip.scorer import ClipScorer
    from guidance.embeddings.results import Skipped
    from guidance.interrogate.compose import Phrase, Words


def command(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return scoring_options.command(
        InterrogateOptions, interrogate, prog="python -m guidance.interrogate", argv=argv
    )


def interrogate(options: InterrogateOptions) -> int:
    """Find words for the images of `options`, print them and write what is asked for.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or a path cannot be used; found before
            anything is loaded. FileError also if no image at all can be read.
        ModelError: weights are damaged or out of reach.
    """
    if not options.inputs:
        raise InputError("images or folders are needed, as in: interrogate PATH...")
    # the rest of the imports takes seconds, and a usage error should not
    from tqdm import tqdm

    from guidance.clip.scorer import ClipScorer
    from guidance.command.outputs import check_outputs, say_skipped, say_written
    from guidance.conventions import check_count
    from guidance.embeddings.embed import embed_all
    from guidance.images.collect import collect
    from guidance.interrogate.phrases import load_lists

    check_count("length", options.length, 0, 50)
    check_count("top", options.top, 0)
    options.check_embedding()
    lists = load_lists(options.lists)
    passed: Counter[str] = Counter()
    files = collect(options.inputs, recursive=options.recursive, passed=passed)
    check_outputs({"json": options.json}, files)
    scorer = ClipScorer(options.clip, device=options.device, precision=options.precision)
    vectors, sources, skipped = embed_all(files, scorer, **options.embedding(scorer))
    if not sources:
        raise FileError(
            f"none of {counted(len(files), 'file')} can be read; "
            f"the first: {skipped[0].source} {skipped[0].reason}"
        )
    found = []
    for source, phrases, words in _answers(options, scorer, vectors, sources, lists):
        tqdm.write(_text(source, phrases, words, options, first=not found))  # above the bar
        found.append(_entry(source, phrases, words))
    if options.json is not None:
        _write(options, found, skipped)
    say_written([options.json], quiet=options.quiet)
    say_skipped(skipped, len(files), passed, quiet=options.quiet)
    return int(options.strict and bool(skipped))


def _answers(
    options: InterrogateOptions,
    scorer: ClipScorer,
    vectors: Tensor,
    sources: Sequence[Path],
    lists: Mapping[str, Sequence[str]],
) -> Iterator[tuple[Path, dict[str, list[Phrase]], Words]]:
    """Give each file with its nearest phrases and its words."""
    from tqdm import tqdm

    from guidance.interrogate.compose import CANDIDATES, compose, nearest
    from guidance.score.zero_shot import mean_embeddings

    flat = list(dict.fromkeys(p for phrases in lists.values() for p in phrases))
    place = {phrase: number for number, phrase in enumerate(flat)}
    table = mean_embeddings(scorer, flat, 1, cache=not options.no_cache)
    embedded = {name: table[[place[p] for p in phrases]] for name, phrases in lists.items()}
    bar = tqdm(total=len(sources), unit="image", delay=2, disable=options.quiet, dynamic_ncols=True)
    with bar:
        for source, vector in zip(sources, vectors.to(table), strict=True):
            phrases = nearest(vector, lists, embedded, max(CANDIDATES, options.top))
            tried = {name: best[:CANDIDATES] for name, best in phrases.items()}
            words = compose(vector, tried, scorer, options.length)
            bar.update()
            yield source, {n: best[: options.top] for n, best in phrases.items()}, words


def _text(
    source: Path,
    phrases: Mapping[str, Sequence[Phrase]],
    words: Words,
    options: InterrogateOptions,
    *,
    first: bool,
) -> str:
    if options.brief:
        return printable(words.text)
    lines = [("" if first else "\n") + printable(source)]
    if words.steps:
        lines += [f"  {words.score:.4f}  {printable(words.text)}"]
    width = max(map(len, phrases))
    for name, best in phrases.items():
        if best:
            shown = ", ".join(f"{printable(p.text)} {p.score:.3f}" for p in best)
            lines.append(f"  {name:<{width}}  {shown}")
    return "\n".join(lines)


def _entry(source: Path, phrases: Mapping[str, Sequence[Phrase]], words: Words) -> dict[str, Any]:
    return {
        "file": str(source),
        "words": words.text,
        "cosine": round(words.score, 6),
        "steps": [
            {"phrase": p.text, "list": p.list, "cosine": round(p.score, 6)} for p in words.steps
        ],
        "lists": {
            name: [{"phrase": p.text, "cosine": round(p.score, 6)} for p in best]
            for name, best in phrases.items()
        },
    }


def _write(
    options: InterrogateOptions, found: Sequence[dict[str, Any]], skipped: Sequence[Skipped]
) -> None:
    content = {
        "clip": options.clip,
        "lists": options.lists,
        "images": found,
        "skipped": [{"file": str(s.source), "reason": s.reason} for s in skipped],
    }
    write(options.json, json.dumps(content, indent=2) + "\n")
