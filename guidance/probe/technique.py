"""Folder of classes → few-shot curves: what ``python -m guidance.probe`` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from tqdm import tqdm

from guidance.clip.features import project
from guidance.clip.model import ClipModel
from guidance.clip.registry import load_clip
from guidance.command.outputs import Report
from guidance.conventions import resolve_device
from guidance.embeddings.results import Skipped
from guidance.errors import InputError, counted
from guidance.files.writing import printable
from guidance.probe import data, head, report
from guidance.probe.apply import apply
from guidance.probe.curve import Point, few_shot, possible, with_all
from guidance.probe.data import Bank, Pictures
from guidance.probe.methods import Learned, learner, make_prompts, zero_shot
from guidance.probe.options import ProbeOptions
from guidance.probe.tower import read_features
from guidance.score.templates import templates
from guidance.score.zero_shot import class_embeddings

OUTPUTS = ("plot", "csv", "json", "save")


def probe(options: ProbeOptions) -> int:
    """Learn from the folder of `options`, or apply what was learned; print and write the results.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or a path cannot be used; found before
            anything is loaded. FileError also if pictures that are needed cannot be read.
        ModelError: weights are damaged or out of reach.
    """
    options.check()
    device = resolve_device(options.device)
    out = Report(options, OUTPUTS)
    if options.apply is not None:
        return apply(options, out)
    shots = options.shot_numbers()
    sentences = templates(options.template or ["photo"])
    pictures = data.read(
        options.inputs[0],
        val_share=options.val_share,
        test_share=options.test_share,
        seed=options.seed,
    )
    if options.plot is not None and pictures.fewest < min(shots):
        raise InputError(
            f"--plot draws from {counted(min(shots), 'shot')} on but a class has "
            f"{counted(pictures.fewest, 'picture')} to learn from"
        )
    clip = load_clip(options.clip, device=device, precision=options.precision)
    _check_prompts(options, clip, pictures.names)
    bank, pictures, skipped = _bank(options, clip, pictures)
    points = [_zero_shot(options, clip, bank, pictures, sentences)]
    learned = _learn(options, clip, bank, points, shots)
    _report(options, clip, bank, points)
    _write(options, out, clip, bank, points, learned)
    return out.end(skipped, len(pictures.files) + len(skipped))


def _bank(
    options: ProbeOptions, clip: ClipModel, pictures: Pictures
) -> tuple[Bank, Pictures, list[Skipped]]:
    vectors, rows, skipped = read_features(clip, pictures.files, options)
    pictures = pictures.keep(rows)
    parts = {
        part: torch.tensor([i for i, p in enumerate(pictures.parts) if p == part])
        for part in ("train", "val", "test")
    }
    bank = Bank(
        pictures.names, vectors, project(clip, vectors), torch.tensor(pictures.labels), **parts
    )
    return bank, pictures, skipped


def _zero_shot(
    options: ProbeOptions, clip: ClipModel, bank: Bank, pictures: Pictures, sentences: list[str]
) -> Point:
    if pictures.captions and not options.template:
        classes = class_embeddings(clip, pictures.captions, ["{}"])
    else:
        classes = class_embeddings(clip, bank.names, sentences)
    return Point("zero-shot", 0, 0, (zero_shot(bank, classes, bank.test),))


def _learn(
    options: ProbeOptions, clip: ClipModel, bank: Bank, points: list[Point], shots: Sequence[int]
) -> dict[str, Learned]:
    """Add the points of all methods; return what each has learned from all pictures."""
    usable = possible(bank, shots)
    if (left := [k for k in shots if k not in usable]) and not options.quiet:
        print(f"too few pictures for {', '.join(map(str, left))} shots", file=sys.stderr)
    learned = {}
    total = len(options.methods()) * (len(usable) * options.draws + 1)
    with tqdm(total=total, unit="fit", disable=options.quiet, delay=2, dynamic_ncols=True) as bar:
        for method in options.methods():
            learn = learner(method, clip, options)
            for count in usable:
                bar.set_description(printable(f"{method}, {counted(count, 'shot')}"))
                for found in few_shot(bank, method, learn, count, options.draws, options.seed):
                    if isinstance(found, Point):
                        points.append(found)
                    else:
                        bar.update()
            point, learned[method] = with_all(bank, method, learn, options.seed)
            points.append(point)
            bar.update()
    return learned


def _report(options: ProbeOptions, clip: ClipModel, bank: Bank, points: list[Point]) -> None:
    sizes = ", ".join(f"{count} {part}" for part, count in bank.counts().items())
    width = bank.features.shape[1]
    print(f"{len(bank.names)} classes, pictures: {sizes}; {clip.name}, {width} features")
    print(f"accuracy on the test pictures, %\n{report.accuracy_table(points)}")


def _write(
    options: ProbeOptions,
    out: Report,
    clip: ClipModel,
    bank: Bank,
    points: list[Point],
    learned: dict[str, Learned],
) -> None:
    def save(place: str) -> None:
        ((method, best),) = learned.items()
        head.save(place, best, method=method, names=bank.names, clip=clip, context=options.context)

    out.plot("plot", lambda: report.chart(points, f"{len(bank.names)} classes, {clip.name}"))
    out.csv(report.rows(points))
    facts = {"clip": options.clip, "classes": list(bank.names), "pictures": bank.counts()}
    out.json(lambda: report.content(points, {**facts, "seed": options.seed}), ascii=False)
    out.file("save", save)


def _check_prompts(options: ProbeOptions, clip: ClipModel, names: Sequence[str]) -> None:
    """Refuse a context, tower or class name that prompts cannot be made of, before the work."""
    for method in options.methods():
        if method != "linear":
            make_prompts(clip, names, options, method == "cocoop", options.seed)
