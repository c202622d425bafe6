"""Images × labels → probabilities, printed and saved: what ``python -m guidance.classify`` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from guidance.classify import benchmark, report
from guidance.classify.options import ClassifyOptions
from guidance.classify.records import Classified
from guidance.clip.scorer import ClipScorer
from guidance.command.outputs import Report
from guidance.command.pictures import embed_pictures, find_pictures, load_scorer
from guidance.errors import InputError
from guidance.score.templates import templates
from guidance.score.zero_shot import class_embeddings

CHUNK = 1024  # images whose probabilities are held at once


def classify(options: ClassifyOptions) -> int:
    """Classify the images of `options`, or measure a benchmark; print and write what is asked for.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or a path cannot be used; found before
            anything is loaded. FileError also if no image at all can be read.
        ModelError: weights are damaged or out of reach.
    """
    options.check()
    if options.benchmark is not None:
        return benchmark.run(options)
    labels = options.all_labels
    sentences = templates(options.forms())
    pictures = find_pictures(options, options.inputs, sheet=options.sheet)
    out = Report(options, ("csv", "json", "sheet"), pictures.files)
    scorer = load_scorer(options)
    if len(labels) < 2 and not scorer.sigmoid:
        raise InputError(options.TOO_FEW)
    images = embed_pictures(options, pictures.files, scorer, "classified")
    texts = class_embeddings(scorer, labels, sentences, cache=not options.no_cache)

    def results() -> Iterator[Classified]:  # anew for each output, so that none is kept
        return classified(scorer, images.vectors, images.sources, texts, softmax=options.softmax)

    for place, result in enumerate(results()):
        print(("\n" if place else "") + report.block(result, labels, options.top))
    kind = "sigmoid" if scorer.sigmoid and not options.softmax else "softmax"
    facts = {"clip": options.clip, "templates": sentences, "labels": labels, "probabilities": kind}
    out.csv(report.rows(results(), labels))
    out.json(lambda: report.content(facts, results()), images.skipped)
    out.sheet(report.entries(results(), labels))
    return out.end(images.skipped, len(pictures), pictures.passed)


def classified(
    scorer: ClipScorer,
    vectors: Tensor,
    sources: Sequence[Path],
    classes: Tensor,
    *,
    softmax: bool = False,
) -> Iterator[Classified]:
    """Give the probabilities of each image, a few images at a time.

    Args:
        scorer: what all was embedded by.
        vectors: of the images, ``[N, D]``.
        sources: their N files.
        classes: of the labels, ``[C, D]``.
        softmax: compare the labels with each other, whatever the models were trained for.
    """
    for start in range(0, len(vectors), CHUNK):
        part = vectors[start : start + CHUNK].to(classes)
        logits = scorer.logits(part, classes).cpu().double()
        found = scorer.to_probabilities(logits, softmax=softmax)
        cosines = (part @ classes.T).clamp(-1, 1).cpu()
        names = sources[start : start + CHUNK]
        for name, p, c in zip(names, found.tolist(), cosines.tolist(), strict=True):
            yield Classified(name, tuple(p), tuple(c))
