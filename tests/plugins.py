"""Packages that announce a technique: installed into a folder as pip would leave them."""

from __future__ import annotations

from pathlib import Path

DOTS = '''"""A grid of coloured squares, written by somebody else."""

import os
import signal
from dataclasses import dataclass

import torch

import guidance
from guidance.conventions import check_range


class Dots(guidance.Generator):
    """A grid of squares."""

    def __init__(self, grid, lr):
        super().__init__()
        self.colours = torch.nn.Parameter(torch.full((1, 3, grid, grid), 0.5))
        self.optimizer = torch.optim.Adam([{"name": "colours", "params": [self.colours], "lr": lr}])

    def image(self):
        return self.colours.repeat_interleave(8, -1).repeat_interleave(8, -2)

    def prepare(self, index, steps):
        if os.environ.get("DOTS_STOP") == str(index):
            signal.raise_signal(signal.SIGINT)

    def project(self):
        self.colours.clamp_(0, 1)

    def artefacts(self):
        return {"dots.txt": str(self.colours.shape[-1])}


@dataclass(frozen=True, kw_only=True)
class DotsOptions(guidance.GuidedOptions):
    """Colour a grid of squares."""

    grid: int = 4
    """Squares along each side."""
    lr: float = 0.05
    """Learning rate."""

    def check(self):
        super().check()
        check_range("grid", self.grid, 1, 64)


DOTS = guidance.Technique(
    "dots", DotsOptions, lambda options, device: Dots(options.grid, options.lr).to(device)
)
'''


def install(site: Path, package: str, entries: dict[str, str], **modules: str) -> Path:
    """Leave version 0.5 of a package in the folder `site`; return this folder.

    Args:
        entries: entry points of ``guidance.generators`` by name.
        modules: source text by name.
    """
    info = site / f"{package.replace('-', '_')}-0.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.5\nSummary: Coloured squares\n"
    )
    points = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[guidance.generators]\n{points}")
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    return site
