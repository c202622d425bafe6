"""The examples in docstrings and in the README's Python block run as they stand."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
from pages import CARDS, PAGES, ROOT
from PIL import Image
from tiny_dalle import write_model

PROMPT = re.compile(r"^\s*>>> ", re.MULTILINE)
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "guidance").rglob("*.py"))
    if PROMPT.search(path.read_text(encoding="utf-8"))
]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in (*PAGES, *CARDS)
    if page.name != "CONTRIBUTING.md"  # test_contributing.py goes through it
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    )
]
FEW = {"steps": 2, "strokes": 8, "number": 1}


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_docstring_examples(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks(block, tmp_path, monkeypatch, tiny_clip_path):
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"[\w/-]+/dalle\.safetensors", block):
        Path(name).parent.mkdir(parents=True)
        write_model(Path(name).parent, tiny_clip_path)
    for name in re.findall(r"[\w/-]+\.(?:png|jpg)", block):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((64, 48), 60).convert("RGB").save(name)
    for name, number in FEW.items():
        block = re.sub(rf"\b{name}=\d+", f"{name}={number}", block)
    block = re.sub(r"(guidance\.diffuse\((?![^\n]*steps=)[^\n]*)\):", r"\1, steps=2):", block)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_the_readme_has_python_to_run():
    assert any(block.id.startswith("README.md") for block in BLOCKS)
