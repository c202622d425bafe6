"""Training arrays → batches: crops with one caption each.

A batch has five parts in this order: photos, drawings, painted pictures, composed scenes and
clutter. The clutter has no captions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from guidance.train import augment

TABLES = ("photos", "drawings", "painted", "scenes")  # pictures with captions

# Sampling weight of a photo, by source; 1 where not named.
PHOTO_WEIGHTS = {
    "caltech-101": 0.7, "wikiart-224": 0.7, "wikiart-styles-224": 0.5, "imagenet-sample": 4.0,
    "intel-scenes-64": 0.4, "multiclass-weather": 0.4, "clothing-small": 0.5,
}  # fmt: skip


@dataclass
class Rows:
    """One table of pictures: uint8 pixels (memory-mapped) and what index.json says of each row."""

    pixels: np.ndarray
    captions: list[list[int]]
    group: np.ndarray
    weight: np.ndarray

    @classmethod
    def load(cls, folder: Path, name: str, columns: dict) -> Rows:
        """Read table `name` with its `columns` of index.json; rows held out get weight 0."""
        weight = np.array(columns["weight"], np.float64)
        weight *= [PHOTO_WEIGHTS.get(s, 1.0) if name == "photos" else 1 for s in columns["source"]]
        weight[np.array(columns["split"]) == "test"] = 0
        pixels = np.load(folder / f"{name}.npy", mmap_mode="r")
        group = np.array(columns["group"])
        return cls(pixels, columns["captions"], group, weight / weight.sum())

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n` row numbers, by weight."""
        return rng.choice(len(self.weight), n, p=self.weight)


@dataclass(frozen=True)
class Plan:
    """What one part of a batch is made of: a table, row numbers and the augmentation's seed."""

    table: str
    rows: np.ndarray
    seed: int


@dataclass(frozen=True)
class Batch:
    """A planned batch: parts to be rendered, and the caption and group of each captioned image."""

    plans: list[Plan]
    texts: Tensor  # [N] caption numbers
    groups: Tensor  # [N]


class Batches:
    """Endless batches from the arrays in `folder`; `counts` maps table name → images per batch."""

    def __init__(self, folder: Path, counts: dict[str, int], size: int, seed: int) -> None:
        index = json.loads((folder / "index.json").read_text())
        self.tables = {
            name: Rows.load(folder, name, index[name]) for name in TABLES if counts[name]
        }
        self.clutter = np.load(folder / "clutter.npy", mmap_mode="r")
        self.counts, self.size = counts, size
        self.rng = np.random.default_rng(seed)

    def plan(self) -> Batch:
        """Draw rows, captions and augmentation seeds for one batch."""
        plans, texts, groups = [], [], []
        for name, table in self.tables.items():
            rows = table.draw(self.counts[name], self.rng)
            texts += [self.rng.choice(table.captions[r]) for r in rows]
            groups += list(table.group[rows])
            plans.append((name, rows))
        plans.append(("clutter", self.rng.integers(0, len(self.clutter), self.counts["clutter"])))
        seeds = self.rng.integers(0, 2**62, len(plans))
        made = [Plan(name, rows, int(s)) for (name, rows), s in zip(plans, seeds, strict=True)]
        return Batch(made, torch.tensor(np.array(texts)), torch.tensor(np.array(groups)))

    def render(self, plan: Plan) -> tuple[Tensor, Tensor]:
        """Make the crops of one part, clean and degraded: ``[n, 3, size, size]`` in [0, 1]."""
        rng = torch.Generator().manual_seed(plan.seed)
        pixels = self.clutter if plan.table == "clutter" else self.tables[plan.table].pixels
        images = _floats(pixels, plan.rows)
        if plan.table == "drawings":
            scenes = self.tables["photos"]
            some = np.random.default_rng(plan.seed).choice(len(scenes.weight), 8, p=scenes.weight)
            photos = _floats(scenes.pixels, some)
            ground = augment.backgrounds(photos, len(images), self.size, rng)
            images = augment.compose(images, ground, rng)
        else:
            side = (0.8, 1.0) if plan.table == "scenes" else (0.55, 1.0)
            images = augment.warp(images, self.size, rng, side)
        return images, augment.degrade(images, rng)


def _floats(pixels: np.ndarray, rows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([pixels[r] for r in rows])).permute(0, 3, 1, 2).float() / 255
