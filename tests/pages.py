"""The pages of the repository (README, CONTRIBUTING, model cards) and the commands on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from guidance.__main__ import main

ROOT = Path(__file__).parents[1]
CARDS = sorted((ROOT / "guidance/pretrained").glob("*.md"))
_FOLDERS = ("guidance", "recipes", "benchmarks")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for name in _FOLDERS for page in (ROOT / name).glob("**/README.md")),
]
# as in "    pip install . && python -m guidance.clipdraw PROMPT", "    clip-guidance probe FOLDER"
_COMMAND = re.compile(r"^    (?:pip install \S+ && )?(?:python |(clip-))(?:-m )?(.+)$", re.M)
# in a table, with arguments
_INLINE = re.compile(r"^\|.*`python (?:-m )?((?!-m)\S+ [^`]+)` \|$", re.M)


def pages_of_folders() -> list[Path]:
    """Return the pages that belong to a folder."""
    return [page for page in PAGES if page.parent != ROOT]


def lines() -> list[str]:
    """Return what follows "python" or "python -m" in all commands of all pages, each once."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for console, line in _COMMAND.findall(text):
            found.append(line.replace("guidance ", "guidance.", 1) if console else line)
        found += _INLINE.findall(text)
    return [*dict.fromkeys(found)]


def commands(program: str) -> list[str]:
    """Return the arguments of all commands of a program, such as "guidance.train.clip".

    Raises:
        AssertionError: no page has one.
    """
    words = program + " "
    found = [line.removeprefix(words) for line in lines() if (line + " ").startswith(words)]
    assert found, f"no page has a command of {program}"
    return found


def call(program: str, arguments: Sequence[str | Path]) -> int:
    """Run a program of the package, such as "guidance.train.clip"; return its exit code."""
    return main([*program.split(".")[1:], *map(str, arguments)])


def pictures_to_read() -> None:
    """Save a photo, a mask and a film of two frames under the names of the pages."""
    frames = [Image.effect_noise((40, 40), 60).convert("RGB") for _ in range(2)]
    frames[0].save("photo.jpg")
    frames[0].convert("L").save("mask.png")
    frames[0].save("film.gif", save_all=True, append_images=frames[1:], duration=100)
