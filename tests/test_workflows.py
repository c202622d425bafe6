"""The workflow is what it says: the one command, on three systems and the Pythons we name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", FLOWS, ids=lambda p: p.name)
def test_a_workflow_runs_the_one_command(path):
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    (job,) = flow["jobs"].values()
    assert job["steps"][-1] == {"run": "bash .ci/run", "shell": "bash"}
    assert job["runs-on"] == "${{ matrix.os }}"
    assert job["strategy"]["matrix"] == {
        "os": ["ubuntu-latest", "macos-latest", "windows-latest"],
        "python": ["3.10", "3.11", "3.12", "3.13"],
    }
    named = set(re.findall(r"matrix\.(\w+)", path.read_text(encoding="utf-8")))
    assert named == set(job["strategy"]["matrix"])


def test_the_oldest_python_is_the_one_that_is_asked_for():
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert FLOWS
    assert 'requires-python = ">=3.10"' in config
    assert 'python-version = "3.10"' in config  # of the types


def test_the_command_of_ci_is_the_readmes():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.splitlines()[-1].replace(" --quiet", "") in readme
