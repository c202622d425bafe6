"""Ranking a folder of photos: ours against the plain loops users write around open_clip.

The loops open a file with Pillow, apply open_clip's own preprocessing and encode, one image at a
time or 32; ours is `guidance.rank` as the command line calls it. All start from the same files
and end with one score an image. They take turns in one process, and the median counts.

Usage:
    python -m benchmarks.rerank
    python -m benchmarks.rerank --quick
    python -m benchmarks.rerank --images 96 --sides 640x480,4000x3000
"""

from __future__ import annotations

import argparse
import copy
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from torch import nn

import guidance
from guidance.clip import registry
from guidance.clip.model import ClipModel
from guidance.clip.preprocess import Preprocess
from guidance.errors import ModelError
from guidance.scorer import ClipScorer

PROMPT = "a fox at sunrise"


def make_photos(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Write JPEGs with soft shapes and fine grain."""
    random = np.random.default_rng(0)
    files = []
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        grain = random.integers(-12, 13, (height, width, 1), dtype=np.int16)
        files.append(folder / f"{number:04}.jpg")
        Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(files[-1], quality=88)
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


def plain(network: nn.Module, tokenizer: Callable, preprocess: Preprocess, batch: int) -> Callable:
    """Return the loop of open_clip's README around `batch` images at a time."""
    transform = open_clip.image_transform(
        preprocess.size,
        is_train=False,
        mean=preprocess.mean,
        std=preprocess.std,
        interpolation=preprocess.interpolation,
        resize_mode=preprocess.resize_mode,
    )

    @torch.no_grad()
    def run(files: Sequence[Path]) -> list[float]:
        text = network.encode_text(tokenizer([PROMPT]), normalize=True)
        scores = []
        for start in range(0, len(files), batch):
            images = [transform(Image.open(f)) for f in files[start : start + batch]]
            features = network.encode_image(torch.stack(images), normalize=True)
            scores += (features @ text.T)[:, 0].tolist()
        return scores

    return run


def ours(
    network: nn.Module, tokenizer: Callable, preprocess: Preprocess, precision: str = "fp32"
) -> Callable:
    """Return `guidance.rank`, giving the scores in the order of the files."""
    model = ClipModel(
        copy.deepcopy(network), tokenizer, preprocess, name="benchmark", precision=precision
    )
    scorer = ClipScorer([model])

    def run(files: Sequence[Path]) -> list[float]:
        ranking = guidance.rank(files, PROMPT, scorer=scorer)
        return [r.score for r in sorted(ranking, key=lambda r: r.index)]

    return run


def table(name: str, files: Sequence[Path], size: str, rounds: int) -> list[str]:
    """Time all sides in turn; return the lines of a table."""
    parts = load(name)
    sides = {
        "plain loop, one by one": plain(*parts, batch=1),
        "plain loop, batches of 32": plain(*parts, batch=32),
        "guidance.rank": ours(*parts),
        "guidance.rank, bf16": ours(*parts, precision="bf16"),
    }
    scores = {side: run(files[:4]) for side, run in sides.items()}  # warm-up
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            started = time.perf_counter()
            scores[side] = run(files)
            seconds[side].append(time.perf_counter() - started)
    rates = {side: len(files) / statistics.median(s) for side, s in seconds.items()}
    base = rates["plain loop, batches of 32"]
    lines = [f"{name}, {len(files)} JPEG files of {size}, median of {rounds}"]
    lines.append(f"{'':28} {'images/s':>9} {'ratio':>7} {'score differs by':>17}")
    for side, rate in rates.items():
        pairs = zip(scores[side], scores["plain loop, one by one"], strict=True)
        most = max(abs(a - b) for a, b in pairs)
        lines.append(f"{side:28} {rate:>9.1f} {rate / base:>6.2f}x {most:>17.5f}")
    return [*lines, ""]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for each model and size of file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--sides", default="640x480,4000x3000", help="sizes of the photos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="ViT-B-32,mini")
    parser.add_argument("--quick", action="store_true", help="8 images, one round, small files")
    args = parser.parse_args(argv)
    if args.quick:
        args.images, args.rounds, args.sides = 8, 1, "640x480"
    for size in args.sides.split(","):
        width, height = map(int, size.split("x"))
        count = max(8, args.images // (1 if width * height < 4_000_000 else 4))
        with tempfile.TemporaryDirectory() as folder:
            files = make_photos(Path(folder), count, width, height)
            for name in args.models.split(","):
                try:
                    print("\n".join(table(name, files, size, args.rounds)), flush=True)
                except ModelError as error:
                    print(f"{name}: {error}\n")


if __name__ == "__main__":
    main()
