"""``python -m guidance.evaluate clip``: a CLIP's figures on one's own data, and its drawings.

python -m guidance.evaluate clip --classes flowers/ -t "{}" -t "{} flower"
python -m guidance.evaluate clip --pairs "test-*.tar" --json figures.json
python -m guidance.evaluate clip --clip ViT-B-32/openai --probe --judge efficientnet-lite1
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from tqdm import tqdm

from guidance.clip.model import ClipModel
from guidance.clip.names import parse_specs
from guidance.clip.registry import load_clip
from guidance.command.cli import Several, alias
from guidance.conventions import MAX_SEED, check_range, resolve_device
from guidance.data import Samples
from guidance.data.classes import labelled
from guidance.data.shards import find
from guidance.errors import FileError, InputError
from guidance.evaluate import probe as guidance_probe
from guidance.evaluate.embed import embed_images
from guidance.evaluate.judges import check_judge, load_judge
from guidance.evaluate.report import save
from guidance.evaluate.retrieval import captioned, embed_pairs, recalls
from guidance.files.tables import table
from guidance.files.text import read_lines
from guidance.score import zero_shot
from guidance.score.templates import templates

DEFAULT = ("openai80",)


@dataclass(frozen=True)
class ClipEvaluation:
    """Measure a CLIP: zero-shot classification, retrieval, and what it makes a drawing of."""

    clip: Annotated[str, alias("-m", "--clip-model")] = "mini"
    """The model: "mini", "ViT-B-32/laion2b_s34b_b79k", "RN50=file.pt", "path/to/folder"."""
    classes: Several[tuple[str, ...]] = ()
    """Folder with one folder of pictures for each class, named after it, or a pattern of tar
    shards with labels; may be repeated."""
    names: Path | None = None
    """File with names of further classes to choose from, one a line."""
    templates: Annotated[Several[tuple[str, ...]], alias("-t", "--template")] = ()
    """Sentence with {} for the class, a file of such, or a set: openai80 (the default), simple7,
    photo, name; may be repeated."""
    pairs: Several[tuple[str, ...]] = ()
    """Captioned pictures for retrieval: a pattern of tar shards or a folder; may be repeated."""
    captions: int | None = None
    """Captions of a picture that count, the first ones; by default all."""
    limit: int | None = None
    """Pictures at most, of each data set."""
    probe: bool = False
    """Draw the prompts of the guidance probe and have them judged."""
    judge: str = "efficientnet-lite1"
    """Judge of the drawings: efficientnet-lite0, -lite1 or -lite2, or another CLIP."""
    prompts: int = len(guidance_probe.PROMPTS)
    """Prompts of the probe, the first ones."""
    steps: int = guidance_probe.STEPS
    """Steps of each drawing."""
    cuts: int = guidance_probe.CUTS
    """Cuts of each step."""
    seed: int = 0
    """Seed of the drawings."""
    sheet: Path | None = None
    """Save a contact sheet of the drawings here (PNG)."""
    json: Path | None = None
    """Write all figures to this file."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        if not (self.classes or self.pairs or self.probe):
            raise InputError("nothing to measure: give --classes FOLDER, --pairs DATA or --probe")
        if len(parse_specs(self.clip)) > 1:
            raise InputError("clip: one model at a time can be measured")
        templates(self.templates or DEFAULT)
        resolve_device(self.device)
        for source in self.classes:
            find(source, "classes")
        if self.names and not self.names.is_file():
            raise InputError(f"names: {self.names} does not exist")
        if self.names:
            read_lines(self.names, "names")
        for pattern in self.pairs:
            find(pattern, "pairs")
        for name, value, high in (
            ("captions", self.captions, 1_000_000), ("limit", self.limit, 1_000_000_000),
            ("prompts", self.prompts, len(guidance_probe.PROMPTS)),
            ("steps", self.steps, 1_000_000), ("cuts", self.cuts, 10_000),
        ):  # fmt: skip
            if value is not None:
                check_range(name, value, 1, high)
        check_range("seed", self.seed, 0, MAX_SEED)
        if self.probe:
            check_judge(self.judge)
            if self.judge == self.clip:
                raise InputError("judge: a model cannot judge its own drawings; name another")
        for path in (self.sheet, self.json):
            if path is not None and not path.absolute().parent.is_dir():
                raise FileError(f"the folder of {path} does not exist")


def run(options: ClipEvaluation) -> None:
    """Measure, print the tables and write the files."""
    options.check()
    device = resolve_device(options.device)
    classes = {source: labelled(source) for source in options.classes}
    pairs = {pattern: captioned([pattern]) for pattern in options.pairs}
    model = load_clip(options.clip, device=device)
    out: dict[str, Any] = {"clip": options.clip, **_facts(model)}
    if options.classes:
        out["zero-shot"] = {}
        for source, samples in classes.items():
            title = Path(source).name
            figures = classify(model, samples, options)
            out["zero-shot"][title] = figures
            print(table(f"zero-shot {title}, %", figures) + "\n", flush=True)
    if options.pairs:
        out["retrieval"] = {}
        for pattern, samples in pairs.items():
            sets = embed_pairs(model, samples, limit=options.limit, captions=options.captions)
            figures = {"pictures": len(sets[0]), "captions": len(sets[1]), **recalls(*sets)}
            out["retrieval"][Path(pattern).name] = figures
        print(table("retrieval, %", out["retrieval"]) + "\n", flush=True)
    if options.probe:
        out["probe"] = run_probe(options, device)
    if options.json:
        save(options.json, out)


def _facts(model: ClipModel) -> dict[str, Any]:
    count = sum(p.numel() for p in model.network.parameters())
    return {"image size": model.image_size, "parameters": count, "scale": model.logit_scale}


def classify(model: ClipModel, samples: Samples, options: ClipEvaluation) -> dict[str, dict]:
    """Return the zero-shot figures of `samples`, whose labels are the classes."""
    names = tuple(sorted({s.label for s in samples}))
    if options.names:
        names = tuple(dict.fromkeys([*names, *read_lines(options.names, "names")]))
    rows = list(range(len(samples)))
    if options.limit and options.limit < len(rows):  # spread over the classes
        rows = rows[:: -(-len(rows) // options.limit)]
    labels = torch.tensor([names.index(samples[i].label) for i in rows], device=model.device)
    classes = zero_shot.Classes(embed_images(model, samples, rows), labels, names)
    return zero_shot.evaluate(model, classes, templates(options.templates or DEFAULT))


def run_probe(options: ClipEvaluation, device: torch.device) -> dict[str, Any]:
    """Draw and judge; print and return the figures."""
    prompts = dict(list(guidance_probe.PROMPTS.items())[: options.prompts])
    judge = load_judge(options.judge, list(prompts), device)
    given = {"clip": options.clip, "device": options.device, "steps": options.steps,
             "cuts": options.cuts, "seed": options.seed}  # fmt: skip
    drawings = guidance_probe.probe(judge, prompts, lambda p: guidance_probe.draw(p, **given))
    bar = tqdm(drawings, total=len(prompts), desc="probe", disable=options.quiet)
    done = list(bar)
    rows = {
        p.prompt: {"place": p.place, "of 1000": p.place_of_all, "margin": p.margin,
                   "score": p.score, "judge says": p.said}
        for p in done
    }  # fmt: skip
    print(table(f"probe by {options.judge}", rows) + "\n")
    figures = guidance_probe.summary(done)
    print(table("recognised, %", {options.clip: figures}), flush=True)
    if options.sheet:
        guidance_probe.sheet(done).save(options.sheet)
    return {"judge": options.judge, **given, "figures": figures, "drawings": rows}
