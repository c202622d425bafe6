"""What may name a model: the mini one, a file, a folder, or a repository of the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guidance.errors import FileError, InputError, nearest, unknown
from guidance.pretrained.suffixes import SUFFIXES

MINI = "mini"
_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"

Place = Literal["mini", "folder", "file", "repository"]


@dataclass(frozen=True)
class ModelNames:
    """The names that models of one kind may have.

    Attributes:
        noun: the kind, for messages.
        known: names to suggest; any other repository may be named as well.
        hint: what to do without the hub.
        parts: a repository may be followed by a folder inside it.
    """

    noun: str
    known: tuple[str, ...]
    hint: str
    parts: bool = False

    def check(self, name: str) -> Place:
        """Return what a name is the name of; nothing is read.

        Raises:
            InputError: it is none.
            FileError: the file or folder does not exist.
        """
        path = Path(name)
        if not name:
            raise InputError(f"the name of the {self.noun} must not be empty; the default is mini")
        place = self.place(name)
        if place == "file" and not path.is_file():
            beside = [p.name for p in path.parent.glob("*") if p.suffix in SUFFIXES]
            raise FileError(f"the checkpoint {path} does not exist{nearest(path.name, beside)}")
        if place != "repository":
            return place
        if path.is_file():
            raise InputError(
                f"a {self.noun}'s file must be one of {', '.join(SUFFIXES)} but is {name!r}"
            )
        if path.is_absolute() or name.startswith((".", "~")) or name.endswith(("/", "\\")):
            raise FileError(f"the {self.noun}'s folder {name!r} does not exist")
        if not self._is_repository(name):
            raise InputError(unknown(self.noun, name, self.known))
        return place

    def place(self, name: str) -> Place:
        """Return what a checked name is the name of."""
        path = Path(name)
        if name == MINI:
            return "mini"
        if path.is_dir():
            return "folder"
        return "file" if path.suffix.lower() in SUFFIXES else "repository"

    @contextmanager
    def reached(self, name: str) -> Iterator[None]:
        """Ask the hub for a repository; what fails ends in one line, see `hub.reached`."""
        from guidance.pretrained.hub import reached  # its client is slow to import

        repositories = [known for known in self.known if self._is_repository(known)]
        with reached(f"the {self.noun}", name, repositories, self.hint):
            yield

    def _is_repository(self, name: str) -> bool:
        inside = r"(/[\w.-]+)*" if self.parts else ""
        return re.fullmatch(_REPOSITORY + inside, name, re.ASCII) is not None
