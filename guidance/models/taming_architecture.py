"""The architecture of a taming-transformers VQGAN, from its .yaml or its weights' shapes.

The network is that of Esser et al. 2021, "Taming Transformers for High-Resolution Image
Synthesis", appendix: levels of residual blocks, each half as large as the one before, with
attention at some of them and between encoder and decoder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidance.errors import FileError, InputError, ModelError, line

if TYPE_CHECKING:
    from torch import Tensor

GROUPS = 32  # of every group norm
_LEVEL = re.compile(r"(encoder\.down|decoder\.up)\.([0-9]+)\.(?:block|attn)\.")
_BLOCK = re.compile(
    r"(encoder\.down|decoder\.up)\.([0-9]+)\.block\.([0-9]+)\.(?:conv1|conv2|norm2)\.(?:weight|bias)"
)


@dataclass(frozen=True)
class Architecture:
    """What the networks of one family differ in; the finest level comes first.

    `channels` is taming's ``ch * ch_mult`` of each level, `attention` whether a level has it
    (``attn_resolutions``), `mid_attention` whether the middle has it.
    """

    channels: tuple[int, ...]
    attention: tuple[bool, ...]
    num_res_blocks: int
    z_channels: int
    embed_dim: int
    n_embed: int
    gumbel: bool = False
    mid_attention: bool = True

    def differences(self, other: Architecture) -> list[tuple[str, Any, Any]]:
        """Return (field, own value, other's value) of each field that differs."""
        pairs = [(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return [(name, own, others) for name, own, others in pairs if own != others]


def infer(state: Mapping[str, Tensor]) -> Architecture:
    """Return the architecture of a state dict with taming's names.

    Encoder and decoder mirror each other, so that what one of them lacks is known from the other.

    Raises:
        ModelError: the names are not those of a VQGAN, or a whole level is missing.
    """
    channels: dict[int, int] = {}
    blocks: dict[tuple[str, int], set[int]] = {}
    for name, value in state.items():
        if (match := _BLOCK.fullmatch(name)) and value.ndim:
            side, level, block = match[1], int(match[2]), int(match[3])
            channels.setdefault(level, value.shape[0])
            blocks.setdefault((side, level), set()).add(block)
    levels = len(channels)
    if not levels:
        raise ModelError("it lacks entries such as decoder.up.0.block.0.conv1.weight")
    for level in range(levels):  # not up to the largest, which a bad file may set at will
        if level not in channels:
            raise ModelError(f"it lacks level {level} of the encoder and the decoder")
    attended = {
        int(match[2]) for name in state if ".attn." in name and (match := _LEVEL.match(name))
    }
    codebook = _sizes(state, "quantize.embedding.weight", "quantize.embed.weight")
    dim = codebook[1:2] or _sizes(state, "quant_conv.weight")[:1]
    latent = _sizes(state, "decoder.conv_in.weight")[1:2]
    latent = latent or _sizes(state, "encoder.conv_out.weight")
    return Architecture(
        channels=tuple(channels[i] for i in range(levels)),
        attention=tuple(i in attended for i in range(levels)),
        # a level of the decoder has one block more
        num_res_blocks=max(len(b) - side.startswith("decoder") for (side, _), b in blocks.items()),
        z_channels=(latent or dim or (1,))[0],
        embed_dim=(dim or latent or (1,))[0],
        n_embed=(codebook or _sizes(state, "quantize.proj.weight") or (1,))[0],
        gumbel=any(name.startswith(("quantize.embed.", "quantize.proj.")) for name in state),
        mid_attention=any(".mid.attn_1." in name for name in state),
    )


def read_config(path: str | Path) -> Architecture:
    """Return the architecture that a taming-transformers .yaml describes.

    That of a transformer is read for its first stage, the VQGAN.

    Raises:
        FileError: it cannot be read.
        InputError: it is no YAML, or does not describe a VQGAN of RGB pictures.
    """
    import yaml  # only these files are

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read the config {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the config {path} is not YAML: {line(error)}") from error
    model = _section(content, "model", path) if "model" in _mapping(content) else content
    params = _section(model, "params", path)
    if "first_stage_config" in params:
        model = _section(params, "first_stage_config", path)
        params = _section(model, "params", path)
    target = str(_mapping(model).get("target", "VQModel"))
    ddconfig = _section(params, "ddconfig", path)
    for key, allowed in (("in_channels", 3), ("out_ch", 3), ("double_z", False)):
        if ddconfig.get(key, allowed) != allowed:
            raise InputError(
                f"{key} in {path} must be {allowed} for a VQGAN of RGB pictures but is "
                f"{ddconfig[key]!r}"
            )
    ch, multipliers = _whole(ddconfig, "ch", path), _wholes(ddconfig, "ch_mult", path)
    resolution = _whole(ddconfig, "resolution", path)
    attended = _wholes(ddconfig, "attn_resolutions", path)
    attends = ddconfig.get("attn_type") != "none"  # of latent-diffusion
    return Architecture(
        channels=tuple(ch * m for m in multipliers),
        attention=tuple(attends and resolution >> i in attended for i in range(len(multipliers))),
        num_res_blocks=_whole(ddconfig, "num_res_blocks", path),
        z_channels=_whole(ddconfig, "z_channels", path),
        embed_dim=_whole(params, "embed_dim", path),
        n_embed=_whole(params, "n_embed", path),
        gumbel="gumbel" in target.lower(),
        mid_attention=attends,
    )


def _sizes(state: Mapping[str, Tensor], *names: str) -> tuple[int, ...]:
    """Return the shape of the first of `names` that is there, or an empty one."""
    return next((tuple(state[name].shape) for name in names if name in state), ())


def _mapping(value: Any) -> Mapping:
    return value if isinstance(value, Mapping) else {}


def _section(content: Any, key: str, path: str | Path) -> Mapping:
    section = _mapping(content).get(key)
    if not isinstance(section, Mapping):
        raise InputError(f"the config {path} is not one of taming-transformers: it has no {key!r}")
    return section


def _whole(section: Mapping, key: str, path: str | Path) -> int:
    value = section.get(key)
    if type(value) is not int or not 0 < value < 2**24:
        raise InputError(f"{key} in {path} must be a positive whole number but is {value!r}")
    return value


def _wholes(section: Mapping, key: str, path: str | Path) -> tuple[int, ...]:
    values = section.get(key)
    if not isinstance(values, list) or not all(type(v) is int and v > 0 for v in values):
        raise InputError(f"{key} in {path} must be a list of whole numbers but is {values!r}")
    if key == "ch_mult" and not 0 < len(values) <= 10:
        raise InputError(f"{key} in {path} must have 1 to 10 entries but has {len(values)}")
    return tuple(values)
