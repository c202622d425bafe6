"""One spelling, the British one, in prose and in our names; names of others stay as they are."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for top in ("guidance", "tests", "benchmarks", "recipes")
    for path in sorted((ROOT / top).rglob("*"))
    if path.suffix in (".py", ".md", ".toml", ".html") and path != Path(__file__)
] + sorted(ROOT.glob("*.md"))
AMERICAN = re.compile(
    r"colors?|colored|coloring|artifacts?|grays?|behaviors?|centers?|centered|favors?|favorite|"
    r"neighbors?|catalogs?|(?:mis)?labeled|labeling|modeled|modeling|canceled|traveled|"
    r"fulfill|judgment|defense|skeptic\w*|"
    r"(?:normal|optim|quant|real|organ|recogn|initial|serial|synthes|regular|summar|custom|"
    r"random|visual|standard|minim|maxim|discret|sanit|priorit|categor|raster|vector|binar|"
    r"special|general|equal|final|penal|util|emphas|memor|parameter|analy|paraly)"
    r"(?:ize[ds]?|izing|izers?|ization|yze[ds]?|yzing)"
)
# in prose and page styles: titles of papers, names of CSS and of others' packages and arguments
OTHERS = re.compile(  # the last are arguments in docstrings
    r"Flat Color Icons|Color (?:information|Universal Design)|"
    r"(?:Differentiable Image P|Rep)arameterizations?|"
    r"\bcolor(?:-scheme)?: |align-items: center|[\w-]+-color|`[\w.]+`|``[^`]+``|\w+\.\w+\(|"
    r"(?m:^) +(?:colors|optimizer): "
)
# torch's word for an optimiser; fields of the public `Scene`, so entries of saved drawings
NAMES = re.compile(r"optimizers?|(?:to_)?colors|OPTIMIZERS")


def words(line: str) -> list[str]:
    """Return the American words of a line, those within names in their parts."""
    parts = re.sub(r"([a-z])([A-Z])", r"\1 \2", line).replace("_", " ").lower()
    return [w for w in re.findall(r"[a-z]+", parts) if AMERICAN.fullmatch(w)]


def bound(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the names that a file gives, with their lines."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append((node.lineno, node.name))
        elif isinstance(node, ast.arg):
            found.append((node.lineno, node.arg))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append((node.lineno, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.append((node.lineno, node.attr))
    return [(line, NAMES.sub("", name)) for line, name in found]


def spoken(path: Path) -> list[tuple[int, str]]:
    """Return what a file says by line; of Python, its comments, docstrings and own names."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        lines = enumerate(OTHERS.sub("", text).splitlines(), 1)
        return [(n, NAMES.sub("", line) if line.startswith("    ") else line) for n, line in lines]
    found = bound(ast.parse(text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        doc = token.type == tokenize.STRING and token.line.lstrip().startswith('"""')
        if token.type == tokenize.COMMENT or doc:
            lines = OTHERS.sub("", token.string).splitlines()
            found += [(token.start[0] + n, line) for n, line in enumerate(lines)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_british_spelling(path):
    spelt = [(0, path.stem), *spoken(path)]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {', '.join(found)}"
        for number, line in spelt
        if (found := words(line))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_test_finds_what_it_looks_for():
    assert words("A neighbor of parse_colors: ArtifactFile, normalized") == [
        "neighbor", "colors", "artifact", "normalized",
    ]  # fmt: skip
    assert not words("colour, artefact, grey, tokenizer, program, size, prize")
