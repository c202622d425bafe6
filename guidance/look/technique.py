"""Options → pictures: what ``python -m guidance.look KIND`` does."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from guidance.artefacts.plot import line_chart
from guidance.clip.scorer import ClipScorer
from guidance.command.pictures import load_scorer
from guidance.errors import FileError, InputError, counted
from guidance.files.tables import table
from guidance.images import to_tensor
from guidance.images.collect import collect
from guidance.look import draw
from guidance.look.heat import heat_maps
from guidance.look.options import HeatOptions, MatrixOptions, VideoOptions, WriteOptions
from guidance.look.prepare import TILE, best_method, csv_rows, load, prepare, text_table
from guidance.look.video import pool_attention, read_frames, score_frames
from guidance.look.written import Attack, attack
from guidance.objective.text_off import WORDS, clouds, text_directions
from guidance.score.late_interaction import LateScorer

ABSOLUTE = ("patches", "windows")  # methods whose heat is a cosine


def matrix(options: MatrixOptions) -> int:
    """Draw, print and write the similarity of each image and text."""
    files, out = prepare(options, "csv")
    texts = options.all_texts
    scorer = load_scorer(options)
    images = [load(f, scorer) for f in files]
    with torch.no_grad():
        if options.values == "late":
            values = LateScorer(scorer, words=options.words).similarity(images, texts)
        elif options.values == "probability":
            values = scorer.probabilities(images, texts, softmax=options.softmax)
        else:
            values = scorer.similarity(images, texts)
    values = values.cpu()
    rows = values.tolist()
    print(text_table(texts, zip([f.name for f in files], rows, strict=True)))
    out.picture("sheet", lambda: draw.matrix(values.numpy(), images, texts))
    out.csv(csv_rows("file", texts, zip(files, rows, strict=True)))
    return out.end((), len(files))


def heat(options: HeatOptions) -> int:
    """Draw heat-maps, a row for each image and a column for each text."""
    files, out = prepare(options)
    scorer = load_scorer(options)
    method = best_method(options.method, scorer)
    rows = []
    for file in tqdm(files, unit="image", delay=2, disable=options.quiet):
        image = load(file, scorer)
        maps = heat_maps(
            to_tensor(image), options.all_texts, scorer,
            method=method, against=options.against, zoom=options.zoom,
        )  # fmt: skip
        image.thumbnail((TILE, TILE))
        tiles = _heat_tiles(options, image, maps, absolute=method in ABSOLUTE)
        rows.append(draw.beside([draw.titled(image, file.name), *tiles]))
    out.picture("sheet", lambda: draw.below(rows))
    return out.end((), len(files))


def _heat_tiles(
    options: HeatOptions, image: Image.Image, maps: Tensor, *, absolute: bool
) -> list[Image.Image]:
    """Lay the maps ``[P, h, w]`` over the picture; if absolute, say which cosines they span."""
    tiles = []
    heats = maps.numpy()
    for text, part in zip(options.all_texts, heats, strict=True):
        # cosines of several texts share one range, so that what is not there stays dark
        low, high = (heats.min(), heats.max()) if absolute else (0.0, part.max())
        note = f"{part.min():.2f} to {part.max():.2f}" if absolute else ""
        hot = draw.overlay(image, part, low, high, options.strength)
        tiles.append(draw.titled(hot, text, note))
    return tiles


def write(options: WriteOptions) -> int:
    """Write a word on images, and draw the probabilities before, after and with text off."""
    files, out = prepare(options, "json")
    texts = options.all_texts
    plain = collect(options.plain, recursive=options.recursive) if options.plain else []
    scorer = load_scorer(options)
    if len(texts) < 2 and not scorer.sigmoid:
        raise InputError(options.TOO_FEW)
    directions = _directions(options, [load(f, scorer) for f in plain], scorer)
    rows, found = [], []
    for file in files:
        done = attack(load(file, scorer), options, scorer, directions)
        print(text_table(texts, done.chances.items(), file.name))
        print(done.moved)
        found.append({"file": str(file), "probabilities": done.chances})
        rows.append(_attack_row(done, file.name, texts))
    out.picture("sheet", lambda: draw.below(rows))
    facts = {"clip": options.clip, "write": options.write, "texts": texts, "images": found}
    out.json(lambda: facts, ascii=False)
    return out.end((), len(files))


def _directions(
    options: WriteOptions, plain: list[Image.Image], scorer: ClipScorer
) -> Tensor | None:
    """Learn the directions of written text, ``[K, D]``, without the word that will be written."""
    if not options.directions:
        return None
    words = [w for w in WORDS if w.lower() != options.write.strip().lower()]
    plain = plain or clouds(16, seed=options.seed)
    return text_directions(scorer, plain, count=options.directions, words=words, seed=options.seed)


def _attack_row(done: Attack, name: str, texts: list[str]) -> Image.Image:
    for picture in (done.image, done.attacked):
        picture.thumbnail((TILE, TILE))
    by_text = dict(zip(texts, zip(*done.chances.values(), strict=True), strict=True))
    left = [draw.titled(done.image, name), draw.titled(done.attacked, done.moved)]
    return draw.beside([*left, draw.bars(by_text, [*done.chances])])


def video(options: VideoOptions) -> int:
    """Score the frames of a video, print one score a text, and draw the curves."""
    (file,), out = prepare(options, "csv")
    texts = options.all_texts
    scorer = load_scorer(options)
    frames = tqdm(read_frames(file, options.fps), unit="frame", delay=2, disable=options.quiet)
    times, scores = score_frames(frames, texts, scorer, batch=options.batch)
    if not times:
        raise FileError(f"{file} holds no frames")
    pooled = pool_attention(scores, options.temperature).tolist()
    best = scores.argmax(dim=0).tolist()
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
    curves = {t: list(zip(times, scores[:, n].tolist(), strict=True)) for n, t in enumerate(texts)}
    out.plot(
        "sheet", lambda: line_chart(curves, title=file.name, x_label="second", y_label="cosine")
    )
    seconds = (f"{t:.3f}" for t in times)
    out.csv(csv_rows("second", texts, zip(seconds, scores.tolist(), strict=True)))
    return out.end((), 1)
