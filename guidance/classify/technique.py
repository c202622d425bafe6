"""Images × labels → probabilities, printed and saved: what ``python -m guidance.classify`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidance.classify.options import LABELS, ClassifyOptions
from guidance.command import scoring as scoring_options
from guidance.errors import FileError, InputError, counted

if TYPE_CHECKING:
    from torch import Tensor

    from guidance.clip.scorer import ClipScorer
    from guidance.embeddings.results import Skipped

PROG = "python -m guidance.classify"
CHUNK = 1024  # images whose probabilities are held at once


@dataclass(frozen=True)
class Classified:
    """One image and how well each label fits it.

    Attributes:
        source: the file.
        probabilities: of each label, in the order of the labels; see `ClipScorer.probabilities`.
        cosines: of each label, in [-1, 1].
    """

    source: Path
    probabilities: tuple[float, ...]
    cosines: tuple[float, ...]

    def best(self, count: int | None = None) -> list[int]:
        """Return the numbers of the labels that fit best; equal ones in the labels' order."""
        order = sorted(range(len(self.probabilities)), key=lambda i: -self.probabilities[i])
        return order[:count]


def command(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return scoring_options.command(ClassifyOptions, classify, prog=PROG, argv=argv, several=LABELS)


def classify(options: ClassifyOptions) -> int:
    """Classify the images of `options`, or measure a benchmark; print and write what is asked for.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or a path cannot be used; found before
            anything is loaded. FileError also if no image at all can be read.
        ModelError: weights are damaged or out of reach.
    """
    if options.benchmark is not None:
        from guidance.classify.benchmark import run

        return run(options)
    if not options.inputs:
        raise InputError("images or folders are needed, before --labels or after --")
    labels = options.all_labels()
    # the rest of the imports takes seconds, and a usage error should not
    from guidance.artefacts.sheet import without_sheet
    from guidance.clip.scorer import ClipScorer
    from guidance.command.outputs import check_outputs, say_skipped
    from guidance.conventions import check_count
    from guidance.embeddings.embed import embed_all
    from guidance.images.collect import collect
    from guidance.score.templates import templates
    from guidance.score.zero_shot import class_embeddings

    check_count("top", options.top, 0)
    options.check_embedding()
    sentences = templates(options.forms())
    passed: Counter[str] = Counter()
    files = collect(options.inputs, recursive=options.recursive, passed=passed)
    files = without_sheet(files, options.sheet)
    check_outputs({n: getattr(options, n) for n in ("csv", "json", "sheet")}, files)
    scorer = ClipScorer(options.clip, device=options.device, precision=options.precision)
    if len(labels) < 2 and not scorer.sigmoid:
        raise InputError(options.TOO_FEW)
    vectors, sources, skipped = embed_all(files, scorer, **options.embedding(scorer))
    if not sources:
        raise FileError(
            f"none of {counted(len(files), 'file')} can be classified; "
            f"the first: {skipped[0].source} {skipped[0].reason}"
        )
    texts = class_embeddings(scorer, labels, sentences, cache=not options.no_cache)
    kind = "sigmoid" if scorer.sigmoid and not options.softmax else "softmax"
    facts = {"clip": options.clip, "templates": sentences, "labels": labels, "probabilities": kind}

    def results() -> Iterator[Classified]:
        return classified(scorer, vectors, sources, texts, softmax=options.softmax)

    _report(options, results, facts, skipped)
    say_skipped(skipped, len(files), passed, quiet=options.quiet)
    return int(options.strict and bool(skipped))


def _report(
    options: ClassifyOptions,
    results: Callable[[], Iterator[Classified]],
    facts: Mapping[str, Any],
    skipped: Sequence[Skipped],
) -> None:
    """Print and write; `results` is gone through once for each output, so that none is kept."""
    from guidance.classify import report
    from guidance.command.outputs import say_written

    labels = facts["labels"]
    for place, result in enumerate(results()):
        print(("\n" if place else "") + report.block(result, labels, options.top))
    if options.csv is not None:
        report.write_csv(options.csv, results(), labels)
    if options.json is not None:
        report.write_json(options.json, facts, results(), skipped)
    if options.sheet is not None:
        report.write_sheet(options.sheet, results(), labels)
    say_written([options.csv, options.json, options.sheet], quiet=options.quiet)


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
