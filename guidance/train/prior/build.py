"""Captions and pictures that a prior remembers → its file."""

from __future__ import annotations

from collections import defaultdict

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from guidance.clip.classifier import image_classifier
from guidance.clip.model import ClipModel
from guidance.clip.prior import Prior, remember
from guidance.clip.registry import load_clip
from guidance.data import Samples, read
from guidance.errors import InputError
from guidance.evaluate.embed import embed_images, on_white
from guidance.evaluate.retrieval import embed_pairs
from guidance.files.writing import write
from guidance.images import as_tensor
from guidance.images.resize import resize
from guidance.train.clip.moments import class_images
from guidance.train.data.names import with_article
from guidance.train.prior.options import PriorOptions

PART = 64  # pictures in memory at once
# A name with templates has many captions; those after the second add words, not meaning.
CAPTIONS = 2
# Length of a class's key. Below 1, classes stand a little behind captions as close: what they give
# are photos of scenery and all, and drawings of a thing alone are clearer to follow.
DEFERENCE = 0.98


def merge(captions: list[tuple[str, ...]], images: Tensor) -> dict[tuple[str, ...], Tensor]:
    """Return the unit mean ``[D]`` of the `images` ``[N, D]`` that share their captions."""
    groups = defaultdict(list)
    for place, texts in enumerate(captions):
        groups[texts].append(place)
    return {k: F.normalize(images[places].mean(0), dim=-1) for k, places in groups.items()}


def imagine_classes(images: Tensor, logits: Tensor) -> Tensor:
    """Return the unit embedding of a typical picture of each class ``[C, D]``.

    See `guidance.train.clip.moments.class_images` for the method and its source.

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
        sized = [resize(as_tensor(on_white(samples.image(i))), (side, side)) for i in rows]
        x = torch.cat(sized) * 2 - 1
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
