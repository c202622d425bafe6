"""What comments and docstrings point to is there: files, modules and names."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOPS = ("guidance", "tests", "benchmarks", "recipes")
FILES = [
    path
    for top in TOPS
    for path in sorted((ROOT / top).rglob("*.py"))
    if path != Path(__file__)  # which has examples of what is not there
]
FILE = re.compile(rf"(?<![\w/.])(?:{'|'.join(TOPS)})/[\w./-]*\w")
MODULE = re.compile(r"\bguidance(?:\.\w+)+")
NAME = re.compile(r"(?<![`\w])`([A-Za-z_]\w+(?:\.\w+)*)`(?!`)")
# of open_clip, diffusers and Windows; the group of entry points; what stands for any name
OTHERS = {
    "tokenizer_kwargs", "LMSDiscreteScheduler", "guidance.exe", "guidance.generators",
    "self", "guidance.NOUN", "guidance.train.NAME",
}  # fmt: skip


def said(path: Path) -> list[tuple[int, str]]:
    """Return the comments and docstrings of a file with their lines."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return [
        (token.start[0], token.string)
        for token in tokens
        if token.type == tokenize.COMMENT
        or (token.type == tokenize.STRING and token.line.lstrip().startswith('"""'))
    ]


def names_in(tree: ast.AST) -> set[str]:
    """Return every name that code defines, imports or uses, and short texts such as keys."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found |= {*node.name.split("."), node.asname or ""}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} if node.value.isidentifier() else set()
    return found


@functools.cache
def names_of(path: Path) -> set[str]:
    """Return the names in a file; a folder has those of its front and of what lies in it."""
    if path.is_dir():
        lying = {p.stem for p in path.iterdir()}
        front = path / "__init__.py"
        return lying | names_of(front) if front.exists() else lying
    return names_in(ast.parse(path.read_text(encoding="utf-8")))


@functools.cache
def modules() -> dict[str, set[str]]:
    """Return the names in the modules and folders that go by one short name."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        place = path.parent if path.name == "__init__.py" else path
        found[place.stem] = found.get(place.stem, set()) | names_of(place)
    return found


def exists(dotted: str) -> bool:
    """Return whether ``guidance.x.y`` is a module, or a name in one."""
    place, parts = ROOT, dotted.split(".")
    while parts and (place / parts[0]).is_dir():
        place = place / parts.pop(0)
    if parts and (place / f"{parts[0]}.py").is_file():
        place = place / f"{parts.pop(0)}.py"
    return not parts or parts[0] in names_of(place)


def astray(path: Path, text: str) -> list[str]:
    """Return what `text` of a file points to that is not there."""
    own, known = names_of(path), modules()
    found = [name for name in FILE.findall(text) if not (ROOT / name).exists()]
    found += [name for name in MODULE.findall(text) if not exists(name)]
    for name in NAME.findall(text):
        first, *rest = name.split(".")
        if first == "guidance" or name.endswith((".py", ".md", ".json", ".toml", ".txt")):
            continue
        if rest and first in known and first not in own:
            found += [] if rest[0] in known[first] else [name]
        elif first not in own and first not in known:
            found += [] if any(first in names for names in known.values()) else [name]
    return [name for name in found if name not in OTHERS]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_comments_point_to_what_is_there(path):
    wrong = [f"line {n}: {name}" for n, text in said(path) for name in astray(path, text)]
    assert not wrong, f"{path.relative_to(ROOT)}: {wrong}"


def test_the_test_finds_what_it_looks_for():
    text = "`fitting.croped`, `zero_shut`, guidance.images.mask, tests/nothing.py, `load_image`"
    path = ROOT / "guidance/images/fitting.py"
    assert astray(path.with_name("canvas.py"), text) == [
        "tests/nothing.py", "guidance.images.mask", "fitting.croped", "zero_shut",
    ]  # fmt: skip
