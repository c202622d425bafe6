"""How the benchmarks measure time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
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
