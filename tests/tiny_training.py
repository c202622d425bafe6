"""Trainings small enough for a test: data and options of a CLIP."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from guidance.train.clip.options import ClipOptions
from guidance.train.clip.presets import read_config


def clip_options(shards: Path, out: Path, **changes) -> ClipOptions:
    """Return the tiny config for 3 steps of 12 pictures, changed by ``section={...}``."""
    given = read_config("tiny")
    small = {
        "sampling": {"batch": 12, "workers": 1},
        "optimiser": {"steps": 3, "precision": "fp32"},
    }
    for name in ("model", "sampling", "optimiser", "head", "teachers", "loss"):
        values = small.get(name, {}) | changes.pop(name, {})
        given = dataclasses.replace(
            given, **{name: dataclasses.replace(getattr(given, name), **values)}
        )
    paths = {"data": (str(shards / "train-*.tar"),), "out": out}
    return dataclasses.replace(given, **paths, threads=1, **changes)
