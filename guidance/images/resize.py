"""Tensors of pictures → the same at another size: the one place that says how.

Bicubic where it is not said otherwise, as CLIP's own preprocessing, and averaged where they shrink
(antialiased). Files are cut and shrunk as PIL images, by Lanczos, before they are tensors: see
`canvas.load_picture`.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resize(
    images: Tensor,
    size: tuple[int, int],
    *,
    mode: str = "bicubic",
    antialias: bool = True,
    clip: bool = True,
) -> Tensor:
    """Return `images` ``[B, C, H, W]`` stretched to `size`, height and width in pixels.

    Args:
        mode: ``"bicubic"``, or ``"bilinear"``, which is cheaper and never overshoots.
        antialias: average where they shrink. It changes a little where they grow, too: off where
            networks and noise were made without it.
        clip: limit what is bicubic to [0, 1], which it passes at edges; 8-bit pictures are limited
            anyway. Off for values that are no colours.
    """
    out = F.interpolate(images, tuple(size), mode=mode, align_corners=False, antialias=antialias)
    return out.clamp(0, 1) if clip and mode == "bicubic" and out.is_floating_point() else out
