"""``python -m guidance.evaluate clip``: a CLIP's figures on one's own data, and its drawings.

python -m guidance.evaluate clip --classes flowers/ -t "{}" -t "{} flower"
python -m guidance.evaluate clip --pairs "test-*.tar" --json figures.json
python -m guidance.evaluate clip --clip ViT-B-32/openai --probe --judge efficientnet-lite1
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from guidance.clip.model import ClipModel
from guidance.clip.registry import load_clip
from guidance.conventions import resolve_device
from guidance.data import Samples
from guidance.data.classes import labelled
from guidance.evaluate import probe as guidance_probe
from guidance.evaluate.clip_options import DEFAULT, ClipEvaluation
from guidance.evaluate.embed import embed_images
from guidance.evaluate.judges import load_judge
from guidance.evaluate.probe_prompts import PROMPTS
from guidance.evaluate.retrieval import captioned, embed_pairs, recalls
from guidance.files.facts import rounded, write_json
from guidance.files.tables import table
from guidance.files.text import read_lines
from guidance.score import accuracy
from guidance.score.templates import templates


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
        write_json(options.json, rounded(out))


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
    classes = accuracy.Classes(embed_images(model, samples, rows), labels, names)
    return accuracy.evaluate(model, classes, templates(options.templates or DEFAULT))


def run_probe(options: ClipEvaluation, device: torch.device) -> dict[str, Any]:
    """Draw and judge; print and return the figures."""
    prompts = dict(list(PROMPTS.items())[: options.prompts])
    judge = load_judge(options.judge, list(prompts), device)
    given = {"clip": options.clip, "device": options.device, "steps": options.finished_steps(),
             "cuts": options.cuts, "seed": options.seed, "tries": options.tries,
             "try_steps": options.try_steps}  # fmt: skip
    drawings = guidance_probe.probe(judge, prompts, lambda p: guidance_probe.draw(p, **given))
    bar = tqdm(drawings, total=len(prompts), desc="probe", disable=options.quiet)
    began = time.monotonic()
    done = list(bar)
    seconds = time.monotonic() - began
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
    return {"judge": options.judge, **given, "all steps": options.steps, "seconds": seconds,
            "figures": figures, "drawings": rows}  # fmt: skip
