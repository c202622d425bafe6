"""Options → pictures to be written; the order of finished ones, and what more of them bring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from guidance.artefacts.gain import gain, write_gain
from guidance.command.ranked import Scored, as_sampled, by_score, with_seeds
from guidance.command.technique import Arrangement
from guidance.dalle.chances import Chances
from guidance.dalle.generator import Plan, Sampling
from guidance.dalle.known import Source
from guidance.dalle.memory import check_memory, free_memory
from guidance.dalle.options import DalleOptions
from guidance.dalle.told import tell
from guidance.files.tables import write_csv
from guidance.models.dalle.load import Dalle, load_dalle
from guidance.models.dalle.names import Grid
from guidance.score.prompts import prompts_at


def build(options: DalleOptions, device: torch.device) -> Sampling:
    """Return the pictures that `options` start with: what is given of them, or nothing."""
    dalle = load_dalle(options.model, device=device, precision=options.precision)
    return start(options, dalle, free_memory(device))


def start(options: DalleOptions, dalle: Dalle, free: int | None = None) -> Sampling:
    """Return the pictures that `options` start with, of a loaded model; its name is not asked.

    Args:
        free: bytes of memory, None if that is not known.

    Raises:
        InputError: options that this model cannot follow, or memory that does not suffice.
        FileError: the init image or the mask cannot be read.
    """
    options.accept(Grid(*dalle.writer.grid, dalle.codec.factor))
    told = tell(options.told(), dalle.cfg if options.cfg is None else options.cfg)
    batch = min(options.batch, options.number)
    check_memory(dalle.writer, batch, len(told.texts), free)
    known = None
    if options.init is not None:
        source = Source(options.init, options.rows, options.mask)
        known = source.codes(dalle.codec, dalle.writer.grid)
    chances = Chances(options.temperature, options.top_k, options.top_p)
    plan = Plan(options.seeds(), options.batch, options.steps, chances)
    made = Sampling(dalle, plan, told, known)
    made.notes = options.notes(made.final_size)
    return made


def arrange(options: DalleOptions, images: Tensor) -> Arrangement:
    """Keep the best finished pictures, in the order of their CLIP scores.

    With a curve of what the best of so many is expected to score, of which the judge, if there is
    one, has no part in the choice (Ramesh et al. 2021, figure 9), and a table of all scores.
    """
    prompts = [p for p in prompts_at(options.prompts(), 0) if p.weight > 0]
    if not (options.rerank and prompts and len(images) > 1):
        return with_seeds(_best(as_sampled(len(images)), options.best), options.seeds())
    scored = by_score(options, prompts, images)
    judged = None
    if options.judge is not None:
        judged = by_score(options, prompts, images, options.judge).by_number()
    arranged = with_seeds(_best(scored, options.best), options.seeds())
    facts, labels = dict(arranged.facts), list(arranged.labels)
    if judged is not None:
        facts["judgement"] = [judged[k] for k in arranged.order]
        labels = [
            f"{label}   {value:.3f}"
            for label, value in zip(labels, facts["judgement"], strict=True)
        ]

    def table(path: Path) -> None:
        columns = ["seed", "score", *(["judgement"] if judged is not None else [])]
        rows = [
            [options.seeds()[k], f"{score:.6f}", *([f"{judged[k]:.6f}"] if judged else [])]
            for k, score in zip(scored.order, scored.scores, strict=True)
        ]
        write_csv(path, [columns, *rows])

    def curve(path: Path) -> None:
        own = torch.tensor(scored.by_number(), dtype=torch.float64)
        second = None if judged is None else torch.tensor(judged, dtype=torch.float64)
        usable = own.isfinite() if second is None else own.isfinite() & second.isfinite()
        if int(usable.sum()) < 2:
            return
        curves = gain(own[usable], None if second is None else second[usable])
        write_gain(path, curves, unit="cosine", title=f"Best of N: {options.prompt}")

    files = {"scores.csv": table, "gain.csv": curve, "gain.svg": curve}
    return replace(arranged, facts=facts, labels=labels, files=files)


def _best(scored: Scored, count: int) -> Scored:
    return Scored(scored.order[:count], scored.scores[:count])
