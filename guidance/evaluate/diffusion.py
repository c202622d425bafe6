"""``python -m guidance.evaluate diffusion``: what guidance does, in the eyes of a judge.

python -m guidance.evaluate diffusion --sheet best.png --json figures.json

The same seeds are sampled without guidance, with classifier-free guidance, with CLIP guidance and
with both, as in GLIDE (Nichol et al. 2021, arXiv:2112.10741, section 5). The score of the CLIP that
guides rises in any case; the judge, which guided nothing, says whether the pictures have become
better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

import guidance
from guidance.artefacts.sheet import contact_sheet
from guidance.conventions import resolve_device
from guidance.evaluate.diffusion_options import KINDS, DiffusionEvaluation
from guidance.evaluate.judges import Classifier, ClipJudge, load_judge
from guidance.evaluate.probe_prompts import PROMPTS
from guidance.files.facts import rounded, write_json
from guidance.files.tables import table
from guidance.images import to_pil


@dataclass(frozen=True)
class Judged:
    """The pictures of one prompt, made in one way.

    Attributes:
        best: the picture of the highest score.
        scores: cosine to the prompt by the CLIP that guided, of each picture.
        said: log-probability of the prompt's class among all that the judge knows, of each.
        place: of the prompt's class among those of the probe, in the best picture; 1 is first.
        place_of_all: the same among all of a classifier's classes; None for a CLIP.
    """

    best: Image.Image
    scores: tuple[float, ...]
    said: tuple[float, ...]
    place: int
    place_of_all: int | None


def sample(prompt: str, kind: str, options: DiffusionEvaluation) -> Tensor:
    """Return finished pictures ``[N, 3, H, W]`` of one prompt."""
    given = {"model": options.model, "clip": options.clip, "number": options.number,
             "seed": options.seed, "device": options.device}  # fmt: skip
    if options.steps is not None:
        given["steps"] = options.steps
    for step in guidance.diffuse(prompt, **given, **KINDS[kind]):
        pass
    return step.generator.render(*step.generator.final_size)


def judged(
    images: Tensor, scores: Sequence[float], judge: Classifier | ClipJudge, prompts: Sequence[str],
    own: int,
) -> Judged:  # fmt: skip
    """Judge pictures of prompt number `own`."""
    log = judge(images).cpu()
    knows_all = isinstance(judge, Classifier)
    classes = [PROMPTS[p] for p in prompts] if knows_all else range(len(prompts))
    best = max(range(len(images)), key=lambda i: scores[i])
    mine = log[:, classes[own]]
    return Judged(
        best=to_pil(images[best]),
        scores=tuple(scores),
        said=tuple(mine.tolist()),
        place=int((log[best, list(classes)] > mine[best]).sum()) + 1,
        place_of_all=int((log[best] > mine[best]).sum()) + 1 if knows_all else None,
    )


def summary(rows: Sequence[Judged]) -> dict[str, float]:
    """Return means over all pictures, and how many best pictures are recognised."""
    pictures = sum(len(r.scores) for r in rows)
    count = len(rows)
    figures = {
        "CLIP score": math.fsum(s for r in rows for s in r.scores) / pictures,
        "judge, nats": math.fsum(s for r in rows for s in r.said) / pictures,
        f"first of {count}": sum(r.place == 1 for r in rows),
        f"top-5 of {count}": sum(r.place <= 5 for r in rows),
    }
    places = [r.place_of_all for r in rows if r.place_of_all is not None]
    if places:
        figures["top-5 of 1000"] = sum(place <= 5 for place in places)
    return figures


def run(options: DiffusionEvaluation) -> None:
    """Sample, judge, print the tables and write the files."""
    options.check()
    device = resolve_device(options.device)
    prompts = list(PROMPTS)[: options.prompts]
    judge = load_judge(options.judge, prompts, device)
    scorer = guidance.ClipScorer(options.clip, device=device)
    found: dict[str, list[Judged]] = {}
    for kind, own, prompt in _jobs(options, prompts):
        with torch.no_grad():
            images = sample(prompt, kind, options)
            scores = scorer.similarity(images, [prompt])[:, 0].tolist()
        found.setdefault(kind, []).append(judged(images, scores, judge, prompts, own))
    for kind, rows in found.items():
        places = {p: {"place": r.place, "of 1000": r.place_of_all, "score": max(r.scores)}
                  for p, r in zip(prompts, rows, strict=True)}  # fmt: skip
        print(table(f"{kind}, best of {options.number}", places) + "\n", flush=True)
    figures = {kind: summary(rows) for kind, rows in found.items()}
    print(table("guidance", figures), flush=True)
    if options.sheet:
        pictures = [r.best for rows in found.values() for r in rows]
        labels = [f"{r.place}. {p}, {kind}" for kind, rows in found.items()
                  for p, r in zip(prompts, rows, strict=True)]  # fmt: skip
        columns = min(10, len(prompts))  # each kind begins a row: ten prompts fill one, twenty two
        contact_sheet(pictures, labels, tile=192, columns=columns).save(options.sheet)
    if options.json:
        content = {"model": options.model, "clip": options.clip, "judge": options.judge}
        write_json(options.json, rounded(content | {"guidance": figures}))


def _jobs(options: DiffusionEvaluation, prompts: list[str]) -> Iterator[tuple[str, int, str]]:
    jobs = [
        (kind, own, prompt) for kind in options.kinds or KINDS for own, prompt in enumerate(prompts)
    ]
    yield from tqdm(jobs, desc="diffusion", disable=options.quiet)
