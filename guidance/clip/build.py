"""open_clip config and weights → network, tokenizer and preprocessing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from guidance.clip.config import check_size, read_config
from guidance.clip.preprocess import Preprocess
from guidance.clip.prior import SUFFIX
from guidance.clip.published import OPENAI_MARKS
from guidance.clip.state import load_weights, read_weights
from guidance.clip.text_tower import least_parameters, with_text_tower
from guidance.clip.tokenizers import build_tokenizer
from guidance.errors import ModelError, line


class Parts(NamedTuple):
    """What a CLIP is made of: open_clip's network and tokenizer, and our preprocessing."""

    network: Any
    tokenizer: Any
    preprocess: Preprocess


def build_network(model_cfg: Mapping[str, Any]) -> torch.nn.Module:
    """Return the untrained network of a ``model_cfg``.

    Raises:
        Exception: open_clip, timm and transformers raise a dozen types for a config that is wrong.
    """
    import open_clip

    model_cfg = dict(model_cfg)
    vision, text = dict(model_cfg["vision_cfg"]), dict(model_cfg["text_cfg"])
    vision["timm_model_pretrained"] = text["hf_model_pretrained"] = False  # weights follow
    model_cfg |= {"vision_cfg": vision, "text_cfg": text}
    custom = model_cfg.pop("custom_text", False) or text.get("hf_model_name")
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    return (open_clip.CoCa if "multimodal_cfg" in model_cfg else kind)(**model_cfg)


def assemble(config: Mapping[str, Any], state: dict[str, Any], what: object) -> Parts:
    """Build the model of `config` with the weights `state`; `what` names them in errors."""
    network = build_network(config["model_cfg"])
    load_weights(network, state, f"{what} does not fit its config")
    preprocess = preprocess_of(config["preprocess_cfg"], network)
    return Parts(network, build_tokenizer(config["model_cfg"]["text_cfg"]), preprocess)


def load_local(config_file: Path, weights: Path) -> Parts:
    """Build from an ``open_clip_config.json`` and load a state dict into it.

    Nothing but these two files and those of a tokenizer beside them is read, and none is run.

    Raises:
        ModelError: a file is missing, damaged or asks for more than a CLIP needs.
    """
    if not weights.is_file():
        raise ModelError(f"the weights {weights.name} are missing from {weights.parent}")
    config = read_config(config_file)
    folder = config_file.parent
    tokenizer = build_tokenizer(config["model_cfg"]["text_cfg"], folder, folder)
    return load_config(config, tokenizer, weights, config_file, online=False)


def load_config(
    config: Mapping[str, Any], tokenizer: Any, weights: Path, source: object, *, online: bool
) -> Parts:
    """Build the network of an allowed `config` and load `weights` into it.

    Args:
        config: of `guidance.clip.config.read_config`.
        tokenizer: its tokenizer, made before since it may be what is missing.
        weights: a checkpoint.
        source: where the config is from, for errors.
        online: whether the shape of a text tower of transformers may be downloaded.

    Raises:
        ModelError: config or weights are damaged or do not fit.
    """
    model_cfg = with_text_tower(config["model_cfg"], source, online=online)
    state = read_weights(weights)
    try:
        least = least_parameters(model_cfg)
        # tensors may share their numbers or repeat one, so they can claim more than there is
        count = min(sum(v.numel() for v in state.values()), weights.stat().st_size)
        check_size(model_cfg, count, least)
        network = build_network(model_cfg)
        preprocess = preprocess_of(config["preprocess_cfg"], network)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None
    except Exception as error:  # open_clip, timm and transformers raise a dozen types
        raise ModelError(f"{source} is not a usable open_clip config: {line(error)}") from error
    load_weights(network, state, f"{weights} does not fit its config")
    if all(mark in state for mark in OPENAI_MARKS) and not model_cfg.get("quick_gelu"):
        warnings.warn(
            f"{weights} holds weights of OpenAI, trained with QuickGELU, but {source} says GELU; "
            'write "quick_gelu": true into its model_cfg',
            stacklevel=2,
        )
    return Parts(network, tokenizer, preprocess)


def preprocess_of(preprocess_cfg: Mapping[str, Any], network: Any) -> Preprocess:
    """Return the preprocessing of a ``preprocess_cfg``, at the size of the image tower.

    What it leaves open is as OpenAI's, as in open_clip.
    """
    import open_clip

    usual = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    given = {k: v for k, v in preprocess_cfg.items() if v is not None}
    return Preprocess.from_config(usual | given, network.visual.image_size)


def weights_in(path: Path) -> Path:
    """Return the weights file at or in `path`, by the names that open_clip prefers."""
    if path.is_file():
        return path
    names = [f"open_clip_{name}" for name in (
        "model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin", "pytorch_model.pth",
    )] + ["model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth"]  # fmt: skip
    found = [path / n for n in names if (path / n).is_file()] or [
        p
        for suffix in ("safetensors", "bin", "pth", "pt")
        for p in sorted(path.glob(f"*.{suffix}"))
        if not p.name.endswith(SUFFIX)
    ]
    if not found:
        raise ModelError(f"{path} holds no weights; expected one of {', '.join(names[:3])}")
    return found[0]
