"""CLIP names → models.

=================================  ==============================================================
``mini``                           ours, shipped inside the package (the default; works offline)
``ViT-B-32/laion2b_s34b_b79k``     any open_clip architecture and tag, from the hub or its cache
``ViT-B/32``, ``RN50``             OpenAI's own names, the same as ``ViT-B-32/openai``
``ViT-B-32=weights/file.pt``       an architecture with weights from a local file
``path/to/folder``                 a folder with ``open_clip_config.json`` and its weights
``mini,ViT-B-32/openai:0.5``       an ensemble, optionally weighted
=================================  ==============================================================

A prior (`guidance.clip.prior`) belongs to the weights file FILE.EXT that it lies beside as
``FILE-prior.safetensors``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch

from guidance.clip.prior import SUFFIX, Prior, load_prior, prior_file
from guidance.errors import InputError, ModelError, unknown

if TYPE_CHECKING:
    from guidance.clip.model import ClipModel

MINI = "mini"
CONFIG_NAME = "open_clip_config.json"
OFFLINE_HINT = "use --clip mini, which ships with the package, or a local file: --clip ARCH=FILE"


@dataclass(frozen=True)
class ClipSpec:
    """A parsed CLIP name: exactly one of hub (`arch`, `tag`), local (`path`) or mini."""

    name: str
    weight: float = 1.0
    arch: str | None = None
    tag: str | None = None
    path: Path | None = None


def parse_specs(names: str) -> tuple[ClipSpec, ...]:
    """Parse a comma-separated list of CLIP names with optional ``:weight``, and check each.

    Nothing is loaded or downloaded.

    Raises:
        InputError: an empty list, a weight that is not positive, a name that does not exist.
    """
    specs = tuple(_parse_one(part.strip()) for part in names.split(","))
    if len({s.name for s in specs}) < len(specs):
        raise InputError(f"each CLIP model may be named once but got {names!r}")
    return specs


def load_clip(
    spec: str | ClipSpec, *, device: torch.device | str = "cpu", precision: str = "fp32"
) -> ClipModel:
    """Load one CLIP model by name.

    Raises:
        InputError: the name does not exist or the precision does not fit the device.
        ModelError: the weights are damaged or cannot be had offline.
    """
    from guidance.clip.model import ClipModel, check_precision

    check_precision(precision, torch.device(device))
    if isinstance(spec, str):
        spec = _parse_one(spec)
    with contextlib.ExitStack() as stack:
        if spec.path is None and spec.name != MINI:
            stack.enter_context(_quiet())
        network, tokenizer, preprocess, prior = _load(spec)
    model = ClipModel(
        network,
        tokenizer,
        preprocess,
        name=spec.name,
        prior=prior,
        precision=precision,
        device=device,
    )
    if prior and prior.dim != (dim := model.encode_text(["a"]).shape[-1]):
        raise ModelError(
            f"the prior beside {spec.name} is for embeddings of length {prior.dim}, not {dim}"
        )
    return model


def _parse_one(text: str) -> ClipSpec:
    name, colon, number = text.rpartition(":")
    weight = 1.0
    if colon:
        try:
            weight = float(number)
        except ValueError:
            name = text  # a Windows drive or a hub scheme
    else:
        name = text
    if not name:
        raise InputError("the CLIP model name must not be empty; the default is mini")
    if not 0 < weight < float("inf"):
        raise InputError(f"the weight of CLIP model {name!r} must be positive but is {number}")
    if name == MINI:
        return ClipSpec(name, weight)
    arch, equals, file = name.partition("=")
    if equals:
        _check_arch(arch)
        if not Path(file).is_file():
            raise InputError(f"the CLIP checkpoint {file!r} does not exist")
        return ClipSpec(name, weight, arch=arch, path=Path(file))
    if Path(name).exists():
        return _local(name, weight)
    return _hub(name, weight)


def _local(name: str, weight: float) -> ClipSpec:
    path = Path(name)
    folder = path if path.is_dir() else path.parent
    if not (folder / CONFIG_NAME).is_file():
        raise InputError(
            f"{name!r} has no {CONFIG_NAME} beside it; "
            f"name its architecture: --clip ViT-B-32={name}"
        )
    return ClipSpec(name, weight, path=path)


def _hub(name: str, weight: float) -> ClipSpec:
    import open_clip

    if name.startswith("hf-hub:"):
        return ClipSpec(name, weight, arch=name)
    openai = {
        n: n.replace("/", "-") for n in ("ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px")
    }
    if name in openai:
        arch, tag = openai[name].replace("@336px", "-336"), "openai"
    elif name.startswith("RN") and name in open_clip.list_openai_models():
        arch, tag = name, "openai"
    else:
        arch, _, tag = name.rpartition("/")
    pairs = [f"{a}/{t}" for a, t in open_clip.list_pretrained()]
    if f"{arch}/{tag}" not in pairs:
        if not arch and tag in open_clip.list_models():
            tags = [t for a, t in open_clip.list_pretrained() if a == tag]
            raise InputError(
                f"CLIP model {name!r} needs its weights' tag: "
                + (", ".join(f"{tag}/{t}" for t in tags) or f"none published; use {tag}=FILE")
            )
        if name.endswith((".pt", ".pth", ".bin", ".safetensors")):
            raise InputError(f"the CLIP checkpoint {name!r} does not exist")
        raise InputError(unknown("CLIP model", name, [MINI, *pairs]))
    return ClipSpec(name, weight, arch=arch, tag=tag)


def _check_arch(arch: str) -> None:
    import open_clip

    if arch not in open_clip.list_models():
        raise InputError(unknown("CLIP architecture", arch, open_clip.list_models()))


def _load(spec: ClipSpec) -> tuple[torch.nn.Module, Any, Any, Prior | None]:
    if spec.name == MINI:
        package = resources.files("guidance")
        with (
            resources.as_file(package / "clip/configs/mini.json") as config,
            resources.as_file(package / "pretrained/mini-clip.safetensors") as weights,
            resources.as_file(package / "pretrained/mini-clip-prior.safetensors") as prior,
        ):
            return *_load_local(config, weights), load_prior(prior)
    if spec.path and not spec.arch:
        folder = spec.path if spec.path.is_dir() else spec.path.parent
        weights = _weights_in(spec.path)
        return *_load_local(folder / CONFIG_NAME, weights), load_prior(prior_file(weights))
    return *_load_named(spec), load_prior(prior_file(spec.path)) if spec.path else None


def _load_local(config_file: Path, weights: Path) -> tuple[torch.nn.Module, Any, Any]:
    """Build from an ``open_clip_config.json`` and load a state dict into it."""
    import open_clip
    from open_clip.factory import load_state_dict

    from guidance.clip.preprocess import Preprocess

    if not weights.is_file():
        raise ModelError(f"the weights {weights.name} are missing from {weights.parent}")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        model_cfg = dict(config["model_cfg"])
        vision, text = dict(model_cfg["vision_cfg"]), dict(model_cfg["text_cfg"])
        vision["timm_model_pretrained"] = text["hf_model_pretrained"] = False  # weights follow
        model_cfg |= {"vision_cfg": vision, "text_cfg": text}
        kind = open_clip.CustomTextCLIP if model_cfg.pop("custom_text", False) else open_clip.CLIP
        network = (open_clip.CoCa if "multimodal_cfg" in model_cfg else kind)(**model_cfg)
        if text.get("hf_tokenizer_name"):  # its files lie in the folder
            tokenizer = open_clip.get_tokenizer(f"local-dir:{config_file.parent}")
        else:
            tokenizer = open_clip.SimpleTokenizer(
                context_length=text.get("context_length", 77), **text.get("tokenizer_kwargs", {})
            )
        preprocess = Preprocess.from_config(config["preprocess_cfg"], vision["image_size"])
    except ModelError:
        raise
    except Exception as error:  # open_clip, timm and transformers raise a dozen types
        raise ModelError(
            f"{config_file} is not a usable open_clip config: {_line(error)}"
        ) from error
    try:
        state = load_state_dict(str(weights))
    except Exception as error:  # torch and safetensors raise a dozen types for damaged files
        raise ModelError(f"{weights} is not a readable checkpoint: {_line(error)}") from error
    _check_keys(network, state, weights)
    network.load_state_dict(state)
    return network, tokenizer, preprocess


def _load_named(spec: ClipSpec) -> tuple[torch.nn.Module, Any, Any]:
    """Build an open_clip architecture with weights of the hub or of a local file."""
    import open_clip

    from guidance.clip.preprocess import Preprocess

    source = str(spec.path) if spec.path else spec.tag
    try:
        network = open_clip.create_model(spec.arch, pretrained=source, require_pretrained=True)
        tokenizer = open_clip.get_tokenizer(spec.arch)
    except Exception as error:  # the hub client, requests and torch raise unrelated types
        if spec.path:
            raise ModelError(
                f"{spec.path} is not a readable {spec.arch} checkpoint: {_line(error)}"
            ) from error
        raise ModelError(
            f"the weights of {spec.name} are not in the cache and could not be downloaded "
            f"({_line(error)}); {OFFLINE_HINT}"
        ) from error
    visual = network.visual
    config = getattr(visual, "preprocess_cfg", None) or {
        "mean": visual.image_mean,
        "std": visual.image_std,
    }
    return network, tokenizer, Preprocess.from_config(config, visual.image_size)


def _weights_in(path: Path) -> Path:
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


def _check_keys(network: torch.nn.Module, state: dict[str, Any], weights: Path) -> None:
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


def _line(error: Exception) -> str:
    """Return the first line of an error, shortened."""
    text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log while a model loads, and skip the hub client's retries when offline."""
    from huggingface_hub import constants

    before, offline = logging.root.manager.disable, constants.HF_HUB_OFFLINE
    logging.disable(logging.ERROR)
    constants.HF_HUB_OFFLINE = offline or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        logging.disable(before)
        constants.HF_HUB_OFFLINE = offline


def _reachable(url: str) -> bool:
    """Return whether a connection to the host of `url` opens within 5 seconds."""
    if getproxies():
        return True  # the host need not be reachable directly
    try:
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port or 443), 5):
            return True
    except OSError:
        return False
