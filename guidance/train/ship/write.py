"""A trained model → float16 weights and their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from guidance.errors import InputError
from guidance.files.writing import write
from guidance.pretrained.packaged import HASHES
from guidance.train.clip import model
from guidance.train.ship.options import ShipOptions

# option → the weights in the folder it names
FILES = {
    "clip": "open_clip_model.safetensors",
    "vqgan": "diffusion_pytorch_model.safetensors",
    "diffusion": "diffusion.safetensors",
}


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
