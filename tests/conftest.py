"""Shared fixtures: tiny real CLIP models with random weights; no downloads, no mocks."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any import reads it

import pytest
import torch
from tiny_clip import build_tiny

torch.set_num_threads(1)  # two pytest workers share two cores, and results stay exact


@pytest.fixture(scope="session")
def tiny_clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that `--clip` accepts."""
    return build_tiny(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="session")
def tiny_clip(tiny_clip_path: Path):
    """Return the tiny model, loaded in float32 on the CPU."""
    from guidance.clip import load_clip

    return load_clip(str(tiny_clip_path))


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded random generator."""
    return torch.Generator().manual_seed(0)
