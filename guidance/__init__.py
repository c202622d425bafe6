"""CLIP-guided image generation: draw, paint, sample and rank images with a prompt.

A prompt becomes an embedding; a generator makes an image; cutouts of the image are scored by
CLIP; the gradient of the score moves the generator; the run leaves artefacts::

    prompt ──▶ embedding ─────────────┐
    generator ──▶ image ──▶ cutouts ──▶ score ──▶ objective ──▶ step ──▶ artefacts
        ▲                                                         │
        └─────────────────────────── gradient ────────────────────┘

>>> import guidance
>>> for step in guidance.draw("a fox at sunrise", steps=100):          # doctest: +SKIP
...     print(step.index, step.score)
>>> best = guidance.rank(["a.png", "b.png"], "a fox at sunrise")[0]     # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from guidance.command.interrupts import begin as _begin

if TYPE_CHECKING:
    from guidance.clip.registry import load_clip as load_clip
    from guidance.clip.scorer import ClipScorer as ClipScorer
    from guidance.clipdraw.technique import draw as draw
    from guidance.diffusion.technique import diffuse as diffuse
    from guidance.errors import GuidanceError as GuidanceError
    from guidance.objective.cutouts import CutoutOptions as CutoutOptions
    from guidance.objective.prompted import Objective as Objective
    from guidance.objective.prompted import PromptObjective as PromptObjective
    from guidance.objective.recipe import guide as guide
    from guidance.prompts.grammar import Prompt as Prompt
    from guidance.prompts.grammar import parse_prompts as parse_prompts
    from guidance.score.ranking import Ranked as Ranked
    from guidance.score.ranking import rank as rank
    from guidance.step.generator import Generator as Generator
    from guidance.step.loop import Step as Step
    from guidance.step.loop import run as run
    from guidance.vqgan.technique import paint as paint

_begin()  # before anything that takes long is imported

# Imported on first use: `import guidance` stays instant, and one part does not load all others.
_HOME = {
    "ClipScorer": "clip.scorer",
    "CutoutOptions": "objective.cutouts",
    "Generator": "step.generator",
    "GuidanceError": "errors",
    "Objective": "objective.prompted",
    "Prompt": "prompts.grammar",
    "PromptObjective": "objective.prompted",
    "Ranked": "score.ranking",
    "Step": "step.loop",
    "diffuse": "diffusion.technique",
    "draw": "clipdraw.technique",
    "guide": "objective.recipe",
    "load_clip": "clip.registry",
    "paint": "vqgan.technique",
    "parse_prompts": "prompts.grammar",
    "rank": "score.ranking",
    "run": "step.loop",
}

__all__ = [
    "ClipScorer",
    "CutoutOptions",
    "Generator",
    "GuidanceError",
    "Objective",
    "Prompt",
    "PromptObjective",
    "Ranked",
    "Step",
    "diffuse",
    "draw",
    "guide",
    "load_clip",
    "paint",
    "parse_prompts",
    "rank",
    "run",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'guidance' has no attribute {name!r}")
    return getattr(importlib.import_module(f"guidance.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
