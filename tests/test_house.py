"""How large files and functions may be, and what a folder says of itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for top in ("guidance", "tests", "benchmarks", "recipes")
    for path in (ROOT / top).rglob("*.py")
]
OURS = sorted(path for path in FILES if path.is_relative_to(ROOT / "guidance"))
LINES, CODE, PARAMETERS, IN_ROOT = 300, 60, 8, 8
COMPILED = {"kernel", "helper"}  # of guidance.vector.compiled
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    """Return the path below the project."""
    return path.relative_to(ROOT).as_posix()


def code_lines(node: Function, source: list[str]) -> int:
    """Count the lines of a function without its docstring, comments and blank lines."""
    first = node.body[0]
    said = range(0)
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        said = range(first.lineno, first.end_lineno + 1)
    lines = (
        source[n - 1].strip() for n in range(node.lineno, node.end_lineno + 1) if n not in said
    )
    return sum(bool(line) and not line.startswith("#") for line in lines)


def parameters(node: Function) -> int:
    """Count the parameters of a function without `self`; a compiled kernel has none to count."""
    if COMPILED & {ast.unparse(decorator) for decorator in node.decorator_list}:
        return 0
    given = node.args
    named = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    own = named[:1] in (["self"], ["cls"])
    return len(named) - own + bool(given.vararg) + bool(given.kwarg)


def too_large(path: Path) -> list[str]:
    """Return what in a file is over the limits."""
    text = path.read_text(encoding="utf-8")
    source = text.splitlines()
    name = name_of(path)
    found = [f"{name} has {len(source)} lines"] if len(source) > LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            code, given = code_lines(node, source), parameters(node)
            if code > CODE:
                found.append(f"{name}: {node.name} has {code} lines of code")
            if given > PARAMETERS:
                found.append(f"{name}: {node.name} has {given} parameters")
    return found


def test_files_and_functions_stay_small():
    found = [said for path in sorted(FILES) for said in too_large(path)]
    assert not found, "\n".join(found)


def test_few_files_at_the_front():
    front = sorted(path.name for path in (ROOT / "guidance").glob("*.*"))
    assert len(front) <= IN_ROOT, front


FOLDERS = [path for path in OURS if path.name == "__init__.py"]


@pytest.mark.parametrize("path", FOLDERS, ids=name_of)
def test_a_folder_says_in_a_sentence_what_it_holds(path):
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = said.split("\n\n")[0]
    assert first.endswith("."), f"{name_of(path)}: {first!r} is no sentence"


def test_every_folder_is_a_package():
    folders = {path.parent for path in OURS}
    assert folders == {path.parent for path in FOLDERS}
