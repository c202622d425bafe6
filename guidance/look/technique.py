"""Options → pictures: what ``python -m guidance.look KIND`` does."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guidance.command import scoring as scoring_options
from guidance.errors import FileError, InputError, ModelError, counted, unknown
from guidance.look.options import (
    HeatOptions,
    LookOptions,
    MatrixOptions,
    VideoOptions,
    WriteOptions,
)

if TYPE_CHECKING:
    from PIL import Image

    from guidance.clip.scorer import ClipScorer

MAX_IMAGES = {"matrix": 60, "heat": 24, "write": 24}  # that one picture can show
TILE = 288  # pixels of the longer side of a picture in a sheet
TOO_FEW = (
    "texts must be two or more: a probability says which of several fits best, except with models "
    "trained with a sigmoid (SigLIP)"
)
ABSOLUTE = ("patches", "windows")  # methods whose heat is a cosine


def command(argv: Sequence[str] | None = None) -> int:
    """Run from the command line: a kind, then its options; return the exit code."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or [""]
    if name in ("-h", "--help", ""):
        print("usage: python -m guidance.look KIND PATH... --texts TEXT... [options]\n")
        for kind, (options, _) in KINDS.items():
            print(f"  {kind:<7} {options.__doc__.splitlines()[0]}")
        return 0 if name else 2
    if name not in KINDS:
        print(f"guidance.look: error: {unknown('kind', name, KINDS)}", file=sys.stderr)
        return 2
    options, work = KINDS[name]
    names = ("--texts", "--against", "--plain") if name in ("heat", "write") else ("--texts",)
    return scoring_options.command(
        options, work, prog=f"python -m guidance.look {name}", argv=rest, several=names
    )


def matrix(options: MatrixOptions) -> None:
    """Draw, print and write the similarity of each image and text."""
    texts, files = _prepare("matrix", options, {"csv": options.csv})
    import torch

    from guidance.look import draw
    from guidance.score.late_interaction import LateScorer

    scorer = _scorer(options)
    images = [_load(f, scorer) for f in files]
    with torch.no_grad():
        if options.values == "late":
            values = LateScorer(scorer, words=options.words).similarity(images, texts)
        elif options.values == "probability":
            values = scorer.probabilities(images, texts, softmax=options.softmax)
        else:
            values = scorer.similarity(images, texts)
    values = values.cpu()
    _table(texts, [(f.name, row) for f, row in zip(files, values.tolist(), strict=True)])
    _write_csv(options.csv, ["file", *texts], zip(files, values.tolist(), strict=True))
    _save(options, draw.matrix(values.numpy(), images, texts), options.csv)


def heat(options: HeatOptions) -> None:
    """Draw heat-maps, a row for each image and a column for each text."""
    from guidance.conventions import check_count, check_range

    check_count("zoom", options.zoom, 1, 16)
    check_range("strength", options.strength, 0, 1)
    texts, files = _prepare("heat", options)
    from tqdm import tqdm

    from guidance.images import to_tensor
    from guidance.look import draw
    from guidance.look.heat import heat_maps

    scorer = _scorer(options)
    method = _method(options.method, scorer)
    rows = []
    bar = tqdm(files, unit="image", delay=2, disable=options.quiet)
    for file in bar:
        image = _load(file, scorer)
        maps = heat_maps(
            to_tensor(image), texts, scorer,
            method=method, against=options.against, zoom=options.zoom,
        ).numpy()  # fmt: skip
        small = image.copy()
        small.thumbnail((TILE, TILE))
        tiles = [draw.titled(small, file.name)]
        for text, part in zip(texts, maps, strict=True):
            # cosines of several texts share one range, so that what is not there stays dark
            low, high = (maps.min(), maps.max()) if method in ABSOLUTE else (0.0, part.max())
            note = f"{part.min():.2f} to {part.max():.2f}" if method in ABSOLUTE else ""
            tiles.append(
                draw.titled(draw.overlay(small, part, low, high, options.strength), text, note)
            )
        rows.append(draw.beside(tiles))
    _save(options, draw.below(rows))


def write(options: WriteOptions) -> None:
    """Write a word on images, and draw the probabilities before, after and with text off."""
    from guidance.conventions import check_count
    from guidance.objective.text_off import WORDS, clouds, text_directions, write_on

    check_count("directions", options.directions, 0, len(WORDS))
    if not options.write.strip():
        raise InputError("a word is needed, as in: look write PATH... --write iPod --texts ...")
    texts, files = _prepare("write", options, {"json": options.json})
    from guidance.clip.names import may_judge_alone
    from guidance.images.collect import collect
    from guidance.look import draw
    from guidance.look.written import chances_of, how_moved

    if len(texts) < 2 and (options.softmax or not may_judge_alone(options.clip)):
        raise InputError(TOO_FEW)
    others = collect(options.plain, recursive=options.recursive) if options.plain else []
    scorer = _scorer(options)
    if len(texts) < 2 and not scorer.sigmoid:
        raise InputError(TOO_FEW)
    directions = None
    if options.directions:
        words = [w for w in WORDS if w.lower() != options.write.strip().lower()]
        plain = [_load(f, scorer) for f in others] or clouds(16, seed=options.seed)
        directions = text_directions(
            scorer, plain, count=options.directions, words=words, seed=options.seed
        )
    rows, found = [], []
    for file in files:
        image = _load(file, scorer)
        attacked = write_on(image, options.write, height=options.height, place=options.place)
        cases = {"before": (image, None), f"with “{options.write}”": (attacked, None)}
        if directions is not None:
            cases["with it, text off"] = (attacked, directions)
        chances = {
            name: chances_of(scorer, *case, texts, options.softmax) for name, case in cases.items()
        }
        _table(texts, list(chances.items()), file.name)
        print(moved := how_moved(scorer, image, attacked, directions))
        found.append({"file": str(file), "probabilities": chances})
        for picture in (image, attacked):
            picture.thumbnail((TILE, TILE))
        by_text = dict(zip(texts, zip(*chances.values(), strict=True), strict=True))
        left = [draw.titled(image, file.name), draw.titled(attacked, moved)]
        rows.append(draw.beside([*left, draw.bars(by_text, [*chances])]))
    if options.json is not None:
        import json

        from guidance.files.writing import write as write_file

        content = {"clip": options.clip, "write": options.write, "texts": texts, "images": found}
        write_file(options.json, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    _save(options, draw.below(rows), options.json)


def video(options: VideoOptions) -> None:
    """Score the frames of a video, print one score a text, and draw the curves."""
    from guidance.conventions import check_range

    check_range("fps", options.fps, 0, 1000, above=True)
    check_range("temperature", options.temperature, 0, above=True)
    if len(options.inputs) != 1:
        raise InputError(f"one video is needed but {len(options.inputs)} are given")
    texts, files = _prepare("video", options, {"csv": options.csv})
    from tqdm import tqdm

    from guidance.artefacts.plot import line_chart, save
    from guidance.command.outputs import say_written
    from guidance.look.video import pool_attention, read_frames, score_frames

    file = files[0]
    scorer = _scorer(options)
    frames = tqdm(read_frames(file, options.fps), unit="frame", delay=2, disable=options.quiet)
    times, scores = score_frames(frames, texts, scorer, batch=options.batch)
    if not times:
        raise FileError(f"{file} holds no frames")
    pooled = pool_attention(scores, options.temperature).tolist()
    best = scores.argmax(dim=0).tolist()
    from guidance.files.tables import table

    figures = {
        text: {
            "mean": f"{scores[:, n].mean():.4f}",
            "attention": f"{pooled[n]:.4f}",
            "best": f"{scores[best[n], n]:.4f}",
            "at second": f"{times[best[n]]:.2f}",
        }
        for n, text in enumerate(texts)
    }
    print(table(counted(len(times), "frame"), figures))
    seconds = (f"{t:.3f}" for t in times)
    _write_csv(options.csv, ["second", *texts], zip(seconds, scores.tolist(), strict=True))
    curves = {t: list(zip(times, scores[:, n].tolist(), strict=True)) for n, t in enumerate(texts)}
    chart = line_chart(curves, title=file.name, x_label="second", y_label="cosine")
    save(chart, options.sheet)
    say_written([options.sheet, options.csv], quiet=options.quiet)


def _prepare(
    kind: str, options: LookOptions, outputs: dict[str, str | None] | None = None
) -> tuple[list[str], list[Path]]:
    """Check texts, files and outputs before anything is loaded; return texts and files."""
    texts = options.all_texts()
    if not options.inputs:
        raise InputError(f"images or folders are needed, as in: look {kind} PATH... --texts ...")
    # the rest of the imports takes seconds, and a usage error should not
    from guidance.clip.names import parse_specs
    from guidance.command.outputs import check_outputs, say_skipped
    from guidance.conventions import check_count
    from guidance.images.collect import collect

    check_count("batch", options.batch, 1, 65536)
    passed: Counter[str] = Counter()
    files = collect(options.inputs, recursive=options.recursive, passed=passed)
    most = MAX_IMAGES.get(kind, 1)
    if len(files) > most:
        what = "images must be" if kind in MAX_IMAGES else "videos must be"
        raise InputError(f"{what} at most {most} but are {len(files)}")
    plots = ("sheet",) if kind == "video" else ()
    check_outputs({"sheet": options.sheet, **(outputs or {})}, files, plots)
    parse_specs(options.clip)
    say_skipped((), len(files), passed, quiet=options.quiet)
    return texts, files


def _scorer(options: LookOptions) -> ClipScorer:
    from guidance.clip.scorer import ClipScorer

    return ClipScorer(options.clip, device=options.device, precision=options.precision)


def _method(name: str, scorer: ClipScorer) -> str:
    """Return what "auto" stands for with these models."""
    import torch

    from guidance.clip.tokens import patch_embeddings

    if name != "auto":
        return name
    try:
        with torch.no_grad():
            for model in scorer.models:  # some towers tell only by trying
                patch_embeddings(model, torch.zeros(1, 3, 8, 8))
    except ModelError:
        return "windows"
    return "patches"


def _load(file: Path, scorer: ClipScorer) -> Image.Image:
    """Load a picture no larger than is needed to look at it closely."""
    from guidance.images import load_image

    return load_image(file, min_side=max(TILE, 4 * max(m.image_size for m in scorer.models)))


def _table(texts: list[str], rows: list[tuple[str, list[float]]], title: str = "") -> None:
    from guidance.files.tables import table
    from guidance.files.writing import printable

    figures = {
        printable(name): dict(zip(map(printable, texts), values, strict=True))
        for name, values in rows
    }
    print(table(printable(title), figures))


def _write_csv(path: str | None, head: list[str], rows) -> None:
    if path is None:
        return
    from guidance.files.tables import write_csv

    lines = ([first, *(f"{v:.6f}" for v in values)] for first, values in rows)
    write_csv(path, [head, *lines])


def _save(options: LookOptions, picture: Image.Image, *others: str | None) -> None:
    from guidance.command.outputs import say_written
    from guidance.files.writing import atomic

    quality = {} if options.sheet.lower().endswith(".png") else {"quality": 92}
    with atomic(options.sheet) as temporary:
        picture.save(temporary, **quality)
    say_written([options.sheet, *others], quiet=options.quiet)


KINDS: dict[str, tuple[type, Callable]] = {
    "matrix": (MatrixOptions, matrix),
    "heat": (HeatOptions, heat),
    "write": (WriteOptions, write),
    "video": (VideoOptions, video),
}
