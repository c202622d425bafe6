"""How the benchmarks measure time and memory."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


def least_times(steps: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the seconds of each step: the least of `repeats`, after one to warm up.

    The steps take turns, so that a slow moment of the machine does not hit one of them alone.
    """
    best = dict.fromkeys(steps, float("inf"))
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if repeat:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def status(field: str) -> float:
    """Return a memory figure of this process in MB, from Linux' /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Let the peak ``VmHWM`` of this process count from now on, not from its start."""
    Path("/proc/self/clear_refs").write_text("5")


@dataclass(frozen=True)
class GuidedSteps:
    """A benchmark of guided steps: times and memory of its sides.

    Attributes:
        module: its name.
        doc: its docstring, whose first line is the description.
        cuts: how many by default.
        sides: name → how many steps one call of its function makes.
        make: names, size and cuts → the functions by name.
    """

    module: str
    doc: str
    cuts: int
    sides: Mapping[str, int]
    make: Callable[[Sequence[str], int, int], dict[str, Callable[[], object]]]

    def read(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Return the options: size, cuts, repeats."""
        parser = argparse.ArgumentParser(description=self.doc.partition("\n")[0])
        parser.add_argument("--size", type=int, default=256)
        parser.add_argument("--cuts", type=int, default=self.cuts)
        parser.add_argument("--repeats", type=int, default=3)
        parser.add_argument("--memory-of", choices=self.sides, help=argparse.SUPPRESS)
        warnings.filterwarnings("ignore")  # open_clip's and kornia's, about their own future
        return parser.parse_args(argv)

    def run(self, argv: Sequence[str] | None, what: str) -> tuple[dict, dict] | None:
        """Print the first line of a table; return seconds a step and peaks in MB, by name.

        None if this is the process that measures one peak, which it prints.
        """
        given = self.read(argv)
        if name := given.memory_of:
            _print_peak(self.make([name], given.size, given.cuts)[name], 2 // self.sides[name])
            return None
        least = least_times(self.make([*self.sides], given.size, given.cuts), given.repeats)
        peaks = {name: self._peak(name, given) for name in self.sides}
        print(
            f"{what}, {given.cuts} cuts, {given.size} px, {torch.get_num_threads()} threads, "
            f"least of {given.repeats} steps"
        )
        return {name: least[name] / count for name, count in self.sides.items()}, peaks

    def _peak(self, name: str, given: argparse.Namespace) -> float:
        """Return the peak memory of two steps in MB over that of the networks, in a process."""
        command = [sys.executable, "-m", self.module, "--size", str(given.size)]
        command += ["--cuts", str(given.cuts), "--memory-of", name]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _print_peak(step: Callable[[], object], count: int) -> None:
    """Print by how many MB memory rises in `count` steps."""
    forget_peak()  # loading and converting needs more than a step
    before = status("VmRSS")
    for _ in range(count):
        step()
    print(status("VmHWM") - before)
