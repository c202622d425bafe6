"""The files that a measurement leaves, checked before it begins."""

from __future__ import annotations

from pathlib import Path

from guidance.files.writing import check_place

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def check_outputs(sheet: Path | None, json: Path | None) -> None:
    """Raise `InputError` or `FileError` for a contact sheet or figures that cannot be written."""
    for option, path, suffixes in (("--sheet", sheet, PICTURES), ("--json", json, (".json",))):
        if path is not None:
            check_place(path, option, suffixes)
