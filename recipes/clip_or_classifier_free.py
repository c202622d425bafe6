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

from torch import Tensor

import guidance
from guidance.artefacts.run_folder import contact_sheet
from guidance.command import cli
from guidance.files.writing import make_folder
from guidance.images import to_pil
from guidance.prompts.grammar import slug
from guidance.score.prompts import prompts_for_ranking

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
    output: str | None = None
    """Folder; by default a new one under outputs/."""


def sample(options: Options, kind: str) -> Tensor:
    """Return a picture a seed, ``[N, 3, H, W]``."""
    given = {"cfg": options.cfg, "clip_scale": options.clip_scale}
    for step in guidance.diffuse(
        options.prompt,
        model=options.model,
        clip=options.clip,
        number=options.number,
        steps=options.steps,
        seed=options.seed,
        **{k: v for k, v in given.items() if v is not None} | KINDS[kind],
    ):
        pass  # only the last step is wanted
    return step.generator.render(*step.generator.final_size)


def compare(options: Options) -> Path:
    """Save all pictures and return the contact sheet."""
    prompts = prompts_for_ranking(options.prompt)  # a wrong prompt is noticed before the first row
    scorer = guidance.ClipScorer(options.judge or options.clip)
    name = f"clip-or-classifier-free-{slug(options.prompt)}"
    folder = Path(options.output or Path("outputs") / name)
    tiles, labels = [], []
    for kind in KINDS:
        images = sample(options, kind)
        make_folder(folder)
        ranking = guidance.rank(images, prompts, scorer=scorer)
        scores = [place.score for place in sorted(ranking, key=lambda place: place.index)]
        for number, (image, score) in enumerate(zip(images, scores, strict=True)):
            seed = options.seed + number
            tiles.append(to_pil(image))
            tiles[-1].save(folder / f"{slug(kind)}-{seed}.png")
            labels.append(f"{kind}   seed {seed}   {score:.3f}")
        print(f"{kind:16}mean score {sum(scores) / len(scores):.3f}")
    sheet = folder / "sheet.png"
    contact_sheet(tiles, labels, tile=256, columns=options.number).save(sheet)
    return sheet


def main() -> None:
    """Run the recipe."""
    raise SystemExit(
        cli.main(
            Options,
            lambda options: print(compare(options)),
            prog="python recipes/clip_or_classifier_free.py",
        )
    )


if __name__ == "__main__":
    main()
