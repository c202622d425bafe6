"""The options of a technique that can begin several times and go on with the best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from guidance.clip.names import parse_specs
from guidance.command.options import GuidedOptions
from guidance.conventions import check_range, derive_seed
from guidance.errors import InputError
from guidance.prompts.grammar import Prompt as ParsedPrompt
from guidance.score.prompts import prompts_at

T = TypeVar("T", bound="TriesOptions")

TRIES = 1  # unless something else is asked for
TRY_STEPS = 40
MOST_TRIES = 1024


@dataclass(frozen=True, kw_only=True)
class TriesOptions(GuidedOptions):
    """Options of several rough starts."""

    # what manifests of versions that had no such option stand for
    BEFORE: ClassVar[dict[str, Any]] = {"tries": 1}

    tries: int = TRIES
    """Rough pictures of different seeds to begin with, the first that of --seed; the one that fits
    the prompt best is finished."""
    try_steps: int | None = None
    """Steps of each of them; by default 40, or half of fewer than 80 --steps."""
    judge: str | None = None
    """CLIP that chooses among them; by default --clip. Of mini it is the tower that sees more, not
    the one that draws."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for any value that is not allowed; load nothing."""
        super().check()
        check_range("tries", self.tries, 1, MOST_TRIES)
        if self.judge is not None:
            parse_specs(self.judge)
        if self.try_steps is not None:
            check_range("try_steps", self.try_steps, 1)
        if self.tries == 1:
            return
        if self.try_steps is not None and self.try_steps >= self.total():
            raise InputError(
                f"try_steps must be fewer than the {self.total()} steps of the run but are "
                f"{self.try_steps}"
            )
        if not self.judged_by():
            raise InputError(
                "--tries needs a prompt in words or a picture to judge by, but at step "
                f"{self.rough() - 1} there is none"
            )

    def rough(self) -> int:
        """Return the number of steps of each try before it is judged."""
        if self.try_steps is not None:
            return self.try_steps
        return max(1, min(TRY_STEPS, self.total() // 2))

    def starts(self: T) -> tuple[T, ...]:
        """Return the options of each try; a run with them alone begins with the same picture."""
        seeds = [derive_seed(self.seed, "try", number) for number in range(1, self.tries)]
        return tuple(replace(self, seed=seed, tries=1) for seed in (self.seed, *seeds))

    def judged_by(self) -> list[ParsedPrompt]:
        """Return the prompts that apply when rough pictures are judged, without schedules."""
        return prompts_at(self.prompts(), self.rough() - 1)
