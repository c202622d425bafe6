"""Captioned pictures → latents and embeddings of every view, in one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.fingerprint import combine, tower_digest
from guidance.clip.model import ClipModel
from guidance.clip.registry import load_clip
from guidance.conventions import resolve_device
from guidance.data import Samples, read
from guidance.errors import InputError, counted
from guidance.files.writing import atomic, make_folder
from guidance.models.codec import VqganCodec
from guidance.models.dalle.load import vqgan_digest
from guidance.models.latent_unet import enlarge
from guidance.models.latents import Latents
from guidance.models.load_latents import load_latents
from guidance.train.latents.options import LatentsOptions
from guidance.train.latents.pieces import Pieces
from guidance.train.latents.views import views
from guidance.train.loop.chunks import Chunks
from guidance.train.samples import factor

CAPTIONS = 5  # of each picture at most
PIECE = 1024  # pictures that are lost when a preparation is stopped, at most


class Encoder:
    """Pictures → tensors of their views.

    Args:
        samples: the pictures.
        latents: makes the latents.
        model: makes the embeddings.
        options: of the preparation.
    """

    def __init__(
        self, samples: Samples, latents: Latents, model: ClipModel, options: LatentsOptions
    ):
        self.samples, self.latents, self.model, self.options = samples, latents, model, options
        self.chunks = Chunks(options.threads)
        self.codec = VqganCodec(latents) if options.codes else None
        self.kinds = "codes" if options.codes else "latents", "images", "low"
        self.fast = latents.low.device.type == "cpu"

    def identity(self) -> str:
        """Return what tells this from the preparation of other pictures, or with other models."""
        places = [(s.key, s.place[0].name, *s.place[1:3]) for s in self.samples]
        models = self.model.fingerprint, tower_digest(self.latents.network)
        given = self.options
        kind = ["codes"] if given.codes else []
        return combine([*models, given.side, given.low, given.seed, PIECE, places, *kind])

    def pieces(self, made: Pieces) -> Iterator[int]:
        """Encode what is missing; yield after each piece how many pictures it has."""
        for number in made.missing(self.count()):
            rows = range(len(self.samples))[number * PIECE : (number + 1) * PIECE]
            made.add(number, self.encode(rows))
            yield len(rows)

    def count(self) -> int:
        """Return the number of pieces."""
        return -(-len(self.samples) // PIECE)

    def encode(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return what is known of the views of some pictures.

        That is ``latents [V, C, h, w]``, ``images [V, D]`` and ``sizes [V]``, all float16, and
        ``rows [V]``; with `LatentsOptions.low` also ``low [V, C, h, w]``, see `coarse`; with
        `LatentsOptions.codes` whole numbers ``codes [V, h, w]`` in place of the latents. If no
        picture can be read, there are but sizes and rows, of no length.
        """
        threads = self.options.threads
        shown: list[int] = []
        sizes: list[Tensor] = []
        made: list[tuple[Tensor, ...]] = []
        for part in views(self.samples, rows, self.options):
            made += self.chunks.map(self._work, part.images.split(-(-len(part.rows) // threads)))
            shown += part.rows
            sizes.append(part.sizes)
        content = {
            k: torch.cat(v) for k, v in zip(self.kinds, zip(*made, strict=True), strict=False)
        }
        content["sizes"] = torch.cat([torch.zeros(0), *sizes]).half()
        return content | {"rows": torch.tensor(shown, dtype=torch.int32)}

    @torch.no_grad()
    def _work(self, images: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.fast):
            made = [self.model.encode_image(images)]
            made += [coarse(images, self.latents)] if self.options.low else []
            held = (self.codec or self.latents).encode(images)
            return self._small(held), *(m.half().cpu() for m in made)

    def _small(self, held: Tensor) -> Tensor:
        """Return latents or codes as they are stored."""
        if self.codec is None:
            return held.half().cpu()
        return held.to(torch.int16 if self.codec.codes <= 2**15 else torch.int32).cpu()


def encoded(encoder: Encoder, pieces: Pieces) -> dict[str, Tensor]:
    """Return what `Encoder.encode` says of all pictures; what was made already is kept.

    Raises:
        InputError: no picture can be read.
        FileError: a piece is damaged.
    """
    from tqdm import tqdm

    count, total = encoder.count(), len(encoder.samples)
    left = [range(total)[n * PIECE : (n + 1) * PIECE] for n in pieces.missing(count)]
    known = total - sum(map(len, left))
    if known:
        print(f"{pieces.folder}: {counted(known, 'picture')} of {total:,} are done", flush=True)
    with tqdm(total=total, initial=known, unit="picture", mininterval=10) as bar:
        for number in encoder.pieces(pieces):
            bar.update(number)
    content = pieces.joined(count)
    if not content:
        raise InputError("data: no picture can be read")
    return content


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
    encoder = Encoder(samples, latents, model, options)
    pieces = Pieces(options.out, encoder.identity())
    content = encoded(encoder, pieces)
    texts = list(dict.fromkeys(c for s in samples for c in s.captions[:CAPTIONS]))
    content["captions"] = caption_table(samples, {t: i for i, t in enumerate(texts)})
    content["texts"] = model.encode_text(texts).half().cpu()
    shares = [s.weight * factor(s, options.weights) for s in samples]
    content["weights"] = torch.tensor(shares, dtype=torch.float32)
    facts = {"clip": options.clip, "vqgan": options.vqgan, "side": options.side}
    if options.codes:  # which mean nothing to another VQGAN of that name
        facts["vqgan_digest"] = vqgan_digest(latents)
    with atomic(options.out) as path:
        save_file(content, path, {"guidance": json.dumps(facts)})
    pieces.remove()
    print(f"{options.out}: {counted(len(samples), 'picture')}, {counted(len(texts), 'caption')}")
