"""Imports point one way, and every public module says what it is; the source is only read."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "guidance"
FILES = sorted(ROOT.rglob("*.py"))
TECHNIQUES = {p.parent.name for p in ROOT.glob("*/__main__.py")} - {"train", "evaluate"}
# a room may import itself, rooms of its own layer and of the layers below it
LAYERS = (
    {"errors", "exports"},
    {"conventions", "converting", "files", "pretrained"},
    {"images", "vector"},
    {"clip", "data", "prompts"},
    {"embeddings", "models", "objective"},
    {"score", "step"},
    {"artefacts"},
    {"command"},
    TECHNIQUES,
    {"evaluate"},
    {"train"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def noun(path: Path) -> str:
    """Return the room of a file: the first name below `guidance`."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[tuple[str, int]]:
    """Return the ``guidance.NOUN`` that a file imports anywhere in it, with line numbers."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [node.module]
            if node.module == "guidance":
                names = [f"guidance.{alias.name}" for alias in node.names]
        else:
            continue
        parts = [name.split(".") for name in names]
        found |= {(p[1], node.lineno) for p in parts if p[0] == "guidance" and len(p) > 1}
    return found


def check_no_circle(graph: dict[str, set[str]]) -> None:
    """Fail if names import each other, be it over several others; take `graph` apart."""
    while graph:  # take away what imports nothing that is left
        free = [name for name, needs in graph.items() if not needs & set(graph)]
        assert free, f"these import each other in a circle: {sorted(graph)}"
        for name in free:
            del graph[name]


def test_no_two_parts_import_each_other():
    graph: dict[str, set[str]] = {}
    for path in FILES:
        own = noun(path)
        graph.setdefault(own, set()).update({name for name, _ in imported(path)} - {own})
    del graph["__init__"]  # the front imports everything
    check_no_circle(graph)


def module(path: Path) -> str:
    """Return the name of a file's module."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_imported(path: Path, known: set[str]) -> set[str]:
    """Return the modules that a file imports anywhere in it, but for annotations alone."""
    found, left = set(), [ast.parse(path.read_text(encoding="utf-8"))]
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
        left += ast.iter_child_nodes(node)
    return found & known


def test_no_two_files_import_each_other():
    paths = {module(path): path for path in FILES}
    del paths["guidance"]  # the front imports everything, on first use
    check_no_circle({n: modules_imported(p, set(paths)) - {n} for n, p in paths.items()})


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    own = noun(path)
    if own in ("__init__", "__main__", "train"):
        return
    for name, line in imported(path):
        where = f"{path.relative_to(ROOT.parent)}:{line} imports guidance.{name}"
        assert name != "train", f"{where}: training is not part of the toolkit"
        assert name == own or name not in TECHNIQUES, f"{where}: only the user picks a technique"
        assert LEVEL[name] <= LEVEL[own], f"{where}, which is a layer above"


def test_every_room_has_a_layer():
    rooms = {noun(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms == set(LEVEL)


def test_the_front_names_every_room():
    drawn = ast.get_docstring(ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8")))
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert not {name for name in rooms if f"{name}/" not in drawn}


@pytest.mark.parametrize("name", ["__init__", "__main__"])
def test_the_front_does_not_import_training(name):
    path = ROOT / f"{name}.py"
    assert "train" not in {noun for noun, _ in imported(path)} if path.exists() else True


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_modules_have_a_docstring(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    if not tree.body or (path.name.startswith("_") and path.name != "__init__.py"):
        return
    docstring = ast.get_docstring(tree)
    assert docstring, f"{path} has no docstring"
    first = docstring.splitlines()[0]
    assert first[-1] in ".:)" or "→" in first or ":" in first, f"{path}: {first!r} is no sentence"
