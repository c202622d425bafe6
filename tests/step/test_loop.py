"""The loop: it fits, its score rises, it survives bad steps and gives up on divergence."""

import math

import pytest
import torch
from pixel_generator import Pixels

from guidance.clip.scorer import ClipScorer
from guidance.errors import DivergedError, InputError
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.prompted import Evaluation, Objective, PromptObjective
from guidance.objective.regularisers import Likeness, Smoothness
from guidance.prompts.grammar import Prompt
from guidance.step.generator import Update
from guidance.step.loop import fast_matmul, run


class Faulty(Objective):
    """The mean of the image, NaN at some steps."""

    name = "faulty"

    def __init__(self, *bad: int):
        self.bad = bad

    def evaluate(self, image, step=0):
        loss = image.mean() * (math.nan if step in self.bad else 1)
        return Evaluation(loss, {self.name: loss.detach()})


def target() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 32), indexing="ij")
    return torch.stack([x, y, (1 - x) * y])[None]


def test_it_fits_a_target():
    generator = Pixels()
    steps = list(run(generator, Likeness(target()), steps=120))
    assert steps[0].loss > 0.05
    assert (generator.image() - target()).abs().mean() < 0.02
    assert steps[-1].loss < 1e-3


def test_the_clip_score_rises(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    objective = PromptObjective(scorer, [Prompt("a fox")], CutoutOptions(cuts=4))
    generator = Pixels()
    before = scorer.similarity(generator.image(), ["a fox", "a boat"])[0]
    scores = [step.score for step in run(generator, objective + 0.1 * Smoothness(), steps=40)]
    assert sum(scores[-5:]) / 5 > sum(scores[:5]) / 5 + 0.08
    gain = scorer.similarity(generator.image(), ["a fox", "a boat"])[0] - before
    assert gain[0] > 0.08  # of the whole picture too,
    assert gain[0] > gain[1]  # and more than of another prompt


def test_steps_tell_what_happened():
    generator = Pixels()
    objective = Likeness(target()) + 2 * Smoothness()
    images = []
    for index, step in enumerate(run(generator, objective, steps=3)):
        assert (step.index, step.steps, step.skipped) == (index, 3, False)
        assert set(step.terms) == {"likeness", "smoothness"}
        assert sum(step.terms.values()) == pytest.approx(step.loss, rel=1e-5)
        assert math.isnan(step.score)  # no prompts
        assert step.loss == pytest.approx(float(objective(step.image)), rel=1e-5)
        assert not step.image.requires_grad
        images.append(step.image)
    assert not torch.equal(images[0], images[2])


def test_a_kept_image_is_not_overwritten_by_later_steps():
    stream = run(Pixels(), Likeness(target()), steps=3)
    first = next(stream).image
    copy = first.clone()
    list(stream)
    assert torch.equal(first, copy)


def test_bad_steps_are_skipped_and_the_run_goes_on():
    generator = Pixels()
    last, skipped = generator.pixels.detach().clone(), []
    for step in run(generator, Faulty(1, 2, 4, 5, 7), steps=9):
        skipped.append(step.skipped)
        assert torch.equal(last, generator.pixels) == step.skipped
        assert math.isnan(step.loss) == step.skipped
        last = generator.pixels.detach().clone()
    assert [i for i, s in enumerate(skipped) if s] == [1, 2, 4, 5, 7]
    assert generator.pixels.isfinite().all()


def test_three_bad_steps_in_a_row_end_the_run():
    generator = Pixels()
    stream = run(generator, Faulty(2, 3, 4, 5), steps=10)
    assert [next(stream).skipped for _ in range(2)] == [False, False]
    good = generator.pixels.detach().clone()
    assert [next(stream).skipped for _ in range(3)] == [True, True, True]
    with pytest.raises(DivergedError, match=r"3 steps in a row \(the last is step 4\)"):
        next(stream)
    assert torch.equal(good, generator.pixels)


def test_a_run_can_start_later():
    steps = list(run(Pixels(), Faulty(), steps=5, start=3))
    assert [s.index for s in steps] == [3, 4]
    assert list(run(Pixels(), Faulty(), steps=5, start=5)) == []


def test_learning_rates_follow_the_step():
    generator = Pixels(rate=0.1)
    for step in run(generator, Faulty(), steps=10):
        want = 0.1 * (1 - 0.9 * step.index / 10)
        assert generator.optimizer.param_groups[0]["lr"] == pytest.approx(want)


@pytest.mark.parametrize(
    ("steps", "start", "message"),
    [(0, 0, "steps must be at least 1"), (5, 6, "start must"), (2.5, 0, "steps must be a whole")],
)
def test_numbers_are_checked_at_the_call(steps, start, message):
    with pytest.raises(InputError, match=message):
        run(Pixels(), Faulty(), steps, start=start)


def test_fast_matmul_is_undone():
    before = torch.get_float32_matmul_precision()
    with fast_matmul():
        pass
    assert torch.get_float32_matmul_precision() == before
    with pytest.raises(ZeroDivisionError), fast_matmul():
        1 / 0  # noqa: B018
    assert torch.get_float32_matmul_precision() == before
    stream = run(Pixels(), Faulty(), steps=2)
    next(stream)  # between steps the caller's setting holds
    assert torch.get_float32_matmul_precision() == before


def test_fast_matmul_keeps_float32_accuracy_on_this_cpu():
    a, b = torch.randn(2, 128, 128, generator=torch.Generator().manual_seed(0))
    with fast_matmul():
        error = (a @ b - (a.double() @ b.double())).abs().max()
    assert error < (1e-3 if not torch.cpu._is_amx_tile_supported() else 1)


class InParts(Pixels):
    """Shows the objective several batches of pictures in a step, or none."""

    sizes: tuple[int, ...] = ()

    def step(self, objective):
        losses = [objective(torch.full((n, 3, 8, 8), n / 8)) for n in self.sizes]
        assert not any(loss.requires_grad for loss in losses)
        return Update(torch.zeros(3, 3, 8, 8))


@pytest.mark.parametrize(
    ("sizes", "want"),
    [((3,), 3 / 8), ((2, 1), (2 * 2 + 1) / 24), ((1, 1, 1), 1 / 8),
     ((3, 2, 1), (2 * 2 + 1) / 24), ((1, 2, 3), 3 / 8)],
)  # fmt: skip
def test_a_step_in_parts_tells_the_mean_of_the_last_look_at_each_picture(sizes, want):
    generator = InParts()
    generator.sizes = sizes
    step = next(run(generator, Faulty() + 2.0 * Faulty(), steps=1))
    assert step.loss == pytest.approx(3 * want)
    assert step.terms["faulty"] == pytest.approx(3 * want)


def test_the_score_of_a_step_in_parts_is_their_mean(tiny_clip):
    objective = PromptObjective(ClipScorer([tiny_clip]), [Prompt("a fox")], CutoutOptions(cuts=2))
    generator = InParts()
    generator.sizes = (2, 1)
    scores = [float(objective.evaluate(torch.full((1, 3, 8, 8), n / 8)).score) for n in (2, 1)]
    step = next(run(generator, objective, steps=1))
    assert step.score == pytest.approx((2 * scores[0] + scores[1]) / 3, abs=1e-6)


def test_a_step_that_asks_nothing_has_no_loss():
    step = next(run(InParts(), Faulty(), steps=1))
    assert math.isnan(step.loss)
    assert math.isnan(step.score)
    assert step.terms == {}
    assert not step.skipped


def test_a_generator_says_what_to_try_when_it_diverges():
    generator = Pixels()
    generator.remedy = "paint on paper"
    with pytest.raises(DivergedError, match="kept; paint on paper"):
        list(run(generator, Faulty(0, 1, 2), steps=3))


def test_products_are_float32_on_any_cpu():
    factors = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    with fast_matmul():
        found = factors @ factors  # a CPU with AMX would keep 8 bits of each factor
    torch.testing.assert_close(
        found.double(), factors.double() @ factors.double(), rtol=1e-6, atol=0
    )
