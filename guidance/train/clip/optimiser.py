"""The optimiser of a CLIP training: parameters grouped by learning rate and weight decay."""

from __future__ import annotations

import torch
from torch import nn

from guidance.train.clip.sections import OptimiserOptions

SCALE_RATE = 1e-3  # least learning rate of the temperatures


def adamw(
    student: nn.Module, given: OptimiserOptions, head_factor: float, map_factor: float = 0.3
) -> torch.optim.Optimizer:
    """Return AdamW over what of `student` learns (Radford et al. 2021, section 2.5).

    Args:
        student: The network; what needs no gradient is left out.
        given: Rates and weight decay.
        head_factor: The image tower's head learns this many times as fast.
        map_factor: The map of a frozen text tower: slowly by default, to stay near the identity.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in student.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = map_factor if name.startswith("map") else 1.0
        if name.startswith(("network.visual.head", "network.visual.proj", "hint")):
            rate = head_factor
        elif not name.startswith(("network.visual", "map")):
            rate = given.text_factor
        if name.endswith("_scale"):
            rate = max(1.0, SCALE_RATE / given.rate)
        decay = given.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "factor": r, "weight_decay": d} for (r, d), p in groups.items()],
        lr=given.rate, betas=(0.9, 0.98), eps=1e-6, fused=True,
    )  # fmt: skip
