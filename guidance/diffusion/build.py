"""Options → pictures of noise; what is added to the objective; the order of finished pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.command.ranked import as_sampled, by_score, with_seeds
from guidance.command.technique import Arrangement
from guidance.diffusion.classifier_free import ClassifierFree
from guidance.diffusion.conditioning import Conditioning
from guidance.diffusion.edit import Edit, Start, load_edit
from guidance.diffusion.generator import Denoising
from guidance.diffusion.options import DiffusionOptions
from guidance.diffusion.pictures import Pictures
from guidance.diffusion.sampling import Sampler
from guidance.models.denoiser import Denoiser
from guidance.models.load_denoiser import load_denoiser
from guidance.models.pipeline_config import Shape
from guidance.objective.prompted import Objective
from guidance.objective.regularisers import Saturation, Smoothness, weighted
from guidance.score.prompts import prompts_at


def build(options: DiffusionOptions, device: torch.device) -> Denoising:
    """Return the pictures that `options` start with, noise or a noisy image."""
    denoiser = load_denoiser(
        options.model,
        device=device,
        precision=options.precision,
        decoder=options.decoder,
        offload=options.offload,
        attention_slicing=options.attention_slicing,
        accept=options.accept,
    )
    return start(options, denoiser)


def start(options: DiffusionOptions, denoiser: Denoiser) -> Denoising:
    """Return the pictures that `options` start with, of a loaded network; its name is not asked.

    Raises:
        InputError: options that this network cannot follow.
        FileError: the init image or the mask cannot be read.
    """
    sampler = Sampler(
        options.sampler,
        denoiser.schedule,
        options.steps,
        eta=options.eta,
        karras=options.karras,
        device=denoiser.device,
        skip=options.steps - options.levels(),
    )
    shape = Shape(denoiser.size, denoiser.factor)
    options.accept(shape)
    frame = options.frame(shape)
    size, source = frame.size, options.source(frame)

    def load(factor: int) -> Edit | None:
        if source is None:
            return None
        sides = (factor * size[0], factor * size[1])
        # half a cell: the ramp is narrower than what one cell paints
        return load_edit(source, sides, factor=factor, feather=factor * denoiser.factor // 2)

    made = Denoising(
        denoiser,
        sampler,
        Pictures(size, options.seeds(), options.batch),
        guide=options.guide(),
        conditioning=Conditioning(denoiser, options.told()),
        cfg=ClassifierFree(
            options.cfg, options.cfg_rescale, options.threshold, joint=not options.offload
        ),
        start=Start(load(1), options.share() == 1, load if options.upsample == "auto" else None),
        recurrence=options.recurrence,
    )
    made.notes = options.notes(frame)
    return made


def regularisers(options: DiffusionOptions, device: torch.device) -> Objective | None:
    """Return what is added to the prompts' objective, None for nothing."""
    return weighted((options.smoothness, Smoothness()), (options.saturation, Saturation()))


def arrange(options: DiffusionOptions, images: Tensor) -> Arrangement:
    """Put finished pictures in the order of their CLIP scores.

    They are judged by the positive prompts that apply at the end of the run, and by the image tower
    that ranks rather than by the one that guides. What is pushed away from has done its work by
    then: as in `Step.score`, it takes nothing from how well a picture fits.
    """
    prompts = [p for p in prompts_at(options.prompts(), options.total() - 1) if p.weight > 0]
    ranks = options.rerank and len(images) > 1 and prompts
    scored = by_score(options, prompts, images) if ranks else as_sampled(len(images))
    return with_seeds(scored, options.seeds())
