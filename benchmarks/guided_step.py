"""One guided step (cut, CLIP forward, backward, update): ours beside the field's usual loop.

The picture is the pixels themselves, so that only guidance is compared; both sides have the same
CLIP architecture, the same random weights, number of cuts and kinds of augmentation.

    python -m benchmarks.guided_step --model ViT-B-32 --cuts 8
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.measure import least_times, status
from benchmarks.networks import MEAN, PROMPT, STD, as_ours, make_network, target_of
from benchmarks.peers import UsualStep
from guidance.clip.scorer import ClipScorer
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.prompted import PromptObjective
from guidance.prompts.grammar import Prompt
from guidance.step.generator import Generator
from guidance.step.loop import run

CANVAS = 224  # pixels
SIDES = {
    "usual, weights want gradients": ("usual", False),
    "usual, weights frozen": ("usual", True),
    "ours, fp32": ("ours", "fp32"),
    "ours, bf16": ("ours", "bf16"),
}


class Pixels(Generator):
    """The pixels themselves, moved by Adam."""

    def __init__(self):
        super().__init__()
        start = torch.rand(1, 3, CANVAS, CANVAS, generator=torch.Generator().manual_seed(0))
        self.pixels = nn.Parameter(start)
        self.optimizer = torch.optim.Adam([{"name": "pixels", "params": [self.pixels], "lr": 0.01}])

    def image(self) -> torch.Tensor:
        """Return the pixels."""
        return self.pixels

    def project(self) -> None:
        """Keep them in [0, 1]."""
        self.pixels.clamp_(0, 1)


def make_side(name: str, network: nn.Module, size: int, cuts: int) -> Callable[[], object]:
    """Return a function that makes one step of one side of the comparison."""
    kind, option = SIDES[name]
    generator = Pixels()
    if kind == "usual":
        target = target_of(network)
        step = UsualStep(network, target, size, cuts, MEAN, STD, frozen=option)
        return lambda: step(generator.pixels, generator.optimizer)
    model = as_ours(network, size, option)
    options = CutoutOptions(
        cuts=cuts, augment=("affine", "perspective", "colour", "erase", "noise")
    )
    objective = PromptObjective(ClipScorer([model]), [Prompt(PROMPT)], options)
    stream = run(generator, objective, steps=10**6)
    return lambda: next(stream)


def times(model: str, cuts: int, repeats: int) -> dict[str, float]:
    """Return the seconds of a step for each side: the least of `repeats`, sides taking turns."""
    network, size = make_network(model)
    steps = {name: make_side(name, copy.deepcopy(network), size, cuts) for name in SIDES}
    return least_times(steps, repeats)


def memory(name: str, model: str, cuts: int) -> float:
    """Return the peak memory of three steps in MB over that of the loaded model, in a process."""
    command = [sys.executable, "-m", "benchmarks.guided_step", "--model", model]
    command += ["--cuts", str(cuts), "--memory-of", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_memory(name: str, model: str, cuts: int) -> None:
    """Print what `memory` reads."""
    network, size = make_network(model)
    step = make_side(name, network, size, cuts)
    before = status("VmRSS")
    for _ in range(3):
        step()
    print(status("VmHWM") - before)


def differences(model: str, cuts: int) -> dict[str, float]:
    """Return the greatest difference of unit features from open_clip's on the same images."""
    network, size = make_network(model)
    images = torch.rand(cuts, 3, size, size, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    with torch.no_grad():
        want = F.normalize(network.eval().encode_image((images - mean) / std), dim=-1)
        found = {}
        for precision in ("fp32", "bf16"):
            ours = as_ours(copy.deepcopy(network), size, precision)
            found[f"ours, {precision}"] = float((ours.encode_image(images) - want).abs().max())
    return found


def table(model: str, cuts: int, repeats: int) -> list[str]:
    """Measure one model and return the lines of its table."""
    seconds, wrong = times(model, cuts, repeats), differences(model, cuts)
    frozen = seconds["usual, weights frozen"]
    lines = [
        f"{model}, {cuts} cuts, {torch.get_num_threads()} threads, least of {repeats} steps",
        f"{'':32}{'ms/step':>9}{'speed':>8}{'peak MB':>9}{'features off by':>17}",
    ]
    for name, value in seconds.items():
        off = f"{wrong[name]:17.1e}" if name in wrong else f"{'-':>17}"
        speed, peak = f"{frozen / value:7.2f}x", memory(name, model, cuts)
        lines.append(f"{name:32}{value * 1000:9.0f}{speed:>8}{peak:9.0f}{off}")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="open_clip architecture or mini")
    parser.add_argument("--cuts", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory-of", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    warnings.filterwarnings("ignore")  # open_clip's and kornia's, about their own future
    models = arguments.model or ["ViT-B-32", "mini"]
    if arguments.memory_of:
        measure_memory(arguments.memory_of, models[0], arguments.cuts)
        return
    for model in models:
        print("\n".join(table(model, arguments.cuts, arguments.repeats)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
