"""A checkpoint file made elsewhere → its tensors; code that the file names is never run."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guidance.errors import FileError, ModelError, line
from guidance.pretrained.eight_bit import load_weights
from guidance.pretrained.torchscript import is_archive, read_archive

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80\x02"  # as torch.save begins where it writes no zip


class Inert:
    """What stands for any class or function of a pickle that is not a tensor's: it does nothing."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, on the CPU.

    Args:
        path: ``.safetensors`` (as for `load_weights`), or a file of `torch.save`: a state dict or
            a pytorch-lightning checkpoint with one under ``state_dict``. The callbacks and options
            that lightning pickles beside it are passed over, so pytorch-lightning need not be
            installed. A TorchScript archive is read without its program.

    Returns:
        Tensors that may be mapped from the file: copy what is to be kept or changed.

    Raises:
        FileError: there is no such file.
        ModelError: it is damaged, is not a checkpoint, or cannot be read without running code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"the checkpoint {path} does not exist")
    head = checked_head(path)
    if _is_safetensors(path, head):
        return load_weights(path)
    if is_archive(path):
        try:
            return read_archive(path)
        except Exception as error:  # zipfile and pickle raise a dozen types for damaged files
            raise ModelError(f"{path} is not a readable archive: {line(error)}") from error
    return _named_tensors(path, _unpickle(path))


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Return whether to read a file as safetensors: by its content, for names are changed."""
    if head.startswith(_ZIP) or head.startswith(_PICKLE):
        return False
    return path.suffix.lower() == ".safetensors" or head[8:9] == b"{"  # after the header's length


def _named_tensors(path: Path, content: Any) -> dict[str, Tensor]:
    for key in ("state_dict", "model", "model_state_dict", "module"):
        if isinstance(content, Mapping) and isinstance(content.get(key), (Mapping, Inert)):
            content = content[key]
            break
    if isinstance(content, Inert):
        raise ModelError(
            f"{path} is a whole Python object, which only its author's code can read; save its "
            "weights alone: torch.save(model.state_dict(), 'weights.pt')"
        )
    entries = content.items() if isinstance(content, Mapping) else ()
    state = {k: v.detach() for k, v in entries if isinstance(k, str) and isinstance(v, Tensor)}
    if not state:
        raise ModelError(f"{path} is not a checkpoint: it holds no named tensors")
    for name, value in state.items():
        odd = value.is_meta or value.is_quantized or value.is_complex()
        if odd or value.layout != torch.strided:
            raise ModelError(f"{path} holds {name!r:.80} as no plain numbers; save it as such")
    return state


def checked_head(path: Path) -> bytes:
    """Return how the file begins; the common accidents of a download are named."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ModelError(f"{path} is empty; download it again")
    if head.lstrip().startswith(b"<"):
        raise ModelError(f"{path} is a web page, not a checkpoint; its link is dead")
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a pointer of git LFS, not the checkpoint; run git lfs pull")
    if head.startswith(_ZIP) and not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is cut short: its download did not finish")
    if re.fullmatch(rb"[\t\n\r -~]+", head) and not _is_safetensors(path, head):
        start = " ".join(head.decode().split())
        raise ModelError(f"{path} is a text, not a checkpoint; it begins with {start!r:.50}")
    return head


def _unpickle(path: Path) -> Any:
    """Load with torch's restricted unpickler, which knows tensors; all else becomes `Inert`."""
    zipped = zipfile.is_zipfile(path)
    try:
        # torch before 2.6 cannot list them: then files with foreign classes are refused
        listed = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
        unknown = listed(str(path)) if listed and zipped else []
        with torch.serialization.safe_globals([(Inert, name) for name in unknown]):
            if path.suffix.lower() == ".safetensors":  # torch would go by the name
                with path.open("rb") as file:
                    return torch.load(file, map_location="cpu", weights_only=True)
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # torch raises a dozen types for damaged files
        raise ModelError(
            f"{path} cannot be read as weights ({reason(error)}); if it is whole and you trust "
            "it, save its weights alone: torch.save(torch.load(FILE, weights_only=False)"
            "['state_dict'], 'weights.pt')"
        ) from error


def reason(error: Exception) -> str:
    """Return the line of torch's long message that tells this file from others."""
    lines = [text for text in str(error).splitlines() if re.search("GLOBAL|Unpickler error", text)]
    return line(
        ValueError(lines[0].partition("Unpickler error: ")[2] or lines[0]) if lines else error
    )
