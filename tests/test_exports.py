"""What a package offers is there, although it is imported on first use only."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from guidance.exports import on_first_use

ROOT = Path(__file__).parents[1]


def offered() -> list[tuple[str, str]]:
    """Return the packages and the names that they import on first use."""
    found = []
    for path in sorted((ROOT / "guidance").rglob("__init__.py")):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "on_first_use":
                found += [(package, keyword.arg) for keyword in node.keywords]
    return found


def test_all_names_are_there():
    names = offered()
    assert len(names) > 40
    for package, name in names:
        assert getattr(importlib.import_module(package), name).__name__ == name, (package, name)


def test_others_are_not():
    find = on_first_use("guidance.clip", ClipSpec=".names")
    assert find("ClipSpec").__module__ == "guidance.clip.names"
    with pytest.raises(AttributeError, match=r"'guidance\.clip' has no attribute 'nothing'"):
        find("nothing")
