"""The manifest of a run: what it is, where it was started, how far it came."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import re
import time
from collections.abc import Generator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from guidance.command.options import GuidedOptions

if TYPE_CHECKING:
    from guidance.artefacts.run_folder import RunFolder
    from guidance.command.technique import Technique

O = TypeVar("O", bound=GuidedOptions)  # noqa: E741

_NAME = re.compile(r"[^\s|,:=^\[\]\x00](?:[^|,:=^\[\]\x00]*[^\s|,:=^\[\]\x00])?")
_KEPT = ("created", "started_in", "options")  # by a run that is continued


class Record:
    """The manifest of one run in its folder.

    Args:
        earlier: the manifest of a run that is continued: its options, its start and its seconds
            stay.
    """

    def __init__(
        self,
        technique: Technique,
        options: GuidedOptions,
        folder: RunFolder,
        earlier: Mapping[str, Any] | None = None,
    ):
        self._folder = folder
        self._started = time.monotonic()
        self._before = _seconds(earlier or {})
        self._table = {
            "technique": technique.name,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "started_in": _here(),
            "options": option_table(options),
        }
        if earlier is not None:
            self._table |= {k: earlier[k] for k in _KEPT if k in earlier}
        self._table["versions"] = versions(technique.package)

    def save(
        self,
        status: str,
        done: int = 0,
        facts: Mapping[str, Sequence[Any]] | None = None,
        tries: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the manifest.

        Args:
            status: ``"running"``, ``"finished"``, ``"interrupted"``, ``"diverged"`` or
                ``"failed"``.
            done: number of steps made.
            facts: lists with an entry a picture, of `guidance.command.technique.Arrangement`.
            tries: what is known of them, of a run that has any.
        """
        seconds = self._before + time.monotonic() - self._started
        result: dict[str, Any] = {"status": status, "seconds": round(seconds, 1)}
        if done:
            result["steps"] = done
            last = self._folder.rows.last or {}
            if last.get("step") == done - 1:
                result |= {"loss": last.get("loss"), "score": last.get("score")}
        result |= {f"{name}s": list(values) for name, values in (facts or {}).items()}
        tried = {"tries": tries} if tries else {}
        self._folder.save_manifest(self._table | tried | {"result": result})


def versions(package: str = "") -> dict[str, str]:
    """Return the versions that decide the bytes of a picture.

    Args:
        package: another one that brings the technique.
    """
    names = {
        "guidance": "clip-guidance",
        "torch": "torch",
        "open_clip": "open_clip_torch",
        "diffusers": "diffusers",
    }
    names |= {package: package} if package else {}
    found = {"python": platform.python_version()}
    for key, name in names.items():
        try:
            found[key] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[key] = "unknown"
    return found


def option_table(options: GuidedOptions) -> dict[str, Any]:
    """Return the options that are given, by name."""
    return {k: v for k, v in dataclasses.asdict(options).items() if v is not None}


@contextlib.contextmanager
def where_started(manifest: Mapping[str, Any] | None) -> Generator[None]:
    """Work in the folder where a run was started, since names of files in its options start there.

    Without a manifest, and where that folder is not known or gone, stay.
    """
    place, here = (manifest or {}).get("started_in"), _here()
    if not isinstance(place, str) or here is None:
        yield
        return
    with contextlib.suppress(OSError, ValueError):  # ValueError: a zero byte
        os.chdir(place)
    try:
        yield
    finally:
        os.chdir(here)


def anchored(options: O, manifest: Mapping[str, Any]) -> O:
    """Return the options of a run elsewhere with absolute names of the files that are found there.

    A name is a part of a text between the marks of prompts and lists ("photo.png:0.5",
    "RN50=file.pt,mini"), with a suffix or a folder in it. One that is found here stays as it is.
    """
    place = manifest.get("started_in")
    if not isinstance(place, str) or place == _here():
        return options

    def found(match: re.Match) -> str:
        name = match[0]
        there = os.path.join(place, name)
        if (
            os.path.isabs(name)
            or not (Path(name).suffix or {"/", os.sep} & {*name})
            or os.path.lexists(name)
        ):
            return name
        return there if os.path.exists(there) else name

    changed: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, str):
            changed[field.name] = _NAME.sub(found, value)
        elif isinstance(value, tuple) and all(isinstance(text, str) for text in value):
            changed[field.name] = tuple(_NAME.sub(found, text) for text in value)
    return dataclasses.replace(options, **changed)


def _here() -> str | None:
    """Return the current folder, None if it is gone or has a name that is not UTF-8."""
    try:
        here = os.getcwd()
        here.encode("utf-8")
    except (OSError, UnicodeEncodeError):
        return None
    return here


def _seconds(manifest: Mapping[str, Any]) -> float:
    """Return the seconds of the parts of a run so far."""
    result = manifest.get("result")
    found = result.get("seconds") if isinstance(result, dict) else None
    known = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if known and 0 <= found < 1e12 else 0.0
