"""CLIP as a critic: small heads on frozen features of its image tower tell real from made.

Kumari, Zhang, Shechtman and Zhu 2022, "Ensembling Off-the-shelf Models for GAN Training",
arXiv:2112.09130 (Vision-aided GAN), section 3: the tower never learns, the heads look at several
of its depths, what it is shown is augmented first (Zhao et al. 2020, "Differentiable Augmentation
for Data-Efficient GAN Training", arXiv:2006.10738), and the loss is the cross-entropy with
one-sided label smoothing (Salimans et al. 2016, arXiv:1606.03498, section 3.4): a head that is
never to be wholly sure of a real picture has a gradient left for the made ones. Different here:
the heads keep the grid of the features and judge each place of it, as a patch judge does, since
pictures come in pairs and what is wrong is wrong somewhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from guidance.clip.depths import Depths
from guidance.objective.augmentations import Dice, affine, apply_changes, sample_changes
from guidance.train.vqgan.critic import Critic

REAL = 0.9  # what heads should say of real pictures, smoothed on this side alone
SHIFT = 0.125  # longest shift, part of the side
CHANGES = {"colour": 2.0, "erase": 1.0, "noise": 0.0}  # strengths
WIDTH = 64  # channels in a head


class ClipCritic(Critic):
    """A head for each of the depths of a CLIP; the CLIP is no part of its state.

    Args:
        depths: features of the frozen tower.
    """

    name = "critic"

    def __init__(self, depths: Depths):
        super().__init__()
        self.depths = depths
        self.heads = nn.ModuleList(_head(width) for width in depths.widths)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the logits ``[N, 1, h, w]`` of each depth: high where a place looks real."""
        said = []
        for head, x in zip(self.heads, features, strict=True):
            # some channels of a tower are a hundred times as loud as others of another depth
            level = F.layer_norm(x.movedim(1, -1).float(), x.shape[1:2]).movedim(-1, 1)
            said.append(head(level).float())
        return said

    def fooled(self, made: Tensor, rng: Generator) -> Tensor:
        """Return the cross-entropy of made pictures with what is said of real ones."""
        said = self(self.depths(augmented((made + 1) / 2, rng)))
        return torch.stack([F.softplus(-s).mean() for s in said]).mean()

    def loss(self, images: Tensor, made: Tensor, rng: Generator) -> Tensor:
        """Return the cross-entropy, smoothed on the side of the real pictures."""
        with torch.no_grad():
            features = self.depths(augmented((torch.cat([images, made]) + 1) / 2, rng))
        losses = []
        for said in self(features):
            real, other = said.split(len(images))
            target = torch.full_like(real, REAL)
            losses += [
                F.binary_cross_entropy_with_logits(real, target),
                F.softplus(other).mean(),
            ]
        return torch.stack(losses).mean()


def augmented(images: Tensor, rng: Generator) -> Tensor:
    """Shift each of the pictures ``[N, 3, S, S]``, change its colours and erase a box in half.

    Whole pixels, so that nothing is blurred; what comes into view is black.
    """
    n, side = len(images), images.shape[-1]
    dice = Dice(n, rng)
    shifts = (dice(-SHIFT, SHIFT, 2) * side).round() * 2 / side
    still = torch.zeros(n)
    theta = affine(still, still + 1, still, shifts, still + 1)[:, :2].to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, "bilinear", "zeros", align_corners=False)
    changes = sample_changes(dice, CHANGES)
    return apply_changes(moved.transpose(0, 1)[None], changes)[0]


def _head(width: int) -> nn.Module:
    """Return features ``[N, C, h, w]`` → logits ``[N, 1, h, w]``, each of which sees 3 × 3."""

    def conv(inside: int, outside: int, kernel: int) -> nn.Module:
        return nn.utils.parametrizations.spectral_norm(
            nn.Conv2d(inside, outside, kernel, padding=kernel // 2)
        )

    return nn.Sequential(
        conv(width, WIDTH, 3), nn.LeakyReLU(0.2), conv(WIDTH, WIDTH, 1), nn.LeakyReLU(0.2),
        conv(WIDTH, 1, 1),
    )  # fmt: skip
