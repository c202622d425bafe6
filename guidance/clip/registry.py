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

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from guidance.clip import shipped
from guidance.clip.build import Parts, load_local, weights_in
from guidance.clip.preprocess import Preprocess
from guidance.clip.prior import Prior, load_prior, prior_file
from guidance.clip.shipped import GUIDES, SHIPPED
from guidance.errors import InputError, ModelError, line, unknown
from guidance.hub import quiet

if TYPE_CHECKING:
    from guidance.clip.model import ClipModel

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
    spec: str | ClipSpec,
    *,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    guide: bool = False,
) -> ClipModel:
    """Load one CLIP model by name.

    Args:
        spec: As in the table above.
        device: Where it runs.
        precision: Arithmetic of the image tower.
        guide: Take the image tower made for gradients where the package ships one ("mini").

    Raises:
        InputError: the name does not exist or the precision does not fit the device.
        ModelError: the weights are damaged or cannot be had offline.
    """
    from guidance.clip.model import ClipModel, check_precision

    check_precision(precision, torch.device(device))
    if isinstance(spec, str):
        spec = _parse_one(spec)
    if guide and spec.name in GUIDES:
        spec = replace(spec, name=GUIDES[spec.name])
    parts, prior = load_network(spec), _prior_of(spec)
    model = ClipModel(*parts, name=spec.name, prior=prior, precision=precision, device=device)
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
    if name in SHIPPED:
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
        raise InputError(unknown("CLIP model", name, [*SHIPPED, *pairs]))
    return ClipSpec(name, weight, arch=arch, tag=tag)


def _check_arch(arch: str) -> None:
    import open_clip

    if arch not in open_clip.list_models():
        raise InputError(unknown("CLIP architecture", arch, open_clip.list_models()))


def load_network(spec: str | ClipSpec) -> Parts:
    """Load the open_clip network of a CLIP as it is, with its tokenizer and preprocessing.

    Raises:
        InputError: the name does not exist.
        ModelError: the weights are damaged or cannot be had offline.
    """
    spec = _parse_one(spec) if isinstance(spec, str) else spec
    if spec.name in SHIPPED:
        return shipped.load_parts(spec.name)
    if spec.path and not spec.arch:
        folder = spec.path if spec.path.is_dir() else spec.path.parent
        return load_local(folder / CONFIG_NAME, weights_in(spec.path))
    with quiet():
        return _load_named(spec)


def _prior_of(spec: ClipSpec) -> Prior | None:
    if spec.name in SHIPPED:
        return shipped.load_prior_of(spec.name)
    if spec.path is None:
        return None
    return load_prior(prior_file(spec.path if spec.arch else weights_in(spec.path)))


def _load_named(spec: ClipSpec) -> Parts:
    """Build an open_clip architecture with weights of the hub or of a local file."""
    import open_clip

    source = str(spec.path) if spec.path else spec.tag
    try:
        network = open_clip.create_model(spec.arch, pretrained=source, require_pretrained=True)
        tokenizer = open_clip.get_tokenizer(spec.arch)
    except Exception as error:  # the hub client, requests and torch raise unrelated types
        if spec.path:
            raise ModelError(
                f"{spec.path} is not a readable {spec.arch} checkpoint: {line(error)}"
            ) from error
        raise ModelError(
            f"the weights of {spec.name} are not in the cache and could not be downloaded "
            f"({line(error)}); {OFFLINE_HINT}"
        ) from error
    visual = network.visual
    config = getattr(visual, "preprocess_cfg", None) or {
        "mean": visual.image_mean,
        "std": visual.image_std,
    }
    return Parts(network, tokenizer, Preprocess.from_config(config, visual.image_size))
