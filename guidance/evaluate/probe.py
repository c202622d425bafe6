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

# prompt → index of its class among the 1,000 of ImageNet
PROMPTS = {
    "a goldfish": 1, "a flamingo": 130, "a red fox": 277, "a tiger": 292, "a ladybug": 301,
    "a monarch butterfly": 323, "a zebra": 340, "a hot air balloon": 417, "a lighthouse": 437,
    "a castle": 483, "a school bus": 779, "a soccer ball": 805, "a traffic light": 920,
    "an umbrella": 879, "a strawberry": 949, "an orange": 950, "a banana": 954, "a pizza": 963,
    "a volcano": 980, "a daisy": 985, "a peacock": 84, "a jellyfish": 107, "a snail": 113,
    "a king penguin": 145, "a lion": 291, "a starfish": 327, "an elephant": 386,
    "a giant panda": 388, "an airliner": 404, "an acoustic guitar": 402, "a candle": 470,
    "a church": 497, "a grand piano": 579, "a steam locomotive": 820, "a teddy bear": 850,
    "an ice cream": 928, "a bell pepper": 945, "a mushroom": 947, "a lemon": 951,
    "a pineapple": 953,
}  # fmt: skip
STEPS, CUTS = 100, 12  # the budget of a drawing


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
    if probed[0].place_of_all is not None:
        for k in (1, 5):
            hits = sum(p.place_of_all <= k for p in probed)
            out[f"top-{k} of 1000"] = 100 * hits / count
    return out | {"mean margin": sum(p.margin for p in probed) / count}


def sheet(probed: list[Probed]) -> Image.Image:
    """Return a contact sheet of the drawings with their places."""
    return contact_sheet([p.image for p in probed], [f"{p.prompt}: {p.place}." for p in probed])
