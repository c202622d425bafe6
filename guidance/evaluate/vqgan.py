"""``python -m guidance.evaluate vqgan``: how much of a picture a VQGAN or autoencoder keeps.

python -m guidance.evaluate vqgan --data photos/ --sheet pairs.png
python -m guidance.evaluate vqgan --vqgan vqgan_imagenet_f16_16384.ckpt --data "test-*.tar"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from guidance.artefacts.sheet import contact_sheet
from guidance.command.cli import Several, alias
from guidance.conventions import check_range, resolve_device
from guidance.data import Samples, read
from guidance.data.shards import find
from guidance.errors import FileError, InputError
from guidance.evaluate.embed import on_white
from guidance.evaluate.judges import check_judge, load_classifier
from guidance.evaluate.perceptual import Perceptual
from guidance.evaluate.report import save
from guidance.files.tables import table
from guidance.images import to_pil, to_tensor
from guidance.models.latents import Latents
from guidance.models.load import check_latents, load_latents

SHOWN = 8  # pairs in the contact sheet of each data set
WINDOW = 11  # pixels, of the structural similarity


@dataclass(frozen=True)
class VqganEvaluation:
    """Measure the reconstructions of a VQGAN or autoencoder."""

    data: Several[tuple[str, ...]]
    """Pictures: a folder of them or a pattern of tar shards; may be repeated."""
    vqgan: Annotated[str, alias("--model")] = "mini"
    """The model: "mini", a taming checkpoint, a diffusers folder or repository."""
    vqgan_config: Annotated[str | None, alias("-conf")] = None
    """The .yaml of a taming checkpoint."""
    limit: int = 500
    """Pictures at most, of each data set, spread evenly over it."""
    judge: str = "auto"
    """Classifier whose features measure the perceptual distance (`guidance.evaluate.perceptual`):
    efficientnet-lite0, -lite1 or -lite2; none leaves it out, auto is -lite1 if it is installed."""
    sheet: Path | None = None
    """Save a contact sheet of originals and reconstructions here (PNG)."""
    json: Path | None = None
    """Write all figures to this file."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        check_latents(self.vqgan, self.vqgan_config)
        for pattern in self.data:
            find(pattern)
        check_range("limit", self.limit, 1)
        self.classifier()
        resolve_device(self.device)
        for path in (self.sheet, self.json):
            if path is not None and not path.absolute().parent.is_dir():
                raise FileError(f"the folder of {path} does not exist")

    def classifier(self) -> str | None:
        """Return the name of the judge that can be had, None for none."""
        if self.judge == "none":
            return None
        name = "efficientnet-lite1" if self.judge == "auto" else self.judge
        try:
            check_judge(name)
        except InputError:
            if self.judge == "auto":
                return None
            raise
        return name


def run(options: VqganEvaluation) -> None:
    """Measure, print the table and write the files."""
    options.check()
    device = resolve_device(options.device)
    name = options.classifier()
    data = {pattern: read([pattern], captioned=False) for pattern in options.data}
    judge = Perceptual(load_classifier(name)) if name else None
    latents = load_latents(options.vqgan, options.vqgan_config, device=device)
    figures: dict[str, dict[str, Any]] = {}
    pairs: list[Image.Image] = []
    for pattern, samples in data.items():
        pictures = prepared(samples, latents.factor, options.limit)
        bar = tqdm(pictures, desc=Path(pattern).name, disable=options.quiet)
        figures[Path(pattern).name], shown = measure(latents, bar, judge and judge.to(device))
        pairs += shown
    print(table(f"reconstruction by {options.vqgan}", figures), flush=True)
    if options.json:
        content = {"vqgan": options.vqgan, "judge": name, "reconstruction": figures}
        save(options.json, content)
    if options.sheet:
        labels = ["original", "reconstruction"] * (len(pairs) // 2)
        contact_sheet(pairs, labels, tile=144, columns=8).save(options.sheet)


def prepared(samples: Samples, factor: int, limit: int) -> Iterator[Tensor]:
    """Yield pictures ``[1, 3, H, W]``, cut to multiples of `factor` and on white if transparent."""
    for i in range(0, len(samples), -(-len(samples) // limit)):
        image = to_tensor(on_white(samples.image(i)))
        height, width = (side - side % factor for side in image.shape[-2:])
        if min(height, width) >= WINDOW:
            yield image[..., :height, :width]


@torch.no_grad()
def measure(
    latents: Latents, pictures: Iterator[Tensor], judge: Perceptual | None
) -> tuple[dict[str, float], list[Image.Image]]:
    """Return the mean figures of `pictures`, and the first ones beside their reconstructions."""
    rows, used, shown = [], [], []
    for image in pictures:
        image = image.to(latents.low.device)
        z = latents.encode(image)
        made = latents.decode(z)
        rows.append(
            compare(image, made) | ({"LPIPS-like": judge(image, made).item()} if judge else {})
        )
        if latents.codebook is not None:
            flat = latents.quantise(z).movedim(1, -1).reshape(-1, latents.channels)
            used.append(torch.unique(flat, dim=0))
        if len(shown) < 2 * SHOWN:
            shown += [to_pil(image), to_pil(made)]
    if not rows:
        raise InputError(f"data: no picture has sides of at least {WINDOW} pixels")
    mean = {k: sum(r[k] for r in rows) / len(rows) for k in rows[0]}
    codes = {"codes used": len(torch.unique(torch.cat(used), dim=0))} if used else {}
    return {"pictures": len(rows), **mean, **codes}, shown


def compare(image: Tensor, other: Tensor) -> dict[str, float]:
    """Return PSNR in decibels (peak 1) and SSIM of two pictures ``[1, 3, H, W]`` in [0, 1].

    SSIM is that of Wang et al. 2004 with a Gaussian window of 11 pixels, averaged over channels.
    """
    from kornia.metrics import ssim

    error = (image - other).pow(2).mean().clamp_min(1e-10)
    likeness = ssim(image, other, WINDOW, max_val=1.0).mean()
    return {"PSNR": float(-10 * error.log10()), "SSIM": float(likeness)}
