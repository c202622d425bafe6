"""How an image is cut before CLIP looks at it, and the names of what may happen to a cut."""

from __future__ import annotations

from dataclasses import dataclass

from guidance.conventions import check_count, check_range
from guidance.errors import InputError, unknown

AUGMENTATIONS = ("perspective", "affine", "flip", "colour", "noise", "erase")
# the two-letter codes of VQGAN-CLIP's -aug, and the other spelling
ALIASES = {"Pe": "perspective", "Af": "affine", "Ro": "affine", "Hf": "flip", "Ji": "colour",
           "Gn": "noise", "Er": "erase", "color": "colour"}  # fmt: skip


@dataclass(frozen=True)
class CutoutOptions:
    """How an image is cut before CLIP looks at it.

    Attributes:
        cuts: number of crops of each image.
        overview: how many of them show the whole shorter side; None means 10, or all if fewer.
        cut_power: above 1 favours small crops, below 1 large ones.
        min_cut: side of the smallest crop as a fraction of the shorter side.
        augment: names out of `AUGMENTATIONS`.
        strength: scales every augmentation; 0 leaves plain crops.
    """

    cuts: int = 16
    overview: int | None = None
    cut_power: float = 1.0
    min_cut: float = 0.4
    augment: tuple[str, ...] = ("perspective", "affine", "colour", "noise")
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_count("cuts", self.cuts, 1, 4096)
        overview = min(10, self.cuts) if self.overview is None else self.overview
        check_count("overview", overview, 0, self.cuts)
        object.__setattr__(self, "overview", overview)
        check_range("cut_power", self.cut_power, 0, 100, above=True)
        check_range("min_cut", self.min_cut, 0, 1, above=True)
        check_range("strength", self.strength, 0, 4)
        names = tuple(dict.fromkeys(ALIASES.get(a, a) for a in self.augment))
        for name in names:
            if name not in AUGMENTATIONS:
                raise InputError(unknown("augmentation", name, [*AUGMENTATIONS, *ALIASES]))
        object.__setattr__(self, "augment", names)
