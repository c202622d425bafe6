"""An ``open_clip_config.json`` from somebody else → what of it open_clip may be given.

open_clip passes a configuration on to timm and transformers, where a name may fetch a repository
and an option may run its author's Python. So only the fields that open_clip's own configurations
have go through, as plain values within bounds; names are looked at, not followed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guidance.errors import ModelError, line

CONFIG_NAME = "open_clip_config.json"
REPOSITORY = r"\w[\w.-]*(/\w[\w.-]*)?"  # in the hub; a path here begins with a dot or a slash
MOST_BYTES = 2**20  # of the file; the largest of open_clip's has 1 KB
_TOP = {"embed_dim": int, "quick_gelu": bool, "custom_text": bool, "init_logit_scale": float,
        "init_logit_bias": float, "nonscalar_logit_scale": bool}  # fmt: skip
_INNER = {"norm_kwargs": {"eps": float}, "act_kwargs": {"approximate": str}}
_TOKENIZER = {"clean": str, "strip_sep_token": bool, "language": str}
_CLEAN = ("lower", "whitespace", "canonicalize")
_IGNORED = {  # of `tokenizer_kwargs`: what is so anyway, or concerns training alone
    "use_fast", "reduction_mask"
}  # fmt: skip
# the largest of open_clip's architectures have 64 layers, 1024 pixels and 256,000 tokens
_BOUNDS = {"layers": 512, "image_size": 4096, "context_length": 4096, "vocab_size": 2**21,
           "attn_pooler_queries": 4096, "n_queries": 4096, "mlp_ratio": 64}  # fmt: skip
_LARGEST = 2**16  # any other number: widths, heads, tokens of the image


def read_config(path: Path) -> dict[str, Any]:
    """Return ``{"model_cfg": …, "preprocess_cfg": …}`` of a file, with allowed content only.

    Raises:
        ModelError: It is damaged, or asks for what is not given.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is too large")
        config = json.loads(path.read_text(encoding="utf-8-sig"))
        return {
            "model_cfg": clean_model(config["model_cfg"]),
            "preprocess_cfg": dict(config.get("preprocess_cfg") or {}),
        }
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except Exception as error:  # whatever a wrong type in the wrong place raises
        raise ModelError(f"{path} is not a usable open_clip config: {line(error)}") from error


def clean_model(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the allowed part of a ``model_cfg``.

    Raises:
        ModelError: It has a field that open_clip does not know, a value that is not plain or
            beyond bounds, a name that is not one of open_clip's, or an option that runs code.
    """
    from open_clip.coca_model import MultimodalCfg
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    towers = {"vision_cfg": CLIPVisionCfg, "text_cfg": CLIPTextCfg,
              "multimodal_cfg": MultimodalCfg}  # fmt: skip
    clean: dict[str, Any] = {}
    for name, value in config.items():
        if name in towers:
            known = {f.name for f in dataclasses.fields(towers[name])}
            clean[name] = {k: _field(name, k, v, known) for k, v in value.items()}
        elif name in _TOP:
            clean[name] = _plain(name, value)
        else:
            raise ModelError(f"its model_cfg has the unknown field {name!r}")
    _check_names(clean["vision_cfg"], clean["text_cfg"])
    if clean["text_cfg"].get("context_length", 77) < 2:  # a start and an end
        raise ModelError("its context_length must be at least 2")
    for name, kind in _TOP.items():
        if kind is bool and not isinstance(clean.get(name, False), bool):
            raise ModelError(f"its {name} must be true or false but is {clean[name]!r:.60}")
    return clean


def check_size(config: Mapping[str, Any], count: int, least: int = 0) -> None:
    """Raise `ModelError` if the network of `config` has many more parameters than `count`.

    `least` are those of a text tower of transformers, whose shape is not in `config`.
    So a few bytes of text cannot fill the memory: what is built is as large as the weights.
    """
    for name in ("vision_cfg", "text_cfg", "multimodal_cfg"):
        tower = config.get(name)
        if tower is None or tower.get("hf_model_name"):
            continue
        if timm_name := tower.get("timm_model_name"):
            least += _timm_parameters(timm_name)
            continue
        layers, width = tower.get("layers") or 12, tower.get("width") or 512
        if isinstance(layers, list):  # a ResNet; its blocks' 3 x 3 convolutions alone
            least += sum(9 * n * (width * 2**i) ** 2 for i, n in enumerate(layers))
            continue
        least += 4 * layers * width**2  # the attention's projections
        if name == "text_cfg":
            least += tower.get("vocab_size", 49408) * width
        if name == "vision_cfg":
            grid = _most(tower.get("image_size", 224)) // max(1, _most(tower.get("patch_size", 16)))
            if grid > 512:
                raise ModelError(f"its image tower has {grid} x {grid} patches; at most 512 x 512")
    if least > 2 * count:  # what is missing from the weights is told with its name
        raise ModelError(
            f"it describes a network of at least {least:,} parameters; the weights hold {count:,}"
        )


def _timm_parameters(name: str) -> int:
    """Return how many parameters a network of timm has, without room for them."""
    import timm
    import torch

    try:
        with torch.device("meta"):
            network = timm.create_model(name, pretrained=False, num_classes=0)
    except Exception:  # a few cannot be built so; then the weights alone tell
        return 0
    return sum(p.numel() for p in network.parameters())


def tokenizer_options(text: Mapping[str, Any]) -> dict[str, Any]:
    """Return the allowed ``tokenizer_kwargs`` of a ``text_cfg``.

    Raises:
        ModelError: There is another, above all ``trust_remote_code``.
    """
    options = dict(text.get("tokenizer_kwargs") or {})
    if options.pop("trust_remote_code", False):
        raise ModelError(
            "it asks to run its author's Python for the tokenizer (trust_remote_code); "
            "that is never done"
        )
    options = {k: v for k, v in options.items() if k not in _IGNORED}
    for name, value in options.items():
        if name not in _TOKENIZER or not isinstance(value, _TOKENIZER[name]):
            raise ModelError(
                f"its tokenizer_kwargs have {name!r}; allowed are {', '.join(sorted(_TOKENIZER))}"
            )
    if options.get("clean", "lower") not in _CLEAN:
        raise ModelError(f"its clean {options['clean']!r:.60} is none of {', '.join(_CLEAN)}")
    return options


def _field(tower: str, name: str, value: Any, known: set[str]) -> Any:
    if name not in known:
        raise ModelError(f"its {tower} has the unknown field {name!r}")
    if name == "tokenizer_kwargs":
        return tokenizer_options({name: value})
    if name in _INNER and value is not None:
        for key, inner in value.items():
            if key not in _INNER[name]:
                raise ModelError(f"its {name} have {key!r}; allowed are {', '.join(_INNER[name])}")
            kinds = (int, float) if _INNER[name][key] is float else _INNER[name][key]
            if isinstance(_plain(key, inner), bool) or not isinstance(inner, kinds):
                raise ModelError(f"its {name} have {inner!r:.60} for {key!r}")
        return dict(value)
    if name in ("hf_model_name", "hf_tokenizer_name", "timm_model_name"):
        return value  # `_check_names`
    return _plain(name, value)


def _plain(name: str, value: Any) -> Any:
    """Return a bool, word, number within bounds, or a short list of such numbers."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[\w.-]{0,64}", value):
        return value
    numbers = value if isinstance(value, list) and len(value) <= 8 else [value]
    most = _BOUNDS.get(name, _LARGEST)
    if all(type(n) in (int, float) and math.isfinite(n) and abs(n) <= most for n in numbers):
        if not isinstance(value, list):
            return value
        return list(value)
    raise ModelError(
        f"its {name} must be a word or a number of at most {most} but is {value!r:.60}"
    )


def _check_names(vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """Raise `ModelError` unless the networks that are named are known ones, not repositories."""
    if name := vision.get("timm_model_name"):
        import timm

        if (
            not isinstance(name, str)
            or not re.fullmatch(r"[\w.-]+", name)
            or not timm.is_model(name)
        ):
            raise ModelError(f"its timm_model_name {name!r:.80} is no network of timm")
    name = text.get("hf_model_name")
    if name and not (isinstance(name, str) and re.fullmatch(REPOSITORY, name)):
        raise ModelError(f"its hf_model_name {name!r:.80} is no name of a repository in the hub")
    name = text.get("hf_tokenizer_name")
    if name is not None and not isinstance(name, str):
        raise ModelError(f"its hf_tokenizer_name {name!r:.80} is no name")


def _most(value: Any) -> int:
    return int(max(value) if isinstance(value, list) else value)
