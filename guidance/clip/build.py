"""open_clip config and weights → network, tokenizer and preprocessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from guidance.clip.preprocess import Preprocess
from guidance.clip.prior import SUFFIX
from guidance.errors import ModelError, line


class Parts(NamedTuple):
    """What a CLIP is made of: open_clip's network and tokenizer, and our preprocessing."""

    network: torch.nn.Module
    tokenizer: Any
    preprocess: Preprocess


def build_network(config: dict[str, Any]) -> torch.nn.Module:
    """Return the untrained network of an ``open_clip_config.json``.

    Raises:
        Exception: open_clip, timm and transformers raise a dozen types for a config that is wrong.
    """
    import open_clip

    model_cfg = dict(config["model_cfg"])
    vision, text = dict(model_cfg["vision_cfg"]), dict(model_cfg["text_cfg"])
    vision["timm_model_pretrained"] = text["hf_model_pretrained"] = False  # weights follow
    model_cfg |= {"vision_cfg": vision, "text_cfg": text}
    custom = model_cfg.pop("custom_text", False) or text.get("hf_model_name")
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    return (open_clip.CoCa if "multimodal_cfg" in model_cfg else kind)(**model_cfg)


def build_tokenizer(config: dict[str, Any], folder: Path | None = None) -> Any:
    """Return the tokenizer of a config; one of transformers has its files in `folder`."""
    import open_clip

    text = config["model_cfg"]["text_cfg"]
    if folder and text.get("hf_tokenizer_name"):
        return open_clip.get_tokenizer(f"local-dir:{folder}")
    return open_clip.SimpleTokenizer(
        context_length=text.get("context_length", 77), **text.get("tokenizer_kwargs", {})
    )


def assemble(config: dict[str, Any], state: dict[str, Any], what: object) -> Parts:
    """Build the model of `config` with the weights `state`; `what` names them in errors."""
    network = build_network(config)
    check_keys(network, state, what)
    network.load_state_dict(state)
    size = config["model_cfg"]["vision_cfg"]["image_size"]
    preprocess = Preprocess.from_config(config["preprocess_cfg"], size)
    return Parts(network, build_tokenizer(config), preprocess)


def load_local(config_file: Path, weights: Path) -> Parts:
    """Build from an ``open_clip_config.json`` and load a state dict into it."""
    from open_clip.factory import load_state_dict

    if not weights.is_file():
        raise ModelError(f"the weights {weights.name} are missing from {weights.parent}")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        network = build_network(config)
        tokenizer = build_tokenizer(config, config_file.parent)
        size = config["model_cfg"]["vision_cfg"]["image_size"]
        preprocess = Preprocess.from_config(config["preprocess_cfg"], size)
    except ModelError:
        raise
    except Exception as error:  # open_clip, timm and transformers raise a dozen types
        raise ModelError(
            f"{config_file} is not a usable open_clip config: {line(error)}"
        ) from error
    try:
        state = load_state_dict(str(weights))
    except Exception as error:  # torch and safetensors raise a dozen types for damaged files
        raise ModelError(f"{weights} is not a readable checkpoint: {line(error)}") from error
    check_keys(network, state, weights)
    network.load_state_dict(state)
    return Parts(network, tokenizer, preprocess)


def weights_in(path: Path) -> Path:
    """Return the weights file at or in `path`."""
    if path.is_file():
        return path
    names = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
             "open_clip_pytorch_model.bin")  # fmt: skip
    found = [path / n for n in names if (path / n).is_file()] or sorted(
        p for p in path.glob("*.safetensors") if not p.name.endswith(SUFFIX)
    )
    if not found:
        raise ModelError(f"{path} holds no weights; expected one of {', '.join(names)}")
    return found[0]


def check_keys(network: torch.nn.Module, state: dict[str, Any], weights: object) -> None:
    """Raise `ModelError` unless `state` has the entries of `network`, in its shapes."""
    expected = network.state_dict()
    if not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelError(f"{weights} is not a readable checkpoint: it holds more than tensors")
    missing = [k for k in expected if k not in state]
    surplus = [k for k in state if k not in expected]
    shapes = [k for k in expected if k in state and expected[k].shape != state[k].shape]
    for what, keys in (
        ("lacks", missing),
        ("has unexpected", surplus),
        ("has other shapes", shapes),
    ):
        if keys:
            raise ModelError(
                f"{weights} does not fit its config: it {what} {len(keys)} entries, "
                f"first {keys[0]!r}"
            )
