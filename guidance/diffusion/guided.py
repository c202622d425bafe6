"""Gradient of an objective → guided prediction: how CLIP steers a denoising step.

Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", arXiv:2105.05233,
algorithm 2, with the gradient taken through the predicted clean picture as disco-diffusion does:

    z ─▶ network ─▶ x0, eps ─▶ picture ─▶ objective L ─▶ g = dL/dz
    eps' = eps + sigma · scale · g        x0' = (z - sigma · eps') / alpha
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.conventions import check_range
from guidance.diffusion.guide import Guide
from guidance.diffusion.noise_levels import Level
from guidance.models.quantise import clamp_inward

# gradients pass half-precision networks, where those of single pixels would round to 0; a power of
# two changes nothing in float32
LOSS_SCALE = 2.0**10

Split = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Prediction:
    """What is known of a batch at one step.

    Attributes:
        x0: clean pictures, ``[B, C, h, w]``.
        eps: the noise that goes with them.
        image: what was scored, ``[B, 3, H, W]`` in [0, 1]; None if it was not guided.
        finite: False if some picture's gradient was not and it was left unguided.
    """

    x0: Tensor
    eps: Tensor
    image: Tensor | None
    finite: bool = True


def guided(
    z: Tensor,
    level: Level,
    predict: Split,
    show: Callable[[Tensor], Tensor],
    objective: Callable[[Tensor], Tensor],
    guide: Guide,
    scale: float,
    noisy: Callable[[Tensor], Tensor] | None = None,
) -> Prediction:
    """Return the prediction for noisy pictures, moved along the gradient of `objective`.

    With ``guide.direct`` the network's answer is held fixed: x0 = (z - sigma · eps) / alpha moves
    with z alone, so that no gradient goes through the network, which costs most of a step.

    Args:
        z: input of the network, ``[B, C, h, w]``.
        level: of its noise.
        predict: z → clean pictures and noise, differentiable.
        show: clean pictures → pixels ``[B, 3, H, W]``, not clamped, differentiable.
        objective: pictures in [0, 1] → scalar, the mean over the pictures.
        guide: how the gradient is taken and limited. With a clamp, no clean picture is moved by
            more than 1 (root mean square) either: where alpha is small, hardly any of it is known.
        scale: of the gradient in this step.
        noisy: z → scalar, the mean over the pictures; counts with its weight in `guide`.
    """
    with torch.enable_grad():
        if guide.direct:
            with torch.no_grad():
                x0, eps = predict(z)
            x0 = leaf = x0.detach().requires_grad_()
        else:
            leaf = z.detach().requires_grad_()
            x0, eps = predict(leaf)
        pixels = show(x0)
        image = clamp_inward(pixels, 0.0, 1.0)
        loss = objective(image)
        if guide.excess:
            loss = loss + guide.excess * outside(pixels)
        gradient = _slope(loss, leaf) / (level.alpha if guide.direct else 1.0)
        if noisy is not None:
            leaf = z.detach().requires_grad_()
            gradient = gradient + guide.noisy * _slope(noisy(leaf), leaf)
    push = scale * gradient
    usable = push.flatten(1).isfinite().all(1)
    push = torch.where(usable.view(-1, 1, 1, 1), push, torch.zeros_like(push))
    reach = level.sigma**2 / level.alpha
    if guide.clamp:
        push = clamp_rms(push, min(guide.clamp, 1 / reach))
    x0, eps = x0.detach() - reach * push, eps.detach() + level.sigma * push
    return Prediction(x0, eps, image.detach(), bool(usable.all()))


def _slope(loss: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of each picture's own loss, given the mean of the losses."""
    # of a sum: the gradient of a picture does not depend on the number of the others
    (gradient,) = torch.autograd.grad(loss * (LOSS_SCALE * len(x)), x)
    return gradient / LOSS_SCALE


def outside(pixels: Tensor) -> Tensor:
    """Return the mean squared distance of `pixels` from [0, 1], a scalar."""
    return (pixels - pixels.clamp(0, 1)).square().mean()


def clamp_rms(grad: Tensor, limit: float) -> Tensor:
    """Return `grad` shortened so that the root mean square of each picture is at most `limit`.

    Its direction is kept, unlike by clipping each value. Zero stays zero.

    Args:
        grad: gradient ``[B, ...]``.
        limit: greatest root mean square, above 0.

    Raises:
        InputError: `limit` is not above 0.
    """
    check_range("limit", limit, 0, above=True)
    dims = tuple(range(1, grad.ndim))
    peak = grad.abs().amax(dims, keepdim=True)
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    # relative to the peak, so that the squares of a huge gradient stay finite
    rms = peak * (grad / peak).square().mean(dims, keepdim=True).sqrt()
    return torch.where(rms > limit, grad * (limit / rms), grad)
