"""The CLIP as the training sees it: name → config → open_clip network, and weights in and out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from guidance.clip.build import build_network
from guidance.clip.names import parse_specs
from guidance.clip.published import published
from guidance.clip.tokenizers import build_tokenizer
from guidance.errors import InputError, ModelError, unknown
from guidance.files.writing import atomic, make_folder, write
from guidance.models.folder import read_json
from guidance.pretrained.eight_bit import load_weights

CONFIGS = Path(__file__).parents[2] / "clip" / "configs"


def read_config(name: str | Path, init: str | None = None) -> dict[str, Any]:
    """Return the config called `name`, in the layout of open_clip's ``open_clip_config.json``.

    Args:
        name: A file of ``guidance/clip/configs``, an open_clip architecture, or a path.
        init: What the training starts from. Published weights bring the activation and the
            preprocessing that they were trained with.

    Raises:
        InputError: there is none of this name.
    """
    import open_clip

    path = CONFIGS / f"{name}.json"
    if not path.is_file() and str(name).endswith(".json"):
        path = Path(name)
    if path.is_file():
        return read_json(path, ("model_cfg", "preprocess_cfg"))
    if str(name) in open_clip.list_models():
        model_cfg = open_clip.get_model_config(str(name))
        preprocess = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
        spec = parse_specs(init)[0] if init and not Path(init).is_file() else None
        if spec and spec.arch and spec.tag:
            training = published(spec.arch, spec.tag)
            model_cfg["quick_gelu"], preprocess = training.quick_gelu, dict(training.preprocess)
        return {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    ours = sorted(p.stem for p in CONFIGS.glob("*.json"))
    raise InputError(unknown("architecture", str(name), [*ours, *open_clip.list_models()]))


def build(config: dict[str, Any]) -> nn.Module:
    """Return an untrained open_clip network for `config`."""
    return build_network(config["model_cfg"])


def tokenizer(config: dict[str, Any]):
    """Return the tokenizer of `config`."""
    return build_tokenizer(config["model_cfg"]["text_cfg"])


def activations(network: nn.Module) -> str:
    """Return the names of the activations in the towers that open_clip builds, ``GELU`` say."""
    towers = [m for n, m in network.named_children() if not hasattr(m, "trunk")]
    names = {type(m).__name__ for tower in towers for m in tower.modules()}
    return ", ".join(sorted(n for n in names if "GELU" in n)) or "none of its own"


def text_tower(network: Any) -> nn.Module:
    """Return the module whose parameters are those of the text tower alone."""
    return network.text if hasattr(network, "text") else network.transformer


def image_size(config: dict[str, Any]) -> int:
    """Return the side of the image tower's input, pixels."""
    size = config["model_cfg"]["vision_cfg"]["image_size"]
    return size if isinstance(size, int) else size[0]


def save_state(
    state: dict[str, Tensor],
    path: Path,
    dtype: torch.dtype = torch.float16,
    facts: dict[str, str] | None = None,
) -> None:
    """Write a state dict to `path`, floating-point entries as `dtype`, in one move.

    Args:
        facts: what the file's header says.
    """
    state = {
        k: (v.to(dtype) if v.is_floating_point() else v).contiguous().cpu()
        for k, v in state.items()
    }
    with atomic(path) as temporary:
        save_file(state, temporary, facts)


def save_folder(config: dict[str, Any], state: dict[str, Tensor], folder: Path) -> None:
    """Write config and weights into `folder`, so that ``--clip FOLDER`` loads them."""
    make_folder(folder)
    write(folder / "open_clip_config.json", json.dumps(config, indent=2) + "\n")
    save_state(state, folder / "open_clip_model.safetensors")


def load_state(path: Path) -> dict[str, Tensor]:
    """Read safetensors, floating-point entries as float32.

    Raises:
        ModelError: the file is damaged.
    """
    state = load_weights(path)
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def load_text(network: nn.Module, path: Path) -> None:
    """Load a text tower, alone or out of a whole CLIP, into `network`."""
    state = load_state(path)
    if any(k.startswith("text.") for k in state):
        state = {k.removeprefix("text."): v for k, v in state.items() if k.startswith("text.")}
    try:
        text_tower(network).load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit the text tower: {error}") from None
