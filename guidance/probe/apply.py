"""Images and a saved head → classes: ``python -m guidance.probe --apply HEAD PATH...``."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import torch

from guidance.clip.features import project
from guidance.clip.registry import load_clip
from guidance.command.outputs import say_skipped, say_written
from guidance.conventions import resolve_device
from guidance.errors import InputError
from guidance.images.collect import collect
from guidance.probe import report
from guidance.probe.head import load
from guidance.probe.options import ProbeOptions
from guidance.probe.tower import read_features

TRAINING = ("method", "plot", "save", "template")


def apply(options: ProbeOptions) -> int:
    """Classify images with the head of `options`; print and write the probabilities.

    The CLIP is the one the head names, unless another is given.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option, the head or a path cannot be used.
        ModelError: the CLIP is not the one the head was learned with.
    """
    defaults = {f.name: f.default for f in fields(ProbeOptions)}
    for name in TRAINING:
        if getattr(options, name) != defaults[name]:
            raise InputError(f"--{name} is for learning and does nothing with --apply")
    if not options.inputs:
        raise InputError("images or folders are needed with --apply")
    head = load(options.apply)
    passed: Counter[str] = Counter()
    files = collect(options.inputs, recursive=options.recursive, passed=passed)
    name = head.about.clip if options.clip == defaults["clip"] else options.clip
    clip = load_clip(name, device=resolve_device(options.device), precision=options.precision)
    learned = head.learned(clip)
    vectors, rows, skipped = read_features(
        clip, files,
        batch=options.batch, workers=options.workers, store=options.store,
        progress=not options.quiet,
    )  # fmt: skip
    read = vectors if learned.source == "features" else project(clip, vectors)
    with torch.no_grad():
        probabilities = learned.logits(read).cpu().double().softmax(-1)
    found, names = [files[i] for i in rows], head.about.names
    print(report.blocks(found, probabilities, names, options.top))
    if options.csv is not None:
        report.write_classes_csv(options.csv, found, probabilities, names)
    if options.json is not None:
        facts = {"head": options.apply, "method": head.about.method, "clip": name}
        report.write_classes_json(options.json, found, probabilities, names, facts)
    say_written([options.csv, options.json], quiet=options.quiet)
    say_skipped(skipped, len(files), passed, quiet=options.quiet)
    return int(options.strict and bool(skipped))
