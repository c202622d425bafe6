"""Classifier-free guidance: conditional and unconditional answers → the one that is followed.

The functions are pure, of tensors ``[B, C, H, W]``, and treat each picture of the batch alone, so
that a picture does not depend on its neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.conventions import check_range
from guidance.errors import InputError
from guidance.models.conditions import Condition
from guidance.models.denoiser import Denoiser


@dataclass(frozen=True)
class ClassifierFree:
    """How a network's answers are asked for and mixed.

    Attributes:
        scale: of the guidance, see `cfg`; None for the network's usual one.
        rescale: see `rescale`.
        threshold: see `dynamic_threshold`; 0 is off.
        joint: ask for both answers at once, which takes more memory than one by one.
    """

    scale: float | None = None
    rescale: float = 0.0
    threshold: float = 0.0
    joint: bool = True

    def check(self, denoiser: Denoiser) -> None:
        """Raise `InputError` for what this network cannot do."""
        if self.scale is not None and not denoiser.conditional:
            raise InputError(
                f"--cfg needs a model that takes prompts but {denoiser.name} is unconditional; "
                "--clip-scale guides it"
            )
        if self.threshold and denoiser.factor > 1:
            raise InputError(
                f"--threshold is for models that work on pixels but {denoiser.name} works on "
                "latents"
            )

    def answer(
        self,
        denoiser: Denoiser,
        z: Tensor,
        t: Tensor,
        told: Condition | None,
        untold: Condition | None,
    ) -> Tensor:
        """Return what the network says of ``z [B, C, h, w]``.

        Args:
            t: time step.
            told: the condition, of one row; None if the network takes none.
            untold: what it is contrasted with.
        """
        scale = denoiser.cfg if self.scale is None else self.scale
        if told is None or scale in (0, 1):
            return denoiser(z, t, untold if scale == 0 else told)
        if self.joint and untold is not None:
            both = Condition.cat([told.rows(len(z)), untold.rows(len(z))])
            cond, uncond = denoiser(torch.cat([z, z]), t, both).chunk(2)
        else:
            cond, uncond = denoiser(z, t, told), denoiser(z, t, untold)
        return rescale(cfg(cond, uncond, scale), cond, self.rescale)


def cfg(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """Return the classifier-free guided answer ``uncond + scale * (cond - uncond)``.

    Ho & Salimans 2022, "Classifier-Free Diffusion Guidance" (arXiv:2207.12598), eq. 6 with
    w = `scale` - 1. It holds for predictions of the noise, of v and of the clean picture alike.

    Args:
        cond: the answer to the condition, ``[B, ...]``.
        uncond: the answer without it, or to a negative prompt, of the same shape.
        scale: 1 is `cond` itself and 0 is `uncond` itself, exactly.

    Raises:
        InputError: the shapes differ, or `scale` is not finite.
    """
    if cond.shape != uncond.shape:
        raise InputError(f"uncond must have shape {list(cond.shape)} but has {list(uncond.shape)}")
    if not math.isfinite(scale):
        raise InputError(f"scale must be finite but is {scale}")
    if scale in (0, 1):  # not left to rounding
        return cond if scale == 1 else uncond
    return uncond + scale * (cond - uncond)


def rescale(mixed: Tensor, cond: Tensor, phi: float) -> Tensor:
    """Return `mixed` with its contrast brought back towards that of `cond`.

    Lin, Liu, Li & Yang 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed"
    (arXiv:2305.08891), section 3.4, eq. 15 and 16: a large guidance scale overexposes pictures,
    which the standard deviation of each picture shows.

    Args:
        mixed: the guided answer ``[B, ...]``.
        cond: the conditional answer of the same shape.
        phi: 0 leaves `mixed` as it is, 1 gives it the standard deviation of `cond`.

    Raises:
        InputError: the shapes differ, or `phi` is outside [0, 1].
    """
    if mixed.shape != cond.shape:
        raise InputError(f"cond must have shape {list(mixed.shape)} but has {list(cond.shape)}")
    check_range("phi", phi, 0, 1)
    if phi == 0:
        return mixed
    spread, wanted = _deviation(mixed), _deviation(cond)
    # a flat picture has no contrast to change
    factor = torch.where(spread > 0, wanted / spread.clamp(min=1e-12), torch.ones_like(spread))
    return mixed * (1 + phi * (factor - 1))


def dynamic_threshold(x0: Tensor, percentile: float, limit: float = 1.0) -> Tensor:
    """Return clean pictures pushed back into [-`limit`, `limit`] without clipping most of them.

    Saharia et al. 2022, "Photorealistic Text-to-Image Diffusion Models with Deep Language
    Understanding" (arXiv:2205.11487), section 2.3: with s the percentile of the absolute values
    of a picture, values are clipped to [-s, s] and divided by s, if s exceeds `limit`.

    Args:
        x0: predicted clean pictures ``[B, ...]``.
        percentile: share of the values that are not clipped, in (0, 1]; 0.995 is usual.
        limit: the greatest absolute value of real pictures.

    Raises:
        InputError: `percentile` or `limit` is out of range.
    """
    check_range("percentile", percentile, 0, 1, above=True)
    check_range("limit", limit, 0, above=True)
    size = x0.detach().flatten(1).abs()
    # the nearest rank; `torch.quantile` refuses large batches
    rank = max(1, math.ceil(percentile * size.shape[1] - 1e-9))
    bound = size.kthvalue(rank, dim=1).values.clamp(min=limit)
    bound = bound.reshape(-1, *[1] * (x0.ndim - 1))
    return torch.minimum(torch.maximum(x0, -bound), bound) * (limit / bound)


def _deviation(x: Tensor) -> Tensor:
    """Return the standard deviation of each picture, with the shape of one number a picture."""
    return x.std(tuple(range(1, x.ndim)), correction=0, keepdim=True)
