"""A folder of classes → how often each prompt form is right: ``--benchmark``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from guidance.classify import benchmark_report
from guidance.classify.options import ClassifyOptions
from guidance.classify.records import Benchmark, Form, Measured
from guidance.clip.scorer import ClipScorer
from guidance.command.outputs import Report
from guidance.command.pictures import embedding, load_scorer
from guidance.data import Samples
from guidance.data.classes import labelled
from guidance.embeddings.embed import embed
from guidance.embeddings.results import Skipped
from guidance.errors import FileError, counted
from guidance.score import accuracy
from guidance.score.templates import templates
from guidance.score.zero_shot import mean_embeddings


def run(options: ClassifyOptions) -> int:
    """Measure the folder of `options`, print the tables and write the files.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or the folder cannot be used; found before
            anything is loaded. FileError also if no image at all can be read.
        ModelError: weights are damaged or out of reach.
    """
    options.check()
    folder = options.benchmark or ""
    samples = labelled(folder)
    names = tuple(sorted({s.label for s in samples}))
    forms = make_forms(names, captions(samples), options.templates, options.forms())
    out = Report(options, ("csv", "json", "sheet"), [s.place[0] for s in samples], ("sheet",))
    scorer = load_scorer(options)
    rows, vectors, skipped = embed_samples(samples, scorer, options)
    if not rows:
        raise FileError(
            f"none of {counted(len(samples), 'image')} can be classified; the first "
            f"{skipped[0].reason}"
        )
    labels = torch.tensor([names.index(samples[i].label) for i in rows])
    found = [measure(scorer, vectors, labels, f, cache=not options.no_cache) for f in forms]
    keys = [samples[i].key for i in rows]
    done = Benchmark(options.clip, folder, names, labels, keys, found)
    print(benchmark_report.text(done), flush=True)
    out.csv(benchmark_report.rows(done))
    out.json(lambda: benchmark_report.content(done), skipped)
    out.plot("sheet", lambda: benchmark_report.sheet(done))
    return out.end(skipped, len(samples))


def captions(samples: Samples) -> dict[str, str]:
    """Return the caption of each class; empty unless every class has one and the same throughout.

    Captions of single pictures, which shards have, say nothing of their class.
    """
    found: dict[str, set[str]] = {}
    for sample in samples:
        found.setdefault(sample.label, set()).update(sample.captions)
    if not all(len(texts) == 1 for texts in found.values()):
        return {}
    return {label: next(iter(texts)) for label, texts in found.items()}


def make_forms(
    names: Sequence[str],
    captions: dict[str, str],
    given: Sequence[str],
    default: Sequence[str],
) -> list[Form]:
    """Return the prompt forms to compare: captions, each of the templates, and all together.

    Args:
        names: of the classes.
        captions: of each class, or empty.
        given: sets, files and templates as typed; alone if there are any and no captions.
        default: what `given` means if it is empty and there are no captions.

    Raises:
        InputError, FileError: a template is not allowed, see `guidance.score.templates`.
    """
    forms = []
    if captions:
        forms.append(Form("captions", tuple((captions[n],) for n in names)))
    chosen = given or (() if captions else default)
    titles = {tuple(templates([name])): name for name in reversed(chosen)}  # each once
    for sentences, name in reversed(titles.items()):
        title = sentences[0] if len(sentences) == 1 else f"{name} ({len(sentences)})"
        forms.append(Form(title, _fill(sentences, names)))
    every = templates(chosen)
    if len(chosen) > 1 and len(every) > max(len(f.texts[0]) for f in forms):
        forms.append(Form(f"all together ({len(every)})", _fill(every, names)))
    return forms


def _fill(sentences: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(s.replace("{}", n) for s in sentences) for n in names)


def embed_samples(
    samples: Samples, scorer: ClipScorer, options: ClassifyOptions
) -> tuple[list[int], Tensor, list[Skipped]]:
    """Embed the pictures: places in `samples` in order, vectors ``[N, D]``, what was skipped."""
    skipped: list[Skipped] = []
    places: list[int] = []  # in `samples`, of what is given to the encoder

    def decoded() -> Iterator[Image.Image]:
        for number, sample in enumerate(samples):
            try:
                picture = samples.image(number)
            except FileError as error:
                skipped.append(Skipped(number, Path(sample.key), str(error)))
                continue
            places.append(number)
            yield picture

    pictures: Iterable[Path | Image.Image] = decoded()
    if all(s.place[2] is None for s in samples):  # whole files, which are decoded ahead
        pictures, places = [s.place[0] for s in samples], list(range(len(samples)))

    found: dict[int, Tensor] = {}
    stream = embed(pictures, scorer, **embedding(options, scorer))
    for one in itertools.chain.from_iterable(stream):
        number = places[one.index]
        if one.vector is not None:
            found[number] = one.vector
        else:
            source = one.source or Path(samples[number].key)
            skipped.append(Skipped(number, source, one.reason))
    rows = sorted(found)
    vectors = torch.stack([found[i] for i in rows]) if rows else torch.empty(0, 0)
    return rows, vectors, sorted(skipped, key=lambda s: s.index)


@torch.no_grad()
def measure(
    scorer: ClipScorer, images: Tensor, labels: Tensor, form: Form, *, cache: bool = True
) -> Measured:
    """Classify embedded `images` ``[N, D]`` with one form, and compare with `labels` ``[N]``."""
    flat = [t for texts in form.texts for t in texts]
    classes = mean_embeddings(scorer, flat, len(form.texts[0]), cache=cache)
    found = scorer.logits(images.to(classes), classes).cpu()
    confusion = accuracy.confusion(found, labels)
    count = confusion.sum(1)
    per_class = (100 * confusion.diagonal() / count.clamp_min(1)).tolist()
    confidence, guesses = found.softmax(-1).max(-1)
    return Measured(
        form=form,
        figures=accuracy.accuracy(found, labels) | accuracy.calibration(found, labels),
        per_class=per_class,
        confusion=confusion,
        reliability=accuracy.reliability(found, labels),
        guesses=guesses,
        confidence=confidence,
    )
