"""The mini CLIP as the training sees it: config file → open_clip model, and weights in and out."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

MINI_CONFIG = Path(__file__).parents[1] / "clip" / "configs" / "mini.json"


def read_config(path: Path = MINI_CONFIG) -> dict:
    """Return the config at `path`, in the layout of open_clip's ``open_clip_config.json``."""
    return json.loads(path.read_text())


def build(config: dict) -> torch.nn.Module:
    """Return an untrained open_clip `CustomTextCLIP` for `config`."""
    from open_clip.model import CustomTextCLIP

    options = {k: v for k, v in config["model_cfg"].items() if k != "custom_text"}
    return CustomTextCLIP(**options)


def tokenizer(config: dict):
    """Return open_clip's BPE tokenizer with the context length of `config`."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=config["model_cfg"]["text_cfg"]["context_length"])


def save(model: torch.nn.Module, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the model's state dict to `path`, floating-point entries as `dtype`."""
    state = {
        k: (v.to(dtype) if v.is_floating_point() else v).contiguous()
        for k, v in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(state, temporary)
    temporary.replace(path)


def load(config: dict, path: Path) -> torch.nn.Module:
    """Return the model of `config` with the weights of `path`, float32, in eval mode."""
    model = build(config)
    model.load_state_dict({k: _widen(v) for k, v in load_file(path).items()})
    return model.eval()


def _widen(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() else x


def image_classifier(path: Path) -> torch.nn.Module:
    """Return timm's ``tf_efficientnet_lite0`` with the ImageNet weights of `path`.

    The published checkpoint names its layers differently but lists them in timm's order; the
    shapes are checked one by one.
    """
    import timm

    model = timm.create_model("tf_efficientnet_lite0")
    foreign = torch.load(path, map_location="cpu", weights_only=True)
    own = model.state_dict()
    shapes = [tuple(v.shape) for v in own.values()]
    if [tuple(v.shape) for v in foreign.values()] != shapes:
        raise ValueError(f"{path} does not hold the weights of EfficientNet-Lite0")
    model.load_state_dict(dict(zip(own, foreign.values(), strict=True)))
    return model.eval()
