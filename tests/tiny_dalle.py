"""Tiny real transformers of codes with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_vqgan import save

from guidance.models.dalle.config import DalleConfig
from guidance.models.dalle.names import Facts
from guidance.models.dalle.transformer import Transformer

TINY = {
    "rows": 4, "columns": 4, "codes": 32, "code_width": 8, "width": 16, "heads": 2,
    "attention": ["full", "row"], "kernel": 3, "embedding": 32,
}  # fmt: skip


def tiny_config(**more: object) -> DalleConfig:
    """Return the config of a tiny transformer."""
    table = {**TINY, **more}
    return DalleConfig(**{**table, "attention": tuple(table["attention"])})


def tiny_network(seed: int = 0, *, spread: float = 0.4, **more: object) -> Transformer:
    """Return a tiny transformer whose weights are large enough to tell positions apart."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Transformer(tiny_config(**more))
        with torch.no_grad():
            for value in network.parameters():
                value.add_(spread * torch.randn_like(value))
    return network.eval()


def sentences(network: Transformer, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return conditions and codes of `count` random pictures."""
    generator, config = torch.Generator().manual_seed(seed), network.config
    dtype = network.places.dtype
    vector = torch.randn(count, config.told * config.embedding, generator=generator, dtype=dtype)
    codes = torch.randint(config.codes, (count, config.positions), generator=generator)
    return vector, codes


def write_model(folder: Path, clip: Path, seed: int = 0, **more: object) -> Path:
    """Write a tiny DALL·E with its VQGAN of 32 codes and factor 4; return its file."""
    save(folder / "vqgan")
    network = tiny_network(seed, **more)
    facts = Facts(network.config, str(clip), str(folder / "vqgan"))
    path = folder / "dalle.safetensors"
    save_file(network.state_dict(), path, facts.metadata())
    return path
