"""Facts → a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from guidance.files.writing import write


def write_json(path: str | os.PathLike, facts: Mapping[str, Any], *, ascii: bool = True) -> None:
    """Write `facts` as JSON.

    Args:
        ascii: escape what is not ASCII; a file name that is not UTF-8 can be written no other way.

    Raises:
        FileError: the file cannot be written.
    """
    write(path, json.dumps(facts, indent=2, ensure_ascii=ascii) + "\n")


def rounded(value: Any, places: int = 4) -> Any:
    """Return `value` with all floats in it, however deep, rounded to so many decimal places.

    Example:
        >>> rounded({"top-1": 61.23456, "bins": [0.00001, 3]})
        {'top-1': 61.2346, 'bins': [0.0, 3]}
    """
    if isinstance(value, dict):
        return {name: rounded(part, places) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part, places) for part in value]
    return round(value, places) if isinstance(value, float) else value
