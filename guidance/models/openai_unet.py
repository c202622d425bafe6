"""OpenAI's diffusion checkpoints → diffusers' `UNet2DModel`.

Read are the networks of guided-diffusion (``256x256_diffusion_uncond.pt``,
``512x512_diffusion_uncond_finetune_008100.pt``, ``512x512_diffusion.pt``, ``lsun_bedroom.pt``, ...)
and improved-diffusion (``imagenet64_uncond_100M_1500K.pt``, ...), and what was finetuned from them.
Neither package is needed, nor a config: see `guidance.models.openai_architecture`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from guidance.errors import ModelError
from guidance.models.openai_architecture import (
    HEAD_CHANNELS,
    AdmArchitecture,
    Conventions,
    infer_adm,
    published,
)
from guidance.models.openai_names import openai_names, own_rows, wanted_shapes
from guidance.models.weights_fit import faults
from guidance.pretrained.foreign import read_state

GROUPS, EPSILON = 32, 1e-5  # of every group norm
_FIRST, _TIME = "input_blocks.0.0.weight", "time_embed.0.weight"
_PREFIXES = ("", "module.")  # as saved, and from inside torch's DistributedDataParallel
_LATENT = "model.diffusion_model."
_SHOWN = 4  # entries named in a message


@dataclass(frozen=True)
class OpenAiModel:
    """A diffusion model of pixels in [-1, 1] and what is to be known of it.

    Attributes:
        network: in float32 on the CPU, ready to run. It predicts noise: ``network(x [B,3,H,W],
            t, class_labels [B] or None).sample`` is [B,3,H,W], or [B,6,H,W] with variances.
        size: pixels across of the pictures it was trained on.
        classes: number of classes it must be given one of; None if it is unconditional.
        learned_variance: whether channels 4 to 6 of the output interpolate between the bounds of
            the variance (Nichol & Dhariwal 2021, section 3.1, eq. 15); guidance needs none.
        schedule: config of the diffusers scheduler it was trained with.
    """

    network: UNet2DModel
    size: int
    classes: int | None
    learned_variance: bool
    schedule: dict[str, Any]


class AdmUNet(UNet2DModel):
    """`UNet2DModel` with what only OpenAI's networks have; its config does not tell of them.

    Args:
        time_channels: sinusoids of the timestep, which may be more than the first level's channels.
        time_width: channels of their embedding.
        time_scale: factor of the timestep.
        num_heads: heads of every attention, however wide; None leaves them as they are.
        config: as of `UNet2DModel`.
    """

    def __init__(
        self,
        *,
        time_channels: int,
        time_width: int,
        time_scale: float,
        num_heads: int | None,
        **config: Any,
    ):
        super().__init__(**config)
        self.time_proj = Timesteps(time_channels, True, 0, scale=time_scale)
        self.time_embedding = TimestepEmbedding(time_channels, time_width)
        if self.class_embedding is not None:
            self.class_embedding = nn.Embedding(config["num_class_embeds"], time_width)
        for module in self.modules():
            if isinstance(module, ResnetBlock2D):
                module.time_emb_proj = nn.Linear(time_width, module.time_emb_proj.out_features)
        if num_heads is None:
            return
        for block in (*self.down_blocks, self.mid_block, *self.up_blocks):
            for i, attention in enumerate(getattr(block, "attentions", ())):
                block.attentions[i] = Attention(
                    attention.query_dim,
                    heads=num_heads,
                    dim_head=attention.query_dim // num_heads,
                    eps=EPSILON,
                    norm_num_groups=GROUPS,
                    residual_connection=True,
                    bias=True,
                    upcast_softmax=True,
                )


def is_openai(names: Iterable[str]) -> bool:
    """Return whether a checkpoint's names are those of a UNet of OpenAI's, of whatever task."""
    return _prefix(set(names)) is not None


def load_openai(path: str | Path, conventions: Conventions | None = None) -> OpenAiModel:
    """Load an unconditional or class-conditional diffusion model of OpenAI's code.

    Args:
        path: .pt, .pth, .ckpt or .safetensors.
        conventions: what the shapes do not tell; by default that of the published checkpoint that
            is built alike. A finetune that departs from it must be given its own.

    Raises:
        FileError: the file does not exist.
        ModelError: it is damaged, incomplete, of another kind, or of an architecture that
            `UNet2DModel` cannot express; the message says which, with the file's own names.
    """
    state = select(read_state(path), path)
    try:
        architecture = infer_adm(state)
    except ModelError as error:
        raise ModelError(f"{path} is no UNet of guided-diffusion that fits: {error}") from None
    conventions = conventions or published(architecture)
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        network = build(architecture, conventions, path)
    names = openai_names(network, architecture)
    if found := faults(wanted_shapes(network, names), state):
        raise ModelError(f"{path} does not fit its architecture: it {'; it '.join(found)}")
    weights = network.state_dict()
    for ours, theirs in names.items():
        # copied, since the file is mapped; a linear layer is a convolution there
        value = own_rows(ours, state[theirs], conventions)
        value = value.reshape(weights[ours].shape).to(torch.float32, copy=True)
        weights[ours] = value.contiguous()
    network.load_state_dict(weights, assign=True)
    return OpenAiModel(
        network=network.eval(),
        size=architecture.size,
        classes=architecture.classes,
        learned_variance=architecture.out_channels == 6,
        schedule=conventions.schedule(),
    )


def build(architecture: AdmArchitecture, conventions: Conventions, what: object) -> UNet2DModel:
    """Return the untrained network; a plain `UNet2DModel` where that can express it.

    Args:
        what: names its origin in errors.

    Raises:
        ModelError: channels cannot be divided into groups or heads.
    """
    for count in architecture.channels:
        if count % GROUPS or not count:
            raise ModelError(
                f"the channels of each level of {what} must be multiples of {GROUPS} but one has "
                f"{count}"
            )
    for count in architecture.attended:
        divisor = conventions.num_heads or HEAD_CHANNELS
        if count % divisor:
            heads = f"{divisor} heads" if conventions.num_heads else f"heads of {divisor} channels"
            raise ModelError(f"the attention of {what} must have {heads} but has {count} channels")
    config = _config(architecture, conventions)
    channels = architecture.time_channels
    wide = (channels, architecture.time_width) != (
        architecture.channels[0],
        4 * architecture.channels[0],
    )
    uneven = conventions.num_heads is not None and len(architecture.attended) > 1
    if not wide and not uneven and conventions.time_scale == 1:
        return UNet2DModel(**config)
    return AdmUNet(
        time_channels=channels,
        time_width=architecture.time_width,
        time_scale=conventions.time_scale,
        num_heads=conventions.num_heads,
        **config,
    )


def _config(architecture: AdmArchitecture, conventions: Conventions) -> dict[str, Any]:
    resampling = "Resnet{}sampleBlock2D" if architecture.resnet_resampling else "{}Block2D"
    plain = {side: resampling.format(side) for side in ("Down", "Up")}
    attention = architecture.attention
    widest = architecture.attended[-1]
    kind = "resnet" if architecture.resnet_resampling else "conv"
    return {
        "sample_size": architecture.size,
        "in_channels": 3,
        "out_channels": architecture.out_channels,
        "block_out_channels": architecture.channels,
        "layers_per_block": architecture.num_res_blocks,
        "down_block_types": tuple("AttnDownBlock2D" if a else plain["Down"] for a in attention),
        "up_block_types": tuple("AttnUpBlock2D" if a else plain["Up"] for a in reversed(attention)),
        "downsample_type": kind,
        "upsample_type": kind,
        "attention_head_dim": widest // conventions.heads(widest),
        "norm_num_groups": GROUPS,
        # else the attention of the middle has no norm beside scale and shift
        "attn_norm_num_groups": GROUPS,
        "norm_eps": EPSILON,
        "resnet_time_scale_shift": "scale_shift" if architecture.scale_shift else "default",
        "num_class_embeds": architecture.classes,
        "freq_shift": 0,
        "flip_sin_to_cos": True,
    }


def select(state: Mapping[str, Tensor], what: object) -> dict[str, Tensor]:
    """Return the entries of the UNet in a checkpoint, without a prefix.

    Args:
        what: names the checkpoint in errors.

    Raises:
        ModelError: there is none, or it is of a kind that does not make pictures from noise alone.
    """
    prefix = _prefix(state)
    if prefix is None:
        if any(name.startswith(_LATENT) for name in state):
            raise ModelError(
                f"{what} is a latent diffusion model in one file, not one of guided-diffusion; "
                "give it as a diffusers folder"
            )
        if any(name.startswith(("down_blocks.", "up_blocks.")) for name in state):
            raise ModelError(
                f"{what} has the names of a diffusers model, not of guided-diffusion; "
                "give the folder that holds it and its config.json"
            )
        names = ", ".join(list(state)[:_SHOWN])
        raise ModelError(
            f"{what} holds no UNet of guided-diffusion: no entry is named {_FIRST}, beside "
            f"{_TIME}, but it has {len(state)} others ({names}, ...)"
        )
    inside = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    if reason := _other_task(inside):
        raise ModelError(
            f"{what} {reason}; supported are unconditional and class-conditional diffusion models"
        )
    return inside


def _prefix(names: Container[str]) -> str | None:
    """Return what stands before every name of the UNet, or None if there is no such network."""
    return next((p for p in _PREFIXES if f"{p}{_FIRST}" in names and f"{p}{_TIME}" in names), None)


def _other_task(state: Mapping[str, Tensor]) -> str:
    """Return what else the network is for, or an empty string."""
    if any(".encoder_kv." in k or k.startswith(("transformer.", "token_emb")) for k in state):
        return "is conditioned on text (GLIDE)"
    if any(".transformer_blocks." in name for name in state):
        return "is conditioned by cross-attention (latent diffusion)"
    if not any(name.startswith("output_blocks.") for name in state):
        return "is a classifier: it has an encoder but no decoder (output_blocks)"
    first, last = state[_FIRST], state.get("out.2.weight")
    if first.ndim != 4:
        return f"is not for pictures: {_FIRST} has {first.ndim} axes instead of 4"
    if first.shape[1] != 3:
        return (
            f"takes {first.shape[1]} channels instead of the 3 of a noisy picture, as upsamplers "
            "and inpainting models do"
        )
    if last is not None and last.ndim and last.shape[0] not in (3, 6):
        return f"predicts {last.shape[0]} channels instead of 3, or 6 with variances"
    return ""
