"""A tiny real open_clip checkpoint with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

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


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return random vectors of unit length along the last dimension."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(x, dim=-1)


def build_tiny(folder: Path, seed: int = 0, bias: float | None = None, **vision: object) -> Path:
    """Write a tiny real open_clip checkpoint with its config into `folder`.

    With a `bias` it is one that was trained with a sigmoid, as SigLIP.
    """
    import open_clip
    from safetensors.torch import save_file

    config = json.loads(json.dumps(TINY))
    config["model_cfg"]["vision_cfg"].update(vision)
    if bias is not None:
        config["model_cfg"]["init_logit_bias"] = bias
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = open_clip.CLIP(**config["model_cfg"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = {k: v.contiguous() for k, v in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
