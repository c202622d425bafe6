"""Images and a saved head → classes: ``python -m guidance.probe --apply HEAD PATH...``."""

from __future__ import annotations

import torch

from guidance.clip.features import project
from guidance.clip.registry import load_clip
from guidance.command.outputs import Report
from guidance.command.pictures import find_pictures
from guidance.conventions import resolve_device
from guidance.probe import report
from guidance.probe.head import load
from guidance.probe.options import ProbeOptions
from guidance.probe.tower import read_features


def apply(options: ProbeOptions, out: Report) -> int:
    """Classify images with the head of `options`; print and write the probabilities.

    The CLIP is the one the head names, unless another is given.

    Args:
        out: where they go, checked already.

    Returns:
        0, or 1 if a file had to be skipped and `options.strict`.

    Raises:
        InputError, FileError: an option, the head or a path cannot be used.
        ModelError: the CLIP is not the one the head was learned with.
    """
    head = load(options.apply or "")
    pictures = find_pictures(options, options.inputs)
    name = head.about.clip if options.clip == ProbeOptions.clip else options.clip
    clip = load_clip(name, device=resolve_device(options.device), precision=options.precision)
    learned = head.learned(clip)
    vectors, rows, skipped = read_features(clip, pictures.files, options)
    read = vectors if learned.source == "features" else project(clip, vectors)
    with torch.no_grad():
        probabilities = learned.logits(read).cpu().double().softmax(-1)
    found, names = [pictures.files[i] for i in rows], head.about.names
    print(report.blocks(found, probabilities, names, options.top))
    out.csv(report.class_rows(found, probabilities, names))
    facts = {"head": options.apply, "method": head.about.method, "clip": name}
    out.json(lambda: report.class_facts(found, probabilities, names, facts))
    return out.end(skipped, len(pictures), pictures.passed)
