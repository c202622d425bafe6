"""One step of guided diffusion: ours beside diffusers' community loop, on the same networks.

The networks are shaped like those of Stable Diffusion 1, narrower and with random weights: a UNet
on latents that texts condition, an autoencoder of 8 pixels a cell, and CLIP ViT-B/32; 8 plain
crops of one picture of 256 x 256 pixels. The column "cost" counts in steps without any guidance.

    python -m benchmarks.diffusion_step
    python -m benchmarks.diffusion_step --cuts 2 --size 64 --repeats 1
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.measure import GuidedSteps
from benchmarks.networks import MEAN, PROMPT, STD, as_ours, make_network, target_of
from benchmarks.peers import UsualDiffusion, UsualStep
from guidance.clip.model import ClipModel
from guidance.clip.scorer import ClipScorer
from guidance.diffusion.classifier_free import ClassifierFree
from guidance.diffusion.conditioning import Conditioning
from guidance.diffusion.generator import Denoising
from guidance.diffusion.guide import Guide
from guidance.diffusion.pictures import Pictures
from guidance.diffusion.sampling import Sampler
from guidance.diffusion.schedule_text import parse_steps
from guidance.models.conditions import Condition, TextReader
from guidance.models.denoiser import Denoiser
from guidance.models.denoiser_space import LatentSpace
from guidance.models.latents import wrap
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.prompted import PromptObjective
from guidance.prompts.grammar import Prompt
from guidance.step.loop import run

STEPS = 1000  # of the run; more than are ever timed
CFG = 7.5
TEXT = (77, 256)  # tokens and their width
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@dataclass(frozen=True)
class Side:
    """One way to make a step."""

    usual: bool = False
    clip: bool = True
    cfg: float = CFG
    direct: bool = False
    every: int = 1
    precision: str = "fp32"
    beside: str = "usual"  # whose speed it is compared with


SIDES = {
    "usual, cfg alone": Side(usual=True, clip=False, beside="usual, cfg alone"),
    "usual": Side(usual=True),
    "ours, no guidance": Side(clip=False, cfg=1.0, beside=""),
    "ours, cfg alone": Side(clip=False, beside="usual, cfg alone"),
    "ours, full gradient": Side(),
    "ours, full gradient, bf16": Side(precision="bf16"),
    "ours, direct gradient": Side(direct=True),
    "ours, full, every second step": Side(every=2),
}


class Networks(NamedTuple):
    """What both sides run on; ours changes its own in place."""

    unet: nn.Module
    vae: nn.Module
    clip: nn.Module
    clip_size: int


class RandomReader(TextReader):
    """Random numbers in place of a text encoder, which runs once a prompt and not in a step."""

    def read(self, texts: Sequence[str]) -> list[Condition]:
        """Return a condition of one row for each text."""
        return [Condition({"encoder_hidden_states": told(text)}) for text in texts]


def told(text: str) -> torch.Tensor:
    """Return what stands for the encoded `text`, ``[1, L, D]``."""
    return torch.randn(1, *TEXT, generator=torch.Generator().manual_seed(len(text)))


def make_networks() -> Networks:
    """Return the networks with random weights, the same each time."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(64, 128, 256),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT[1],
        attention_head_dim=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 64, 128, 128),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )
    return Networks(unet, vae, *make_network("ViT-B-32"))


def make_sides(names: Sequence[str], size: int, cuts: int) -> dict[str, Callable[[], object]]:
    """Return functions by name that make as many steps of a side as its `Side.every` says."""
    usual = functools.cache(make_networks)
    ours = functools.cache(lambda precision: prepare(make_networks(), size, precision))
    made = {}
    for name in names:
        side = SIDES[name]
        if side.usual:
            one = make_usual(side, usual(), size, cuts)
        else:
            one = make_ours(side, *ours(side.precision), size, cuts)
        made[name] = functools.partial(repeat, one, side.every)
    return made


def repeat(step: Callable[[], object], count: int) -> None:
    """Make some steps."""
    for _ in range(count):
        step()


def make_usual(side: Side, networks: Networks, size: int, cuts: int) -> Callable[[], object]:
    """Return the step of the community loop."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False)
    scheduler.set_timesteps(STEPS)
    start = torch.randn(1, 4, size // 8, size // 8, generator=torch.Generator().manual_seed(0))
    return UsualDiffusion(
        networks.unet,
        networks.vae,
        torch.cat([told(""), told(PROMPT)]),
        start,
        scheduler,
        UsualStep(networks.clip, target_of(networks.clip), networks.clip_size, cuts, MEAN, STD),
        scale=100.0 if side.clip else 0.0,
        cfg=side.cfg,
    )


def prepare(networks: Networks, size: int, precision: str) -> tuple[Denoiser, ClipModel]:
    """Return the networks as `guidance.diffusion` takes them."""
    denoiser = Denoiser(
        networks.unet,
        LatentSpace.of(wrap(networks.vae, "random")),
        name="random",
        size=(size, size),
        schedule=SCHEDULE,
        reader=RandomReader(),
    )
    clip = as_ours(networks.clip, networks.clip_size, precision)
    return denoiser.place("cpu", precision), clip


def make_ours(
    side: Side, denoiser: Denoiser, clip: ClipModel, size: int, cuts: int
) -> Callable[[], object]:
    """Return the step of `guidance.diffusion`."""
    prompts = [Prompt(PROMPT)]
    scale = parse_steps("clip_scale", "100" if side.clip else "0")
    pictures = Denoising(
        denoiser,
        Sampler("ddim", SCHEDULE, STEPS),
        Pictures((size, size), (0,)),
        guide=Guide(scale, every=side.every, direct=side.direct),
        conditioning=Conditioning(denoiser, prompts),
        cfg=ClassifierFree(side.cfg),
    )
    # the community loop's crops are never smaller than what CLIP reads
    least = min(1.0, clip.image_size / size)
    crops = CutoutOptions(cuts=cuts, overview=0, min_cut=least, augment=())
    stream = run(pictures, PromptObjective(ClipScorer([clip]), prompts, crops), steps=STEPS)
    return lambda: next(stream)


STEPS_OF = {name: side.every for name, side in SIDES.items()}
MEASURED = GuidedSteps("benchmarks.diffusion_step", __doc__, 8, STEPS_OF, make_sides)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    if not (found := MEASURED.run(argv, "latent UNet and ViT-B-32")):
        return
    seconds, peaks = found
    print(f"{'':32}{'ms/step':>9}{'speed':>8}{'cost':>8}{'peak MB':>9}")
    for name, value in seconds.items():
        beside = SIDES[name].beside
        speed = f"{seconds[beside] / value:.2f}x" if beside else "-"
        cost = value / seconds["ours, no guidance"]
        print(f"{name:32}{value * 1000:9.0f}{speed:>8}{cost:7.1f}x{peaks[name]:9.0f}")


if __name__ == "__main__":
    main()
