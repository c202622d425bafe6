"""CLIP-guided image generation: draw, paint, sample and rank images with a prompt.

A prompt becomes an embedding; a generator makes an image; cutouts of the image are scored by
CLIP; the gradient of the score moves the generator; the run leaves artefacts. Below each noun
stands the room, a folder of this package, that it lives in::

    prompt ──▶ embedding ───────────────┐
    prompts/   clip/                    │
                                        ▼
    generator ──▶ image ──▶ cutouts ──▶ score ──▶ objective ──▶ step ──▶ artefacts
    clipdraw/     images/   objective/  clip/     objective/    step/    artefacts/
    vqgan/                                                      │
    diffusion/                                                  │
    dalle/                                                      │
    pixels/                                                     │
        ▲                                                       │
        └────────────────────────── gradient ───────────────────┘

``command/`` makes a run of it from the command line. ``vector/`` and ``models/`` are what
generators draw and paint with, ``pretrained/`` the weights that come along, ``files/`` writes what
is kept. ``score/``, ``embeddings/`` and ``data/`` serve the commands that judge finished pictures
(``rerank/``, ``classify/``, ``probe/``, ``look/``, ``interrogate/``); ``train/`` and ``evaluate/``
make and measure our own models.

>>> import guidance
>>> for step in guidance.draw("a fox at sunrise", steps=100):           # doctest: +SKIP
...     print(step.index, step.score)
>>> best = guidance.rank(["a.png", "b.png"], "a fox at sunrise")[0]     # doctest: +SKIP

A generator of one's own is guided as ours are:

>>> objective = guidance.guide("a fox at sunrise", steps=100)           # doctest: +SKIP
>>> for step in guidance.run(generator, objective, steps=100):          # doctest: +SKIP
...     print(step.index, step.score)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guidance.command.interrupts import begin as _begin
from guidance.exports import on_first_use

if TYPE_CHECKING:
    from guidance.clip.registry import load_clip as load_clip
    from guidance.clip.scorer import ClipScorer as ClipScorer
    from guidance.clipdraw.technique import draw as draw
    from guidance.command.options import GuidedOptions as GuidedOptions
    from guidance.command.technique import Technique as Technique
    from guidance.dalle.technique import sample as sample
    from guidance.diffusion.technique import diffuse as diffuse
    from guidance.errors import GuidanceError as GuidanceError
    from guidance.objective.cutout_options import CutoutOptions as CutoutOptions
    from guidance.objective.guide import guide as guide
    from guidance.objective.prompted import Objective as Objective
    from guidance.objective.prompted import PromptObjective as PromptObjective
    from guidance.prompts.grammar import Prompt as Prompt
    from guidance.prompts.grammar import parse_prompts as parse_prompts
    from guidance.score.ranking import Ranked as Ranked
    from guidance.score.ranking import RankOptions as RankOptions
    from guidance.score.ranking import rank as rank
    from guidance.step.generator import Generator as Generator
    from guidance.step.loop import Step as Step
    from guidance.step.loop import run as run
    from guidance.vqgan.technique import paint as paint

_begin()  # before anything that takes long is imported

# Imported on first use: `import guidance` stays instant, and one part does not load all others.
__getattr__ = on_first_use(
    __name__,
    ClipScorer=".clip.scorer",
    CutoutOptions=".objective.cutout_options",
    Generator=".step.generator",
    GuidanceError=".errors",
    GuidedOptions=".command.options",
    Objective=".objective.prompted",
    Prompt=".prompts.grammar",
    PromptObjective=".objective.prompted",
    RankOptions=".score.ranking",
    Ranked=".score.ranking",
    Step=".step.loop",
    Technique=".command.technique",
    diffuse=".diffusion.technique",
    draw=".clipdraw.technique",
    guide=".objective.guide",
    load_clip=".clip.registry",
    paint=".vqgan.technique",
    parse_prompts=".prompts.grammar",
    rank=".score.ranking",
    run=".step.loop",
    sample=".dalle.technique",
)

__all__ = [
    "ClipScorer",
    "CutoutOptions",
    "Generator",
    "GuidanceError",
    "GuidedOptions",
    "Objective",
    "Prompt",
    "PromptObjective",
    "RankOptions",
    "Ranked",
    "Step",
    "Technique",
    "diffuse",
    "draw",
    "guide",
    "load_clip",
    "paint",
    "parse_prompts",
    "rank",
    "run",
    "sample",
]


def __dir__() -> list[str]:
    return [*__all__, *globals()]
