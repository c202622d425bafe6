"""The exceptions of the package.

GuidanceError
├── InputError (ValueError)     an argument, option or prompt is not allowed
│   └── PromptError             a prompt does not follow the grammar
├── FileError (OSError)         a file or folder cannot be read or written
├── ModelError                  weights are unknown, missing, damaged or out of reach
├── CheckpointError             a saved run cannot be resumed
├── PluginError                 a technique of another package is unknown or cannot be used
└── DivergedError               an optimisation produced NaN or infinite values

Every message is one line that says what was given, what is allowed and, for a name, the nearest
valid one. The command line prints it after the program's name and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GuidanceError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(GuidanceError, ValueError):
    """An argument, option or prompt is not allowed."""


class PromptError(InputError):
    """A prompt does not follow the grammar of `guidance.prompts.grammar`."""


class FileError(GuidanceError, OSError):
    """A file or folder cannot be read or written."""


class ModelError(GuidanceError):
    """Model weights are unknown, missing, damaged or out of reach."""


class CheckpointError(GuidanceError):
    """A saved run cannot be resumed."""


class PluginError(GuidanceError):
    """A technique of another package is unknown or cannot be used."""


class DivergedError(GuidanceError):
    """An optimisation produced NaN or infinite values several times in a row."""


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """Return ``"; did you mean A, B?"`` for the names nearest to `name`, or an empty string."""
    known = list(known)
    lowered = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=n, cutoff=0.5)
    if not close:  # an incomplete name ("ViT-L") is a prefix or a part of the right one
        close = [low for low in lowered if name and name.lower() in low][:n]
    return f"; did you mean {', '.join(lowered[c] for c in close)}?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown `name`: what was given, the nearest and all known names."""
    known = sorted(known)
    name = name if len(name) <= 200 else name[:199] + "…"
    listed = ", ".join(known) if len(known) <= 20 else f"{len(known)} names"
    return f"unknown {what} {name!r}{nearest(name, known)} (known: {listed})"


def counted(count: int, noun: str, several: str | None = None) -> str:
    """Return a count with its noun: one has no "s", or is other than `several`.

    Example:
        >>> counted(1, "group"), counted(1200, "class", "classes")
        ('1 group', '1,200 classes')
    """
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def line(error: BaseException) -> str:
    """Return the first line of an error, shortened."""
    text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
