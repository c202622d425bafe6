"""The architecture of an OpenAI diffusion UNet, from the names and shapes of its weights.

The network is that of Dhariwal & Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis"
(arXiv:2105.05233), section 3 ("ADM"), or its forerunner of Nichol & Dhariwal 2021, "Improved
Denoising Diffusion Probabilistic Models" (arXiv:2102.09672), appendix A: levels of residual blocks,
each half as large as the one before, with attention at some of them and in the middle.

What leaves no trace in the shapes is taken from the published checkpoint that is built alike:

===========================================  ==================  =========  ====================
resampling by, levels: published as          heads               q, k, v    schedule, its steps
===========================================  ==================  =========  ====================
blocks, 4: ``64x64_diffusion``               of 64 channels      apart      cosine, 1000
blocks, 5: ``128x128_diffusion``             4                   by head    linear, 1000
blocks, 6: ``256x256_diffusion(_uncond)``,   of 64 channels      by head    linear, 1000
``lsun_*``
blocks, 7: ``512x512_diffusion*``            of 64 channels      by head    linear, 1000
the same, half as wide: ``portrait_*``       4                   by head    linear, 1000
convolutions, 4: ``imagenet64_*``,           4                   by head    cosine, 4000
``cifar10_*``
convolutions, 6, time only added:            1                   by head    linear, 1000
``lsun_uncond_*`` and the finetunes
``pixel_art_*``, ``watercolor*``, ...
===========================================  ==================  =========  ====================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from guidance.errors import ModelError

HEAD_CHANNELS = 64  # of an attention head, where their number is not fixed
_BLOCK = re.compile(r"(input|output)_blocks\.([0-9]{1,6})\.([0-9]{1,6})\.(.+)")
_COARSEST = 8  # pixels across of the last level, of every published model

Blocks = dict[int, dict[int, set[str]]]  # block → position in it → names of its entries


@dataclass(frozen=True)
class AdmArchitecture:
    """What the networks of this family differ in; the finest level comes first.

    `channels` is the width of each level, `attention` whether it has attention, `time_channels` and
    `time_width` the sizes of the timestep's sinusoids and of their embedding. `resnet_resampling`
    tells whether residual blocks halve and double a level, or convolutions; `scale_shift` whether
    the timestep scales and shifts a normalised layer, or is only added.
    """

    channels: tuple[int, ...]
    attention: tuple[bool, ...]
    num_res_blocks: int
    time_channels: int
    time_width: int
    out_channels: int
    classes: int | None = None
    resnet_resampling: bool = True
    scale_shift: bool = True

    @property
    def attended(self) -> tuple[int, ...]:
        """The different widths of the layers with attention; the middle has it always."""
        levels = zip(self.channels, self.attention, strict=True)
        return tuple(sorted({c for c, attends in levels if attends} | {self.channels[-1]}))

    @property
    def size(self) -> int:
        """The pixels across of the pictures that such a network was published for."""
        first, *others = self.channels
        if others == [2 * first] * 3:  # CIFAR-10
            return 32
        return _COARSEST << len(others)


@dataclass(frozen=True)
class Conventions:
    """What a network was trained with that its weights' shapes do not tell.

    Attributes:
        num_heads: heads of every attention, or None for heads of 64 channels.
        new_order: whether queries, keys and values lie one after another, each with all heads
            (``use_new_attention_order``), rather than head by head, each with all three.
        cosine: whether the noise schedule is the cosine one of Nichol & Dhariwal 2021, section 3.2,
            rather than linear betas from 0.0001 to 0.02 (Ho et al. 2020, section 4).
        steps: timesteps of the schedule.
        time_scale: factor of the timestep before it enters the network (``rescale_timesteps``).
    """

    num_heads: int | None = None
    new_order: bool = False
    cosine: bool = False
    steps: int = 1000
    time_scale: float = 1.0

    def heads(self, channels: int) -> int:
        """Return the number of heads of an attention of so many channels."""
        return self.num_heads or channels // HEAD_CHANNELS

    def schedule(self) -> dict[str, Any]:
        """Return the config of a diffusers scheduler; what is predicted is the noise."""
        config = {"num_train_timesteps": self.steps, "prediction_type": "epsilon"}
        if self.cosine:
            return config | {"beta_schedule": "squaredcos_cap_v2"}
        return config | {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}


def published(architecture: AdmArchitecture) -> Conventions:
    """Return the conventions of the published checkpoint that is built alike, see the table."""
    levels = len(architecture.channels)
    small = levels <= 4
    if architecture.resnet_resampling:
        narrow = levels == 7 and architecture.time_channels == 128
        return Conventions(
            num_heads=4 if levels == 5 or narrow else None, new_order=small, cosine=small
        )
    if not small:
        return Conventions(num_heads=4 if architecture.scale_shift else 1)
    # of the 4000 steps the class-conditional network was given the number itself
    scale = 0.25 if architecture.classes is None else 1.0
    return Conventions(num_heads=4, cosine=True, steps=4000, time_scale=scale)


def infer_adm(state: Mapping[str, Tensor]) -> AdmArchitecture:
    """Return the architecture of a state dict with OpenAI's names.

    Encoder and decoder mirror each other, so that a weight that one of them lacks is known from the
    other.

    Raises:
        ModelError: whole blocks are missing, or the levels are not built alike.
    """
    inputs, outputs = _blocks(state, "input"), _blocks(state, "output")
    each, levels = _levels(inputs, outputs)
    channels, attention = [], []
    for level in range(levels):
        down = [1 + level * each + i for i in range(each - 1)]
        up = [(levels - 1 - level) * each + i for i in range(each)]
        firsts = (f"output_blocks.{up[0]}.0", f"input_blocks.{down[0]}.0")
        channels.append(_size(state, *(f"{first}.out_layers.3.weight" for first in firsts)))
        places = [inputs[i] for i in down] + [outputs[i] for i in up]
        attention.append(any(_attends(place.get(1, ())) for place in places))
    middle = ("middle_block.0", "middle_block.2")
    width = _size(state, *(f"{block}.out_layers.3.weight" for block in middle))
    time = _size(state, *(f"{block}.emb_layers.1.weight" for block in middle))
    classes = state.get("label_emb.weight")
    # a level's last block in the decoder ends with the resampling
    last = {name for position, names in outputs[each - 1].items() if position for name in names}
    return AdmArchitecture(
        channels=tuple(channels),
        attention=tuple(attention),
        num_res_blocks=each - 1,
        time_channels=_size(state, "time_embed.0.weight", axis=1),
        time_width=_size(state, "time_embed.0.weight"),
        out_channels=_size(state, "out.2.weight"),
        classes=None if classes is None else classes.shape[0] if classes.ndim else 0,
        resnet_resampling=not any(name.startswith("conv.") for name in last),
        scale_shift=time == 2 * width,
    )


def _blocks(state: Mapping[str, Tensor], side: str) -> Blocks:
    """Return the blocks of the encoder ("input") or the decoder ("output").

    Raises:
        ModelError: there are none, or there is a gap between them.
    """
    found: Blocks = {}
    for name in state:
        if (match := _BLOCK.fullmatch(name)) and match[1] == side:
            found.setdefault(int(match[2]), {}).setdefault(int(match[3]), set()).add(match[4])
    if not found:
        raise ModelError(f"it has no {side}_blocks")
    for i in range(len(found)):  # not up to the largest, which a bad file may set at will
        if i not in found:
            raise ModelError(
                f"{side}_blocks.{i} has no weights: it is missing, or pictures are resampled there "
                "without weights (conv_resample False), which diffusers' UNet2DModel cannot do"
            )
    return found


def _levels(inputs: Blocks, outputs: Blocks) -> tuple[int, int]:
    """Return the residual blocks of a decoder level, one more than of an encoder's, and the levels.

    Raises:
        ModelError: the levels are not built alike.
    """
    ends = [
        i
        for i in range(len(outputs))
        if any(
            position and any(name.startswith(("conv.", "in_layers.")) for name in names)
            for position, names in outputs[i].items()
        )
    ]
    each = ends[0] + 1 if ends else len(outputs)
    levels = len(ends) + 1
    alike = ends == [each * (i + 1) - 1 for i in range(levels - 1)]
    if not alike or each < 2 or len(outputs) != each * levels or len(inputs) != each * levels:
        raise ModelError(
            f"its levels are not built alike: of {len(outputs)} output_blocks those that enlarge "
            f"are {', '.join(map(str, ends)) or 'none'}, beside {len(inputs)} input_blocks"
        )
    return each, levels


def _attends(names: Iterable[str]) -> bool:
    return any(name.startswith(("qkv.", "proj_out.")) for name in names)


def _size(state: Mapping[str, Tensor], *names: str, axis: int = 0) -> int:
    """Return a size of the first of `names` that has it."""
    for name in names:
        if name in state and state[name].ndim > axis:
            return state[name].shape[axis]
    raise ModelError(f"it lacks {names[0]}, or that is no matrix")
