"""What a technique is: its options, how its generator and objective are built from them.

The runner, the stream of steps in Python and the manifest of a run all go by this one record. It
is read for a mere ``--help`` too, so PyTorch is imported only when a run begins.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from guidance.command.options import GuidedOptions
from guidance.command.tries import make_tries
from guidance.command.tries_options import TriesOptions
from guidance.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from guidance.objective.prompted import Objective
    from guidance.step.generator import Generator
    from guidance.step.loop import Step

O = TypeVar("O", bound=GuidedOptions)  # noqa: E741

# these do not change the picture of a seed, so a resumed run may differ in them; of several tries
# the one that goes on is a run of its own seed
NOT_IN_FINGERPRINT = frozenset(
    ("output", "quiet", "video", "video_size", "fps", "frame_every", "save_every", "tries",
     "try_steps", "judge")
)  # fmt: skip


@dataclass(frozen=True)
class Arrangement:
    """The order in which the pictures of a run are saved, and what is known of them.

    Attributes:
        order: their numbers; the first becomes ``image.png``, the others ``image-2.png``, …;
            those that are left out are not saved.
        labels: one a picture in this order, for a contact sheet ``sheet.png``; none for no sheet.
        facts: lists with an entry a picture in this order, for the manifest and the PNG.
        files: further files of the run's folder by name, each a function that writes it at a path.
    """

    order: Sequence[int]
    labels: Sequence[str] = ()
    facts: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    files: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)


def as_made(options: GuidedOptions, images: Tensor) -> Arrangement:
    """Arrange pictures in the order in which they were made."""
    return Arrangement(range(len(images)))


def later(reference: str) -> Callable[..., Any]:
    """Return a function that imports the one at ``module:name`` when it is called.

    So the record of a technique needs nothing that takes long to import.

    Example:
        >>> later("math:hypot")(3, 4)
        5.0
    """
    module, _, name = reference.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments)

    return call


@dataclass(frozen=True)
class Technique(Generic[O]):
    """A technique that is guided by prompts.

    Attributes:
        name: of its command and its runs: a letter, then letters, digits, hyphens, all small.
        options: its dataclass, based on `GuidedOptions`.
        build: makes the generator on a device; loads no CLIP.
        final_size: height and width of ``image.png``; None for the generator's own.
        regularisers: what is added to the prompts' objective, None for nothing.
        arrange: puts the finished pictures ``[B, 3, H, W]`` of a run in order.
        package: that brings it, where this is another one; `guidance.command.plugins` sets it.

    Raises:
        InputError: the name or the options are none.
    """

    name: str
    options: type[O]
    build: Callable[[O, torch.device], Generator]
    final_size: Callable[[O], tuple[int, int] | None] = lambda options: None
    regularisers: Callable[[O, torch.device], Objective | None] = lambda options, device: None
    arrange: Callable[[O, Tensor], Arrangement] = as_made
    package: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z][a-z0-9-]{0,39}", self.name):
            raise InputError(
                "the name of a technique must be a letter and up to 39 letters, digits and "
                f"hyphens, all small, but is {self.name!r}"
            )
        based = isinstance(self.options, type) and issubclass(self.options, GuidedOptions)
        # a class that only inherits from a dataclass would lose its own options silently
        if not (based and "__dataclass_fields__" in vars(self.options)):
            raise InputError(
                f"the options of {self.name} must be a frozen dataclass based on GuidedOptions "
                f"but are {self.options!r}"
            )

    def steps(self, options: O) -> Iterator[Step]:
        """Check `options`, build everything and return the stream of steps."""
        options.check()  # before anything that takes long is imported
        from guidance.step.loop import run

        if isinstance(options, TriesOptions) and options.tries > 1:
            return make_tries(self, options).whole()
        generator, objective = self.prepare(options)
        return run(generator, objective, options.total())

    def prepare(self, options: O) -> tuple[Generator, Objective]:
        """Build the generator and the objective of checked options."""
        from guidance.conventions import resolve_device

        device = resolve_device(options.device)
        generator = self.build(options, device)
        return generator, self.objective(options, device)

    def objective(self, options: O, device: torch.device) -> Objective:
        """Load the models and return what `options` ask for, prompts and regularisers."""
        from guidance.objective.guide import guide

        objective = guide(
            options.prompts(),
            options.total(),
            clip=options.clip,
            device=options.device,
            precision=options.precision,
            prior=options.prior,
            text_off=options.text_off,
            seed=options.seed,
            cutouts=options.cutouts(),
            cuts_per_batch=options.cuts_at_once(),
        )
        extra = self.regularisers(options, device)
        return objective if extra is None else objective + extra

    def fingerprint(self, options: O) -> str:
        """Return a hash of all options that decide the picture.

        Under the names of the first version, so that its checkpoints can still be resumed.
        """
        table = dataclasses.asdict(options)
        first = {new: old for old, new in getattr(options, "EARLIER", {}).items()}
        kept = {first.get(k, k): v for k, v in table.items() if k not in NOT_IN_FINGERPRINT}
        text = json.dumps([self.name, kept], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
