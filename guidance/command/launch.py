"""What a command is: its options, and where its work is, which is imported once they are read.

torch and what stands on it take seconds to import. So ``__main__.py`` of a command imports its
options alone, names its work as ``"module:name"``, and ``--help``, a mistyped option and a prompt
that cannot be read are answered at once.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from guidance.command import cli
from guidance.command.program import called_as

T = TypeVar("T")


@dataclass(frozen=True)
class Command(Generic[T]):
    """A command line; called with the arguments behind its name, it returns the exit code.

    Attributes:
        name: behind "python -m guidance.": ``"train.clip"``, ``"evaluate vqgan"``.
        options: a frozen dataclass. Its method `check`, if it has one, is called before the work
            is imported.
        work: where the function is that is called with the options and may return an exit code:
            ``"guidance.train.ship.write:ship"``.
        base: as `guidance.command.cli.main` has it.
        taken: likewise.
    """

    name: str
    options: type[T]
    work: str
    base: Callable[[list[str]], T | None] = lambda argv: None
    taken: Sequence[str] = ()

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run with `argv`, by default what the user has typed."""
        return cli.main(
            self.options,
            lambda options: pkgutil.resolve_name(self.work)(options),
            prog=called_as(self.name),
            argv=argv,
            begin=self._begin,
            base=self.base,
            taken=self.taken,
        )

    def _begin(self, options: T) -> None:
        if hasattr(options, "check"):
            options.check()
        pkgutil.resolve_name(self.work)


@dataclass(frozen=True)
class Commands:
    """Several commands of one name: ``python -m guidance.evaluate clip``."""

    name: str
    commands: Mapping[str, Command]

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the one that `argv` begins with, list them, or tell that there is none."""
        arguments = list(sys.argv[1:] if argv is None else argv)
        chosen = cli.choose(self.commands, called_as(self.name), arguments)
        return chosen if isinstance(chosen, int) else self.commands[chosen](arguments[1:])
