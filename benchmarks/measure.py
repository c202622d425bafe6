"""How the benchmarks measure time and memory."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


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


def read_sizes(
    argv: Sequence[str] | None, doc: str, cuts: int, sides: Iterable[str]
) -> argparse.Namespace:
    """Return the options of a benchmark of guided steps; ``memory_of`` is for `peak_beside`."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--cuts", type=int, default=cuts)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-of", choices=sides, help=argparse.SUPPRESS)
    warnings.filterwarnings("ignore")  # open_clip's and kornia's, about their own future
    return parser.parse_args(argv)


def peak_beside(module: str, name: str, given: argparse.Namespace) -> float:
    """Return the peak memory of two steps in MB over that of the networks, in a process."""
    command = [sys.executable, "-m", module, "--size", str(given.size)]
    command += ["--cuts", str(given.cuts), "--memory-of", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(step: Callable[[], object], count: int = 2) -> None:
    """Print by how many MB memory rises in `count` steps."""
    forget_peak()  # loading and converting needs more than a step
    before = status("VmRSS")
    for _ in range(count):
        step()
    print(status("VmHWM") - before)
