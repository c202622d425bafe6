"""Prompt → objective, as every command makes it: whoever brings a generator is guided as ours are.

::

    for step in guidance.run(generator, guidance.guide("a fox at sunrise", 100), 100):
        print(step.index, step.score)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from guidance.clip.names import parse_specs
from guidance.clip.scorer import ClipScorer
from guidance.conventions import MAX_SEED, check_count, check_precision, resolve_device
from guidance.converting import from_table
from guidance.errors import InputError, unknown
from guidance.objective.cutout_options import CutoutOptions
from guidance.objective.prompted import PromptObjective
from guidance.prompts.grammar import Prompt, check_steps
from guidance.prompts.wish import Wish

STEPS = 250  # of a run, where nothing else is said


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How CLIP looks at a picture that is to follow prompts.

    Attributes:
        clip: names of models, ``"mini"`` or ``"mini,RN50/openai:0.5"``; of one that has a tower
            made for gradients, as mini has, this one is taken.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``, of the image towers.
        prior: aim for the picture that a CLIP's prior expects for a prompt, if it has one.
        text_off: take what written text does out of what CLIP sees.
        seed: of the cuts; they depend on it and on the step alone.
        cutouts: how the image is cut, always or as a function of the step.
        cuts_per_batch: cuts in memory at once; None for all. The gradient is the same.
    """

    clip: str = "mini"
    device: str = "auto"
    precision: str = "fp32"
    prior: bool = True
    text_off: bool = False
    seed: int = 0
    cutouts: CutoutOptions | Callable[[int], CutoutOptions] = field(default_factory=CutoutOptions)
    cuts_per_batch: int | None = None

    def __post_init__(self) -> None:
        parse_specs(self.clip)
        check_precision(self.precision, resolve_device(self.device))
        check_count("seed", self.seed, 0, MAX_SEED)
        if not (isinstance(self.cutouts, CutoutOptions) or callable(self.cutouts)):
            raise InputError(f"cutouts must be CutoutOptions but is {self.cutouts!r}")
        if self.cuts_per_batch is not None:
            check_count("cuts_per_batch", self.cuts_per_batch, 1)

    def follow(self, prompts: Sequence[Prompt]) -> PromptObjective:
        """Load the models and return the objective of `prompts`."""
        scorer = ClipScorer(self.clip, device=self.device, precision=self.precision, guide=True)
        return PromptObjective(
            scorer,
            prompts,
            self.cutouts,
            seed=self.seed,
            cuts_per_batch=self.cuts_per_batch,
            prior=self.prior,
            text_off=self.text_off,
        )


WORDS = tuple(f.name for f in fields(Wish) if f.name != "prompt")
LOOKS = tuple(f.name for f in fields(Sight))


def guide(prompt: str | Sequence[Prompt], steps: int = STEPS, **options: Any) -> PromptObjective:
    """Return the objective with which the commands follow `prompt`, image → loss.

    It has the tower made for gradients, the prior's aim, the weight on the subject, the story and
    the cuts that `python -m guidance.clipdraw` and its kin have by default. Add what else is wanted
    with operators: ``guide("a fox") + 0.1 * Smoothness()``.

    Args:
        prompt: as on the command line; or prompts that are parsed already, taken as they are.
        steps: of the run; stories, fades and schedules are checked and laid out over them.
        **options: fields of `Wish` (``negative=["text:0.3"]``, ``subject=0``, ``story=[...]``) and
            of `Sight` (``clip="ViT-B-32/openai"``, ``text_off=True``, ``seed=3``,
            ``cutouts=CutoutOptions(cuts=8)``), named as on the command line.

    Raises:
        InputError: an option is unknown or not allowed, or the prompt is; before anything is
            loaded.
        ModelError: weights are damaged or out of reach.

    Example:
        >>> import torch
        >>> objective = guide("a fox at sunrise", steps=100, seed=3, device="cpu")
        >>> [(prompt.text, prompt.weight) for prompt in objective.prompts]
        [('a fox at sunrise', 1.0), ('a fox', 0.25)]
        >>> objective(torch.rand(1, 3, 64, 64)).shape
        torch.Size([])
    """
    check_count("steps", steps, 1)
    for name in options:
        if name not in WORDS + LOOKS:
            raise InputError(f"guide: {unknown('option', name, WORDS + LOOKS)}")
    words = {name: value for name, value in options.items() if name in WORDS}
    sight = Sight(**{name: value for name, value in options.items() if name in LOOKS})
    if isinstance(prompt, str):
        prompts = from_table(Wish, {"prompt": prompt, **words}, "guide").prompts(steps)
    elif words:
        raise InputError(f"guide: {', '.join(words)} cannot be added to prompts that are parsed")
    else:
        prompts = tuple(prompt)
    check_steps(prompts, steps)
    return sight.follow(prompts)
