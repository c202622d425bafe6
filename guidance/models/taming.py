"""taming-transformers checkpoints → diffusers' `VQModel`, and their Gumbel variant.

Read are VQGANs as published (``vqgan_imagenet_f16_1024.ckpt``, ``vqgan_imagenet_f16_16384.ckpt``,
``wikiart_16384.ckpt``, ``vqgan_gumbel_f8_8192.ckpt``), those inside the transformers that were
trained on them (``sflckr.ckpt``, ``coco.ckpt``, ``faceshq.ckpt``), and latent-diffusion's VQ
models, which have the same names. Neither that package nor pytorch-lightning is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import VQModel
from diffusers.models.autoencoders.vq_model import VQEncoderOutput
from torch import Tensor, nn

from guidance.errors import ModelError
from guidance.models.taming_architecture import GROUPS, Architecture, infer, read_config
from guidance.models.weights_fit import faults
from guidance.pretrained.foreign import read_state

# parts of a training that a picture does not need
_IGNORED = ("loss.", "model_ema.", "colorize", "temperature_scheduler.", "quantize.used")
_PART = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?:(?:encoder|decoder)\.(?:conv_in|conv_out|norm_out|mid|down|up)\.|"
    r"(?:post_)?quant_conv\.|quantize\.)"
)
_SHOWN = 4  # names in a message

# a name of diffusers → that of taming, by parts; levels of the decoder are counted apart
_RENAMED = (
    (r"mid_block\.resnets\.0\.", "mid.block_1."),
    (r"mid_block\.resnets\.1\.", "mid.block_2."),
    (r"mid_block\.attentions\.0\.", "mid.attn_1."),
    (r"encoder\.down_blocks\.", "encoder.down."),
    (r"\.resnets\.", ".block."),
    (r"\.attentions\.", ".attn."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
    (r"\.downsamplers\.0\.", ".downsample."),
    (r"\.upsamplers\.0\.", ".upsample."),
    (r"\.group_norm\.", ".norm."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.to_out\.0\.", ".proj_out."),
    (r"\.conv_norm_out\.", ".norm_out."),
)
_DECODER_LEVEL = re.compile(r"decoder\.up_blocks\.([0-9]+)\.")


class GumbelVQModel(VQModel):
    """A VQGAN whose encoder gives a logit for each code rather than a point near one.

    After Esser et al. 2021 with the quantiser of Jang et al. 2017, "Categorical Reparameterization
    with Gumbel-Softmax". Decoding is that of `VQModel`.
    """

    def __init__(self, **config):
        super().__init__(**config)
        dim, codes = self.config.vq_embed_dim, self.config.num_vq_embeddings
        self.quantize.proj = nn.Conv2d(dim, codes, 1)

    def encode(self, x: Tensor, return_dict: bool = True) -> VQEncoderOutput | tuple[Tensor]:
        """Return the most likely code ``[B, C, h, w]`` of each cell; it has no gradient."""
        logits = self.quantize.proj(super().encode(x).latents)
        codes = self.quantize.embedding(logits.argmax(1)).permute(0, 3, 1, 2)
        return VQEncoderOutput(latents=codes) if return_dict else (codes,)


def load_taming(path: str | Path, config: str | Path | None = None) -> VQModel:
    """Load a VQGAN of taming-transformers, on the CPU in float32.

    Args:
        path: .ckpt, .pt, .pth or .safetensors.
        config: the .yaml published beside it. It is not needed, because the weights' names and
            shapes tell the architecture, but then it is compared with them.

    Raises:
        FileError: a file does not exist.
        InputError: the config is not one of a VQGAN.
        ModelError: the checkpoint is damaged, incomplete, of another kind, or does not fit the
            config; the message names the missing and unexpected entries.
    """
    described = read_config(config) if config is not None else None
    state = select(read_state(path), path)
    found = _infer(state, path)
    architecture = described or found
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        network = build(architecture, config or path)
    names = taming_names(network, architecture)
    if wrong := misfits(network, names, state):
        clashes = [
            f"{name} is {ours} but the weights have {theirs}"
            for name, ours, theirs in architecture.differences(found)
        ]
        where = f" {config} ({', '.join(clashes)})" if clashes else " its architecture"
        raise ModelError(f"{path} does not fit{where}: it {'; it '.join(wrong)}")
    fill(network, names, state)
    return network.eval()


def fill(network: nn.Module, names: Mapping[str, str], state: Mapping[str, Tensor]) -> None:
    """Give a network the tensors of `state`, in float32; they fit, see `misfits`.

    Args:
        names: name in the network → name in `state`.
    """
    weights = network.state_dict()
    for ours, theirs in names.items():
        # copied, since the file is mapped; a linear layer is a 1x1 convolution there
        value = state[theirs].reshape(weights[ours].shape)
        weights[ours] = value.to(torch.float32, copy=True).contiguous()
    network.load_state_dict(weights, assign=True)


def describe(path: str | Path) -> Architecture:
    """Return the architecture of a checkpoint, from its weights' shapes.

    Raises:
        FileError, ModelError: as `load_taming`.
    """
    return _infer(select(read_state(path), path), path)


def _infer(state: Mapping[str, Tensor], path: str | Path) -> Architecture:
    try:
        return infer(state)
    except ModelError as error:
        raise ModelError(f"{path} is no VQGAN of taming-transformers: {error}") from None


def build(architecture: Architecture, what: object) -> VQModel:
    """Return the untrained network; `what` names its origin in errors.

    Raises:
        ModelError: a level's channels cannot be normalised in groups.
    """
    for count in architecture.channels:
        if count % GROUPS or not count:
            raise ModelError(
                f"the channels of each level of {what} must be multiples of {GROUPS} but one has "
                f"{count}"
            )
    kind = GumbelVQModel if architecture.gumbel else VQModel
    return kind(
        down_block_types=tuple(
            "AttnDownEncoderBlock2D" if a else "DownEncoderBlock2D" for a in architecture.attention
        ),
        up_block_types=tuple(
            "AttnUpDecoderBlock2D" if a else "UpDecoderBlock2D"
            for a in reversed(architecture.attention)
        ),
        block_out_channels=architecture.channels,
        layers_per_block=architecture.num_res_blocks,
        latent_channels=architecture.z_channels,
        num_vq_embeddings=architecture.n_embed,
        vq_embed_dim=architecture.embed_dim,
        norm_num_groups=GROUPS,
        mid_block_add_attention=architecture.mid_attention,
    )


def taming_names(network: nn.Module, architecture: Architecture) -> dict[str, str]:
    """Return name in the diffusers network → name in a taming checkpoint, for every weight.

    The decoder's levels are counted from the coarsest in diffusers and from the finest in taming.
    """
    last = len(architecture.channels) - 1

    def rename(name: str) -> str:
        name = _DECODER_LEVEL.sub(lambda match: f"decoder.up.{last - int(match[1])}.", name)
        for ours, theirs in _RENAMED:
            name = re.sub(ours, theirs, name)
        if architecture.gumbel and name == "quantize.embedding.weight":
            return "quantize.embed.weight"
        return name

    return {name: rename(name) for name in network.state_dict()}


def select(state: Mapping[str, Tensor], what: object) -> dict[str, Tensor]:
    """Return the entries of the VQGAN in a checkpoint, which may be a larger model's first stage.

    Args:
        what: names the checkpoint in errors.

    Raises:
        ModelError: there is none, or it is a model of another kind.
    """
    matches = (_PART.match(name) for name in state)
    prefixes = {match["prefix"] for match in matches if match}
    # a transformer may hold a second VQGAN, cond_stage_model., for what it is conditioned on
    order = [p for p in ("", "first_stage_model.") if p in prefixes] + sorted(prefixes)
    if any(re.search(r"coder\.(down_blocks|up_blocks|layers)\.", name) for name in state):
        raise ModelError(
            f"{what} has the names of a diffusers model, not of taming-transformers; "
            "give the folder that holds it and its config.json"
        )
    if not order:
        names = ", ".join(list(state)[:_SHOWN])
        raise ModelError(
            f"{what} holds no VQGAN of taming-transformers: no entry is named as in one, such as "
            f"decoder.conv_in.weight, but it has {len(state)} others ({names}, ...)"
        )
    prefix = order[0]
    inside = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    inside = {k: v for k, v in inside.items() if not k.startswith(_IGNORED)}
    if not any(k.startswith("quantize.") for k in inside) and _is_continuous(inside):
        raise ModelError(
            f"{what} is a continuous autoencoder (KL), not a VQGAN; give it as a diffusers folder"
        )
    return inside


def _is_continuous(state: Mapping[str, Tensor]) -> bool:
    """Return whether the encoder gives a mean and a variance for each channel of the decoder."""
    out, into = state.get("encoder.conv_out.weight"), state.get("decoder.conv_in.weight")
    if out is None or into is None or out.ndim < 2 or into.ndim < 2:
        return False
    return out.shape[0] == 2 * into.shape[1]


def misfits(network: nn.Module, names: Mapping[str, str], state: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps `state` from filling the network, in words, with the file's own names."""
    wanted = {}
    for ours, value in network.state_dict().items():
        shape = tuple(value.shape)
        linear = ".attn" in names[ours] and len(shape) == 2
        wanted[names[ours]] = (*shape, 1, 1) if linear else shape
    return faults(wanted, state)
