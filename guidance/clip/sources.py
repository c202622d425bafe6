"""Public CLIPs: tags of open_clip, repositories of the hub, and files for its architectures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from guidance.clip import tokenizers
from guidance.clip.build import (
    Parts,
    build_network,
    load_config,
    preprocess_of,
)
from guidance.clip.config import CONFIG_NAME, read_config
from guidance.clip.names import HUB
from guidance.clip.published import Training, of_file, published
from guidance.clip.state import load_arrays, load_weights, read_weights
from guidance.clip.text_tower import with_text_tower
from guidance.errors import GuidanceError, ModelError, line

OFFLINE_HINT = "use --clip mini, which ships with the package, or a local file: --clip ARCH=FILE"


def load_published(name: str, arch: str, tag: str | None) -> Parts:
    """Load the weights of a tag, or of a repository of the hub, downloaded unless in the cache.

    Args:
        name: as the user typed it, for errors.
        arch: of open_clip's architectures, or ``hf-hub:OWNER/NAME``.
        tag: of its weights; None for a repository.

    Raises:
        ModelError: something is damaged, needs code of its author, or cannot be had offline.
    """
    from open_clip import factory

    if tag is None:
        return _load_repository(name, arch.removeprefix(HUB))
    model_cfg, tokenizer = _prepare(name, arch, None, online=True)
    source = factory.get_pretrained_cfg(arch, tag)
    weights = _download(name, lambda: factory.download_pretrained(source))
    state = read_weights(weights)
    return _assemble(model_cfg, published(arch, tag), tokenizer, state, f"{weights} is not {name}")


def load_file(arch: str, tag: str | None, path: Path) -> Parts:
    """Load weights from a file into an architecture of open_clip, without a network.

    Args:
        arch: of open_clip's architectures.
        tag: the published weights that these are computed like; None finds out.
        path: a checkpoint; a tokenizer that has files may lie beside it.

    Raises:
        ModelError: the file is damaged or does not fit, or what it needs is not here.
    """
    model_cfg, tokenizer = _prepare(arch, arch, path.absolute().parent, online=False)
    arrays = path.suffix.lower() == ".npz"  # as Google publishes SigLIP
    state = {} if arrays else read_weights(path, f"{arch} checkpoint")
    training = published(arch, tag) if tag else of_file(arch, path, state)
    claim = f"{path} is not a readable {arch} checkpoint"
    if not arrays:
        return _assemble(model_cfg, training, tokenizer, state, claim)
    parts = _parts(model_cfg, training, tokenizer)
    load_arrays(parts.network, path, claim)
    return parts


def _prepare(
    what: str, arch: str, beside: Path | None, *, online: bool
) -> tuple[dict[str, Any], Any]:
    """Return the ``model_cfg`` and the tokenizer of an architecture: all but the weights."""
    import open_clip

    model_cfg = open_clip.get_model_config(arch)
    tokenizer = _tokenizer(what, model_cfg["text_cfg"], beside, online=online)
    return with_text_tower(model_cfg, what, online=online), tokenizer


def _tokenizer(what: str, text: Mapping[str, Any], beside: Path | None, *, online: bool) -> Any:
    """Return the tokenizer of a ``text_cfg``, from beside the weights or the hub's cache."""
    if not tokenizers.needs_files(text):
        return tokenizers.build_tokenizer(text)
    if beside is None or not tokenizers.has_tokenizer(beside):
        beside = tokenizers.fetch(text["hf_tokenizer_name"], what, online=online)
    return tokenizers.build_tokenizer(text, beside, what)


def _parts(model_cfg: Mapping[str, Any], training: Training, tokenizer: Any) -> Parts:
    """Return an untrained CLIP of one of open_clip's architectures."""
    network = build_network({**model_cfg, "quick_gelu": training.quick_gelu})
    return Parts(network, tokenizer, preprocess_of(training.preprocess, network))


def _assemble(
    model_cfg: Mapping[str, Any],
    training: Training,
    tokenizer: Any,
    state: Mapping[str, Tensor],
    claim: str,
) -> Parts:
    parts = _parts(model_cfg, training, tokenizer)
    load_weights(parts.network, state, claim)
    return parts


def _load_repository(name: str, repository: str) -> Parts:
    from open_clip import factory

    def get(file: str | None) -> Path:
        return _download(name, lambda: factory.download_pretrained_from_hf(repository, file))

    source = get(CONFIG_NAME)
    config = read_config(source)
    tokenizer = _tokenizer(name, config["model_cfg"]["text_cfg"], None, online=True)
    return load_config(config, tokenizer, get(None), name, online=True)


def _download(name: str, get: Any) -> Path:
    try:
        return Path(get())
    except GuidanceError:
        raise
    except Exception as error:  # the hub client, requests and torch raise unrelated types
        raise ModelError(
            f"the weights of {name} are not in the cache and could not be downloaded "
            f"({line(error)}); {OFFLINE_HINT}"
        ) from error
