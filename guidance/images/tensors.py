"""PIL images ↔ tensors ``[1, 3, H, W]`` in [0, 1]."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from guidance.conventions import check_images
from guidance.errors import InputError
from guidance.images.read import load_image

if TYPE_CHECKING:  # PyTorch takes seconds to import; who has a tensor has it already
    from torch import Tensor

ImageLike: TypeAlias = "str | os.PathLike | Image.Image | Tensor"


def to_tensor(image: Image.Image) -> Tensor:
    """Convert a PIL image to a tensor ``[1, 3, H, W]`` float32 in [0, 1]."""
    import numpy as np
    import torch

    array = np.asarray(image.convert("RGB"), dtype=np.uint8)
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 255


def to_pil(image: Tensor) -> Image.Image:
    """Convert one image ``[3, H, W]`` or ``[1, 3, H, W]`` in [0, 1] to 8-bit PIL, rounding."""
    import torch

    if image.ndim == 4 and len(image) == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] != 3:
        raise InputError(f"image must have shape [3, H, W] but has {list(image.shape)}")
    array = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(array.permute(1, 2, 0).cpu().numpy())


def as_tensor(image: ImageLike) -> Tensor:
    """Convert any accepted form of one image to ``[1, 3, H, W]`` in [0, 1].

    A tensor may be ``[3, H, W]`` or ``[1, 3, H, W]``; it is returned as it is, with its gradient.
    """
    from torch import Tensor

    if isinstance(image, Tensor):
        image = image[None] if image.ndim == 3 else image
        check_images("image", image)
        if len(image) != 1:
            raise InputError(f"image must have shape [3, H, W] but has {list(image.shape)}")
        return image
    if isinstance(image, str | os.PathLike | Image.Image):
        return to_tensor(load_image(image))
    raise InputError(f"an image must be a path, PIL image or tensor but is {type(image).__name__}")
