"""The options of guidance: by CLIP, without a classifier, and what limits either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from guidance.clip.names import parse_specs
from guidance.command.cli import alias
from guidance.command.options import GuidedOptions
from guidance.conventions import check_range
from guidance.diffusion.guide import Guide
from guidance.diffusion.schedule_text import Steps, parse_steps
from guidance.errors import InputError
from guidance.objective.cutout_options import CutoutOptions

SCHEDULES = ("clip_scale", "cut_overview", "cut_innercut")
MAX_CUTS = 4096
# weights of the gradient: of the tower made for guiding, and of other CLIPs
GENTLE, USUAL = "16000", "100"


@dataclass(frozen=True, kw_only=True)
class GuideOptions(GuidedOptions):
    """Options of guided sampling."""

    cfg: Annotated[float | None, alias("--guidance-scale")] = None
    """Classifier-free guidance: 1 follows the prompt as the network does by itself, more
    exaggerates it, 0 ignores it. By default the model's usual scale; models that take no prompt
    have none. --negative names what to move away from."""
    cfg_rescale: Annotated[float, alias("--guidance-rescale")] = 0.0
    """From 0 to 1: bring the contrast back that a large --cfg exaggerates (Lin et al. 2023)."""
    threshold: float = 0.0
    """Dynamic thresholding of models that work on pixels: the share of values that are not
    clipped, e.g. 0.995 (Saharia et al. 2022); 0 is off."""

    clip_scale: Annotated[str | None, alias("-cgs", "--clip-guidance-scale")] = None
    """CLIP guidance: weight of its gradient; 0 is off. Lists spread over the run:
    "[50]*4+[200]*6" changes after four tenths. By default 16000 for the mini CLIP, whose
    gradients are gentle, and 100 for others."""
    clamp: Annotated[float, alias("--clamp-max")] = 2.0
    """Greatest push of CLIP guidance in one step, root mean square; 0 is no limit."""
    gradient: Literal["full", "direct"] = "full"
    """full takes the gradient through the network; direct around it, which is several times
    faster and follows CLIP less surely."""
    guide_every: int = 1
    """Guide with CLIP only every so many steps."""
    guide_from: float = 0.0
    """Where in the run CLIP guidance begins, 0 to 1."""
    guide_until: float = 1.0
    """Where in the run it ends."""

    cut_power: Annotated[float, alias("-cutp", "--cut-ic-pow")] = 1.0
    """Above 1 favours small cuts, below 1 large ones."""
    cut_batches: Annotated[int, alias("--cutn-batches")] = 1
    """Times the cuts are drawn anew in each step: a steadier gradient for more time."""
    cut_overview: str | None = None
    """How many cuts show the whole picture, over the run: "[12]*400+[4]*600"; instead of
    --overview."""
    cut_innercut: str | None = None
    """How many cuts show a part of it, likewise; instead of --cuts less --overview."""

    noise_aware: float = 0.0
    """Weight of a CLIP that has learned from noisy pictures (as GLIDE's) beside CLIP's loss, for
    models that have one: mini."""
    smoothness: float = 0.0
    """Weight of the total variation beside CLIP's loss, which evens out the picture."""
    range: float = 0.0
    """Weight of colours beyond black and white, beside CLIP's loss."""
    saturation: float = 0.0
    """Above 0 for vivid colours, below for muted ones; a weight beside CLIP's loss."""
    recurrence: int = 1
    """Times each step is taken, noised again in between: with guidance or a mask the parts of the
    picture agree better (Bansal et al. 2023, Lugmayr et al. 2022), for as many times the time."""

    def check_guidance(self) -> None:
        """Raise `InputError` for a value that is not allowed; before the steps are counted."""
        if self.cfg is not None:
            check_range("cfg", self.cfg, 0, 1000)
        check_range("cfg_rescale", self.cfg_rescale, 0, 1)
        check_range("threshold", self.threshold, 0, 1)
        scale = self.scale()
        check_range("clip_scale", scale.low, 0, 1e9)
        check_range("clip_scale", scale.high, 0, 1e9)
        check_range("clamp", self.clamp, 0, 1e6)
        check_range("guide_every", self.guide_every, 1, 1000)
        check_range("guide_from", self.guide_from, 0, 1)
        check_range("guide_until", self.guide_until, 0, 1)
        if self.guide_from >= self.guide_until:
            raise InputError(
                f"guide_from must be below guide_until ({self.guide_until:g}) but is "
                f"{self.guide_from:g}; --clip-scale 0 switches CLIP guidance off"
            )
        check_range("cut_batches", self.cut_batches, 1, 1000)
        for name in ("cut_overview", "cut_innercut"):
            _check_counts(name, getattr(self, name))
        for name in ("noise_aware", "smoothness", "range"):
            check_range(name, getattr(self, name), 0, 1e6)
        check_range("saturation", self.saturation, -1e6, 1e6)
        check_range("recurrence", self.recurrence, 1, 100)

    def scale(self) -> Steps:
        """Return the weight of CLIP's gradient over the run."""
        usual = GENTLE if parse_specs(self.clip)[0].name == "mini" else USUAL
        return parse_steps("clip_scale", usual if self.clip_scale is None else self.clip_scale)

    def guide(self) -> Guide:
        """Return when and how strongly CLIP steers."""
        return Guide(
            self.scale(),
            clamp=self.clamp,
            every=self.guide_every,
            start=self.guide_from,
            until=self.guide_until,
            direct=self.gradient == "direct",
            excess=self.range,
            noisy=self.noise_aware,
        )

    def cutouts(self) -> CutoutOptions | Callable[[int], CutoutOptions]:
        """Return how the picture is cut, with schedules as a function of the step."""
        if self.cut_overview is None and self.cut_innercut is None:
            return self._cut(None, None, 0)
        # read once, not at each step
        whole, inner = (_counts(n, getattr(self, n)) for n in ("cut_overview", "cut_innercut"))
        total = self.total()
        for step in range(total):  # all of them are checked before anything is loaded
            self._cut(whole, inner, step / total)
        return lambda step: self._cut(whole, inner, min(1.0, step / total))

    def cuts_at_once(self) -> int | None:
        """Return the cuts of an image in memory at once, None for all."""
        if self.cut_batches == 1:
            return self.cuts_per_batch
        most = self._most_cuts()
        return min(most, self.cuts_per_batch or most)

    def _cut(self, whole: Steps | None, inner: Steps | None, place: float) -> CutoutOptions:
        """Return how the picture is cut at a place of the run, 0 to 1."""
        usual = min(self.overview, self.cuts)
        overview = usual if whole is None else round(whole.at(place))
        rest = self.cuts - usual if inner is None else round(inner.at(place))
        if overview + rest < 1:
            raise InputError(
                f"cut_overview and cut_innercut must leave at least one cut in each step but at "
                f"{place:.0%} of the run there is none"
            )
        times = self.cut_batches
        if (overview + rest) * times > MAX_CUTS:
            raise InputError(
                f"the cuts of a step must be at most {MAX_CUTS} but are {(overview + rest) * times}"
            )
        return replace(
            self.even_cutouts(), cuts=(overview + rest) * times, overview=overview * times
        )

    def _most_cuts(self) -> int:
        """Return the cuts of one batch of a step, the most of the run."""
        usual = min(self.overview, self.cuts)
        whole, inner = (_counts(n, getattr(self, n)) for n in ("cut_overview", "cut_innercut"))
        return round(usual if whole is None else whole.high) + round(
            self.cuts - usual if inner is None else inner.high
        )


def _counts(name: str, text: str | None) -> Steps | None:
    return None if text is None else parse_steps(name, text)


def _check_counts(name: str, text: str | None) -> None:
    """Raise `InputError` unless a schedule holds numbers of cuts."""
    steps = _counts(name, text)
    if steps is None:
        return
    check_range(name, steps.low, 0, MAX_CUTS)
    check_range(name, steps.high, 0, MAX_CUTS)
    for values, _ in steps.runs:
        for value in values:
            if value != round(value):
                raise InputError(f"{name} must hold whole numbers but has {value:g}")
