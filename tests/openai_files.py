"""Weights in the form in which OpenAI publishes CLIP: a TorchScript archive, partly in half."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

MARKS = {"input_resolution": 32, "context_length": 16, "vocab_size": 49408}


class _Traced(nn.Module):
    """open_clip's network under OpenAI's names, with the three numbers that only they save."""

    def __init__(self, network: nn.Module):
        super().__init__()
        for name, child in network.named_children():
            self.add_module(name, child)
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            self.register_parameter(name, getattr(network, name))
        for name, value in MARKS.items():
            self.register_buffer(name, torch.tensor(value))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        total = self.visual(images).sum()  # a trace keeps what it used
        for name, value in self.named_parameters():
            if not name.startswith("visual."):
                total = total + value.sum()
        return total + self.input_resolution + self.context_length + self.vocab_size


def write_archive(network: nn.Module, path: Path, size: int = 32) -> dict[str, torch.Tensor]:
    """Trace and save `network`; return what a state dict of the archive holds."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch means to retire TorchScript
        traced = torch.jit.trace(
            _Traced(network.eval()), torch.rand(1, 3, size, size), check_trace=False
        )
        for name, value in traced.named_parameters():
            if halved(name):
                value.data = value.data.half()
        traced.save(str(path))
        return {k: v.clone() for k, v in traced.state_dict().items()}


def halved(name: str) -> bool:
    """Return whether OpenAI's files hold an entry in half precision."""
    if name.endswith(("text_projection", "visual.proj")):
        return True
    owner = name.removesuffix("_weight").removesuffix("_bias").removesuffix(".weight")
    return owner.removesuffix(".bias").endswith(("conv1", "c_fc", "c_proj", "in_proj", "out_proj"))
