"""Image → CLIP input, ``[N, 3, H, W]`` in [0, 1] → ``[N, 3, S, S]`` normalised, differentiable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.errors import ModelError
from guidance.images.resize import resize

LEAST_STD = 0.001  # of colours in [0, 1]


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing a set of CLIP weights was trained with.

    Attributes:
        size: side of the square input, pixels.
        mean, std: per-channel statistics of the training images, RGB in [0, 1].
        interpolation: ``"bicubic"`` or ``"bilinear"``; both antialiased when shrinking.
        resize_mode: ``"shortest"`` resizes the shorter side and crops the centre, ``"squash"``
            ignores the aspect ratio, ``"longest"`` pads the shorter side with `fill`.
        fill: grey level of the padding, in [0, 1].
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill: float = 0.0

    @classmethod
    def from_config(cls, config: Mapping[str, object], size: int | tuple[int, int]) -> Preprocess:
        """Build from open_clip's ``preprocess_cfg`` and the image size of the model."""
        height, width = (size, size) if isinstance(size, int) else size
        if height != width:
            raise ModelError(f"the image size of the model must be square but is {height}x{width}")
        interpolation = str(config.get("interpolation") or "bicubic")
        if interpolation not in ("bicubic", "bilinear"):
            interpolation = "bicubic"  # "random" is a training-time choice
        resize_mode = str(config.get("resize_mode") or "shortest")
        if resize_mode not in ("shortest", "squash", "longest"):
            raise ModelError(
                f"resize_mode must be shortest, squash or longest but is {resize_mode!r}"
            )
        mean, std = (_three(name, config[name]) for name in ("mean", "std"))
        if min(std) < LEAST_STD:
            raise ModelError(f"std must be at least {LEAST_STD} for each colour but is {list(std)}")
        return cls(
            size=height,
            mean=mean,
            std=std,
            interpolation=interpolation,
            resize_mode=resize_mode,
            fill=_grey(config.get("fill_color") or 0),
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Resize to the square input and normalise. ``[N, 3, H, W]`` → ``[N, 3, S, S]``."""
        return self.normalise(self.resize(images))

    def resize(self, images: Tensor) -> Tensor:
        """Resize ``[N, 3, H, W]`` to ``[N, 3, S, S]`` by `resize_mode`; a no-op at that size.

        Images of 8 bits, uint8 in [0, 255], stay so: that is how CLIP was trained.
        """
        height, width, size = *images.shape[-2:], self.size
        if height == width == size:
            return images
        if self.resize_mode == "squash" or height == width:
            return self._interpolate(images, size, size)
        # the roundings are those of open_clip's transforms
        if self.resize_mode == "shortest":
            short = min(height, width)
            new_h, new_w = size * height // short, size * width // short
            top, left = round((new_h - size) / 2), round((new_w - size) / 2)
            resized = self._interpolate(images, new_h, new_w)
            return resized[..., top : top + size, left : left + size]
        scale = size / max(height, width)
        new_h, new_w = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (size - new_h) // 2, (size - new_w) // 2
        padding = (left, size - new_w - left, top, size - new_h - top)
        fill = self.fill if images.is_floating_point() else round(255 * self.fill)
        return F.pad(self._interpolate(images, new_h, new_w), padding, value=fill)

    def normalise(self, images: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation, per channel."""
        return (images - self._channels(self.mean, images)) / self._channels(self.std, images)

    def _interpolate(self, images: Tensor, height: int, width: int) -> Tensor:
        return resize(images, (height, width), mode=self.interpolation)

    @staticmethod
    def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)


def _three(name: str, values: object) -> tuple[float, ...]:
    """Return a number for each colour; one alone is for all of them, as in open_clip."""
    listed = list(values) if isinstance(values, (list, tuple)) else [values] * 3
    plain = all(type(v) in (int, float) and abs(v) <= 255 for v in listed)  # NaN is not
    if len(listed) != 3 or not plain:
        raise ModelError(f"{name} must be three numbers but is {values!r:.80}")
    return tuple(listed)


def _grey(fill: object) -> float:
    """Return a ``fill_color`` in [0, 255], or the mean of its three, in [0, 1]."""
    values = fill if isinstance(fill, (list, tuple)) and fill else [fill]
    if not all(type(v) in (int, float) and 0 <= v <= 255 for v in values):
        raise ModelError(f"fill_color must be in [0, 255] but is {fill!r:.80}")
    return sum(values) / len(values) / 255
