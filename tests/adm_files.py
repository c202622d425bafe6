"""Narrow networks as OpenAI publishes them, and their checkpoints."""

from pathlib import Path

import torch
from reference.slow_adm import Layout

SIX, SEVEN = (1, 1, 2, 2, 4, 4), (0.5, 1, 1, 2, 2, 4, 4)
IDDPM = {"num_res_blocks": 3, "updown": False, "heads": 4}
LSUN = {"updown": False, "scale_shift": False, "heads": 1}
SMALL = {  # the same in narrow: each takes the conventions of the one it is built like
    "64": Layout(32, (1, 2, 3, 4), (1, 3), 3, new_order=True, classes=5),
    "128": Layout(32, (1, 1, 2, 3, 4), (2, 3, 4), heads=4, classes=5),
    "256": Layout(32, SIX, (3, 4, 5)),
    "256 without variances, one block": Layout(32, SIX, (3, 4, 5), 1, out=3),
    "512": Layout(64, (0.5, 1, 1, 1, 1, 2, 2), (4, 5, 6), classes=5),
    "improved-diffusion": Layout(32, (1, 2, 3, 4), (2, 3), time_scale=0.25, **IDDPM),
    "improved-diffusion of classes": Layout(32, (1, 2, 3, 4), (2, 3), classes=5, **IDDPM),
    "improved-diffusion of LSUN": Layout(32, SIX, (4,), **LSUN),
}
TINY = Layout(32, (1, 1, 1, 1, 1, 4), (5,), 1)  # two heads


def saved(path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, path)
    return path
