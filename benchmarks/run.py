"""Run every benchmark of this folder and print its tables: ``python -m benchmarks.run``."""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

import torch

NO_BENCHMARKS = ("__init__", "peers", "run")


def names() -> list[str]:
    """Return the benchmarks: the modules of this folder with a ``main(argv)``."""
    found = sorted(p.stem for p in Path(__file__).parent.glob("*.py"))
    return [name for name in found if name not in NO_BENCHMARKS and not name.startswith("_")]


def main() -> int:
    """Run those named on the command line, or all."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}\n")
    for name in sys.argv[1:] or names():
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"== {name}: {(module.__doc__ or '').splitlines()[0]}\n", flush=True)
        module.main([])
    return 0


if __name__ == "__main__":
    sys.exit(main())
