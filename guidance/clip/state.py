"""A checkpoint of a CLIP → a state dict that fits open_clip's network.

Older and other people's names and shapes are brought into the present ones by open_clip's own
conversions (`open_clip.factory.load_checkpoint` has the same list); the file is read by ours.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from guidance.clip.published import OPENAI_MARKS
from guidance.errors import GuidanceError, ModelError, counted, line
from guidance.pretrained.foreign import read_state

MOST_SCALE = 20  # of its logarithm; trained ones are up to 4.8
_TRANSFORMERS = ("vision_model.encoder.", "text_model.encoder.", "vision_model.embeddings.")
_IDS = "text.transformer.embeddings.position_ids"  # a buffer of transformers before 4.31


def read_weights(path: Path, what: str = "checkpoint") -> dict[str, Tensor]:
    """Return the tensors of a checkpoint of any kind that `guidance.pretrained.foreign` reads.

    Raises:
        ModelError: it is missing or damaged; `what` says what it should have been.
    """
    if not path.is_file():
        raise ModelError(f"the weights {path.name} are missing from {path.parent}")
    try:
        state = read_state(path)
    except GuidanceError as error:
        why = str(error).removeprefix(f"{path} ")
        raise ModelError(f"{path} is not a readable {what}: it {why}") from error
    while prefix := _shared(state):
        state = {k.removeprefix(prefix): v for k, v in state.items()}
    return state


def _shared(state: Mapping[str, Any]) -> str:
    """Return the part before the first dot that all names share, or an empty string.

    DataParallel adds ``module.``, torch.compile ``_orig_mod.``, lightning the name of an attribute;
    a CLIP has several towers and a scale.
    """
    first, dot, _ = next(iter(state)).partition(".")
    return first + dot if dot and all(k.startswith(first + dot) for k in state) else ""


def load_weights(network: nn.Module, state: Mapping[str, Tensor], claim: str) -> None:
    """Load `state` into `network`, converted where it is of an older or another form.

    Raises:
        ModelError: it does not fit, with `claim` before the reason.
    """
    given = state
    try:
        state = _converted(network, dict(given))
    except Exception as error:  # open_clip's conversions fail by assertion, index and shape
        check_keys(network, given, claim)  # says more, where the weights are of another network
        raise ModelError(f"{claim}: {line(error)}") from error
    check_keys(network, state, claim)
    _check_numbers(network, state, claim)
    network.load_state_dict(state)


def _check_numbers(network: nn.Module, state: Mapping[str, Tensor], claim: str) -> None:
    """Raise `ModelError` if a weight is of another kind than floating point, or not finite."""
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        if not (given := state[name]).is_floating_point():
            raise ModelError(f"{claim}: its {name!r} is of {given.dtype}, which is no weight")
        if not bool(given.float().isfinite().all()):
            raise ModelError(f"{claim}: its {name!r} holds numbers that are not finite")
    scale = state["logit_scale"].float()
    if not bool((scale.abs() < MOST_SCALE).all()):
        raise ModelError(f"{claim}: its logit_scale is {float(scale.abs().max()):g}")


def load_arrays(network: nn.Module, path: Path, claim: str) -> None:
    """Load the ``.npz`` of big_vision, as Google publishes SigLIP, into `network`.

    Raises:
        ModelError: it does not fit, with `claim` before the reason.
    """
    from open_clip.convert import load_big_vision_weights

    try:
        with zipfile.ZipFile(path) as file:
            if sum(i.file_size for i in file.infolist()) > 4 * path.stat().st_size:
                raise ValueError("its arrays claim more room than the file has")
        load_big_vision_weights(network, str(path))
    except Exception as error:  # the conversion fails by name, shape and attribute
        raise ModelError(f"{claim}: {line(error)}") from error


def check_keys(network: nn.Module, state: Mapping[str, Any], claim: str) -> None:
    """Raise `ModelError` unless `state` has the entries of `network`, in its shapes."""
    expected = network.state_dict()
    if any(k.startswith(_TRANSFORMERS) for k in state):
        raise ModelError(
            f"{claim}: it is of the package transformers, whose networks have other parts; take "
            "the same weights in the form of open_clip"
        )
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
                f"{claim}: it {what} {counted(len(keys), 'entry', 'entries')}, first {keys[0]!r}"
            )


def _converted(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    from open_clip.convert import convert_state_dict
    from open_clip.model import (
        convert_to_custom_text_state_dict,
        resize_pos_embed,
        resize_text_pos_embed,
    )

    expected = network.state_dict()
    state = convert_state_dict(network, state)
    if "positional_embedding" in state and not hasattr(network, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    if "logit_bias" in expected and "logit_bias" not in state:  # a CLIP to be trained as SigLIP
        state["logit_bias"] = torch.zeros(())
    for name in ("logit_scale", "logit_bias"):  # a number, or a list of one
        if name in state and name in expected and state[name].numel() == 1:
            state[name] = state[name].reshape(expected[name].shape)
    for name in [*OPENAI_MARKS, _IDS]:
        if name not in expected:
            state.pop(name, None)
    counts = {k: v for k, v in expected.items() if k.endswith("num_batches_tracked")}
    state = counts | state  # of batch norms, for training alone; not everybody saves them
    state = {k: v for k, v in state.items() if k in expected or not k.endswith("attn_mask")}
    for name in state:
        if name.endswith("positional_embedding"):  # interpolated, which half precision is not
            state[name] = state[name].float()
    resize_pos_embed(state, network)
    resize_text_pos_embed(state, network)
    return state
