"""The files of a model in a folder or a repository of the hub, found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guidance.errors import FileError, line
from guidance.files.text import read_object

Fetch = Callable[[str], Path | None]  # a file's name in a folder or repository → its path


def in_folder(folder: Path) -> Fetch:
    """Return what finds files in a folder."""

    def fetch(file: str) -> Path | None:
        return folder / file if (folder / file).is_file() else None

    return fetch


def read_json(file: Path, sections: Sequence[str] = ()) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
        sections: names of the objects that it must hold.

    Raises:
        FileError: it cannot be read, or holds something else.
    """
    try:
        content = read_object(file)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {file}: {line(error)}") from error
    if lacks := [name for name in sections if not isinstance(content.get(name), dict)]:
        raise FileError(f"cannot read {file}: it lacks the object {lacks[0]!r}")
    return content
