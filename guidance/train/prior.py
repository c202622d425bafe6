"""Arrays + weights → the prior of a CLIP (`guidance.clip.prior`).

It remembers the training pictures by caption: photos, scenes, and drawings on white. Pictures of
one caption are one entry, so that a common word counts no more than a rare one. An ImageNet
classifier adds an entry for each of its classes.

    python -m guidance.train.prior --arrays arrays --weights mini-clip.safetensors \
        --classifier lite0.pth --out mini-clip-prior.safetensors
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from guidance.clip.prior import Prior, remember
from guidance.files import write
from guidance.train import model as mini
from guidance.train.data import with_article
from guidance.train.evaluate import Model, held_out, picture

TABLES = ("photos", "drawings", "scenes")
PART = 256  # pictures in memory at once
# A name with templates has many captions; those after the second add words, not meaning.
CAPTIONS = 2
# How far a class lies from the mean picture, as a multiple of what the formula says.
SHARPNESS = 3.0
# Length of a class's key. Below 1, classes stand back behind captions as close: what they give are
# photos of scenery and all, and drawings of a thing alone are clearer to follow.
DEFERENCE = 0.9


@dataclass(frozen=True)
class PriorOptions:
    """Options of ``python -m guidance.train.prior``."""

    arrays: Path
    """Folder written by `guidance.train.data`."""
    weights: Path
    """The CLIP's weights file."""
    classifier: Path
    """EfficientNet-Lite0 ImageNet weights."""
    out: Path
    """The prior's file."""
    config: Path = mini.MINI_CONFIG
    """The model's open_clip config."""
    rank: int = 192
    """Directions to keep of texts and of images."""


class Table:
    """The training rows of one table of the arrays: `captions` of each, and its picture."""

    def __init__(self, arrays: Path, index: dict, name: str) -> None:
        columns = index[name]
        self.rows = [row for row, split in enumerate(columns["split"]) if split != "test"]
        self.captions = [tuple(columns["captions"][row][:CAPTIONS]) for row in self.rows]
        self.pixels = np.load(arrays / f"{name}.npy", mmap_mode="r")

    def parts(self) -> Iterator[list[Image.Image]]:
        """Yield the pictures in order, RGB, a few at a time."""
        for start in range(0, len(self.rows), PART):
            yield [picture(self.pixels[row]) for row in self.rows[start : start + PART]]


def merge(captions: list[tuple[int, ...]], images: Tensor) -> dict[tuple[int, ...], Tensor]:
    """Return the unit mean ``[D]`` of the `images` ``[N, D]`` that share their captions."""
    groups = defaultdict(list)
    for place, numbers in enumerate(captions):
        groups[numbers].append(place)
    return {k: F.normalize(images[places].mean(0), dim=-1) for k, places in groups.items()}


def class_images(images: Tensor, logits: Tensor) -> Tensor:
    """Return the unit embedding of a typical picture of each class ``[C, D]``.

    Linear discriminant analysis (Hastie et al. 2009, section 4.3) read backwards: there, weights
    are the inverse covariance of the features times the class means, so the class means are the
    covariance times the weights, which is the covariance of features and logits.

    Args:
        images: Embeddings of some pictures ``[N, D]``.
        logits: What the classifier says of them ``[N, C]``.
    """
    logits = logits - logits.mean(1, keepdim=True)
    centre = images.mean(0)
    covariance = (logits - logits.mean(0)).T @ (images - centre) / len(images)
    return F.normalize(centre + SHARPNESS * covariance, dim=-1)


@torch.no_grad()
def classify(classifier: torch.nn.Module, pictures: list[Image.Image], side: int = 224) -> Tensor:
    """Return the classifier's logits ``[N, C]``."""
    x = torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2)
    x = F.interpolate(x.float() / 255, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return classifier((x * 2 - 1).contiguous(memory_format=torch.channels_last))


def recall(options: PriorOptions, model: Model) -> tuple[Tensor, Tensor]:
    """Return the embeddings of the texts and of the images to remember, ``[M, D]`` each."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    index = json.loads((options.arrays / "index.json").read_text())
    classifier = mini.image_classifier(options.classifier).to(memory_format=torch.channels_last)
    captions, images, logits = [], [], []
    for name in TABLES:
        table = Table(options.arrays, index, name)
        captions += table.captions
        for pictures in table.parts():
            images.append(model.images(pictures))
            if name == "photos":
                logits.append(classify(classifier, pictures))
    images, logits = torch.cat(images), torch.cat(logits)
    memory = merge(captions, images)
    names = [index["texts"][number] for numbers in memory for number in numbers]
    names += [text for n in IMAGENET_CLASSNAMES for text in (n, with_article(n))]
    counts = [len(numbers) for numbers in memory] + [2] * len(IMAGENET_CLASSNAMES)
    texts = torch.stack([part.mean(0) for part in model.texts(names).split(counts)])
    keys = F.normalize(texts, dim=-1)
    keys[len(memory) :] *= DEFERENCE
    values = [*memory.values(), *class_images(images[: len(logits)], logits)]
    return keys, torch.stack(values)


def train(options: PriorOptions) -> dict[str, float]:
    """Write the prior; return mean cosines to the held-out Flickr8k photos (first captions)."""
    from safetensors.torch import save

    model = Model(options.config, options.weights)
    state = remember(*recall(options, model), options.rank)
    write(options.out, save(state))
    pictures, captions, _ = held_out(options.arrays, "flickr8k")
    images = model.images(pictures)
    texts = model.texts([group[0] for group in captions])
    return {
        "entries": len(state["text.codes"]),
        "cosine of text and image": (texts * images).sum(1).mean().item(),
        "cosine of prior and image": (Prior(state)(texts) * images).sum(1).mean().item(),
    }


if __name__ == "__main__":
    import tyro

    for name, value in train(tyro.cli(PriorOptions)).items():
        print(f"{name}: {value:.3f}")
