"""The guidance probe: what a CLIP makes a drawing of, in the eyes of an independent judge.

Zero-shot accuracy says what a CLIP recognises; this says what its gradients show. Each prompt is
drawn with the CLIP as the only guide and a fixed small budget, and a judge that guided nothing
looks at the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

import guidance
from guidance.artefacts.sheet import contact_sheet
from guidance.evaluate.judges import Classifier, ClipJudge
from guidance.images import to_pil


@dataclass(frozen=True)
class Probed:
    """One drawing in the eyes of the judge.

    Attributes:
        prompt: What was asked for.
        image: The drawing.
        place: 1 if its own class comes first among the probed prompts.
        place_of_all: The same among all the judge's classes; None for a CLIP.
        margin: Log-probability of its own class less that of the best other probed one, nats.
        said: The prompt that the judge puts first.
        score: Similarity by the CLIP that drew.
    """

    prompt: str
    image: Image.Image
    place: int
    place_of_all: int | None
    margin: float
    said: str
    score: float


def draw(prompt: str, **options) -> tuple[Tensor, float]:
    """Return the finished drawing ``[1, 3, 512, 512]`` and its CLIP score."""
    for step in guidance.draw(prompt, **options):
        pass
    return step.generator.render(512, 512), step.score


def probe(
    judge: Classifier | ClipJudge,
    prompts: dict[str, int],
    make: Callable[[str], tuple[Tensor, float]],
) -> Iterator[Probed]:
    """Draw and judge each of `prompts`.

    Args:
        judge: Says what it sees.
        prompts: Prompt → class of a classifier; a CLIP judges the prompts as they are.
        make: Prompt → picture ``[1, 3, H, W]`` and score.
    """
    names = list(prompts)
    for own, prompt in enumerate(names):
        image, score = make(prompt)
        said = judge(image)[0].cpu()
        classes = list(prompts.values()) if isinstance(judge, Classifier) else range(len(names))
        among = said[list(classes)]
        others = among.clone()
        others[own] = -torch.inf
        everywhere = int((said > among[own]).sum()) + 1
        yield Probed(
            prompt=prompt,
            image=to_pil(image),
            place=int((among > among[own]).sum()) + 1,
            place_of_all=everywhere if isinstance(judge, Classifier) else None,
            margin=(among[own] - others.max()).item() if len(names) > 1 else 0.0,
            said=names[int(among.argmax())],
            score=score,
        )


def summary(probed: list[Probed]) -> dict[str, float]:
    """Return the shares of drawings that are recognised, in per cent, and the mean margin."""
    count = len(probed)
    out = {f"first of {count}": 100 * sum(p.place == 1 for p in probed) / count}
    out[f"top-5 of {count}"] = 100 * sum(p.place <= 5 for p in probed) / count
    places = [p.place_of_all for p in probed if p.place_of_all is not None]
    if places:
        for k in (1, 5):
            hits = sum(place <= k for place in places)
            out[f"top-{k} of 1000"] = 100 * hits / count
    return out | {"mean margin": sum(p.margin for p in probed) / count}


def sheet(probed: list[Probed]) -> Image.Image:
    """Return a contact sheet of the drawings with their places."""
    return contact_sheet([p.image for p in probed], [f"{p.prompt}: {p.place}." for p in probed])
