"""Pictures + weights → the prior of a CLIP (`guidance.clip.prior`).

It remembers the training pictures by caption: photos, and drawings on white. Composed scenes are
better left out: a prompt that is the caption of one would be aimed at that one picture. Pictures of
one caption are one entry, so that a common word counts no more than a rare one. An ImageNet
classifier adds an entry for each of its classes, last, where `Prior.rivals` looks for them.

    python -m guidance.train.prior --clip runs/guide/clip --photos "shards/photos-*.tar" \
        --drawings "shards/drawings-*.tar" --classifier lite0.pth \
        --val "shards/test-flickr8k-*.tar" --out mini-clip-prior.safetensors
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from guidance.clip.classifier import image_classifier
from guidance.clip.model import ClipModel
from guidance.clip.prior import Prior, remember
from guidance.clip.registry import load_clip
from guidance.command.cli import Several
from guidance.command.launch import Command
from guidance.data import Samples, read
from guidance.errors import InputError
from guidance.evaluate.embed import embed_images, on_white
from guidance.evaluate.retrieval import embed_pairs
from guidance.files.writing import write
from guidance.images import as_tensor
from guidance.train.moments import class_images
from guidance.train.names import with_article

PART = 64  # pictures in memory at once
# A name with templates has many captions; those after the second add words, not meaning.
CAPTIONS = 2
# Length of a class's key. Below 1, classes stand a little behind captions as close: what they give
# are photos of scenery and all, and drawings of a thing alone are clearer to follow.
DEFERENCE = 0.98


@dataclass(frozen=True)
class PriorOptions:
    """Build the prior of a CLIP from the pictures it learned from."""

    clip: str
    """The CLIP, as for --clip of the techniques."""
    photos: Several[tuple[str, ...]]
    """Captioned photos: shards or a folder; may be repeated."""
    out: Path
    """The prior's file, NAME-prior.safetensors beside the weights NAME.safetensors."""
    drawings: Several[tuple[str, ...]] = ()
    """Captioned pictures that are no photos; may be repeated."""
    classifier: Path | None = None
    """ImageNet weights of EfficientNet-Lite0."""
    val: Several[tuple[str, ...]] = ()
    """Held-out pairs to measure the prior on; may be repeated."""
    rank: int = 192
    """Directions to keep of texts and of images."""


def merge(captions: list[tuple[str, ...]], images: Tensor) -> dict[tuple[str, ...], Tensor]:
    """Return the unit mean ``[D]`` of the `images` ``[N, D]`` that share their captions."""
    groups = defaultdict(list)
    for place, texts in enumerate(captions):
        groups[texts].append(place)
    return {k: F.normalize(images[places].mean(0), dim=-1) for k, places in groups.items()}


def imagine_classes(images: Tensor, logits: Tensor) -> Tensor:
    """Return the unit embedding of a typical picture of each class ``[C, D]``.

    See `guidance.train.moments.class_images` for the method and its source.

    Args:
        images: Embeddings of some pictures ``[N, D]``.
        logits: What the classifier says of them ``[N, C]``.
    """
    logits = logits - logits.mean(1, keepdim=True)
    centre = images.mean(0)
    return class_images(centre, (logits - logits.mean(0)).T @ (images - centre) / len(images))


@torch.no_grad()
def classify(classifier: torch.nn.Module, samples: Samples, side: int = 224) -> Tensor:
    """Return the classifier's logits for the whole pictures, squeezed to a square ``[N, C]``."""
    parts = []
    for start in range(0, len(samples), PART):
        rows = range(start, min(start + PART, len(samples)))
        sized = [
            F.interpolate(as_tensor(on_white(samples.image(i))), (side, side), mode="bicubic",
                          antialias=True) for i in rows
        ]  # fmt: skip
        x = torch.cat(sized).clamp(0, 1) * 2 - 1
        parts.append(classifier(x.contiguous(memory_format=torch.channels_last)))
    return torch.cat(parts)


def recall(options: PriorOptions, model: ClipModel) -> tuple[Tensor, Tensor]:
    """Return the embeddings of the texts and of the images to remember, ``[M, D]`` each."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    photos = read(options.photos).where(lambda s: s.captions)
    drawings = read(options.drawings).where(lambda s: s.captions)
    images = torch.cat([embed_images(model, s) for s in (photos, drawings) if len(s)])
    memory = merge([s.captions[:CAPTIONS] for s in (*photos, *drawings)], images)
    names = [text for texts in memory for text in texts]
    counts, values = [len(texts) for texts in memory], list(memory.values())
    if options.classifier:
        names += [text for n in IMAGENET_CLASSNAMES for text in (n, with_article(n))]
        counts += [2] * len(IMAGENET_CLASSNAMES)
        classifier = image_classifier(options.classifier).to(memory_format=torch.channels_last)
        values += imagine_classes(images[: len(photos)], classify(classifier, photos))
    embedded = model.encode_text(names).split(counts)
    keys = F.normalize(torch.stack([part.mean(0) for part in embedded]), dim=-1)
    keys[len(memory) :] *= DEFERENCE
    return keys, torch.stack(values)


def train(options: PriorOptions) -> None:
    """Write the prior; print mean cosines to held-out pictures (first captions)."""
    if options.classifier and not options.classifier.is_file():
        raise InputError(f"--classifier: {options.classifier} does not exist")
    model = load_clip(options.clip)
    state = remember(*recall(options, model), options.rank)
    write(options.out, save(state))
    print(f"{len(state['text.codes'])} entries")
    for pattern in options.val:
        images, texts, _ = embed_pairs(model, read([pattern]), captions=1)
        for name, given in (("text", texts), ("prior", Prior(state)(texts))):
            print(f"{pattern}: cosine of {name} and image {(given * images).sum(1).mean():.3f}")


main = Command("train.prior", PriorOptions, train)

if __name__ == "__main__":
    raise SystemExit(main())
