"""Cuts in batches: the same numbers for less memory, and cuts that change with the step."""

import pytest
import torch

from guidance.clip.scorer import ClipScorer
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.prompted import PromptObjective
from guidance.prompts.grammar import Prompt

PLAIN = CutoutOptions(cuts=4, overview=1, min_cut=0.3, augment=())


def image(requires_grad: bool = False) -> torch.Tensor:
    pixels = torch.rand(1, 3, 40, 52, generator=torch.Generator().manual_seed(1))
    return pixels.requires_grad_(requires_grad)


@pytest.mark.parametrize("per_batch", [1, 3, 8, 100])
def test_batches_change_nothing(tiny_clip, per_batch):
    options = CutoutOptions(cuts=8, augment=("affine", "perspective", "colour", "noise", "erase"))
    results = []
    for n in (None, per_batch):
        x = image(requires_grad=True)
        said = PromptObjective(
            ClipScorer([tiny_clip]), [Prompt("a fox", 1.5, 0.1)], options, cuts_per_batch=n
        ).evaluate(x, 4)
        (said.loss * 2).backward()
        results.append((said.loss.detach(), said.score, x.grad))
    for got, want in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        again = PromptObjective(
            ClipScorer([tiny_clip]), [Prompt("a fox", 1.5, 0.1)], options, cuts_per_batch=per_batch
        )(image(), 4)
    torch.testing.assert_close(again, results[0][0], atol=1e-5, rtol=1e-4)


class Held:
    """A tensor an autograd graph keeps, counted while it is kept."""

    now = most = 0

    def __init__(self, tensor):
        self.tensor = tensor
        Held.now += tensor.numel()
        Held.most = max(Held.most, Held.now)

    def __del__(self):
        Held.now -= self.tensor.numel()


def test_batches_bound_the_memory(tiny_clip):
    def most_held(cuts, per_batch):
        Held.most = Held.now
        before = Held.now
        options = CutoutOptions(cuts=cuts)
        objective = PromptObjective(
            ClipScorer([tiny_clip]), [Prompt("a fox")], options, cuts_per_batch=per_batch
        )
        with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
            objective(image(requires_grad=True)).backward()
        return Held.most - before

    two = most_held(2, None)  # among it the weights
    assert most_held(16, None) > 2.5 * two
    assert most_held(16, 2) < 1.3 * two
    assert most_held(64, 2) < 1.3 * two


def test_cuts_may_change_with_the_step(tiny_clip):
    few, many = CutoutOptions(cuts=2, augment=()), CutoutOptions(cuts=6, augment=())
    scorer, prompts = ClipScorer([tiny_clip]), [Prompt("a fox")]
    changing = PromptObjective(scorer, prompts, lambda step: few if step < 3 else many)
    for step, cutouts in ((0, few), (2, few), (3, many)):
        assert changing(image(), step) == PromptObjective(scorer, prompts, cutouts)(image(), step)
