"""Run every benchmark of this folder and print its tables: ``python -m benchmarks.run``."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import torch

NO_BENCHMARKS = ("__init__", "measure", "networks", "peers", "run")


def names() -> list[str]:
    """Return the benchmarks: the other modules of this folder, each a program of its own."""
    found = sorted(p.stem for p in Path(__file__).parent.glob("*.py"))
    return [name for name in found if name not in NO_BENCHMARKS and not name.startswith("_")]


def main() -> int:
    """Run those named on the command line, or all; return how many failed."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}\n")
    failed = 0
    for name in sys.argv[1:] or names():
        print(f"== {name}\n", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
