"""A tiny DALL·E in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_dalle import write_model

from guidance.models.dalle.load import Dalle, load_dalle


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory, tiny_clip_path: Path) -> Path:
    """Return the file of a tiny model of 4 x 4 codes of 4 pixels."""
    return write_model(tmp_path_factory.mktemp("dalle"), tiny_clip_path)


@pytest.fixture(scope="session")
def dalle(model_path: Path) -> Dalle:
    """Return that model, loaded."""
    return load_dalle(str(model_path), device="cpu")
