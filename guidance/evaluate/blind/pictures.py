"""Pictures that are there, of any tool → what they should show.

In this order: the file of captions of their folder (`guidance.data.captions_file`), the text inside
a PNG, the manifest of their run, their name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guidance.artefacts.manifest import read_manifest
from guidance.data.captions_file import NAMES
from guidance.data.folder import read_folder
from guidance.data.samples import Skipped
from guidance.errors import FileError, InputError, counted
from guidance.evaluate.blind.lists import Wanted, name_in
from guidance.files.text import missing
from guidance.images import MAX_PIXELS, hide_warnings
from guidance.images.collect import collect
from guidance.images.read import named_errors, open_image

MANIFEST = "manifest.toml"


@dataclass(frozen=True)
class Picture:
    """A picture of a sheet.

    Attributes:
        file: where it is.
        wanted: what it should show.
        seed: it was made with, None if that is not known.
    """

    file: Path
    wanted: Wanted
    seed: int | None = None


def find(paths: Sequence[str], wanted: Sequence[Wanted]) -> list[Picture]:
    """Return the pictures among `paths`, the first one of each run.

    Args:
        paths: pictures, folders of pictures, folders of runs, or of folders of runs.
        wanted: the prompts that count and their names; none for all.

    Raises:
        FileError: one cannot be read, or a run has no picture yet.
        InputError: there is none, or none of a prompt that is wanted.
    """
    found = {p.file.resolve(): p for path in paths for p in _in(Path(path))}
    if not wanted:
        return list(found.values())
    names = {w.prompt: w for w in wanted}
    pictures = [replace(p, wanted=names[p.wanted.prompt]) for p in found.values()
                if p.wanted.prompt in names]  # fmt: skip
    lost = [prompt for prompt in names if prompt not in {p.wanted.prompt for p in pictures}]
    if lost:
        raise InputError(
            f"there is no picture of {counted(len(lost), 'prompt')} of {len(names)}, first "
            f"{lost[0]!r}"
        )
    return pictures


def _in(path: Path) -> list[Picture]:
    """Return the pictures at a path."""
    if not path.exists():
        raise FileError(missing(path))
    if not path.is_dir():
        return [_described(path)]
    if (path / MANIFEST).is_file():
        return [_of_run(path)]
    if any((path / name).is_file() for name in NAMES):
        samples = read_folder(path, Skipped(path))
        return [Picture(s.place[0], _wanted(s.captions[0])) for s in samples if s.captions]
    runs = sorted(folder.parent for folder in path.glob(f"*/{MANIFEST}"))
    try:
        beside = collect([path])
    except InputError:
        if not runs:
            raise
        beside = []
    return [*map(_described, beside), *map(_of_run, runs)]


def _of_run(folder: Path) -> Picture:
    """Return the first picture of a run."""
    if not (folder / "image.png").is_file():
        raise FileError(f"{folder} has no image.png: continue the run, or move it away")
    return _described(folder / "image.png")


def _described(path: Path) -> Picture:
    """Return a picture with what is known of it."""
    with (
        hide_warnings(),
        named_errors(path, str(path), MAX_PIXELS),
        open_image(path, str(path)) as i,
    ):
        text = {k: v for k, v in i.info.items() if isinstance(k, str) and isinstance(v, str)}
    prompt, recipe = _prompt_of(text), _object(text.get("guidance", ""))
    options = recipe.get("options")
    if not prompt and (path.parent / MANIFEST).is_file():
        options = read_manifest(path.parent).get("options")
    options = options if isinstance(options, dict) else {}
    prompt = prompt or str(options.get("prompt", "")) or _name_of(path)
    seed = options.get("seed")
    return Picture(path, _wanted(prompt), seed if type(seed) is int else None)


def _wanted(prompt: str) -> Wanted:
    return Wanted(prompt, name_in(prompt))


def _prompt_of(text: dict[str, str]) -> str:
    """Return the prompt inside a PNG: ours, or as several other programs keep it."""
    prompt = text.get("prompt", "").strip()
    if prompt and not _object(prompt):  # else the graph of a program that has no other
        return prompt
    return re.split(r"\n(?:Negative prompt:|Steps:)", text.get("parameters", ""))[0].strip()


def _object(text: str) -> dict[str, Any]:
    """Return the object that a text is in JSON; an empty one if it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _name_of(path: Path) -> str:
    """Return the words of a file's name, without numbers behind them.

    Raises:
        InputError: there are none.
    """
    words = re.sub(r"[-_\s]+", " ", path.stem)
    words = re.sub(r"[ (\[]*\d+[)\]]*$", "", words).strip()
    if not words:
        raise InputError(
            f"{path} does not say what it shows: give its prompt in a captions.csv beside it, with "
            "the columns image and caption"
        )
    return words
