"""Image embeddings ``[N, D]`` and class numbers ``[N]`` → a tuned `Prompts`.

Both papers train by stochastic gradient descent with a cosine schedule on augmented images
(CoOp section 4.1, CoCoOp section 4). The image tower is frozen, so here every image is embedded
once, without augmentation, and a step costs one pass of the text tower.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.conventions import check_count, check_range, check_shape
from guidance.errors import DivergedError
from guidance.probe.prompts import Prompts

MOMENTUM = 0.9
WARM_UP = 0.05  # part of the steps in which the rate rises
TEXTS = 512  # prompts that go through the text tower at once
STEP_TEXTS = 64  # the same in a step of training, where every image of CoCoOp makes its own


def tune(
    prompts: Prompts,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 200,
    rate: float = 0.002,
    batch: int = 32,
    generator: torch.Generator,
) -> list[float]:
    """Fit the context to labelled image embeddings, in place; return the loss of each step.

    Args:
        prompts: CoOp's, or CoCoOp's if it is conditional.
        images: ``[N, D]``, unit length.
        labels: ``[N]`` numbers of the classes of `prompts`.
        steps: of gradient descent; 0 leaves everything as it is.
        rate: of learning, at its highest.
        batch: images a step; a conditional context, whose every image makes its own prompts, takes
            fewer if the classes are many.
        generator: of the order of the images.

    Raises:
        DivergedError: the loss is no number any more.
    """
    check_count("steps", steps, 0)
    check_count("batch", batch, 1)
    check_range("rate", rate, 0, above=True)
    check_shape("labels", labels, [len(images)])
    if prompts.meta is not None:
        batch = max(1, min(batch, STEP_TEXTS // len(prompts.tokens)))
    optimiser = torch.optim.SGD(prompts.parameters(), lr=rate, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: _share(n, steps))
    losses: list[float] = []
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < min(batch, len(images)):
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        rows, order = order[:batch], order[batch:]
        loss = F.cross_entropy(prompts(images[rows]), labels[rows])
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"the loss is {losses[-1]}; a lower --rate than {rate:g} may help")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return losses


@torch.no_grad()
def logits(prompts: Prompts, images: Tensor) -> Tensor:
    """Return scale × cosine of any number of image embeddings: ``[N, D]`` → ``[N, C]``."""
    if prompts.meta is None:
        return prompts(images)
    return torch.cat([prompts(part) for part in images.split(max(1, TEXTS // len(prompts.tokens)))])


def _share(step: int, steps: int) -> float:
    """Return the part of the rate at a step: a short rise, then half a cosine."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
