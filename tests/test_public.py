"""The public surface: names, techniques, lint, packaging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import guidance

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_exports_are_sorted_and_real():
    assert guidance.__all__ == sorted(guidance.__all__)
    for name in guidance.__all__:
        assert getattr(guidance, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing"):
        _ = guidance.nothing


def test_techniques_are_listed(capsys):
    from guidance.__main__ import main, techniques

    names = {"clipdraw", "dalle", "diffusion", "pixels", "vqgan"}
    names |= {"rerank", "classify", "probe", "look", "interrogate"}
    assert set(techniques()) >= names
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name in techniques():
        assert f"python -m guidance.{name}" in printed
        assert f"python -m guidance.{name}" in README


def test_what_is_no_technique_is_told(capsys):
    from guidance.__main__ import main

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("guidance ")
    for name, told in (
        ("train", "guidance.train.NAME: aesthetic, clip,"),
        ("clipdrw", "clipdraw?"),
    ):
        assert main([name]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert said.count("\n") == 1


def test_lint():
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "."],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_types():
    done = subprocess.run(
        [sys.executable, "-m", "pyrefly", "check", "--output-format", "min-text",
         "--summary=none", "--python-interpreter-path", sys.executable],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_wheel_contents_are_declared():
    tomllib = pytest.importorskip("tomllib")
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = config["tool"]["setuptools"]["package-data"]
    assert data.pop("*") == ["README.md"]  # of every folder that has one
    for package, patterns in data.items():
        folder = ROOT / package.replace(".", "/")
        assert any(any(folder.glob(pattern)) for pattern in patterns), package
    size = sum(p.stat().st_size for p in (ROOT / "guidance").rglob("*.safetensors"))
    assert 0 < size < 95e6
