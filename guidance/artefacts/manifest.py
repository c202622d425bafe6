"""Reading the manifest of a run, which may come from anybody: bounded before it is parsed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from guidance.errors import FileError, line
from guidance.files.writing import is_regular

MOST_BYTES = 2**20  # one with very long prompts has a tenth
MOST_PARTS = 32  # of a dotted key; the time that the parser takes grows with their square
# strings and comments, to their ends or to that of the text: each alternative always matches
_STRING = re.compile(
    r'''"""(?:[^"\\]+|\\.|"(?!""))*(?:"""|\\?\Z)|"(?:[^"\\\n]+|\\.)*"?|#[^\n]*|'''
    r"""'''(?:[^']+|'(?!''))*(?:'''|\Z)|'[^'\n]*'?""",
    re.DOTALL,
)


def read_manifest(path: str | os.PathLike) -> dict[str, Any]:
    """Read the ``manifest.toml`` of a run folder, or the file itself.

    Raises:
        FileError: missing, not a file, larger than any manifest, or not TOML.
    """
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    path = Path(path)
    try:
        path = path / "manifest.toml" if path.is_dir() else path
        if path.exists() and not is_regular(path):
            raise FileError(f"cannot read the manifest {path}: it is not a file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise FileError(f"{path} is not a manifest: it has more than {MOST_BYTES} bytes")
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        if _most_dots(text) >= MOST_PARTS:
            raise FileError(f"{path} is not a manifest: it is nested too deeply")
        return tomllib.loads(text)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read the manifest {path}: {error.strerror or error}") from error
    except RecursionError:
        raise FileError(f"{path} is not a manifest: it is nested too deeply") from None
    except ValueError as error:  # not TOML, not UTF-8, a number of too many digits, …
        raise FileError(f"{path} is not a manifest: {line(error)}") from error


def _most_dots(text: str) -> int:
    """Return the greatest number of dots of a word outside strings, as in ``a."b".c = 1``."""
    rest = _STRING.sub("s", text).replace(" ", "").replace("\t", "")
    return max(word.count(".") for word in re.split(r"[^\w.-]+", rest))
