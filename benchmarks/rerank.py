"""Ranking a folder of JPEG files: ours against the loop of open_clip's README.

The loop opens a file with Pillow, applies open_clip's own preprocessing and encodes, one image at
a time (as documented) or 32; ours is `guidance.rank` as the command line calls it. All start from
the same files and end with one score an image. They take turns, piece by piece, so that a slow
moment of the machine hits all of them. "encoder alone" is our image tower on batches that lie
ready in memory: what is missing to its speed is what reading and decoding cost. Spearman's
correlation is that of the scores with those of the documented loop, in float32.

Usage:
    python -m benchmarks.rerank
    python -m benchmarks.rerank --quick
    python -m benchmarks.rerank --images 96 --sides 640x480,4000x3000 --models ViT-B-32,mini
    python -m benchmarks.rerank --device cuda --batch 256 --workers 16 --images 20000
"""

from __future__ import annotations

import argparse
import copy
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import skimage.data
import torch
from PIL import Image
from torch import nn

import guidance
from benchmarks import measure
from guidance.clip import registry
from guidance.clip.model import ClipModel
from guidance.clip.preprocess import Preprocess
from guidance.clip.scorer import ClipScorer
from guidance.errors import ModelError
from guidance.images import hide_warnings

PROMPT = "a fox at sunrise"
TURNS = 8  # pieces of the files that the sides take turns with


@dataclass(frozen=True)
class Side:
    """One way to score files.

    Attributes:
        run: files → scores in their order.
        every: it does one of so many pieces of the files; slow ones need not do all.
    """

    run: Callable[[Sequence[Path]], Sequence[float]]
    every: int = 1


def make_photos(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Write JPEGs: pieces of photographs in random frames, mirrored, brighter or darker."""
    random = np.random.default_rng(0)
    names = ("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field", "retina")
    photos = [Image.fromarray(getattr(skimage.data, name)()[..., :3]) for name in names]
    files = []
    for number in range(count):
        photo = photos[number % len(photos)]
        scale = random.uniform(0.25, 1) * min(photo.width / width, photo.height / height)
        w, h = max(16, int(width * scale)), max(16, int(height * scale))
        left, top = (int(random.integers(0, n + 1)) for n in (photo.width - w, photo.height - h))
        image = photo.resize(
            (width, height), Image.Resampling.BICUBIC, box=(left, top, left + w, top + h)
        )
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = image.point([min(255, int(v * light)) for light in random.uniform(0.6, 1.3, 3)
                             for v in range(256)])  # fmt: skip
        files.append(folder / f"{number:05}.jpg")
        image.save(files[-1], quality=90)
    return files


def load(name: str) -> tuple[nn.Module, Callable, Preprocess]:
    """Return network, tokenizer and preprocessing of mini or of a randomly initialised model."""
    if name == "mini":
        network, tokenizer, preprocess = registry.load_network(name)
        return network.eval(), tokenizer, preprocess
    torch.manual_seed(0)
    logging.disable(logging.WARNING)  # "no pretrained weights": that is intended
    network = open_clip.create_model(name).eval()
    logging.disable(logging.NOTSET)
    visual = network.visual
    preprocess = Preprocess.from_config(visual.preprocess_cfg, visual.image_size)
    return network, open_clip.get_tokenizer(name), preprocess


def plain(
    network: nn.Module, tokenizer: Callable, preprocess: Preprocess, batch: int, device: str
) -> Callable:
    """Return the loop of open_clip's README around `batch` images at a time."""
    transform = open_clip.image_transform(
        preprocess.size,
        is_train=False,
        mean=preprocess.mean,
        std=preprocess.std,
        interpolation=preprocess.interpolation,
        resize_mode=preprocess.resize_mode,
    )
    network = network.to(device)
    with torch.no_grad():
        text = network.encode_text(tokenizer([PROMPT]).to(device), normalize=True)

    @torch.no_grad()
    def run(files: Sequence[Path]) -> list[float]:
        scores = []
        for start in range(0, len(files), batch):
            images = [transform(Image.open(f)) for f in files[start : start + batch]]
            features = network.encode_image(torch.stack(images).to(device), normalize=True)
            scores += (features @ text.T)[:, 0].tolist()
        return scores

    return run


def scorer_of(parts: tuple, precision: str, device: str) -> ClipScorer:
    """Return our scorer with a copy of the network."""
    network, tokenizer, preprocess = parts
    network = copy.deepcopy(network).cpu()
    model = ClipModel(
        network, tokenizer, preprocess, name="benchmark", precision=precision, device=device
    )
    return ClipScorer([model])


def ours(scorer: ClipScorer, batch: int, workers: int) -> Callable:
    """Return `guidance.rank`, giving the scores in the order of the files."""
    how = guidance.RankOptions(batch=batch, workers=workers)

    def run(files: Sequence[Path]) -> list[float]:
        ranking = guidance.rank(files, PROMPT, scorer=scorer, options=how)
        return [r.score for r in sorted(ranking, key=lambda r: r.index)]

    return run


def alone(scorer: ClipScorer, batch: int) -> Callable:
    """Return the image tower on batches that are ready, as many images as there are files."""
    size, device = scorer.models[0].image_size, scorer.device
    ready = torch.rand(batch, 3, size, size, device=device)

    @torch.no_grad()
    def run(files: Sequence[Path]) -> list[float]:
        for start in range(0, len(files), batch):
            last = scorer.encode_image(ready[: len(files) - start])
        last.sum().item()  # waits for a GPU
        return []

    return run


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the rank correlation of two lists of scores without ties."""
    ranks = [torch.tensor(x, dtype=torch.float64).argsort().argsort().double() for x in (a, b)]
    return torch.corrcoef(torch.stack(ranks))[0, 1].item()


def table(name: str, files: Sequence[Path], size: str, args: argparse.Namespace) -> list[str]:
    """Time all sides in turn; return the lines of a table."""
    parts = load(name)
    device = str(guidance.ClipScorer("mini", device=args.device).device)
    half = "bf16"
    full, fast = scorer_of(parts, "fp32", device), scorer_of(parts, half, device)
    base = "open_clip's loop, one by one"
    sides = {
        base: Side(plain(*parts, 1, device), args.every),
        "open_clip's loop, batches": Side(plain(*parts, args.batch, device), args.every),
        "guidance.rank": Side(ours(full, args.batch, args.workers)),
        "  encoder alone": Side(alone(full, args.batch)),
        f"guidance.rank, {half}": Side(ours(fast, args.batch, args.workers)),
        f"  encoder alone, {half}": Side(alone(fast, args.batch)),
    }
    for side in sides.values():
        side.run(files[: args.batch])  # warm-up
    seconds, counts = dict.fromkeys(sides, 0.0), dict.fromkeys(sides, 0)
    scores: dict[str, dict[Path, float]] = {name: {} for name in sides}
    turns = max(1, min(TURNS, len(files) // args.batch))
    pieces = [files[n::turns] for n in range(turns)]
    with hide_warnings():
        for turn, piece in enumerate(pieces):
            for side, how in sides.items():
                if turn % how.every:
                    continue
                started = time.perf_counter()
                got = how.run(piece)
                seconds[side] += time.perf_counter() - started
                counts[side] += len(piece)
                scores[side].update(zip(piece, got, strict=bool(got)))
    rates = {side: counts[side] / seconds[side] for side in sides}
    lines = [
        f"{name}, {len(files)} JPEG files of {size}, {device}, {torch.get_num_threads()} cores"
    ]
    lines.append(
        f"{'':28} {'images/s':>9} {'speed-up':>9} {'Spearman':>9} {'score differs by':>17}"
    )
    for side, rate in rates.items():
        line = f"{side:28} {rate:>9.1f} {rate / rates[base]:>8.2f}x"
        if common := [f for f in scores[base] if f in scores[side]]:
            a, b = ([scores[s][f] for f in common] for s in (base, side))
            most = max(abs(x - y) for x, y in zip(a, b, strict=True))
            line += f" {spearman(a, b):>9.5f} {most:>17.5f}"
        lines.append(line)
    for precision in ("", f", {half}"):
        share = rates[f"guidance.rank{precision}"] / rates[f"  encoder alone{precision}"]
        lines.append(f"guidance.rank{precision} reaches {share:.0%} of its encoder alone")
    return [*lines, ""]


def _peak(files: Sequence[Path], queue: multiprocessing.SimpleQueue) -> None:
    """Put the peak memory of ranking `files` in a process that has done so before, in MB."""
    scorer = ClipScorer("mini", device="cpu")
    guidance.rank(files[:64], PROMPT, scorer=scorer)
    measure.forget_peak()
    guidance.rank(files, PROMPT, scorer=scorer)
    queue.put(measure.status("VmHWM"))


def memory(files: Sequence[Path]) -> list[str]:
    """Return the peak memory of ranking a quarter of the files and all of them, as lines."""
    context = multiprocessing.get_context("spawn")
    lines = ["peak memory of ranking with mini, the whole process"]
    for count in (len(files) // 4, len(files)):
        queue = context.SimpleQueue()
        process = context.Process(target=_peak, args=(files[:count], queue))
        process.start()
        process.join()
        lines.append(f"{count:>6} files {queue.get():>7.0f} MB")
    return [*lines, ""]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for each model and size of file, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--sides", default="512x512", help="sizes of the photos")
    parser.add_argument("--models", default="ViT-B-32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--every", type=int, default=1, help="the loops do one piece of so many")
    parser.add_argument("--quick", action="store_true", help="32 images, the mini model")
    args = parser.parse_args(argv)
    if args.quick:
        args.images, args.models = 32, "mini"
    for size in args.sides.split(","):
        width, height = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            files = make_photos(Path(folder), args.images, width, height)
            for name in args.models.split(","):
                try:
                    print("\n".join(table(name, files, size, args)), flush=True)
                except ModelError as error:
                    print(f"{name}: {error}\n")
            print("\n".join(memory(files)), flush=True)


if __name__ == "__main__":
    main()
