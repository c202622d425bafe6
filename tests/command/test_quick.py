"""Help, a mistyped option and a refused prompt are answered before anything heavy is imported."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guidance.__main__ import techniques, trainings
from guidance.command.launch import Command, Commands

ROOT = Path(__file__).parents[2]
HEAVY = ("numpy", "torch", "torchvision", "open_clip", "diffusers", "transformers", "timm",
         "kornia", "pyarrow", "numba", "matplotlib", "skimage", "sklearn", "ray",
         "tensorboard")  # fmt: skip
# runs command lines one after the other, with imports of these modules failing, and tells of each
# its exit code, how much it wrote to stdout, and what to stderr
RUN = f"""
import contextlib, io, json, runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from guidance.__main__ import main
for line in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if not line[0].endswith(".py"):
                code = main(line)
            else:
                sys.argv = line
                runpy.run_path(line[0], run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
        except ImportError as error:
            code = str(error)
    print(json.dumps([line, code, len(out.getvalue()), err.getvalue()]))
"""
GUIDED = ("clipdraw", "diffusion", "pixels", "vqgan")
GROUPS = {"look": ("heat", "matrix", "video", "write"), "train text": ("embed", "distil"),
          "evaluate": ("blind", "clip", "diffusion", "naming", "vqgan")}  # fmt: skip
RECIPES = [f"recipes/{path.name}" for path in sorted((ROOT / "recipes").glob("*.py"))]


def commands() -> list[list[str]]:
    """Return the names of all commands, as lists of words."""
    found = [*techniques(), *(f"train {name}" for name in trainings()), *RECIPES]
    return [
        [*f.split(), *more] for f in found for more in ([[g] for g in GROUPS.get(f, ())] or [[]])
    ]


def run(lines: list[list[str]]) -> list[list]:
    process = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    return [json.loads(line) for line in process.stdout.splitlines()]


@pytest.fixture(scope="module")
def answers():
    """Return what each command says to ``--help``, to a mistyped option, and to a bad prompt."""
    lines = [["--help"], ["--version"], *([*c, "--help"] for c in commands())]
    lines += [[*c, "--qiuet"] for c in commands()]
    prompted = [[name] for name in GUIDED] + [[r] for r in RECIPES if "restyle" not in r]
    lines += [[*c, "a fox:nan"] for c in prompted]
    lines += [["rerank", "a fox:nan", "pyproject.toml"]]
    return run(lines)


def test_nothing_heavy_is_imported(answers):
    assert len(answers) > 50
    heavy = {" ".join(line): code for line, code, _, _ in answers if isinstance(code, str)}
    assert not heavy


def test_help_is_shown_and_the_rest_refused_in_one_line(answers):
    for line, code, printed, said in answers:
        if line[-1] in ("--help", "--version"):
            assert (code, said) == (0, ""), line
            assert printed > (200 if line[-1] == "--help" else 10), line
        else:
            assert (code, printed, said.count("\n")) == (2, 0, 1), (line, said)
            assert ("option '--qiuet'" if line[-1] == "--qiuet" else "nan") in said, line


def test_the_work_of_each_command_is_there():
    """It is named by a text, which is read when the command is run."""
    mains = [
        *(ROOT / "guidance").glob("*/__main__.py"),
        *(ROOT / "guidance").glob("train/*/__m*.py"),
    ]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in mains]
    found = [importlib.import_module(module).main for module in modules]
    groups = [list(m.commands.values()) if isinstance(m, Commands) else [m] for m in found]
    works = [c.work for group in groups for c in group if isinstance(c, Command)]
    assert len(works) >= 15
    for module, function in (work.split(":") for work in works):
        source = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
        names = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        assert function in names, module
