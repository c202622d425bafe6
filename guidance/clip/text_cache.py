"""Embeddings of many texts, kept on disk from one call of a program to the next.

A set of class names with 80 templates each, or a list of a thousand phrases, takes longer to embed
than the pictures it is compared with. What is kept belongs to a text tower, by the hash of its
weights, and to the exact texts; so nothing ever has to be thrown away for being wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from guidance.clip.fingerprint import combine, tower_digest
from guidance.clip.model import ClipModel
from guidance.errors import FileError, line
from guidance.files.writing import atomic, make_folder

LEAST = 256  # fewer texts are embedded faster than files are searched
MOST_BYTES = 2**30  # of one text tower; the files unused for longest go first
KEY = 16  # bytes of a text's hash
VERSION = 2  # of how texts are embedded: the first one lost the end of some texts with "!"


def folder() -> Path:
    """Return ``$GUIDANCE_CACHE``, else ``$XDG_CACHE_HOME/guidance``, else ``~/.cache/guidance``."""
    if given := os.environ.get("GUIDANCE_CACHE"):
        return Path(given)
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "guidance"
    return Path.home() / ".cache" / "guidance"


@torch.no_grad()
def encode_text(model: ClipModel, texts: Sequence[str], *, cache: bool = True) -> Tensor:
    """Embed texts as `ClipModel.encode_text` does; many new ones are kept on disk.

    A text that is too long for the model is warned about when it is embedded, not when it is found.

    Args:
        model: whose text tower.
        texts: any number; fewer than `LEAST` different ones never touch the disk.
        cache: False neither reads nor writes.

    Returns:
        ``[P, D]`` float32, unit length.
    """
    distinct = list(dict.fromkeys(texts)) if not isinstance(texts, str) else []
    if not cache or len(distinct) < LEAST or not all(isinstance(t, str) for t in distinct):
        return model.encode_text(texts)
    place = folder() / "texts" / fingerprint(model)
    found = _find(place, distinct)
    if new := [t for t in distinct if t not in found]:
        vectors = model.encode_text(new)
        found.update(zip(new, vectors, strict=True))
        if len(new) >= LEAST:
            _keep(place, new, vectors.cpu())
    return torch.stack([found[t].to(model.device) for t in texts])


def fingerprint(model: ClipModel) -> str:
    """Return 32 hex digits that stand for how texts are embedded; the image tower is free."""
    network = model.network
    tower = getattr(network, "text", network)
    return combine([
        VERSION,
        tower_digest(network, without=("visual", "logit_scale", "logit_bias")),
        getattr(tower, "attn_mask", None) is None,
        model.tokenizer(["A fox, 2 Füchse & 狐."]).tolist(),
    ])  # fmt: skip


def _find(place: Path, texts: Sequence[str]) -> dict[str, Tensor]:
    """Return the vectors of those `texts` that the files of `place` hold."""
    wanted = {_key(t): t for t in texts}
    found: dict[str, Tensor] = {}
    for path in sorted(place.glob("*.safetensors")) if place.is_dir() else []:
        used = False
        for key, vector in _read(path):
            if key in wanted:
                found[wanted[key]] = vector
                used = True
        if used:
            with contextlib.suppress(OSError):
                os.utime(path)  # so that `_make_room` knows
        if len(found) == len(wanted):
            break
    return found


def _read(path: Path) -> list[tuple[bytes, Tensor]]:
    """Return keys and vectors of one file; a damaged one is removed, its texts embedded again."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            keys, vectors = file.get_tensor("keys"), file.get_tensor("vectors")
            if (file.metadata() or {}).get("blake2b") != _checksum(keys, vectors):
                raise ValueError("the checksum is wrong")
    except FileNotFoundError:  # another process made room
        return []
    except (OSError, SafetensorError, ValueError, AttributeError) as error:
        warnings.warn(f"{path} is damaged ({line(error)}); it is made again", stacklevel=5)
        with contextlib.suppress(OSError):
            path.unlink()
        return []
    return list(zip((bytes(k) for k in keys.numpy()), vectors, strict=True))


def _keep(place: Path, texts: Sequence[str], vectors: Tensor) -> None:
    """Write one file, named by its texts: two processes with the same work write the same file."""
    from safetensors.torch import save_file

    keys = [_key(t) for t in texts]
    table = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(-1, KEY)
    content = {"keys": table, "vectors": vectors.contiguous()}
    try:
        make_folder(place)
        with atomic(place / f"{_digest(b''.join(keys)).hex()}.safetensors") as temporary:
            save_file(content, temporary, metadata={"blake2b": _checksum(table, vectors)})
        _make_room(place)
    except FileError as error:  # a cache is never worth failing for
        warnings.warn(f"text embeddings are not kept: {error}", stacklevel=4)


def _make_room(place: Path) -> None:
    with contextlib.suppress(OSError):
        files = sorted(place.glob("*.safetensors"), key=lambda p: p.stat().st_mtime)
        room = MOST_BYTES - sum(p.stat().st_size for p in files)
        for path in files[:-1]:
            if room >= 0:
                return
            room += path.stat().st_size
            path.unlink()


def _checksum(keys: Tensor, vectors: Tensor) -> str:
    return _digest(keys.numpy().tobytes() + vectors.contiguous().numpy().tobytes()).hex()


def _key(text: str) -> bytes:
    return _digest(text.encode("utf-8", "surrogatepass"))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=KEY).digest()
