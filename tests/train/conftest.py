"""What several trainings are tested on."""

from pathlib import Path

import pytest
from tiny_latents import write_place


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards of emoji: to train on, and in a style of their own to test on."""
    pytest.importorskip("resvg_py")
    from emoji import write_emoji

    folder = tmp_path_factory.mktemp("emoji")
    write_emoji(folder, "train", copies=4)
    write_emoji(folder, "test", outlined=True)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with latents and the configuration of a tiny diffusion model."""
    return write_place(tmp_path)
