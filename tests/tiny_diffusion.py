"""Tiny real pipelines of diffusers with random weights, in memory and as folders.

All make pictures of 32 pixels; "sd", "xl" and "ldm" work on latents of 4 pixels a cell.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import tiny_vqgan
import torch

KINDS = ("sd", "xl", "ldm", "ddpm")
CONTEXT = 16  # tokens a text encoder reads
WORDS = ("a", "fox", "wolf", "at", "sunrise", "house", "red", "blue", "of", "the")
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "steps_offset": 1,
}
BLOCKS = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}


def unet(kind: str = "sd", seed: int = 0, **config: Any) -> torch.nn.Module:
    """Return the network of a pipeline of `KINDS`.

    Args:
        config: replaces values of its config.
    """
    from diffusers import UNet2DConditionModel, UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind in ("ldm", "ddpm"):
            side, channels = (8, 4) if kind == "ldm" else (32, 3)
            made = UNet2DModel(
                **{
                    "sample_size": side,
                    "in_channels": channels,
                    "out_channels": channels,
                    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
                    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
                    "attention_head_dim": 8,
                    **BLOCKS,
                    **config,
                }
            )
        else:
            large = {
                "cross_attention_dim": 48,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 8,
                "projection_class_embeddings_input_dim": 6 * 8 + 16,
                "transformer_layers_per_block": (1, 2),
                "use_linear_projection": True,
            }
            made = UNet2DConditionModel(
                **{
                    "sample_size": 8,
                    "in_channels": 4,
                    "out_channels": 4,
                    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
                    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
                    "attention_head_dim": 2,
                    "cross_attention_dim": 32,
                    **BLOCKS,
                    **(large if kind == "xl" else {}),
                    **config,
                }
            )
    return made.eval()


def tokenizer(folder: Path) -> Any:
    """Return a CLIP tokenizer of letters and a few words, from files as the hub has them."""
    from transformers import CLIPTokenizer

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789.,'-!")
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        left = word[0] if len(word) > 1 else ""
        for i, letter in enumerate(word[1:], 2):
            right = letter + "</w>" if i == len(word) else letter
            if (left, right) not in merges:
                merges.append((left, right))
            left += letter
    tokens = letters + [c + "</w>" for c in letters] + ["".join(pair) for pair in merges]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=CONTEXT)


def text_encoder(size: int, seed: int = 0, projection: int | None = None) -> torch.nn.Module:
    """Return a CLIP text encoder, with a pooled `projection` as Stable Diffusion XL's second."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=size,
        hidden_size=32 if projection is None else 16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        projection_dim=projection or 16,
        hidden_act="quick_gelu" if projection is None else "gelu",
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    kind = CLIPTextModel if projection is None else CLIPTextModelWithProjection
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = kind(config)
        # as spread out as trained ones, so that texts differ in what they make
        torch.nn.init.normal_(encoder.get_input_embeddings().weight)
    return encoder.eval()


def pipeline(kind: str, scratch: Path, seed: int = 0, schedule: dict | None = None, **config: Any):
    """Return a pipeline: "sd" Stable Diffusion, "xl" its large one, "ldm" without texts, "ddpm".

    Args:
        scratch: folder for the files of its tokenizer.
        schedule: replaces values of the DDIM scheduler's config.
        config: replaces values of the network's config.
    """
    import diffusers

    scheduler = diffusers.DDIMScheduler(**SCHEDULE | (schedule or {}))
    parts: dict[str, Any] = {"unet": unet(kind, seed, **config), "scheduler": scheduler}
    if kind == "ddpm":
        return _quiet(diffusers.DDPMPipeline(**parts))
    if kind == "ldm":
        vqvae = tiny_vqgan.build("vq", seed, scaling_factor=0.5)
        return _quiet(diffusers.LDMPipeline(vqvae=vqvae, **parts))
    parts["vae"] = tiny_vqgan.build("kl", seed, force_upcast=False)
    parts["tokenizer"] = tokenizer(scratch / "tokenizer")
    size = len(parts["tokenizer"])
    parts["text_encoder"] = text_encoder(size, seed)
    if kind == "sd":
        parts |= {"safety_checker": None, "feature_extractor": None}
        made = diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False)
    else:
        parts["tokenizer_2"] = tokenizer(scratch / "tokenizer_2")
        parts["text_encoder_2"] = text_encoder(size, seed + 1, projection=16)
        made = diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
    return _quiet(made)


def save(folder: Path, kind: str = "sd", seed: int = 0, **options: Any) -> Path:
    """Write such a pipeline as a folder of diffusers, with the options of `pipeline`; return it."""
    with tempfile.TemporaryDirectory() as scratch:
        pipeline(kind, Path(scratch), seed, **options).save_pretrained(folder)
    return folder


def _quiet(made: Any) -> Any:
    made.set_progress_bar_config(disable=True)
    return made
