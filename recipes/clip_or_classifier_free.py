"""Compare CLIP guidance with classifier-free guidance on the same seeds, as GLIDE did.

(Nichol et al. 2021, arXiv:2112.10741, section 5.2.) Each row is a kind of guidance, each column a
seed. The CLIP that guides flatters the rows that it guides: people preferred the classifier-free
pictures although CLIP scored its own higher. Give another one with --judge for a fairer score.

Usage:
    python recipes/clip_or_classifier_free.py "a fox at sunrise"
    python recipes/clip_or_classifier_free.py "a fox" --clip ViT-B-32/openai \
        --judge ViT-B-16/laion2b_s34b_b88k --model stable-diffusion-v1-5/stable-diffusion-v1-5
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import guidance
from guidance.command import cli, recipe
from guidance.prompts.slug import slug
from guidance.score.prompts import prompts_for_ranking

if TYPE_CHECKING:
    from torch import Tensor

# what is left to its default is on
KINDS = {
    "no guidance": {"cfg": 1.0, "clip_scale": "0"},
    "CLIP": {"cfg": 1.0},
    "classifier-free": {"clip_scale": "0"},
    "both": {},
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare CLIP guidance with classifier-free guidance on the same seeds."""

    prompt: cli.Prompt
    """What to sample."""
    model: str = "mini"
    """Diffusion model that takes prompts."""
    clip: str = "mini"
    """What guides."""
    judge: str | None = None
    """CLIP of the scores; by default the one that guides."""
    cfg: float | None = None
    """Scale of classifier-free guidance."""
    clip_scale: str | None = None
    """Weight of CLIP guidance."""
    number: int = 4
    """Seeds."""
    steps: int = 25
    seed: int = 0
    """The first one."""
    output: recipe.Output = None


def sample(options: Options, kind: str) -> "Tensor":
    """Return a picture a seed, ``[N, 3, H, W]``."""
    given = {"cfg": options.cfg, "clip_scale": options.clip_scale}
    step = recipe.last(
        guidance.diffuse(
            options.prompt,
            model=options.model,
            clip=options.clip,
            number=options.number,
            steps=options.steps,
            seed=options.seed,
            **{k: v for k, v in given.items() if v is not None} | KINDS[kind],
        )
    )
    return step.generator.render(*step.generator.final_size)


def compare(options: Options) -> Path:
    """Save all pictures and return the contact sheet."""
    # a wrong prompt is noticed before the first row
    prompts = prompts_for_ranking(options.prompt)
    scorer = guidance.ClipScorer(options.judge or options.clip)
    folder = recipe.Folder(options.output, "clip-or-classifier-free", options.prompt)
    labels = []
    for kind in KINDS:
        images = sample(options, kind)
        ranking = guidance.rank(images, prompts, scorer=scorer)
        scores = [place.score for place in sorted(ranking, key=lambda place: place.index)]
        for seed, (image, score) in enumerate(zip(images, scores, strict=True), options.seed):
            folder.save(f"{slug(kind)}-{seed}.png", image)
            labels.append(f"{kind}   seed {seed}   {score:.3f}")
        print(f"{kind:16}mean score {sum(scores) / len(scores):.3f}")
    return folder.sheet("sheet.png", folder.pictures, labels, columns=options.number)


if __name__ == "__main__":
    recipe.main(Options, compare, __file__)
