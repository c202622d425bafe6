"""Figures → a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from guidance.files.writing import write


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as JSON, floats to four places."""

    def rounded(x: Any) -> Any:
        if isinstance(x, dict):
            return {k: rounded(v) for k, v in x.items()}
        return round(x, 4) if isinstance(x, float) else x

    write(path, json.dumps(rounded(content), indent=2) + "\n")
