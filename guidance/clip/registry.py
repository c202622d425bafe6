"""CLIP names → models; the names are those of `guidance.clip.names`.

A prior (`guidance.clip.prior`) belongs to the weights file FILE.EXT that it lies beside as
``FILE-prior.safetensors``.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from guidance.clip import sources
from guidance.clip.build import Parts, assemble, load_local, weights_in
from guidance.clip.config import CONFIG_NAME
from guidance.clip.names import ClipSpec, parse_spec
from guidance.clip.prior import Prior, load_prior, prior_file
from guidance.clip.shipped import GUIDES, SHIPPED
from guidance.conventions import check_precision
from guidance.converting import shown
from guidance.errors import InputError, ModelError
from guidance.pretrained.eight_bit import load_weights
from guidance.pretrained.hub import local, quiet
from guidance.pretrained.packaged import packaged, pretrained

if TYPE_CHECKING:
    from guidance.clip.model import ClipModel


def load_clip(
    spec: str | os.PathLike | ClipSpec,
    *,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    guide: bool = False,
) -> ClipModel:
    """Load one CLIP model by name.

    Args:
        spec: a name.
        device: Where it runs.
        precision: Arithmetic of the image tower.
        guide: Take the image tower made for gradients where the package ships one ("mini").

    Raises:
        InputError: the name does not exist or the precision does not fit the device.
        ModelError: the weights are damaged or cannot be had offline.
    """
    from guidance.clip.model import ClipModel

    check_precision(precision, torch.device(device))
    if isinstance(spec, str | os.PathLike):
        spec = parse_spec(os.fspath(spec))
    if not isinstance(spec, ClipSpec):
        raise InputError(f"a CLIP model must be named by a text but got {shown(spec)}")
    if guide and spec.name in GUIDES:
        spec = replace(spec, name=GUIDES[spec.name])
    parts, prior = load_network(spec), _prior_of(spec)
    model = ClipModel(*parts, name=spec.name, prior=prior, precision=precision, device=device)
    if prior and prior.dim != (dim := model.encode_text(["a"]).shape[-1]):
        raise ModelError(
            f"the prior beside {spec.name} is for embeddings of length {prior.dim}, not {dim}"
        )
    return model


def load_network(spec: str | ClipSpec) -> Parts:
    """Load the open_clip network of a CLIP as it is, with its tokenizer and preprocessing.

    Raises:
        InputError: the name does not exist.
        ModelError: the weights are damaged or cannot be had offline.
    """
    spec = parse_spec(spec) if isinstance(spec, str) else spec
    if spec.name in SHIPPED:
        return load_shipped(spec.name)
    if spec.path and not spec.arch:
        folder = spec.path if spec.path.is_dir() else spec.path.parent
        with local():
            return load_local(folder / CONFIG_NAME, weights_in(spec.path))
    if spec.path:
        with local():
            return sources.load_file(spec.arch or "", spec.tag, spec.path)
    with quiet():
        return sources.load_published(spec.name, spec.arch or "", spec.tag)


def _prior_of(spec: ClipSpec) -> Prior | None:
    if spec.name in SHIPPED:
        return _shipped_prior(spec.name)
    if spec.path is None:
        return None
    return load_prior(prior_file(spec.path if spec.arch else weights_in(spec.path)))


def load_shipped(name: str) -> Parts:
    """Load the network, tokenizer and preprocessing of a shipped model.

    Raises:
        ModelError: a file is missing or not the one that was shipped.
    """
    files = SHIPPED[name]
    with packaged(f"clip/configs/{files.config}") as config, pretrained(files.weights) as weights:
        if not files.image:
            return load_local(config, weights)
        content = json.loads(config.read_text(encoding="utf-8"))
        state = load_weights(weights)
    with pretrained(files.image) as path:
        tower = load_weights(path)
    state = {k: v for k, v in state.items() if not k.startswith("visual.")} | tower
    return assemble(content, state, files.image)


def _shipped_prior(name: str) -> Prior | None:
    """Load the prior of a shipped model, if it has one."""
    if not SHIPPED[name].prior:
        return None
    with pretrained(SHIPPED[name].prior) as path:
        return load_prior(path)
