"""Image × texts → WHERE each text fits, ``[P, h, w]``.

Four ways, from the most direct to the one that needs nothing but the score:

- ``patches``: the cosine of each patch and the text (`guidance.clip.tokens`).
- ``gradcam``: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, section 3): the last features,
  each channel weighted by the mean gradient of the score, where positive.
- ``gradient``: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, section 3) from
  a blurred picture to the picture, smoothed; before that, they add up to what the picture scores
  more than the blurred one.
- ``windows``: the cosine of square windows that overlap, each scored as a picture of its own.

A picture that is not square is seen in square windows as well, and their maps are joined, so that
nothing at its ends is cut off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.clip.tokens import TokenTower, patch_embeddings
from guidance.conventions import check_count, check_images
from guidance.errors import InputError, unknown
from guidance.images.resize import resize

SIDE = 192  # the longer side of a map, in cells
WIDEST = 2  # zoom of the largest cut-outs of `windows`: a larger one is nearly the whole picture
STEPS = 48  # of integrated gradients; maps of two photos correlate 0.90 and 0.99 with 400 steps
BLUR = 1 / 12  # sigma of the baseline and of the final smoothing, as parts of the window's side
PART = 8  # windows that a gradient is taken of at once


def heat_maps(
    image: Tensor,
    texts: Sequence[str],
    scorer: ClipScorer,
    *,
    method: str = "patches",
    against: Sequence[str] = (),
    zoom: int = 1,
) -> Tensor:
    """Return where each text fits the image.

    Args:
        image: ``[1, 3, H, W]`` in [0, 1].
        texts: P of them.
        method: a key of `METHODS`.
        against: texts whose mean is subtracted, so that what fits these as well does not count.
        zoom: also look closer, with windows up to this many times smaller than the shorter side;
            small things show, large ones fall apart.

    Returns:
        ``[P, h, w]`` float32 on the CPU, the longer side `SIDE`: cosines for ``patches`` and
        ``windows``; for the others parts of one, of no absolute meaning.

    Raises:
        InputError: an argument is not allowed.
        ModelError: the image tower gives no patches and `method` needs them.
    """
    check_images("image", image)
    if len(image) != 1:
        raise InputError(f"image must have shape [1, 3, H, W] but has {list(image.shape)}")
    if method not in METHODS:
        raise InputError(unknown("method", method, METHODS))
    check_count("zoom", zoom, 1, 16)
    targets = [_targets(model, texts, against) for model in scorer.models]
    height, width = image.shape[-2:]
    scale = SIDE / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    total = torch.zeros(len(texts), *size)
    weight = torch.zeros(size)
    first = WIDEST if method == "windows" else 1
    for level in range(first, first + zoom + (method == "windows")):
        boxes = squares(height, width, level)
        maps = METHODS[method](_crops(image, boxes, scorer), targets, scorer)  # [n, P, a, b]
        for box, part in zip(boxes, maps, strict=True):
            _add(total, weight, part.cpu(), box, (height, width))
    return total / weight


def squares(height: int, width: int, zoom: int) -> list[tuple[int, int, int]]:
    """Return the windows (top, left, side) that cover a picture, neighbours half overlapping.

    Example:
        >>> squares(100, 150, 1)
        [(0, 0, 100), (0, 50, 100)]
        >>> len(squares(100, 100, 2))
        9
    """
    side = max(1, min(height, width) // zoom)

    def starts(length: int) -> list[int]:
        count = -(-2 * (length - side) // side) + 1
        places = (round(i * (length - side) / max(1, count - 1)) for i in range(count))
        return list(dict.fromkeys(places))  # of very small pictures some coincide

    return [(top, left, side) for top in starts(height) for left in starts(width)]


def _crops(image: Tensor, boxes: Sequence[tuple[int, int, int]], scorer: ClipScorer) -> Tensor:
    """Cut out the windows, at the size of the largest model: ``[n, 3, S, S]``."""
    side = max(m.image_size for m in scorer.models)
    pieces = [
        resize(image[..., top : top + s, left : left + s].float(), (side, side))
        for top, left, s in boxes
    ]
    return torch.cat(pieces).to(scorer.device)


def _add(
    total: Tensor, weight: Tensor, part: Tensor, box: tuple[int, int, int], full: tuple[int, int]
) -> None:
    """Lay the map of one window ``[P, a, b]`` over the whole, less towards the window's edges."""
    top, left, side = box
    y0, y1 = (round(v * total.shape[1] / full[0]) for v in (top, top + side))
    x0, x1 = (round(v * total.shape[2] / full[1]) for v in (left, left + side))
    y1, x1 = max(y1, y0 + 1), max(x1, x0 + 1)
    shape = (min(y1, total.shape[1]) - y0, min(x1, total.shape[2]) - x0)
    big = F.interpolate(part[None], (y1 - y0, x1 - x0), mode="bilinear", align_corners=False)[0]
    rows, columns = (1.1 - (2 * (torch.arange(n) + 0.5) / n - 1).abs() for n in big.shape[-2:])
    cone = (rows[:, None] * columns)[: shape[0], : shape[1]]
    area = (slice(y0, y0 + shape[0]), slice(x0, x0 + shape[1]))
    total[(slice(None), *area)] += big[:, : shape[0], : shape[1]] * cone
    weight[area] += cone


def _targets(model, texts: Sequence[str], against: Sequence[str]) -> Tensor:
    """Return what the embeddings of images are multiplied by, ``[P, D]``."""
    targets = model.encode_text(texts)
    return targets - model.encode_text(against).mean(dim=0) if against else targets


def _score(scorer: ClipScorer, images: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """Return ``[n, P]``, the weighted mean of the models."""
    models = zip(scorer.models, scorer.weights, targets, strict=True)
    scores = [w * (m.encode_image(images) @ t.T) for m, w, t in models]
    return functools.reduce(torch.add, scores)


@torch.no_grad()
def _patches(crops: Tensor, targets: Sequence[Tensor], scorer: ClipScorer) -> Tensor:
    total = torch.zeros(())
    for model, weight, target in zip(scorer.models, scorer.weights, targets, strict=True):
        parts = [patch_embeddings(model, c) for c in crops.split(PART * 4)]
        maps = torch.einsum("ndhw,pd->nphw", torch.cat(parts), target).cpu()
        total = weight * _to(maps, SIDE // 2) + total
    return total


def _gradcam(crops: Tensor, targets: Sequence[Tensor], scorer: ClipScorer) -> Tensor:
    total = torch.zeros(())
    for model, weight, target in zip(scorer.models, scorer.weights, targets, strict=True):
        tower = TokenTower(model)
        maps = torch.cat([_gradcam_of(tower, c, target) for c in crops.split(PART)])
        total = weight * _to(maps.cpu(), SIDE // 2) + total
    return total


def _gradcam_of(tower: TokenTower, crops: Tensor, target: Tensor) -> Tensor:
    with torch.no_grad():
        tokens, (height, width) = tower.features(crops)
    tokens = tokens.detach().requires_grad_()
    scores = tower.pool(tokens, (height, width)) @ target.T  # [n, P]
    maps = []
    for number in range(len(target)):
        (slope,) = torch.autograd.grad(scores[:, number].sum(), tokens, retain_graph=True)
        patches, slopes = (t[:, -height * width :].float() for t in (tokens.detach(), slope))
        cam = (patches * slopes.mean(dim=1, keepdim=True)).sum(-1).relu()
        maps.append(cam.unflatten(1, (height, width)))
    return torch.stack(maps, dim=1)


def integrated_gradients(
    images: Tensor, baseline: Tensor, score: Callable[[Tensor], Tensor], steps: int = STEPS
) -> Tensor:
    """Attribute the scores of images to their pixels.

    Args:
        images: ``[n, 3, H, W]``.
        baseline: the same shape; pictures in which there is nothing to see.
        score: images → ``[n]``, each by its own image.
        steps: points on the way, at the middles of equal pieces.

    Returns:
        ``[n, H, W]``; its sum tends to ``score(images) - score(baseline)`` as steps grow.
    """
    slope = torch.zeros_like(images)
    for step in range(steps):
        between = torch.lerp(baseline, images, (step + 0.5) / steps).requires_grad_()
        slope += torch.autograd.grad(score(between).sum(), between)[0] / steps
    return ((images - baseline) * slope).sum(dim=1)


def _gradient(crops: Tensor, targets: Sequence[Tensor], scorer: ClipScorer) -> Tensor:
    maps = []
    for part in crops.split(PART):
        soft = _blur(part)
        for_texts = []
        for number in range(len(targets[0])):
            of_text = [t[number : number + 1] for t in targets]
            found = integrated_gradients(
                part, soft, lambda x, of_text=of_text: _score(scorer, x, of_text)[:, 0]
            )
            for_texts.append(_blur(found[:, None])[:, 0])
        maps.append(torch.stack(for_texts, dim=1))
    return torch.cat(maps)


@torch.no_grad()
def _windows(crops: Tensor, targets: Sequence[Tensor], scorer: ClipScorer) -> Tensor:
    parts = [_score(scorer, c, targets) for c in crops.split(PART * 4)]
    return torch.cat(parts)[..., None, None]


def _blur(x: Tensor) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur  # takes seconds

    sigma = x.shape[-1] * BLUR
    return gaussian_blur(x, 2 * round(2 * sigma) + 1, sigma)


def _to(maps: Tensor, side: int) -> Tensor:
    """Resize maps of whatever grid, so that those of several models can be added."""
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)


METHODS = {
    "patches": _patches,
    "gradcam": _gradcam,
    "gradient": _gradient,
    "windows": _windows,
}
