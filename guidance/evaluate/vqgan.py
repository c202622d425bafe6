"""``python -m guidance.evaluate vqgan``: how much of a picture a VQGAN or autoencoder keeps.

python -m guidance.evaluate vqgan --data photos/ --sheet pairs.png
python -m guidance.evaluate vqgan --vqgan vqgan_imagenet_f16_16384.ckpt --data "test-*.tar"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from guidance.artefacts.sheet import contact_sheet
from guidance.conventions import resolve_device
from guidance.data import Samples, read
from guidance.errors import InputError
from guidance.evaluate.embed import on_white
from guidance.evaluate.judges import load_classifier
from guidance.evaluate.perceptual import Perceptual
from guidance.evaluate.vqgan_options import VqganEvaluation
from guidance.files.facts import rounded, write_json
from guidance.files.tables import table
from guidance.images import to_pil, to_tensor
from guidance.models.latents import Latents
from guidance.models.load_latents import load_latents

SHOWN = 8  # pairs in the contact sheet of each data set
WINDOW = 11  # pixels, of the structural similarity


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
        write_json(options.json, rounded(content))
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
