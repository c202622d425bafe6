"""Latents of two pictures, a diffusion training small enough for a test, and a sampler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_clip import unit

from guidance.models.latent_unet import LatentUNet
from guidance.train.diffusion.options import DiffusionTraining

TINY = {
    "unet": {
        "sample_size": 4, "in_channels": 3, "out_channels": 3, "block_out_channels": [16, 32],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "mid_block_type": "UNetMidBlock2D", "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 1, "attention_head_dim": 8, "norm_num_groups": 4,
        "class_embed_type": "projection", "projection_class_embeddings_input_dim": 16,
        "resnet_time_scale_shift": "scale_shift",
    },
    "scheduler": {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2",
                  "prediction_type": "v_prediction", "clip_sample": False},
}  # fmt: skip
DIM = 8


def tiny_config(**unet: Any) -> dict[str, Any]:
    """Return `TINY` with other values of the network's config."""
    return {**TINY, "unet": TINY["unet"] | unet}


def write_pairs(path: Path, *, low: bool = False, facts: str = "") -> None:
    """Write a file of two pictures, of three views each and of captions of their own."""
    first = torch.tensor([1.0, -1.0]).repeat_interleave(3)
    latents = first.view(-1, 1, 1, 1) * torch.linspace(0.5, 2, 3).view(1, 3, 1, 1)
    content = {
        "latents": latents.expand(-1, -1, 4, 4) + 0.05 * torch.randn(6, 3, 4, 4),
        "images": unit(2, DIM).repeat_interleave(3, 0),
        "rows": torch.arange(2, dtype=torch.int32).repeat_interleave(3),
        "captions": torch.tensor([[0, 1], [2, 2]], dtype=torch.int32),
        "texts": unit(3, DIM, seed=1),
        "weights": torch.tensor([1.0, 1.0]),
    }
    if low:
        content["low"] = content["latents"] * 0.5
    half = {k: v.half() if k in ("latents", "images", "texts", "low") else v.contiguous()
            for k, v in content.items()}  # fmt: skip
    save_file({k: v.contiguous() for k, v in half.items()}, path, {"guidance": facts})


def write_place(folder: Path) -> Path:
    """Write the pairs and the configuration into `folder`."""
    torch.manual_seed(0)
    write_pairs(folder / "pairs.safetensors")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    return folder


def diffusion_options(place: Path, out: str = "run", **more) -> DiffusionTraining:
    """Return six steps on the pairs of `place`."""
    given = {"minutes": 0, "steps": 6, "batch": 16, "precision": "fp32", "threads": 0}
    return DiffusionTraining(
        data=(place / "pairs.safetensors",), out=place / out, config=place / "tiny.json",
        **(given | more),
    )  # fmt: skip


@torch.no_grad()
def sample(
    network: LatentUNet,
    vector: torch.Tensor,
    low: torch.Tensor | None = None,
    sizes: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return restored latents for conditions ``[B, 2 D]``, by DDIM."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(TINY["scheduler"], timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    x = torch.randn(len(vector), 3, 4, 4, generator=torch.Generator().manual_seed(3))
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t, vector, low, sizes), t, x).prev_sample
    return network.restore(x)
