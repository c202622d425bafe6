"""A trained model → a weights file of the package, with its hash in ``SHA256SUMS`` beside it.

    python -m guidance.train.ship --clip runs/mini/clip \\
        --out guidance/pretrained/mini-clip.safetensors
    python -m guidance.train.ship --clip runs/guide/clip --part image \
        --out guidance/pretrained/mini-clip-guide.safetensors
    python -m guidance.train.ship --vqgan runs/vqgan/vqgan \
        --out guidance/pretrained/mini-vqgan.safetensors
    python -m guidance.train.ship --diffusion runs/diffusion \
        --out guidance/pretrained/mini-diffusion.safetensors
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guidance.command.launch import Command
from guidance.errors import InputError
from guidance.files.writing import write
from guidance.pretrained.packaged import HASHES
from guidance.train import model

# option → the weights in the folder it names
FILES = {
    "clip": "open_clip_model.safetensors",
    "vqgan": "diffusion_pytorch_model.safetensors",
    "diffusion": "diffusion.safetensors",
}


@dataclass(frozen=True)
class ShipOptions:
    """Write a trained CLIP, its image tower alone, a VQGAN or a diffusion model as float16."""

    out: Path
    """The weights file."""
    clip: Path | None = None
    """Folder ``clip`` of a run of guidance.train.clip."""
    vqgan: Path | None = None
    """Folder ``vqgan`` of a run of guidance.train.vqgan."""
    diffusion: Path | None = None
    """Folder of a run of guidance.train.diffusion."""
    part: Literal["all", "image"] = "all"
    """image writes the image tower alone, for the texts of another file."""


def ship(options: ShipOptions) -> None:
    """Write the file and its hash."""
    given = [(name, file) for name, file in FILES.items() if getattr(options, name) is not None]
    if len(given) != 1:
        raise InputError("give one of " + ", ".join(f"--{name} FOLDER" for name in FILES))
    ((name, file),) = given
    source = getattr(options, name) / file
    if not source.is_file():
        raise InputError(f"--{name}: {source} does not exist")
    state = model.load_state(source)
    if options.part == "image":
        state = {k: v for k, v in state.items() if k.startswith("visual.")}
    model.save_state(state, options.out)
    list_hash(options.out)
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {len(state)} tensors, {size:.1f} MB")


def list_hash(path: Path) -> None:
    """Enter the SHA-256 of `path` in ``SHA256SUMS`` beside it; entries of lost files go."""
    sums = path.with_name(HASHES)
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    known = {name: digest for digest, name in map(str.split, lines)}
    known[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = sorted(n for n in known if path.with_name(n).is_file())
    write(sums, "".join(f"{known[name]}  {name}\n" for name in kept))


main = Command("train.ship", ShipOptions, ship)

if __name__ == "__main__":
    raise SystemExit(main())
