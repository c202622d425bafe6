"""Runs killed at any moment end, when they are resumed, as if nothing had happened.

``GUIDANCE_KILLS=100 pytest tests/command/test_killed.py`` tries more moments than the default does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_diffusion
import tiny_vqgan
from safetensors import safe_open
from systems import posix

from guidance.artefacts.manifest import read_manifest

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("GUIDANCE_KILLS", "16"))
COMMON = [
    "--device",
    "cpu",
    "--cuts",
    "2",
    "--save-every",
    "2",
    "--video-size",
    "32",
    "-q",
    "-o",
    "run",
]
RUNS = {
    "clipdraw": ["a fox", "--strokes", "6", "--size", "32", "--render-size", "48", "--steps", "5",
                 "--init", "p.png", "--video", "mp4", "--tries", "2", "--try-steps", "3"],
    "vqgan": ["a fox", "--size", "32", "--steps", "5", "--init", "p.png", "--video", "gif"],
    "pixels": ["a fox", "--size", "32", "--render-size", "40", "--steps", "5", "--video", "gif"],
    "diffusion": ["a fox", "-n", "2", "--steps", "5", "--clip-scale", "5", "--video", "gif"],
}  # fmt: skip


class Server:
    """The process of `killing`."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/killing.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONPATH": paths},
        )
        assert self._process.stdout.readline() == "ready\n"

    def run(self, technique: str, folder: Path, argv: list[str], **kill: object) -> dict:
        """Run a command in `folder`; return how it ended."""
        folder.mkdir(exist_ok=True)
        job = {"technique": technique, "argv": argv, "folder": str(folder), **kill}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_clip_path) -> dict[str, list[str]]:
    """Return the options that name the models of a technique."""
    root = tmp_path_factory.mktemp("models")
    clip = ["--clip", str(tiny_clip_path)]
    return {
        "clipdraw": clip,
        "pixels": clip,
        "vqgan": [*clip, "--vqgan", str(tiny_vqgan.save(root / "vq"))],
        "diffusion": [*clip, "--model", str(tiny_diffusion.save(root / "ddpm", "ddpm"))],
    }


def contents(folder: Path) -> dict[str, object]:
    """Return what is in a run's folder, apart from what tells times and places."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if name == "checkpoint.safetensors":
            with safe_open(path, framework="np") as file:  # its header has no fixed order
                state = {k: file.get_tensor(k).tobytes() for k in file.keys()}  # noqa: SIM118
                found[name] = (file.metadata(), state)
        elif name == "manifest.toml":
            table = read_manifest(path)
            del table["created"], table["started_in"], table["result"]["seconds"]
            found[name] = table
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@posix
@pytest.mark.parametrize("technique", RUNS)
def test_killed_at_any_moment(technique, server, models, photo, tmp_path):
    """Where there was time for a manifest the run is resumed, from elsewhere; else it is repeated.

    Some are killed again when they are resumed.
    """
    argv = [*RUNS[technique], *COMMON, *models[technique]]

    def place(name: str) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.png").write_bytes(photo.read_bytes())
        return tmp_path / name

    warm = server.run(technique, place("warm"), [*argv, "--steps", "4"], kind="warm")
    assert warm["status"] == 0
    whole = place("whole")
    ended = server.run(technique, whole, argv)
    assert ended["status"] == 0, (whole / "log.txt").read_text()
    events, want = ended["events"], contents(whole / "run")
    assert want["manifest.toml"]["result"]["status"] == "finished"
    chance = random.Random(f"{technique} {KILLS}")
    number = max(1, KILLS // len(RUNS))
    for k in range(number):
        moment = int((k + chance.random()) * len(events) / number)
        kill = {"kill": moment}
        if k % 4 == 3:  # between the events: in the middle of a file, or of a step
            kill = {"kind": "time", "kill": chance.randrange(50, 1500)}
        folder = place(f"kill{k}")
        told = f"{kill} {events[moment]}"
        ended = server.run(technique, folder, argv, **kill)
        assert ended["status"] in (-9, -14, 0), (told, (folder / "log.txt").read_text())
        for again in (chance.random() < 0.4, False):
            extra = {"kill": chance.randrange(len(events))} if again else {}
            if (folder / "run/manifest.toml").exists():
                resume = ["--resume", str(folder / "run")]
                ended = server.run(technique, tmp_path / "elsewhere", resume, **extra)
            else:
                ended = server.run(technique, folder, argv, **extra)
        log = [(p / "log.txt") for p in (folder, tmp_path / "elsewhere")]
        assert ended["status"] == 0, (told, [p.read_text() for p in log if p.exists()])
        got = contents(folder / "run")
        assert got.keys() == want.keys(), told
        for name, content in want.items():
            assert got[name] == content, f"{name} differs: {told}"
