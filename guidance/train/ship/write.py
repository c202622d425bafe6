"""A trained model → weights in 8 or 16 bits, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from guidance.errors import InputError
from guidance.files.tables import Figures, table
from guidance.files.writing import write
from guidance.pretrained.eight_bit import HEADER, channels, pack, save_packed, unpack
from guidance.pretrained.packaged import HASHES
from guidance.train.clip import model
from guidance.train.ship.options import ShipOptions

# option → the weights in the folder it names
FILES = {
    "clip": "open_clip_model.safetensors",
    "vqgan": "diffusion_pytorch_model.safetensors",
    "diffusion": "diffusion.safetensors",
    "dalle": "dalle.safetensors",
}


def ship(options: ShipOptions) -> None:
    """Write the file and its hash; print sizes, and what 8 bits cost the weights."""
    given = [(name, file) for name, file in FILES.items() if getattr(options, name) is not None]
    if len(given) != 1:
        raise InputError("give one of " + ", ".join(f"--{name} FOLDER" for name in FILES))
    ((name, file),) = given
    source = getattr(options, name) / file
    if not source.is_file():
        raise InputError(f"--{name}: {source} does not exist")
    state, facts = model.load_state(source), facts_of(source)
    if options.part == "image":
        state = {k: v for k, v in state.items() if k.startswith("visual.")}
    if options.bits == 8:
        packed = pack(state)
        save_packed(packed, options.out, facts)
        print(table("in 8 bits", losses(state, packed)))
    else:
        model.save_state(state, options.out, facts=facts)
    list_hash(options.out)
    half = sum(v.numel() * min(2, v.element_size()) for v in state.values() if v.dim()) / 1e6
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {len(state)} tensors, {size:.1f} MB ({half:.1f} MB in 16 bits)")


def facts_of(path: Path) -> dict[str, str]:
    """Return what a file says of its network; how its numbers are written is no part of that."""
    with safe_open(path, "np") as file:
        return {k: v for k, v in (file.metadata() or {}).items() if k not in HEADER}


def losses(state: Mapping[str, Tensor], packed: Mapping[str, Tensor]) -> Figures:
    """Return how far off the weights in 8 bits are, by kind of layer.

    A channel's error is the length of the difference over that of the channel, in per cent.
    """
    whole, found = unpack(packed), {}
    for name, value in state.items():
        if packed[name].dtype != torch.int8:
            continue
        rest = [d for d in range(value.dim()) if d != channels(name, state)]
        length, off = (x.pow(2).sum(rest).sqrt() for x in (value, whole[name] - value))
        errors = 100 * off / length.clamp(min=torch.finfo(length.dtype).tiny)
        found.setdefault(kind(name, value), []).append((value.numel(), errors))
    return {
        name: {
            "tensors": len(rows),
            "numbers": sum(count for count, _ in rows),
            "mean error, %": float(torch.cat([errors for _, errors in rows]).mean()),
            "worst, %": max(float(errors.max()) for _, errors in rows),
        }
        for name, rows in sorted(found.items())
    }


def kind(name: str, value: Tensor) -> str:
    """Return what kind of layer a weight is of, as far as its name and shape say so."""
    if value.dim() > 2:
        return "depthwise" if value.shape[1] == 1 else "convolution"
    return "table" if name.endswith(("embedding.weight", "embedding", "table")) else "linear"


def list_hash(path: Path) -> None:
    """Enter the SHA-256 of `path` in ``SHA256SUMS`` beside it; entries of lost files go."""
    sums = path.with_name(HASHES)
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    known = {name: digest for digest, name in map(str.split, lines)}
    known[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = sorted(n for n in known if path.with_name(n).is_file())
    write(sums, "".join(f"{known[name]}  {name}\n" for name in kept))
