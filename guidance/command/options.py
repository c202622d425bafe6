"""The options every guided technique shares."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from guidance.clip.names import parse_specs
from guidance.command.cli import Prompt, Several, alias, check_input_file
from guidance.conventions import (
    MAX_SEED,
    check_device,
    check_precision,
    check_range,
    resolve_device,
)
from guidance.converting import convert, hints_of, shown
from guidance.converting import from_table as from_table
from guidance.errors import FileError, InputError
from guidance.objective.cutout_options import CutoutOptions
from guidance.prompts.grammar import Prompt as ParsedPrompt
from guidance.prompts.grammar import check_steps
from guidance.prompts.wish import Wish

MAX_NAME = 255  # characters of a file's name
NAMES = frozenset(
    ("clip", "decoder", "device", "init", "judge", "mask", "model", "output", "video_in", "vqgan",
     "vqgan_config")
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class GuidedOptions:
    """Options of a technique that is guided by prompts."""

    prompt: Prompt
    """What to make: "a fox:2 | fog:-0.5 | photo.png", "0: a fox | 200: a wolf"; see the README."""
    negative: Several[tuple[str, ...]] = ()
    """Prompt to push away from, with an optional weight ("text:0.3"); may be repeated."""
    image_prompt: Annotated[Several[tuple[str, ...]], alias("-ip")] = ()
    """Image to come close to, with an optional weight ("photo.png:0.5"); may be repeated."""
    subject: float = 0.25
    """Extra weight on the subject of a prompt ("a fox" of "a fox at sunrise"), for when a CLIP
    overlooks it beside the setting; 0 takes the prompt as it is."""
    prior: bool = True
    """Aim for the image that a CLIP's prior expects for the prompt, if it has one (mini does),
    rather than for the words themselves."""
    text_off: bool = False
    """Take what written text does out of what CLIP sees, so that pictures do not spell the prompt
    out; for models that read."""
    story: Several[tuple[str, ...]] = ()
    """The next scene after PROMPT; may be repeated. "a fox ^ a wolf" says the same."""
    scene_prefix: str = ""
    """What every scene begins with: "the sea" for the prompt "at dawn ^ at noon ^ at night"."""
    scene_suffix: str = ""
    """What every scene ends with: ", oil on canvas"; a weight stays behind it."""
    change_every: Annotated[int | None, alias("-cpe")] = None
    """Steps for each scene of a story; by default the scenes share the steps equally."""
    fade: int = 0
    """Steps in which one scene fades into the next, half of them before the change; at most those
    of the shorter scene."""

    steps: Annotated[int, alias("-i", "--iterations")] = 250
    """Number of optimisation steps."""
    seed: Annotated[int, alias("-sd")] = 0
    """Seed of every random choice; the same seed gives the same picture on the same machine with
    the same number of threads (OMP_NUM_THREADS), since sums are rounded differently in others."""

    clip: Annotated[str, alias("-m", "--clip-model")] = "mini"
    """CLIP models: "mini", "ViT-B-32/laion2b_s34b_b79k", "RN50=file.pt", "mini,RN50/yfcc15m:2"."""
    device: Annotated[str, alias("-cd", "--cuda-device")] = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the CLIP image towers; bf16 suits vision transformers."""

    cuts: Annotated[int, alias("-cuts", "--num-cuts")] = 16
    """Crops of the image that CLIP looks at in each step."""
    overview: int = 10
    """How many of the cuts show the whole picture."""
    cut_power: Annotated[float, alias("-cutp")] = 1.0
    """Above 1 favours small cuts, below 1 large ones."""
    min_cut: float = 0.4
    """Side of the smallest cut, as a fraction of the canvas' shorter side."""
    augment: Annotated[tuple[str, ...], alias("-aug")] = (
        "perspective",
        "affine",
        "colour",
        "noise",
    )
    """Augmentations of the cuts: perspective, affine, flip, colour, noise, erase."""
    augment_strength: float = 1.0
    """Scales all augmentations; 0 switches them off."""
    cuts_per_batch: Annotated[int | None, alias("-bats")] = None
    """Cuts in memory at once; smaller needs less memory and gives the same picture."""

    output: Annotated[str | None, alias("-o")] = None
    """Run folder; by default a new one under outputs/, named after technique, prompt and seed."""
    video: Literal["mp4", "gif", "none"] = "mp4"
    """Progress video."""
    video_size: int = 512
    """Longer side of the video, pixels."""
    fps: float | None = None
    """Frames a second of the video; by default 20, or those of a film that is restyled."""
    frame_every: int = 0
    """Steps between video frames; 0 means about 100 frames in all."""
    save_every: Annotated[int, alias("-se")] = 50
    """Steps between checkpoints; a killed run is continued with --resume FOLDER."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar and no summary."""

    def __post_init__(self) -> None:
        """Take lists for tuples, whole numbers for floats and the like.

        Raises:
            InputError: a value is of another type.
        """
        hints = hints_of(type(self))
        for f in fields(self):
            value = convert(getattr(self, f.name), hints[f.name], f.name)
            if f.name in NAMES:
                _check_name(f.name, value)
                # a shell leaves the home folder of "--output=~/fox" alone
                value = os.path.expanduser(value) if value is not None else None
            object.__setattr__(self, f.name, value)

    def check(self) -> None:
        """Raise `InputError` or `FileError` for any value that is not allowed; load nothing."""
        prompts = self.prompts()
        self.cutouts()
        parse_specs(self.clip)
        check_device(self.device)
        if self.precision == "fp16":
            check_precision(self.precision, resolve_device(self.device))
        check_range("steps", self.steps, 1, 10_000_000)
        check_steps(prompts, self.total())
        check_range("seed", self.seed, 0, MAX_SEED)
        check_range("video_size", self.video_size, 16, 4096)
        if self.fps is not None:
            check_range("fps", self.fps, 0.1, 240)
        check_range("frame_every", self.frame_every, 0)
        check_range("save_every", self.save_every, 1)
        if self.cuts_per_batch is not None:
            check_range("cuts_per_batch", self.cuts_per_batch, 1)
        if self.output is not None and Path(self.output).is_file():
            raise FileError(f"output must be a folder but {self.output} is a file")

    def total(self) -> int:
        """Return the number of steps of the whole run; techniques that make films override it."""
        return self.steps

    def shows(self, index: int) -> bool:
        """Return whether the video has a frame of step `index`."""
        every = self.frame_every or max(1, math.ceil(self.total() / 100))
        return index % every == 0 or index + 1 == self.total()

    def speed(self) -> float:
        """Return the frames a second of the video."""
        return 20.0 if self.fps is None else self.fps

    def wish(self) -> Wish:
        """Return what is wanted, in words."""
        return Wish(**{f.name: getattr(self, f.name) for f in fields(Wish)})

    def scenes(self) -> str:
        """Return the prompt with all scenes of its story."""
        return self.wish().scenes()

    def prompts(self) -> tuple[ParsedPrompt, ...]:
        """Return the parsed prompts of all prompt options."""
        return self.wish().prompts(self.total())

    def cutouts(self) -> CutoutOptions | Callable[[int], CutoutOptions]:
        """Return how the image is cut, always or as a function of the step."""
        return self.even_cutouts()

    def even_cutouts(self) -> CutoutOptions:
        """Return how the image is cut as the common options say, alike in every step."""
        return CutoutOptions(
            cuts=self.cuts,
            overview=min(self.overview, self.cuts),
            cut_power=self.cut_power,
            min_cut=self.min_cut,
            augment=self.augment,
            strength=self.augment_strength,
        )

    def cuts_at_once(self) -> int | None:
        """Return the cuts of an image in memory at once, None for all."""
        return self.cuts_per_batch


def _check_name(name: str, value: str | None) -> None:
    """Raise `InputError` if what may name a file is empty, or too long for any system."""
    if value is None:
        return
    if not value.strip():
        raise InputError(f"{name} must be a name but is empty")
    if "\0" in value:
        raise InputError(f"{name} must be a name but holds a NUL: {shown(value)}")
    longest = max(map(len, re.split(r"[/\\,]", value)))
    if longest > MAX_NAME or len(value) > 16 * MAX_NAME:
        raise InputError(f"{name} must be a name but has {len(value)} characters: {shown(value)}")


def check_files(**paths: str | None) -> None:
    """Raise `InputError` for any given path that is not an existing file."""
    for name, path in paths.items():
        check_input_file(f"--{name.replace('_', '-')}", path)
