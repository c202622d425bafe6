"""Options → painting, and what is added to the prompts' objective."""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.conventions import derive_seed, make_generator
from guidance.images.canvas import load_mask, load_picture
from guidance.models.latents import Latents
from guidance.models.load_latents import load_latents
from guidance.objective.prompted import Objective
from guidance.objective.regularisers import (
    Likeness,
    PaletteDistance,
    Saturation,
    Smoothness,
    weighted,
)
from guidance.vqgan.camera import Camera
from guidance.vqgan.film import Film, LikeFilm, Reader
from guidance.vqgan.generator import Draw, Painting, Still
from guidance.vqgan.noise import noise_image
from guidance.vqgan.options import VqganOptions


def build(options: VqganOptions, device: torch.device) -> Painting:
    """Return the painting that `options` start with."""
    options.accept()
    latents = load_latents(
        options.vqgan, options.vqgan_config, device=device, precision=options.precision
    )
    size = options.canvas()
    still = None
    if options.mask is not None:
        # half a cell: the ramp is narrower than what one code paints
        mask = load_mask(options.mask, size, feather=latents.factor // 2)
        still = Still(mask, load_picture(options.needed_init(), size))
    painting = Painting(
        latents,
        _start(options, latents),
        size,
        descent=options.descent(),
        ema=options.ema,
        still=still,
        draw=Draw(options.gumbel, options.seed),
        camera=_camera(options, size),
    )
    painting.notes = options.notes()
    return painting


def regularisers(options: VqganOptions, device: torch.device) -> Objective | None:
    """Return what is added to the prompts' objective, None for nothing."""
    size = options.canvas()
    parts: list[tuple[float, Objective]] = []
    if options.init_weight:
        mask = None if options.mask is None else load_mask(options.mask, size).to(device)
        target = load_picture(options.needed_init(), size).to(device)
        parts.append((options.init_weight, Likeness(target, mask)))
    if options.video_in is not None:
        frames = Reader(options.film(), size)
        parts.append((options.frame_weight, LikeFilm(frames, options.frame_steps)))
    parts += [(options.smoothness, Smoothness()), (options.saturation, Saturation())]
    if options.palette:
        palette = torch.tensor(options.colours(), device=device)
        parts.append((options.palette_weight, PaletteDistance(palette)))
    return weighted(*parts)


def _start(options: VqganOptions, latents: Latents) -> Tensor:
    """Return the first latents: of the init image, of noise, or random codes."""
    height, width = options.canvas()
    generator = make_generator(derive_seed(options.seed, "start"))
    if options.init is not None:
        return latents.encode(load_picture(options.init, (height, width)))
    kind = options.init_noise or "perlin"
    if kind != "none":
        return latents.encode(noise_image(kind, height, width, generator))
    return latents.random(height // latents.factor, width // latents.factor, generator)


def _camera(options: VqganOptions, size: tuple[int, int]) -> Camera | None:
    """Return the camera of a painting of `size` (height, width), None without one."""
    if options.video_in is not None:
        return Film(Reader(options.film(), size), options.frame_steps, options.frame_blend)
    return options.zooming(max(size)) if options.zoom else None
