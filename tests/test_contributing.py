"""CONTRIBUTING.md as a new contributor follows it: its files are written, its commands run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from plugins import install
from runs import ROOT

from guidance.__main__ import main
from guidance.artefacts.manifest import read_manifest

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SMALL = ["--cuts", "2", "--steps", "2", "--video", "none", "-q"]


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    return re.findall(r"^    (\w.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)


@pytest.fixture
def dots(tmp_path, monkeypatch):
    """Install the package of "Add a generator" and stand in an empty folder."""
    generator, _, technique = blocks(section("Add a generator"), "python")
    (project,) = blocks(section("Add a generator"), "toml")
    name = re.search(r'^name = "(.+)"', project, re.MULTILINE)[1]
    entries = dict(re.findall(r'^(\w+) = "(\w+:\w+)"$', project, re.MULTILINE))
    assert entries == {"dots": "dots:DOTS"}
    site = install(tmp_path / "site", name, entries, dots=f"{generator}\n\n{technique}")
    monkeypatch.syspath_prepend(str(site))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield
    sys.modules.pop("dots", None)


def test_a_generator_of_another_package(dots, tiny_clip_path, capsys):
    asked = commands(section("Add a generator"))
    assert asked.pop(0) == "pip install ."
    assert len(asked) == 4
    for command in asked:
        python, m, guidance, *arguments = shlex.split(command)
        assert (python, m, guidance) == ("python", "-m", "guidance")
        if not {"--help", "--resume"} & set(arguments):
            arguments += [*SMALL, "--clip", str(tiny_clip_path)]
        assert main(arguments) == 0, command
    assert "Squares along each side." in capsys.readouterr().out
    assert read_manifest("outputs/dots")["options"]["grid"] == 32
    assert read_manifest("outputs/coarse")["options"]["grid"] == 16


def test_a_generator_in_a_notebook(dots, capsys):
    exec(blocks(section("Add a generator"), "python")[1].replace("100", "3"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert all(-1 < float(line.split()[1]) < 1 for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="sed -i differs elsewhere")
def test_a_technique_of_this_package(tmp_path, tiny_clip_path):
    """All rooms of this checkout are links but the one that is copied: a link would be changed."""
    text = section("Add a technique")
    (tmp_path / "guidance").mkdir()
    shutil.copytree(ROOT / "guidance/pixels", tmp_path / "guidance/pixels")
    for path in (ROOT / "guidance").iterdir():
        if path.name != "pixels":
            (tmp_path / "guidance" / path.name).symlink_to(path)
    copy, rename, run = commands(text)
    subprocess.run(f"{copy} && {rename}", shell=True, cwd=tmp_path, check=True)
    folder = tmp_path / "guidance/dots"
    for path in folder.glob("*.py"):
        assert not re.search("pixels", path.read_text(encoding="utf-8"), re.IGNORECASE), path
    told = set(re.findall(r"^\| `(\w+\.py)`", text, re.MULTILINE))
    assert told <= {path.name for path in folder.glob("*.py")}
    assert {path.name for path in folder.glob("*.py")} - told == {"canvas.py"}  # "what it needs"
    arguments = [*shlex.split(run)[1:], *SMALL, "--size", "32", "--clip", str(tiny_clip_path)]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (made,) = Path(tmp_path, "outputs").iterdir()
    assert made.name == "dots-a-fox-at-sunrise-0"
    assert read_manifest(made)["technique"] == "dots"
