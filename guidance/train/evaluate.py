"""Weights file → figures of the model card, through open_clip alone.

Retrieval on the held-out Flickr8k photos (first caption of each), zero-shot classification of
held-out ImageNet photos among all 1000 class names, and of icons in a drawing style never trained
on (OpenMoji) among all their names.

    python -m guidance.train.evaluate --weights mini-clip.safetensors --arrays arrays --iconify ...
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from guidance.train import sources
from guidance.train.data import nouns, with_article
from guidance.train.model import MINI_CONFIG


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of ``python -m guidance.train.evaluate``."""

    weights: Path
    """The weights file."""
    arrays: Path
    """Folder written by `guidance.train.data`."""
    config: Path = MINI_CONFIG
    """The model's open_clip config."""
    iconify: Path | None = None
    """Unpacked npm package ``@iconify/json``, for the OpenMoji test."""
    wordnet: Path = Path("/usr/share/wordnet")
    """WordNet dictionary folder; the OpenMoji test uses the names that are nouns."""


class Model:
    """An open_clip model with its own preprocessing and tokenizer."""

    def __init__(self, config: Path, weights: Path) -> None:
        import open_clip

        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(config, Path(folder) / "open_clip_config.json")
            shutil.copy(weights, Path(folder) / "open_clip_model.safetensors")
            name = f"local-dir:{folder}"
            self.model, _, self.preprocess = open_clip.create_model_and_transforms(name)
            self.tokenizer = open_clip.get_tokenizer(name)
        self.model.eval()

    @torch.no_grad()
    def images(self, pictures: list[Image.Image]) -> Tensor:
        """Embed pictures: unit vectors ``[N, D]``."""
        x = torch.stack([self.preprocess(p) for p in pictures])
        return torch.cat([self.model.encode_image(p, normalize=True) for p in x.split(64)])

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Tensor:
        """Embed texts: unit vectors ``[N, D]``."""
        parts = self.tokenizer(texts).split(128)
        return torch.cat([self.model.encode_text(p, normalize=True) for p in parts])


def recall(similarity: Tensor, right: Tensor, ranks: tuple[int, ...]) -> list[float]:
    """Share of queries with a right key among the first k, in per cent, for each k of `ranks`.

    Args:
        similarity: Queries against keys, ``[Q, K]``.
        right: Which keys are right, bool ``[Q, K]``.
        ranks: The values of k.
    """
    best = similarity.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    place = (similarity > best).sum(1)
    return [round(100 * (place < k).float().mean().item(), 1) for k in ranks]


def picture(pixels: np.ndarray) -> Image.Image:
    """Return uint8 pixels as an RGB picture; a drawing (premultiplied RGBA) lies on white."""
    if pixels.shape[-1] == 4:
        white = pixels[..., :3] + (255 - pixels[..., 3:].astype(int))
        pixels = white.clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def held_out(arrays: Path, source: str) -> tuple[list[Image.Image], list[list[str]], list[str]]:
    """Return the pictures, captions and keys of `source` with split "test"."""
    index = json.loads((arrays / "index.json").read_text())
    table, pixels = index["photos"], np.load(arrays / "photos.npy", mmap_mode="r")
    rows = [
        i
        for i, (s, split) in enumerate(zip(table["source"], table["split"], strict=True))
        if s == source and split == "test"
    ]
    captions = [[index["texts"][c] for c in table["captions"][i]] for i in rows]
    return [Image.fromarray(pixels[i]) for i in rows], captions, [table["key"][i] for i in rows]


def retrieval(model: Model, arrays: Path) -> dict[str, list[float]]:
    """R@1, R@5 and R@10 on the held-out Flickr8k photos, in both directions."""
    pictures, captions, _ = held_out(arrays, "flickr8k")
    texts = model.texts([group[0] for group in captions])
    similarity = texts @ model.images(pictures).T
    right = torch.eye(len(pictures), dtype=torch.bool)
    ranks = (1, 5, 10)
    return {
        f"text to image, {len(pictures)} photos": recall(similarity, right, ranks),
        f"image to text, {len(pictures)} captions": recall(similarity.T, right.T, ranks),
    }


def imagenet(model: Model, arrays: Path) -> dict[str, list[float]]:
    """Top-1 and top-5 on held-out ImageNet photos among 1000 names ("a photo of a NAME")."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    index = json.loads((arrays / "index.json").read_text())["photos"]
    keys = zip(index["key"], index["source"], strict=True)
    order = sorted(k for k, s in keys if s == "imagenet-sample")
    pictures, _, names = held_out(arrays, "imagenet-sample")
    texts = model.texts([f"a photo of {with_article(n)}" for n in IMAGENET_CLASSNAMES])
    right = torch.tensor([order.index(n) for n in names])[:, None] == torch.arange(len(order))
    found = recall(model.images(pictures) @ texts.T, right, (1, 5))
    return {f"ImageNet zero-shot, {len(pictures)} photos, top 1 and 5": found}


def icons(model: Model, folder: Path, vocabulary: set[str]) -> dict[str, list[float]]:
    """Top-1 and top-5 on OpenMoji drawings on white among all their names."""
    data = json.loads((folder / "json" / "openmoji.json").read_text())
    pictures: dict[str, Image.Image] = {}
    for key, icon in data["icons"].items():
        name = sources.icon_name(key)
        if name is None or name in pictures or name not in vocabulary:
            continue
        side = icon.get("width", data.get("width", 72))
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
            f"{icon['body']}</svg>"
        )
        pixels = sources.render_svg(svg)
        if pixels is not None:
            pictures[name] = picture(pixels)
    texts = model.texts([f"a drawing of {with_article(n)}" for n in pictures])
    right = torch.eye(len(pictures), dtype=torch.bool)
    found = recall(model.images(list(pictures.values())) @ texts.T, right, (1, 5))
    return {f"OpenMoji, {len(pictures)} names, top 1 and 5": found}


def evaluate(options: EvaluateOptions) -> dict[str, list[float]]:
    """Return all figures in per cent."""
    model = Model(options.config, options.weights)
    figures = {**retrieval(model, options.arrays), **imagenet(model, options.arrays)}
    if options.iconify:
        figures |= icons(model, options.iconify, nouns(options.wordnet))
    return figures


if __name__ == "__main__":
    import tyro

    for name, values in evaluate(tyro.cli(EvaluateOptions)).items():
        print(f"{name}: {' / '.join(str(v) for v in values)}")
