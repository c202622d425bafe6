"""Runs of the techniques in processes of their own, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guidance.artefacts.manifest import read_manifest
from guidance.step.generator import Generator

ROOT = Path(__file__).parents[1]
CONSOLE = "import sys\nfrom guidance.__main__ import main\nsys.exit(main())\n"


def pixels(path: Path) -> np.ndarray:
    """Return a picture as ``[H, W, 3]`` int."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def bad_files(folder: Path) -> dict[str, Path]:
    """Write a black mask, and a text with the name of a picture; return both."""
    files = {"black": folder / "black.png", "text": folder / "text.png"}
    Image.new("RGB", (32, 32)).save(files["black"])
    files["text"].write_text("no image")
    return files


def start(
    technique: str,
    arguments: Iterable[object],
    *,
    console: Path | None = None,
    more: Mapping[str, str] | None = None,
    **options: object,
) -> subprocess.Popen:
    """Start ``python -m guidance.<technique>``.

    Args:
        console: folder for the console command, as pip writes it, which is started instead.
        more: variables of its environment; a ``PYTHONPATH`` goes before the package.
        options: those of `subprocess.Popen`.
    """
    called = ["-m", f"guidance.{technique}"]
    if console is not None:
        called = [str(console / "clip-guidance"), technique]
        Path(called[0]).write_text(CONSOLE)
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (more or {})
    paths = [(more or {}).get("PYTHONPATH"), str(ROOT)]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return subprocess.Popen(
        [sys.executable, *called, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen, timeout: float = 300) -> None:
    """Wait for a run that must end well."""
    _, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err


def wait_for_checkpoint(process: subprocess.Popen, folder: Path) -> None:
    """Wait until a run has saved its state in `folder`."""
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def assert_same_when_killed(
    technique: str, arguments: list[object], folder: Path, files: Iterable[str]
) -> None:
    """Run once to the end and once killed and resumed; `files` must be the same to the byte.

    The first is a process as well: in this one, threads may add numbers in another order.
    """
    whole, stopped = folder / "whole", folder / "stopped"
    finish(start(technique, [*arguments, "-o", whole]))
    process = start(technique, [*arguments, "-o", stopped])
    wait_for_checkpoint(process, stopped)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert read_manifest(stopped)["result"]["status"] == "running"
    finish(start(technique, ["--resume", stopped]))
    for name in files:
        same = (whole / name).read_bytes() == (stopped / name).read_bytes()
        assert same, f"{name} differs after resume"


class Stopped(BaseException):
    """Stands for whatever ends a process."""


def assert_same_when_stopped(
    run: Callable[..., int],
    generator: type[Generator],
    arguments: list[object],
    folder: Path,
    *,
    at: int,
    files: Iterable[str] = ("image.png", "steps.csv"),
) -> None:
    """Run once to the end and once stopped before step `at` and resumed; compare `files`.

    Much quicker than processes that are killed, which `assert_same_when_killed` starts.
    """
    whole, stopped = folder / "whole", folder / "stopped"
    assert run(*arguments, "-o", whole) == 0

    def prepare(self: Generator, index: int, steps: int) -> None:
        if index == at:
            raise Stopped
        original(self, index, steps)

    original = generator.prepare
    generator.prepare = prepare
    try:
        with pytest.raises(Stopped):
            run(*arguments, "-o", stopped)
    finally:
        generator.prepare = original
    assert not (stopped / "image.png").exists()
    assert run("--resume", stopped) == 0
    for name in files:
        same = (whole / name).read_bytes() == (stopped / name).read_bytes()
        assert same, f"{name} differs after resume"
