"""Shared fixtures: tiny real CLIP models with random weights; no downloads, no mocks."""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any import reads it

import pytest
import torch

torch.set_num_threads(1)  # two pytest workers share two cores, and results stay exact

TINY = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    },
    "preprocess_cfg": {
        "mean": [0.48, 0.46, 0.41],
        "std": [0.27, 0.26, 0.28],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


def build_tiny(folder: Path, seed: int = 0, **vision: object) -> Path:
    """Write a tiny real open_clip checkpoint with its config into `folder`."""
    import open_clip
    from safetensors.torch import save_file

    config = json.loads(json.dumps(TINY))
    config["model_cfg"]["vision_cfg"].update(vision)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = open_clip.CLIP(**config["model_cfg"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = {k: v.contiguous() for k, v in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


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
