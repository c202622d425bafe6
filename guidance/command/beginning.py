"""How a run begins: with one start, or with several rough tries of which the best goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from guidance.command.options import GuidedOptions
from guidance.command.technique import Technique
from guidance.command.tries import make_tries
from guidance.command.tries_options import TriesOptions
from guidance.step.generator import Generator
from guidance.step.tries import Tries, best

O = TypeVar("O", bound=GuidedOptions)  # noqa: E741


class Beginning(Generic[O]):
    """The starts of a run, and what is known of them.

    Args:
        options: checked.
        earlier: the manifest of a run that is continued; tries that it has scores of, if they are
            of the same seeds, are not made again.

    Attributes:
        starts: options of each; there is one where nothing is tried.
        scores: of the tries so far.
    """

    def __init__(
        self, technique: Technique[O], options: O, earlier: Mapping[str, Any] | None = None
    ):
        self._technique, self._options = technique, options
        tried = options.starts() if isinstance(options, TriesOptions) else ()
        self.starts = tried if len(tried) > 1 else (options,)
        self.scores = self._known(earlier or {})

    @property
    def several(self) -> bool:
        """Whether there are tries."""
        return len(self.starts) > 1

    @property
    def decided(self) -> bool:
        """Whether it is known which start goes on."""
        return not self.several or len(self.scores) == len(self.starts)

    @property
    def kept(self) -> int:
        """The number of the start that goes on, or would if there were no more, from 0."""
        return best(self.scores) if self.scores else 0

    @property
    def more(self) -> int:
        """Steps of the tries that do not go on."""
        if not isinstance(self._options, TriesOptions):
            return 0
        return (len(self.starts) - 1) * self._options.rough()

    def tries(self, told: Callable[[int, Generator], None]) -> Tries:
        """Load the tries that are left to be made.

        Args:
            told: called with the number and the generator of each one that is judged.
        """
        assert isinstance(self._options, TriesOptions), "only they have tries"

        def judged(number: int, score: float, generator: Generator) -> None:
            self.scores = [*self.scores, score]
            told(number, generator)

        return make_tries(self._technique, self._options, self.scores, judged)

    def table(self) -> dict[str, Any]:
        """Return what a manifest tells of the tries, nothing if there are none."""
        if not self.several:
            return {}
        kept = {"kept": self.kept + 1} if self.decided else {}
        return {"seeds": [s.seed for s in self.starts], "scores": self.scores} | kept

    def facts(self) -> dict[str, str]:
        """Return what the picture tells of the try that it is of, nothing if there are none."""
        if not self.several or not self.decided:
            return {}
        kept = self.kept
        return {"seed": str(self.starts[kept].seed), "score": str(self.scores[kept])}

    def labels(self) -> list[str]:
        """Return a line about each try that is judged."""
        return [
            f"try {number + 1}   {score:.3f}{'   kept' if number == self.kept else ''}"
            for number, score in enumerate(self.scores)
        ]

    def _known(self, manifest: Mapping[str, Any]) -> list[float]:
        """Return the scores that a manifest has of the first of these tries."""
        table = manifest.get("tries")
        if not isinstance(table, dict) or table.get("seeds") != [s.seed for s in self.starts]:
            return []
        scores = table.get("scores")
        if not self.several or not isinstance(scores, list) or len(scores) > len(self.starts):
            return []
        good = all(isinstance(s, float) and math.isfinite(s) for s in scores)
        return scores if good else []
