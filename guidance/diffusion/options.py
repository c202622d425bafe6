"""The options of diffusion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import tyro

from guidance.command.cli import alias
from guidance.conventions import MAX_SEED, check_range
from guidance.diffusion.edit_options import EditOptions
from guidance.diffusion.guide_options import GuideOptions
from guidance.diffusion.samplers import check_sampler, sampler_help, timestep_count
from guidance.errors import InputError
from guidance.models.denoiser_config import check_denoiser, denoiser_shape
from guidance.models.pipeline_config import Shape
from guidance.prompts.grammar import Prompt as ParsedPrompt

PIXELS = Shape((64, 64), 1)  # stands for a model that is known when it is loaded


@dataclass(frozen=True, kw_only=True)
class DiffusionOptions(GuideOptions, EditOptions):
    """Sample a prompt from a diffusion model, guided by CLIP, without a classifier, or both.

    (GLIDE, Nichol et al. 2021, arXiv:2112.10741, compared the two.) Leaves image.png, the best of
    --number pictures, and a progress video in a folder under outputs/.
    "--from FOLDER" starts from the options of an earlier run, "--resume FOLDER" continues one.
    """

    number: Annotated[int, alias("-n")] = 4
    """Pictures of different seeds: --seed, the next one, …"""
    batch: int | None = None
    """Pictures at once in the networks; fewer need less memory. By default all."""
    rerank: bool = True
    """Save the pictures in the order of their CLIP scores, the best as image.png."""

    steps: Annotated[int, alias("-i", "--iterations")] = 25
    """Noise levels from pure noise to the picture."""
    sampler: Annotated[str, tyro.conf.arg(help=sampler_help())] = "ddim"
    eta: float = 0.0
    """Noise that ddim adds in each step: 0 none, 1 as much as ddpm."""
    karras: bool = False
    """Space the noise levels as Karras et al. 2022 do, where the sampler can."""

    upsample: Literal["auto", "none"] = "auto"
    """auto enlarges finished pictures if the model has a network for it (mini does)."""
    decoder: str = "auto"
    """What decodes latents for CLIP: auto is the model's own decoder; "madebyollin/taesd" is much
    cheaper. Finished pictures always take the model's own."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the diffusion network, its decoder and the CLIP image towers."""
    offload: bool = False
    """Keep weights in the CPU's memory and copy each layer to the GPU when needed: slow, for little
    memory. Needs the package accelerate."""
    attention_slicing: bool = False
    """Compute attention in slices: slower, for less memory."""
    save_every: Annotated[int, alias("-se")] = 10
    """Steps between checkpoints; a killed run is continued with --resume FOLDER."""

    def check(self) -> None:
        """Raise `InputError`, `FileError` or `ModelError` for what is not allowed; load nothing."""
        check_sampler(self.sampler, eta=self.eta, karras=self.karras)
        check_range("steps", self.steps, 1, 1000)
        self.check_edit()  # before the steps are counted, which depend on these
        self.check_guidance()
        super().check()
        if self.threshold and self.model == "mini":  # of others it is known once they are read
            raise InputError("--threshold is for models on pixels but mini works on latents")
        check_range("number", self.number, 1, 1024)
        if self.batch is not None:
            check_range("batch", self.batch, 1)
        check_range("seed", self.seed, 0, MAX_SEED - self.number + 1)
        check_denoiser(self.model, decoder=self.decoder, offload=self.offload)
        self.accept(denoiser_shape(self.model) or PIXELS)

    def levels(self) -> int:
        """Return the noise levels that the run goes through, at least one."""
        return max(1, round(self.steps * self.share()))

    def total(self) -> int:
        """Return the number of steps of the loop, each of which asks the network once."""
        return timestep_count(self.sampler, self.levels())

    def seeds(self) -> tuple[int, ...]:
        """Return the seed of each picture."""
        return tuple(self.seed + number for number in range(self.number))

    def told(self) -> tuple[ParsedPrompt, ...]:
        """Return the prompts that the network is told: those that were given.

        The subjects that CLIP is shown besides would only blur them.
        """
        return replace(self, subject=0.0).prompts()
