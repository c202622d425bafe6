"""A text tower of transformers: its shape is fetched as one file, looked at, and built from there.

open_clip would hand the name of a repository to transformers, which may run Python of its author
or fetch kernels that the configuration names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guidance.clip.tokenizers import check_transformers, read_configuration
from guidance.errors import ModelError

MOST_BYTES = 2**20
_CODE = ("auto_map", "attn_implementation", "experts_implementation", "quantization", "kernel")


def with_text_tower(model_cfg: Mapping[str, Any], what: object, *, online: bool) -> dict[str, Any]:
    """Return `model_cfg` with a text tower of transformers named by a folder, not a repository.

    Args:
        model_cfg: of `guidance.clip.config`.
        what: the CLIP, for errors.
        online: whether the file may be downloaded.

    Raises:
        ModelError: its shape is not in the hub's cache, is no known one or asks for code;
            transformers is not installed.
    """
    from huggingface_hub import hf_hub_download

    name = model_cfg["text_cfg"].get("hf_model_name")
    if not name:
        return dict(model_cfg)
    check_transformers(what)
    try:
        file = Path(hf_hub_download(name, "config.json", local_files_only=not online))
    except Exception as error:  # the hub client raises unrelated types
        raise ModelError(
            f"the text tower of {what} is {name}, whose config.json is not in the hub's cache; "
            f"with a network, fetch it once: hf download {name} config.json; or use --clip mini"
        ) from error
    _check(file, name)
    return {**model_cfg, "text_cfg": model_cfg["text_cfg"] | {"hf_model_name": str(file.parent)}}


def least_parameters(model_cfg: Mapping[str, Any]) -> int:
    """Return how many parameters a tower that `with_text_tower` named has at least."""
    if not (folder := model_cfg["text_cfg"].get("hf_model_name")):
        return 0
    config = read_configuration(Path(folder) / "config.json", MOST_BYTES)
    width = config.get("hidden_size") or config.get("d_model") or 768
    layers = config.get("num_hidden_layers") or config.get("num_layers") or 1
    return 4 * layers * width**2 + config.get("vocab_size", 0) * width


def _check(file: Path, name: str) -> None:
    from open_clip.hf_configs import arch_dict

    config = read_configuration(file, MOST_BYTES)
    if config.get("model_type") not in arch_dict:
        raise ModelError(
            f"the text tower {name} is of the kind {config.get('model_type')!r:.60}; "
            f"open_clip takes {', '.join(arch_dict)}"
        )
    for key, value in config.items():
        if value and any(word in key for word in _CODE):
            raise ModelError(f"the text tower {name} asks for code ({key!r:.60}); it is never run")
        if not _plain(value):
            raise ModelError(f"the text tower {name} has the value {value!r:.60} for {key!r:.60}")


def _plain(value: Any) -> bool:
    if type(value) in (int, float):
        return -(2**31) < value < 2**31
    return not isinstance(value, str) or len(value) < 1000
