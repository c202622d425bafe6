"""Captioned pictures → latents and embeddings of every view, in one file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.clip.registry import load_clip
from guidance.conventions import resolve_device
from guidance.data import Samples, read
from guidance.errors import FileError, InputError, counted
from guidance.files.writing import atomic, make_folder
from guidance.models.latent_unet import enlarge
from guidance.models.latents import Latents
from guidance.models.load_latents import load_latents
from guidance.train.latents.options import LatentsOptions
from guidance.train.loop.chunks import Chunks
from guidance.train.samples import factor

CAPTIONS = 5  # of each picture at most
PART = 32  # pictures encoded at once by a thread
# backgrounds of drawings; a vivid one says nothing of the text, and pictures made of it are garish
PALE, WHITE = 224, (255, 255, 255)
KINDS = ("latents", "images", "low")
ZOOM = 1.15  # the mirrored view is cut out of a picture so much larger


def view(samples: Samples, row: int, mirrored: bool, options: LatentsOptions) -> np.ndarray | None:
    """Return one square view of a picture, uint8 ``[side, side, 3]``; None if it is damaged.

    Damage is told once, with the plain view. The plain view is the middle on white, the mirrored
    one is cut elsewhere and, if transparent, lies on a pale colour.
    """
    rng = np.random.default_rng([options.seed, row, mirrored])
    try:
        image = samples.image(row)
    except FileError as error:
        if not mirrored:  # told once
            warnings.warn(f"{error}; it is left out", stacklevel=2)
        return None
    centre, side = (0.5, 0.5), options.side
    if mirrored:
        centre = tuple(rng.random(2))
        if image.mode == "RGB":  # drawings are framed already
            side = round(side * rng.uniform(1, ZOOM))
    image = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC, centering=centre)
    if image.mode == "RGBA":
        colour = tuple(int(c) for c in rng.integers(PALE, 256, size=3)) if mirrored else WHITE
        under = Image.new("RGBA", image.size, (*colour, 255))
        image = Image.alpha_composite(under, image).convert("RGB")
    left, top = (int(c * (side - options.side)) for c in centre)
    pixels = np.asarray(image)[top : top + options.side, left : left + options.side]
    return pixels[:, ::-1].copy() if mirrored else pixels


def views(samples: Samples, options: LatentsOptions) -> Iterator[tuple[list[tuple], Tensor]]:
    """Yield (row, mirrored) of some views and the views themselves ``[n, 3, side, side]``."""
    keys = [(row, mirrored) for row in range(len(samples)) for mirrored in (False, True)]
    size = PART * options.threads
    with ThreadPoolExecutor(2) as pool:

        def start(first: int) -> list:
            part = keys[first : first + size]
            return [(key, pool.submit(view, samples, *key, options)) for key in part]

        jobs = start(0)
        for first in range(0, len(keys), size):
            done = [(key, job.result()) for key, job in jobs]
            jobs = start(first + size)  # decoded while these are encoded
            good = [(key, pixels) for key, pixels in done if pixels is not None]
            if good:
                stack = torch.from_numpy(np.stack([p for _, p in good]))
                yield [key for key, _ in good], stack.permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def encode(
    samples: Samples, latents: Latents, model: ClipModel, options: LatentsOptions
) -> dict[str, Tensor]:
    """Return ``latents [V, C, h, w]``, ``images [V, D]``, both float16, and ``rows [V]``.

    With ``options.low`` also ``low [V, C, h, w]``, see `coarse`.
    """
    from tqdm import tqdm

    chunks = Chunks(options.threads)
    fast = latents.low.device.type == "cpu"

    def work(images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=fast):
            made = [latents.encode(images), model.encode_image(images)]
            made += [coarse(images, latents)] if options.low else []
            return tuple(m.half().cpu() for m in made)

    rows: list[int] = []
    made: list[tuple[Tensor, ...]] = []
    with tqdm(total=2 * len(samples), unit="view", mininterval=10) as bar:
        for keys, images in views(samples, options):
            made += chunks.map(work, images.split(-(-len(images) // options.threads)))
            rows += [row for row, _ in keys]
            bar.update(len(keys))
    content = {k: torch.cat(v) for k, v in zip(KINDS, zip(*made, strict=True), strict=False)}
    return content | {"rows": torch.tensor(rows, dtype=torch.int32)}


def coarse(images: Tensor, latents: Latents) -> Tensor:
    """Return the latents of images as a model of half the resolution would make them.

    They are shrunk, go through the autoencoder, whose marks an upsampler should mend, and are
    enlarged again.
    """
    small = F.interpolate(images, scale_factor=0.5, mode="area")
    z = latents.encode(small).float()
    with torch.autocast(z.device.type, enabled=False):  # decoding has its own arithmetic
        made = latents.decode(z)
    return latents.encode(enlarge(made))


def caption_table(samples: Samples, numbers: dict[str, int]) -> Tensor:
    """Return the caption numbers of each picture ``[N, CAPTIONS]``, repeated to fill a row."""
    table = np.zeros((len(samples), CAPTIONS), np.int32)
    for row, sample in enumerate(samples):
        table[row] = np.resize([numbers[c] for c in sample.captions[:CAPTIONS]], CAPTIONS)
    return torch.from_numpy(table)


def prepare(options: LatentsOptions) -> None:
    """Run ``python -m guidance.train.latents``."""
    from safetensors.torch import save_file

    options.check()
    samples = read(options.data).where(lambda s: s.captions and factor(s, options.weights) > 0)
    if not len(samples):
        raise InputError("data: no picture has a caption and a weight above 0")
    make_folder(options.out.parent)  # before the work, not after it
    device = resolve_device(options.device)
    model = load_clip(options.clip, device=device)
    latents = load_latents(options.vqgan, device=device)
    content = encode(samples, latents, model, options)
    texts = list(dict.fromkeys(c for s in samples for c in s.captions[:CAPTIONS]))
    content["captions"] = caption_table(samples, {t: i for i, t in enumerate(texts)})
    content["texts"] = model.encode_text(texts).half().cpu()
    shares = [s.weight * factor(s, options.weights) for s in samples]
    content["weights"] = torch.tensor(shares, dtype=torch.float32)
    facts = {"clip": options.clip, "vqgan": options.vqgan, "side": options.side}
    with atomic(options.out) as path:
        save_file(content, path, {"guidance": json.dumps(facts)})
    print(f"{options.out}: {counted(len(samples), 'picture')}, {counted(len(texts), 'caption')}")
