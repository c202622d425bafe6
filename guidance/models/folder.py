"""The files of a model in a folder or a repository of the hub, found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guidance.errors import FileError, line
from guidance.files.text import read_object

CONFIG, INDEX = "config.json", "model_index.json"
Fetch = Callable[[str], Path | None]  # a file's name in a folder or repository → its path


def in_folder(folder: Path) -> Fetch:
    """Return what finds files in a folder."""

    def fetch(file: str) -> Path | None:
        return folder / file if (folder / file).is_file() else None

    return fetch


class InHub:
    """Finds the files of a model in the hub; what is not in the cache is downloaded.

    Args:
        name: ``owner/name``, perhaps with a folder inside.

    Attributes:
        missed: files that are not there → what the hub's client said.
    """

    def __init__(self, name: str) -> None:
        owner, repository, *inside = name.split("/")
        self._repository, self._inside = f"{owner}/{repository}", inside
        self.missed: dict[str, Exception] = {}

    def get(self, file: str) -> Path:
        """Return a file.

        Raises:
            Exception: whatever the hub's client raises without it.
        """
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(self._repository, "/".join((*self._inside, file))))

    def __call__(self, file: str) -> Path | None:
        """Return a file, or None if it is not in the repository or, offline, not in the cache."""
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return self.get(file)
        except EntryNotFoundError as error:
            self.missed[file] = error
            if self.missed.keys() >= {CONFIG, INDEX}:  # there is nothing of the model
                self.raise_if_offline()
            return None

    def raise_if_offline(self) -> None:
        """Raise the last error if the hub was not asked, so that nobody knows what it has."""
        error = list(self.missed.values())[-1]
        if isinstance(error, FileNotFoundError):
            raise error


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
