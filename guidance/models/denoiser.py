"""Noisy picture and condition → what a diffusion network predicts, and x0 → picture.

A `Denoiser` is a frozen network with the space it works in (pixels, or the latents of an
autoencoder) and a reader of texts. It knows nothing of samplers, prompts or guidance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from guidance.clip.model import PRECISIONS
from guidance.conventions import check_precision, check_shape
from guidance.errors import InputError, ModelError
from guidance.models.conditions import Condition, TextReader
from guidance.models.denoiser_space import LatentSpace, Pixels
from guidance.models.frozen_conv import freeze_convolutions
from guidance.models.noise_aware import NoiseAware
from guidance.models.offload import offload_weights

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel, UNet2DModel

_ADAPTING = {"UpBlock2D", "CrossAttnUpBlock2D"}
TEXT_SCALE = 7.5  # of classifier-free guidance, as in Stable Diffusion's own pipeline


class Upsampling(Protocol):
    """Enlarges a network's finished pictures; sides become `factor` times as long."""

    factor: int

    def __call__(self, images: Tensor, condition: Condition, seeds: Sequence[int]) -> Tensor:
        """Return ``images [B, 3, H, W]`` in [0, 1] enlarged, with noise of one seed a picture."""
        ...


class Denoiser(nn.Module):
    """A frozen diffusion network with its picture decoder and its reader of texts.

    Args:
        network: a diffusers ``UNet2DModel`` or ``UNet2DConditionModel``; changed in place to keep
            less for the backward pass.
        space: where x0 lives: `Pixels` or `LatentSpace`.
        name: shown to people.
        size: native canvas (height, width) in pixels.
        schedule: config of the diffusers scheduler it was trained with.
        reader: texts → conditions, or None for an unconditional network.
        always: tensors of one row that every call gets.
        cfg: the usual scale of classifier-free guidance; 1 is none.

    Attributes:
        channels: C of what the network sees.
        factor: pixels a cell; 1 is pixels. Both sides of a picture are whole cells, and any
            number of them will do: see `pad`.
        conditional: whether it takes conditions.
        sees: whether images condition it as well as texts.
        upsampler: what enlarges its pictures, or None.
        noise_aware: tells which condition noisy pictures fit (`NoiseAware`), or None.

    Raises:
        ModelError: the network does not fit its space.
    """

    network: UNet2DModel | UNet2DConditionModel
    sees = False

    def __init__(
        self,
        network: UNet2DModel | UNet2DConditionModel,
        space: Pixels | LatentSpace,
        *,
        name: str,
        size: tuple[int, int],
        schedule: Mapping[str, Any],
        reader: TextReader | None = None,
        always: Condition | None = None,
        cfg: float = TEXT_SCALE,
    ):
        super().__init__()
        from diffusers import UNet2DConditionModel

        self.channels, self.factor = space.channels, space.factor
        inputs, outputs = network.config.in_channels, network.config.out_channels
        if inputs != self.channels or outputs not in (inputs, 2 * inputs):
            raise ModelError(
                f"the network of {name} must take and predict {self.channels} channels but takes "
                f"{inputs} and predicts {outputs}"
            )
        self.network = network.requires_grad_(False).eval()
        freeze_convolutions(network)
        self.space, self.reader = space, reader
        self.name, self.size, self.schedule = name, size, dict(schedule)
        self.conditional = reader is not None
        self.cfg = cfg if self.conditional else 1.0
        self.upsampler: Upsampling | None = None
        self.noise_aware: NoiseAware | None = None
        self.device = torch.device("cpu")
        self._always = always
        self._empty: Condition | None = None
        self._hidden = isinstance(network, UNet2DConditionModel)
        self._grid = grid(network)

    def forward(self, x: Tensor, t: Tensor | float, condition: Condition | None = None) -> Tensor:
        """Return what the network predicts; variances that it has learned are dropped.

        Args:
            x: ``[B, C, h, w]`` of unit variance, see `guidance.diffusion.sampling`.
            t: time step, or one a picture ``[B]``.
            condition: of one row or B; None is that of no text.

        Returns:
            ``[B, C, h, w]`` float32, differentiable in `x`: noise, velocity or x0, as
            ``schedule["prediction_type"]`` says.

        Raises:
            InputError: a shape that does not fit, or a condition for an unconditional network.
        """
        check_shape("x", x, ["B", self.channels, "h", "w"])
        dtype = next(self.network.parameters()).dtype
        t = torch.as_tensor(t, device=x.device)
        t = t.float() if t.is_floating_point() else t
        tensors = {
            k: v.to(x.device, dtype if v.is_floating_point() else v.dtype)
            for k, v in self._tensors(len(x), condition).items()
        }
        x_in = x.to(dtype).contiguous(memory_format=torch.channels_last)
        height, width = x.shape[-2:]
        out = self.predict(pad(x_in, self._grid), t, tensors)[:, : self.channels, :height, :width]
        return out.to(torch.promote_types(x.dtype, torch.float32))

    def predict(self, x: Tensor, t: Tensor, tensors: dict[str, Tensor]) -> Tensor:
        """Call the network: all arguments are on its device and in its arithmetic."""
        named: dict[str, Any] = dict(tensors)
        if self._hidden:
            named.setdefault("encoder_hidden_states", None)
        if (embeds := named.pop("text_embeds", None)) is not None:
            # of Stable Diffusion XL: size of the original, corner of its crop, size wanted
            height, width = (side * self.factor for side in x.shape[-2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
            sizes = sizes.to(x.device).expand(len(x), -1)
            named["added_cond_kwargs"] = {"text_embeds": embeds, "time_ids": sizes}
        return self.network(x, t, **named).sample

    def decode(self, x0: Tensor, *, fast: bool = True, clamp: bool = True) -> Tensor:
        """Return the pictures of ``x0 [B, C, h, w]``: float32 ``[B, 3, H, W]``, differentiable.

        Args:
            fast: with the draft decoder, if there is one, and in the arithmetic of `place`;
                otherwise as finished pictures are: the network's own decoder in float32.
            clamp: to [0, 1]; where it clamps, no gradient passes.
        """
        check_shape("x0", x0, ["B", self.channels, "h", "w"])
        return self.space.decode(x0, fast=fast, clamp=clamp)

    def encode(self, images: Tensor) -> Tensor:
        """Return x0 ``[B, C, H / factor, W / factor]`` of ``images [B, 3, H, W]`` in [0, 1].

        Raises:
            InputError: sides that are not multiples of `factor`.
        """
        return self.space.encode(images)

    def condition(self, texts: Sequence[str]) -> list[Condition]:
        """Return the condition of each text, of one row.

        Raises:
            InputError: the network is unconditional.
        """
        if self.reader is None:
            raise InputError(f"the model {self.name} takes no texts: it is unconditional")
        return self.reader.read(texts)

    def image_condition(self, images: Tensor) -> list[Condition]:
        """Return the condition of each of ``images [N, 3, H, W]`` in [0, 1], of one row.

        Raises:
            InputError: images do not condition the network, see `sees`.
        """
        raise InputError(f"the model {self.name} takes no images")

    def noise_clip(self) -> NoiseAware:
        """Return `noise_aware`.

        Raises:
            InputError: the model has none.
        """
        if self.noise_aware is None:
            raise InputError(
                f"--noise-aware needs a model with a CLIP that knows noise (mini) but {self.name} "
                "has none"
            )
        return self.noise_aware

    def empty(self) -> Condition | None:
        """Return the condition of no text; None if the network is unconditional."""
        if self._empty is None and self.reader is not None:
            self._empty = self.reader.empty()
        return self._empty

    def place(
        self,
        device: torch.device | str,
        precision: str = "fp32",
        *,
        offload: bool = False,
        attention_slicing: bool = False,
    ) -> Denoiser:
        """Move to `device`, frozen and ready to run; return itself.

        Args:
            precision: "bf16" and "fp16" convert the network's weights; pictures are decoded under
                autocast, and text encoders stay in float32. Inputs and outputs are float32.
            offload: keep the weights in the CPU's memory and copy each layer as it is needed:
                slow, for GPUs with little memory. It cannot be undone.
            attention_slicing: compute attention a few heads at a time, for less memory.

        Raises:
            InputError: a precision that is unknown or does not run on `device`.
            ModelError: offload without accelerate.
        """
        self.device = torch.device(device)
        check_precision(precision, self.device)
        dtype = PRECISIONS[precision]
        # diffusers' own `to` reports layers to be kept in float32 even if there are none
        nn.Module.to(self.network, dtype=dtype)
        nn.Module.to(self.network, memory_format=torch.channels_last)
        if attention_slicing:
            _slice_attention(self.network)
        self.space.place(self.device, precision, offload=offload)
        parts = [self.network, *([self.reader] if self.reader is not None else [])]
        for part in parts:
            offload_weights(part, self.device) if offload else part.to(self.device)
        if self.reader is not None:
            self.reader.device = self.device
        self._empty = None
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Denoiser:
        """Stay in evaluation mode, also within a generator that is set to train."""
        return super().train(False)

    def _tensors(self, n: int, condition: Condition | None) -> dict[str, Tensor]:
        if condition is not None and not self.conditional:
            raise InputError(f"the model {self.name} takes no condition: it is unconditional")
        given = condition if condition is not None else self.empty()
        parts = [c.rows(n).tensors for c in (given, self._always) if c is not None]
        return {k: v for part in parts for k, v in part.items()}


def grid(network: UNet2DModel | UNet2DConditionModel) -> int:
    """Return the cells that both sides of what a UNet takes must be multiples of.

    It halves them from level to level; where a half is rounded up, most of diffusers' blocks of
    the way back make one cell more than there was. Only those of `_ADAPTING` can be told how many.
    """
    from diffusers import UNet2DConditionModel

    config = network.config
    adapts = isinstance(network, UNet2DConditionModel) and set(config.up_block_types) <= _ADAPTING
    return 1 if adapts else 2 ** (len(config.down_block_types) - 1)


def pad(x: Tensor, multiple: int) -> Tensor:
    """Return ``x [B, C, h, w]`` with both sides enlarged to multiples, mirrored about its end.

    So a network meets noise like that of the picture beyond its right and lower borders.
    """
    for axis in (-2, -1):
        side = x.shape[axis]
        if side % multiple:
            cells = torch.arange(-(-side // multiple) * multiple, device=x.device) % (2 * side)
            x = x.index_select(axis, torch.minimum(cells, 2 * side - 1 - cells))
    return x


def _slice_attention(network: nn.Module) -> None:
    from diffusers.models.attention_processor import Attention

    for module in network.modules():
        if isinstance(module, Attention):
            module.set_attention_slice(max(1, module.sliceable_head_dim // 2))
