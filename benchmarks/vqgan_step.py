"""One step of VQGAN painting: ours beside the usual loop, on the same networks.

The networks are those of the public tools with random weights: taming's f16 VQGAN with 1,024 codes
as a diffusers `VQModel`, and CLIP ViT-B/32; 32 cuts of a picture of 256 x 256 pixels.

    python -m benchmarks.vqgan_step
    python -m benchmarks.vqgan_step --cuts 8 --size 128 --repeats 1
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn

from benchmarks.measure import GuidedSteps
from benchmarks.networks import MEAN, PROMPT, STD, as_ours, make_network, target_of
from benchmarks.peers import UsualPainting, UsualStep
from guidance.clip.scorer import ClipScorer
from guidance.models.latents import wrap
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.prompted import PromptObjective
from guidance.prompts.grammar import Prompt
from guidance.step.loop import run
from guidance.vqgan.generator import Painting

# name → (precision, cuts in memory at once; None for all)
SIDES = {
    "usual": None,
    "ours, fp32": ("fp32", None),
    "ours, fp32, 8 cuts at once": ("fp32", 8),
    "ours, bf16": ("bf16", None),
    "ours, bf16, 8 cuts at once": ("bf16", 8),
}
AUGMENT = ("affine", "perspective", "colour", "erase", "noise")


def make_vqgan() -> nn.Module:
    """Return taming's f16 architecture with 1,024 codes (76 M weights), random weights."""
    from diffusers import VQModel

    torch.manual_seed(0)
    kinds = ["DownEncoderBlock2D"] * 4 + ["AttnDownEncoderBlock2D"]
    return VQModel(
        down_block_types=kinds,
        up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 128, 256, 256, 512],
        layers_per_block=2,
        latent_channels=256,
        num_vq_embeddings=1024,
        vq_embed_dim=256,
        norm_num_groups=32,
    )


def make_side(
    name: str, vqgan: nn.Module, clip: nn.Module, clip_size: int, size: int, cuts: int
) -> Callable[[], object]:
    """Return a function that makes one step of one side of the comparison."""
    latents = wrap(vqgan, "random")
    start = latents.random(size // 16, size // 16, torch.Generator().manual_seed(0))
    if SIDES[name] is None:
        step = UsualStep(clip, target_of(clip), clip_size, cuts, MEAN, STD)
        return UsualPainting(vqgan, start, step)
    precision, at_once = SIDES[name]
    model = as_ours(clip, clip_size, precision)
    objective = PromptObjective(
        ClipScorer([model]),
        [Prompt(PROMPT)],
        CutoutOptions(cuts=cuts, overview=cuts, augment=AUGMENT),
        cuts_per_batch=at_once,
    )
    painting = Painting(latents.place(torch.device("cpu"), precision), start, (size, size))
    stream = run(painting, objective, steps=10**6)
    return lambda: next(stream)


def make_sides(names: Sequence[str], size: int, cuts: int) -> dict[str, Callable[[], object]]:
    """Return functions by name that make one step each, on networks of their own."""
    vqgan, (clip, clip_size) = make_vqgan(), make_network("ViT-B-32")
    return {
        name: make_side(name, copy.deepcopy(vqgan), copy.deepcopy(clip), clip_size, size, cuts)
        for name in names
    }


MEASURED = GuidedSteps("benchmarks.vqgan_step", __doc__, 32, dict.fromkeys(SIDES, 1), make_sides)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    if not (found := MEASURED.run(argv, "VQGAN f16-1024 and ViT-B-32")):
        return
    seconds, peaks = found
    print(f"{'':32}{'ms/step':>9}{'speed':>8}{'peak MB':>9}{'share':>8}")
    for name, value in seconds.items():
        speed, share = seconds["usual"] / value, peaks[name] / peaks["usual"]
        print(f"{name:32}{value * 1000:9.0f}{speed:7.2f}x{peaks[name]:9.0f}{share:8.2f}")


if __name__ == "__main__":
    main()
