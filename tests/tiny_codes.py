"""Codes of pictures that their captions decide, and a DALL·E's training small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path

import tiny_vqgan
import torch
from safetensors.torch import save_file
from tiny_dalle import TINY

from guidance.clip.registry import load_clip
from guidance.train.dalle.options import DalleTraining

TEXTS = ("red", "blue")
OWN = ((3, 9), (17, 21))  # the codes of the pictures of each text


def write_codes(folder: Path, clip: Path, pictures: int = 40) -> Path:
    """Write codes of pictures in rows of one code or the other of their text's."""
    rng = torch.Generator().manual_seed(0)
    kind = torch.arange(pictures) % 2
    rows = torch.randint(2, (pictures, 4), generator=rng)
    codes = torch.tensor(OWN)[kind[:, None], rows][..., None].expand(-1, -1, 4)
    model = load_clip(str(clip), device="cpu")
    with torch.no_grad():
        texts = model.encode_text(list(TEXTS))
    images = texts[kind] + 0.01 * torch.randn(pictures, 32, generator=rng)
    content = {
        "codes": codes.to(torch.int16),
        "images": torch.nn.functional.normalize(images, dim=1).half(),
        "rows": torch.arange(pictures, dtype=torch.int32),
        "captions": kind[:, None].int(),
        "texts": texts.half(),
        "weights": torch.ones(pictures),
    }
    tiny_vqgan.save(folder / "vqgan")
    facts = {"clip": str(clip), "vqgan": str(folder / "vqgan"), "side": 16}
    path = folder / "codes.safetensors"
    content = {k: v.contiguous() for k, v in content.items()}
    save_file(content, path, {"guidance": json.dumps(facts)})
    (folder / "tiny.json").write_text(json.dumps(TINY))
    return path


def dalle_options(place: Path, out: str = "run", **more: object) -> DalleTraining:
    """Return six steps on the codes of `place`."""
    given = {"minutes": 0, "steps": 6, "batch": 16, "precision": "fp32", "threads": 0,
             "device": "cpu", "kept": 4, "ema": 0.9}  # fmt: skip
    return DalleTraining(
        data=(place / "codes.safetensors",), out=place / out, config=place / "tiny.json",
        **(given | more),
    )  # fmt: skip
