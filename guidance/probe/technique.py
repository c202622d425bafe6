"""Folder of classes → few-shot curves: what ``python -m guidance.probe`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guidance.command import scoring as scoring_options
from guidance.errors import InputError, counted
from guidance.files.writing import check_place
from guidance.probe.options import ProbeOptions

if TYPE_CHECKING:
    from guidance.clip.model import ClipModel
    from guidance.probe.curve import Point
    from guidance.probe.data import Bank, Pictures
    from guidance.probe.methods import Learned
    from guidance.score.ranking import Skipped

SUFFIXES = {
    "plot": (".png", ".svg", ".jpg", ".jpeg", ".webp"),
    "csv": (".csv",),
    "json": (".json",),
    "save": (".safetensors",),
}


def command(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return scoring_options.command(ProbeOptions, probe, prog="python -m guidance.probe", argv=argv)


def probe(options: ProbeOptions) -> int:
    """Learn from the folder of `options`, or apply what was learned; print and write the results.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option is not allowed or a path cannot be used; found before
            anything is loaded. FileError also if pictures that are needed cannot be read.
        ModelError: weights are damaged or out of reach.
    """
    shots = _check(options)
    if options.apply is not None:
        from guidance.probe.apply import apply

        return apply(options)
    # the rest of the imports takes seconds, and a usage error should not
    from guidance.clip.registry import load_clip
    from guidance.command.outputs import say_skipped, say_written
    from guidance.conventions import resolve_device
    from guidance.probe import data
    from guidance.score.templates import templates

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
    clip = load_clip(
        options.clip, device=resolve_device(options.device), precision=options.precision
    )
    _check_prompts(options, clip, pictures.names)
    bank, pictures, skipped = _bank(options, clip, pictures)
    points = [_zero_shot(options, clip, bank, pictures, sentences)]
    learned = _learn(options, clip, bank, points, shots)
    _report(options, clip, bank, points, learned)
    say_written([options.plot, options.csv, options.json, options.save], quiet=options.quiet)
    say_skipped(skipped, len(pictures.files) + len(skipped), quiet=options.quiet)
    return int(options.strict and bool(skipped))


def _bank(
    options: ProbeOptions, clip: ClipModel, pictures: Pictures
) -> tuple[Bank, Pictures, list[Skipped]]:
    import torch

    from guidance.clip.features import project
    from guidance.probe.data import Bank
    from guidance.probe.tower import read_features

    vectors, rows, skipped = read_features(
        clip, pictures.files,
        batch=options.batch, workers=options.workers, store=options.store,
        progress=not options.quiet,
    )  # fmt: skip
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
    from guidance.probe.curve import Point
    from guidance.probe.methods import zero_shot
    from guidance.score.zero_shot import class_embeddings

    if pictures.captions and not options.template:
        classes = class_embeddings(clip, pictures.captions, ["{}"])
    else:
        classes = class_embeddings(clip, bank.names, sentences)
    return Point("zero-shot", 0, 0, (zero_shot(bank, classes, bank.test),))


def _learn(
    options: ProbeOptions, clip: ClipModel, bank: Bank, points: list[Point], shots: Sequence[int]
) -> dict[str, Learned]:
    """Add the points of all methods; return what each has learned from all pictures."""
    import sys

    from tqdm import tqdm

    from guidance.files.writing import printable
    from guidance.probe.curve import Point, few_shot, possible, with_all
    from guidance.probe.methods import learner

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


def _report(
    options: ProbeOptions,
    clip: ClipModel,
    bank: Bank,
    points: list[Point],
    learned: dict[str, Learned],
) -> None:
    from guidance.probe import head, report

    counts = {part: len(getattr(bank, part)) for part in ("train", "val", "test")}
    sizes = ", ".join(f"{count} {part}" for part, count in counts.items())
    width = bank.features.shape[1]
    print(f"{len(bank.names)} classes, pictures: {sizes}; {clip.name}, {width} features")
    print(f"accuracy on the test pictures, %\n{report.accuracy_table(points)}")
    if options.plot is not None:
        report.write_plot(options.plot, points, f"{len(bank.names)} classes, {clip.name}")
    if options.csv is not None:
        report.write_csv(options.csv, points)
    if options.json is not None:
        facts = {"clip": options.clip, "classes": list(bank.names), "pictures": counts}
        report.write_json(options.json, points, {**facts, "seed": options.seed})
    if options.save is not None:
        ((method, best),) = learned.items()
        head.save(
            options.save, best, method=method, names=bank.names, clip=clip, context=options.context
        )


def _check(options: ProbeOptions) -> list[int]:
    """Check what can be checked without loading anything; return the numbers of shots."""
    shots = options.shot_numbers()
    if options.apply is None and len(options.inputs) != 1:
        raise InputError(f"probe takes one folder of classes but got {len(options.inputs)} paths")
    if options.save is not None and len(options.methods()) > 1:
        raise InputError(f"--save takes one method but got {', '.join(options.methods())}")
    if options.plot is not None and not shots and options.apply is None:
        raise InputError("--plot draws the few-shot curve, which --shots none leaves out")
    if options.engine != "local":
        raise InputError("--engine ray computes embeddings; the features of probe need local")
    for name, suffixes in SUFFIXES.items():
        if (value := getattr(options, name)) is not None:
            check_place(Path(value), f"--{name}", suffixes)
    # from here on imports take seconds
    from guidance.clip.names import parse_specs
    from guidance.conventions import MAX_SEED, check_count, check_range, resolve_device
    from guidance.embeddings.check import check_store

    check_count("batch", options.batch, 1, 65536)
    check_count("workers", options.workers, 0, 64)
    check_count("draws", options.draws, 1, 1000)
    check_count("steps", options.steps, 0)
    check_count("top", options.top, 0)
    check_count("seed", options.seed, 0, MAX_SEED)
    check_range("rate", options.rate, 0, above=True)
    for name in ("val_share", "test_share"):
        check_range(f"--{name.replace('_', '-')}", getattr(options, name), 0, 0.9, above=True)
    if len(parse_specs(options.clip)) > 1:
        raise InputError(f"probe takes one CLIP model but got {options.clip!r}")
    resolve_device(options.device)
    check_store(options.store)
    return shots


def _check_prompts(options: ProbeOptions, clip: ClipModel, names: Sequence[str]) -> None:
    """Refuse a context, tower or class name that prompts cannot be made of, before the work."""
    from guidance.probe.methods import make_prompts

    for method in options.methods():
        if method != "linear":
            make_prompts(clip, names, options, method == "cocoop", options.seed)
