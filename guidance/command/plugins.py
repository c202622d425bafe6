"""Techniques of other packages, announced in the entry-point group ``guidance.generators``.

An entry point names a `guidance.Technique`, as ours do (``pixels =
"guidance.pixels.technique:PIXELS"``), and is run with all shared options by ``python -m guidance
NAME``. To list what there is imports none of it.
"""

from __future__ import annotations

import dataclasses
from importlib import metadata
from typing import TYPE_CHECKING, Any

from guidance.errors import PluginError, line, unknown
from guidance.files.writing import printable

if TYPE_CHECKING:
    from guidance.command.technique import Technique

GROUP = "guidance.generators"


def announced() -> dict[str, str]:
    """Return what installed packages announce: a line about each, by name; nothing is imported."""
    return {entry.name: _described(entry) for entry in metadata.entry_points(group=GROUP)}


def load(name: str) -> Technique:
    """Import a technique that a package announces.

    Raises:
        PluginError: no package announces the name, or two do; it cannot be imported, or is not a
            `Technique` of this name.
    """
    entries = list(metadata.entry_points(group=GROUP, name=name))
    if not entries:
        raise PluginError(unknown("technique", name, announced()))
    if len(entries) > 1:
        packages = " and ".join(sorted(_package(entry) for entry in entries))
        raise PluginError(f"the technique {name} is announced by {packages}: uninstall one of them")
    entry = entries[0]
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:  # whatever somebody's module does
        raise PluginError(
            f"the technique {name} of {_package(entry)} cannot be imported: "
            f"{type(error).__name__}: {line(error)}"
        ) from error
    return _checked(found, entry)


def _checked(found: Any, entry: metadata.EntryPoint) -> Technique:
    """Return what an entry point names, with its package, if it is a technique of that name."""
    from guidance.command.technique import Technique

    if not isinstance(found, Technique):
        raise PluginError(
            f"{_package(entry)} announces {entry.value} as the technique {entry.name}, but it is "
            "no guidance.Technique"
        )
    if found.name != entry.name:
        raise PluginError(
            f"{_package(entry)} announces the technique {found.name} under another name, "
            f"{entry.name}"
        )
    if entry.dist is None or entry.module.startswith("guidance."):
        return found
    return dataclasses.replace(found, package=entry.dist.name)


def _package(entry: metadata.EntryPoint) -> str:
    """Return the package of an entry point and its version."""
    return "a package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _described(entry: metadata.EntryPoint) -> str:
    """Return what a package says of itself, and its name."""
    said = {} if entry.dist is None else entry.dist.metadata
    summary = printable(said["Summary"]) if "Summary" in said else "a technique"
    return f"{summary} ({_package(entry)})"
