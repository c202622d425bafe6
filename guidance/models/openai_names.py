"""Names and shapes in OpenAI's diffusion checkpoints ↔ those in diffusers' `UNet2DModel`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from guidance.models.openai_architecture import AdmArchitecture, Conventions
from guidance.models.weights_fit import Shape

_QKV = re.compile(r".*\.to_([qkv])\.(?:weight|bias)")

# a name of diffusers → that of OpenAI, by what precedes ".weight" or ".bias"
_OUTER = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding": "label_emb",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_INNER = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
    "group_norm": "norm",
    "to_q": "qkv",
    "to_k": "qkv",
    "to_v": "qkv",
    "to_out.0": "proj_out",
}
_PLACE = re.compile(
    r"(?P<side>down|mid|up)_blocks?\.(?:(?P<level>[0-9]+)\.)?"
    r"(?P<kind>resnets|attentions|downsamplers|upsamplers)\.(?P<index>[0-9]+)\.(?P<layer>.+)"
)


def openai_names(network: nn.Module, architecture: AdmArchitecture) -> dict[str, str]:
    """Return name in the diffusers network → name in OpenAI's checkpoint, for every weight.

    Queries, keys and values have one entry there. OpenAI counts the blocks through all levels,
    and the resampling belongs to the block before it in the decoder but is its own in the encoder.
    """
    each = architecture.num_res_blocks + 1
    attention = architecture.attention[::-1]  # the decoder begins with the coarsest level

    def block(side: str, level: int, kind: str, index: int) -> str:
        if side == "mid":
            return f"middle_block.{2 * index if kind == 'resnets' else 1}"
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * each}.0"
        if kind == "upsamplers":
            return f"output_blocks.{(level + 1) * each - 1}.{1 + attention[level]}"
        position = int(kind == "attentions")
        if side == "down":
            return f"input_blocks.{1 + level * each + index}.{position}"
        return f"output_blocks.{level * each + index}.{position}"

    def rename(name: str) -> str:
        stem, _, end = name.rpartition(".")
        if not (match := _PLACE.fullmatch(stem)):
            return f"{_OUTER[stem]}.{end}"
        place = block(match["side"], int(match["level"] or 0), match["kind"], int(match["index"]))
        layer = _INNER.get(match["layer"], match["layer"])
        if match["kind"] == "downsamplers" and layer == "conv":
            layer = "op"
        return f"{place}.{layer}.{end}"

    return {name: rename(name) for name in network.state_dict()}


def wanted_shapes(network: nn.Module, names: Mapping[str, str]) -> dict[str, Shape]:
    """Return name in the checkpoint → the shape there; `names` are those of `openai_names`."""
    wanted: dict[str, Shape] = {}
    for ours, value in network.state_dict().items():
        shape = tuple(value.shape)
        if _QKV.fullmatch(ours):
            shape = (3 * shape[0], *shape[1:])
        is_matrix = len(shape) == 2 and names[ours].endswith(("qkv.weight", "proj_out.weight"))
        wanted[names[ours]] = (*shape, 1) if is_matrix else shape
    return wanted


def own_rows(ours: str, value: Tensor, conventions: Conventions) -> Tensor:
    """Return what of the checkpoint's entry `value` belongs to the weight `ours` of the network.

    Of queries, keys and values ``[3C, ...]``, which have one entry, it is one part ``[C, ...]``,
    with its heads one after another; of any other entry it is all.
    """
    if not (match := _QKV.fullmatch(ours)):
        return value
    part = "qkv".index(match[1])
    channels = value.shape[0] // 3
    if conventions.new_order:
        return value.unflatten(0, (3, channels))[part]
    heads = conventions.heads(channels)
    return value.unflatten(0, (heads, 3, channels // heads))[:, part].flatten(0, 1)
