"""Tiny real picture decoders of diffusers with random weights, in memory and as folders."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

NAMES = ("vq", "kl", "tiny")
SPATIAL = {"norm_type": "spatial", "block_out_channels": (32, 32, 32)}  # these need 32 groups


def build(kind: str = "vq", seed: int = 0, **config: object) -> nn.Module:
    """Return a tiny `VQModel` ("vq"), `AutoencoderKL` ("kl") or `AutoencoderTiny` ("tiny").

    All have factor 4 and 4 latent channels; "vq" has 32 codes.

    Args:
        config: replaces values of the network's config.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny, VQModel

    blocks = {
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "block_out_channels": (8, 16, 16),
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "mid_block_add_attention": False,
    }
    classes = {"vq": VQModel, "kl": AutoencoderKL, "tiny": AutoencoderTiny}
    if kind == "vq":
        config = blocks | {"num_vq_embeddings": 32, "vq_embed_dim": 4} | config
    elif kind == "kl":
        config = blocks | config
    else:
        config = {
            "encoder_block_out_channels": (8, 8, 8),
            "decoder_block_out_channels": (8, 8, 8),
            "num_encoder_blocks": (1, 1, 1),
            "num_decoder_blocks": (1, 1, 1),
        } | config
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = classes[kind](**config)
        if kind == "vq":  # as spread out as trained codes; the first ones are almost one point
            nn.init.normal_(network.quantize.embedding.weight)
    return network.eval()


def save(folder: Path, kind: str = "vq", seed: int = 0, **config: object) -> Path:
    """Write such a network as a folder of diffusers (config.json and weights); return it."""
    build(kind, seed, **config).save_pretrained(folder)
    return folder
