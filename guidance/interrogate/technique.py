"""Images → words, printed and saved: what ``python -m guidance.interrogate`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from guidance.clip.scorer import ClipScorer
from guidance.command.outputs import Report
from guidance.command.pictures import (
    Embedded,
    embed_pictures,
    find_pictures,
    load_scorer,
)
from guidance.files.writing import printable
from guidance.interrogate import report
from guidance.interrogate.compose import CANDIDATES, Phrase, Words, compose, nearest
from guidance.interrogate.options import InterrogateOptions
from guidance.interrogate.phrases import load_lists
from guidance.score.zero_shot import mean_embeddings


def interrogate(options: InterrogateOptions) -> int:
    """Find words for the images of `options`, print them and write what is asked for.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or a path cannot be used; found before
            anything is loaded. FileError also if no image at all can be read.
        ModelError: weights are damaged or out of reach.
    """
    options.check()
    lists = load_lists(options.lists)
    pictures = find_pictures(options, options.inputs)
    out = Report(options, ("json",), pictures.files)
    scorer = load_scorer(options)
    images = embed_pictures(options, pictures.files, scorer, "read")
    found = []
    for source, phrases, words in answers(options, scorer, images, lists):
        block = report.block(source, phrases, words)
        text = printable(words.text) if options.brief else ("\n" if found else "") + block
        tqdm.write(text)  # above the bar
        found.append(report.entry(source, phrases, words))
    out.json(
        lambda: {"clip": options.clip, "lists": options.lists, "images": found}, images.skipped
    )
    return out.end(images.skipped, len(pictures), pictures.passed)


def answers(
    options: InterrogateOptions,
    scorer: ClipScorer,
    images: Embedded,
    lists: Mapping[str, Sequence[str]],
) -> Iterator[tuple[Path, dict[str, list[Phrase]], Words]]:
    """Give each file with the nearest phrases of each list and its words."""
    flat = list(dict.fromkeys(p for phrases in lists.values() for p in phrases))
    place = {phrase: number for number, phrase in enumerate(flat)}
    table = mean_embeddings(scorer, flat, 1, cache=not options.no_cache)
    embedded = {name: table[[place[p] for p in phrases]] for name, phrases in lists.items()}
    total = len(images.sources)
    bar = tqdm(total=total, unit="image", delay=2, disable=options.quiet, dynamic_ncols=True)
    with bar:
        for source, vector in zip(images.sources, images.vectors.to(table), strict=True):
            phrases = nearest(vector, lists, embedded, max(CANDIDATES, options.top))
            tried = {name: best[:CANDIDATES] for name, best in phrases.items()}
            words = compose(vector, tried, scorer, options.length)
            bar.update()
            yield source, {n: best[: options.top] for n, best in phrases.items()}, words
