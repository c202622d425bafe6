"""Painting: a latent grid whose decoded picture follows the gradient (VQGAN-CLIP).

Crowson, Biderman, Kornis, Stander, Hallahan, Castricato and Raff 2022, "VQGAN-CLIP: Open Domain
Image Generation and Editing with Natural Language Guidance", arXiv:2204.08583, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.conventions import check_range, check_shape, derive_seed, make_generator
from guidance.errors import InputError
from guidance.images.canvas import scale
from guidance.images.fitting import check_multiple
from guidance.models.latents import Latents
from guidance.models.quantise import clamp_channels
from guidance.step.generator import Generator
from guidance.vqgan.camera import Camera
from guidance.vqgan.descent import OPTIMIZERS, Descent, check_optimizer


@dataclass(frozen=True)
class Still:
    """What is not painted.

    Attributes:
        mask: ``[1, 1, H, W]`` in [0, 1], 1 where to paint; elsewhere `original` stays, bit for bit.
        original: ``[1, 3, H, W]`` in [0, 1].
    """

    mask: Tensor
    original: Tensor

    def check(self, size: tuple[int, int]) -> None:
        """Raise `InputError` for shapes that do not fit, or a mask that is none."""
        check_shape("mask", self.mask, [1, 1, *size])
        check_shape("original", self.original, [1, 3, *size])
        if not bool(((self.mask >= 0) & (self.mask <= 1)).all()):
            raise InputError("mask must be in [0, 1]")


@dataclass(frozen=True)
class Draw:
    """Codes drawn at random while painting.

    Attributes:
        temperature: above 0, draw by the Gumbel-softmax trick, see `Latents.quantise`.
        seed: of the draws.
    """

    temperature: float = 0.0
    seed: int = 0


USUAL, NEAREST = Descent(), Draw()


class Painting(Generator):
    """A latent grid under optimisation.

    With `ema`, what is rendered and saved is the average of the latents, which is calmer than the
    latest ones that are scored; without it, what is scored is what is saved. With `temperature`,
    codes are drawn at random while painting, and the nearest ones are saved.

    Args:
        latents: the decoder; it is not part of this module's state.
        z: ``[1, C, H / factor, W / factor]`` to start from.
        size: height and width of the picture, pixels; multiples of the decoder's factor.
        descent: how the latents follow the gradient; with a camera the learning rate is kept.
        ema: decay of the average per step, below 1; 0 for none.
        still: what is not painted.
        draw: how codes are chosen while painting.
        camera: called before each step.

    Raises:
        InputError: shapes that do not fit or numbers out of range.
    """

    mask: Tensor | None
    original: Tensor | None
    total: Tensor | None
    weight: Tensor | None

    def __init__(
        self,
        latents: Latents,
        z: Tensor,
        size: tuple[int, int],
        *,
        descent: Descent = USUAL,
        ema: float = 0.0,
        still: Still | None = None,
        draw: Draw = NEAREST,
        camera: Camera | None = None,
    ):
        super().__init__()
        check_multiple(latents.name, latents.factor, size)
        height, width = size
        factor = latents.factor
        check_shape("z", z, [1, latents.channels, height // factor, width // factor])
        check_range("ema", ema, 0, 0.99999)
        check_range("temperature", draw.temperature, 0)
        check_range("levels", descent.levels, 1)
        if still is not None:
            still.check(size)
        self._latents = (latents,)  # in a tuple: its weights do not belong into checkpoints
        self.size = size
        self.ema = ema
        self.draw = draw
        self.camera = camera
        self.descent = descent if camera is None else replace(descent, lr_end=1.0)
        self.z = nn.Parameter(clamp_channels(z.detach(), latents.low, latents.high).clone())
        # moves of coarser grids; each step adds them to z and sets them to zero
        self.moves = nn.ParameterList(_coarser(self.z.detach(), descent.levels - 1))
        mask = None if still is None else still.mask.to(self.z)
        self.register_buffer("mask", mask, persistent=False)
        original = None if still is None else still.original.to(self.z)
        self.register_buffer("original", original, persistent=False)
        # the average is total / weight, free of the bias towards its start
        self.register_buffer("total", torch.zeros_like(self.z.data) if ema else None)
        self.register_buffer("weight", torch.zeros_like(self.z.data[0, 0, 0, 0]) if ema else None)
        self._index = 0
        params = [self.z, *self.moves]
        group: dict[str, object] = {"name": "z", "params": params, "lr": descent.lr}
        self.optimizer = make_optimizer(descent.optimizer, group)

    @property
    def latents(self) -> Latents:
        """The decoder."""
        return self._latents[0]

    def image(self) -> Tensor:
        """Return the decoded picture ``[1, 3, H, W]`` in [0, 1], over the original if masked."""
        if not self.draw.temperature:
            return self._decode(self._moved())
        generator = make_generator(derive_seed(self.draw.seed, "codes", self._index))
        return self._decode(self._moved(), self.draw.temperature, generator)

    def prepare(self, index: int, steps: int) -> None:
        """Set the learning rate of step `index` of `steps` and let the camera move."""
        self._index = index
        for group in self.optimizer.param_groups:
            group["lr"] = self.descent.rate(index, steps)
        if self.camera is not None:
            self.camera.before(self, index)

    @torch.no_grad()
    def project(self) -> None:
        """Keep the latents in the range of the codebook; count them into the average."""
        self.z.copy_(clamp_channels(self._moved(), self.latents.low, self.latents.high))
        for move in self.moves:
            move.zero_()
        if self.total is not None and self.weight is not None:
            self.total.mul_(self.ema).add_(self.z, alpha=1 - self.ema)
            self.weight.mul_(self.ema).add_(1 - self.ema)

    @torch.no_grad()
    def take(self, image: Tensor) -> None:
        """Go on from another picture: encode it, forget the average, keep the optimiser's state.

        Args:
            image: ``[1, 3, H, W]`` in [0, 1], of the painting's size.
        """
        check_shape("image", image, [1, 3, *self.size])
        self.z.copy_(self.latents.encode(image))
        self.z.copy_(clamp_channels(self.z, self.latents.low, self.latents.high))
        if self.total is not None and self.weight is not None:
            self.total.zero_()
            self.weight.zero_()

    @torch.no_grad()
    def average(self) -> Tensor:
        """Return the average of the latents, or the latents themselves if none is kept."""
        if self.total is None or self.weight is None or self.weight == 0:
            return self.z.detach()
        return self.total / self.weight

    @torch.no_grad()
    def picture(self) -> Tensor:
        """Return what is saved, ``[1, 3, H, W]`` in [0, 1]: see the class about `ema`."""
        return self._decode(self.average())

    @torch.no_grad()
    def render(self, height: int, width: int) -> Tensor:
        """Return what the camera sees of `picture`, ``[1, 3, height, width]``."""
        image = self.picture() if self.camera is None else self.camera.view(self.picture())
        return scale(image, height, width)

    def _moved(self) -> Tensor:
        """Return the latents with the moves of the coarser grids."""
        z, size = self.z, self.z.shape[-2:]
        for move in self.moves:
            z = z + F.interpolate(move, size, mode="bilinear", align_corners=False)
        return z

    def _decode(
        self, z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        picture = self.latents.decode(z, temperature, generator)
        if self.mask is None or self.original is None:
            return picture
        return self.mask * picture + (1 - self.mask) * self.original


def _coarser(z: Tensor, count: int) -> list[nn.Parameter]:
    """Return at most `count` grids of zeros, each half as large as the one before, down to 2."""
    grids = []
    height, width = z.shape[-2:]
    while len(grids) < count and min(height, width) > 2:
        height, width = -(-height // 2), -(-width // 2)
        grids.append(nn.Parameter(z.new_zeros(*z.shape[:2], height, width)))
    return grids


def make_optimizer(name: str, group: dict[str, object]) -> torch.optim.Optimizer:
    """Return the optimiser called `name` over one parameter group; gradient descent has momentum.

    Raises:
        InputError: it is not one of `OPTIMIZERS`.
    """
    kind = check_optimizer(name)
    more = {"momentum": 0.9} if kind == "sgd" else {}
    return getattr(torch.optim, OPTIMIZERS[kind])([group], **more)
