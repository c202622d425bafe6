"""Several rough starts of the smallest generator: what is kept, and that it is a run of its own."""

from __future__ import annotations

import itertools

import pytest
import torch
from pixel_generator import Pixels

from guidance.errors import DivergedError, InputError
from guidance.objective.prompted import Evaluation, Objective
from guidance.objective.regularisers import Smoothness
from guidance.step.generator import Generator
from guidance.step.loop import Step, run
from guidance.step.tries import Plan, Tries

PLAN = Plan(count=3, rough=4, steps=9)


class Brightness(Objective):
    """Depends on the step and on a seed, as cuts do."""

    name = "brightness"

    def __init__(self, seed: int):
        self.seed = seed

    def evaluate(self, image: torch.Tensor, step: int = 0) -> Evaluation:
        return Evaluation((image.mean() - 0.1 * self.seed - 0.01 * step) ** 2)


def start(number: int) -> tuple[Generator, Objective]:
    return Pixels(16, seed=number), Brightness(number) + Smoothness()


def seen(steps) -> list[tuple]:
    """Return all there is to see after each step, the state of the optimiser too."""
    found = []
    for step in steps:
        optimiser = step.generator.optimizer.state_dict()
        numbers = [v for s in optimiser["state"].values() for v in s.values()]
        numbers += [torch.tensor(group["lr"]) for group in optimiser["param_groups"]]
        values = [step.image, step.generator.render(8, 8), *step.generator.state_dict().values()]
        found.append((step.index, step.loss, [v.clone() for v in (*values, *numbers)]))
    return found


def same(one: list[tuple], other: list[tuple]) -> bool:
    return len(one) == len(other) and all(
        a[:2] == b[:2] and all(map(torch.equal, a[2], b[2]))
        for a, b in zip(one, other, strict=True)
    )


def alone(number: int) -> list[tuple]:
    return seen(run(*start(number), PLAN.steps))


def judged(images: torch.Tensor) -> float:
    """Like the second best of all."""
    return -abs(float(images.mean()) - SECOND)


*_, last = itertools.islice(run(*start(1), PLAN.steps), PLAN.rough)
SECOND = float(last.generator.render(16, 16).mean())


def test_what_is_kept_is_a_run_of_its_own():
    tries = Tries(start, judged, PLAN)
    got = seen(tries.whole())
    assert tries.kept == 1 == tries.number
    assert tries.scores[1] == max(tries.scores) > min(tries.scores)
    assert same(got, alone(1))
    assert not same(got, alone(0))


def test_every_rough_step_is_shown():
    told = []
    tries = Tries(start, judged, PLAN, told=lambda *what: told.append(what))
    assert tries.left == 12
    steps = list(tries.go())
    assert [s.index for s in steps] == [0, 1, 2, 3] * 3
    assert {s.steps for s in steps} == {9}
    assert [(number, score) for number, score, _ in told] == list(enumerate(tries.scores))
    assert told[1][2] is tries.generator is steps[4].generator
    assert len({id(s.generator) for s in steps}) == 3


@pytest.mark.parametrize("known", [1, 2, 3])
def test_those_of_an_earlier_process_are_not_made_again(known):
    whole = Tries(start, judged, PLAN)
    list(whole.go())
    made = []

    def counted(number: int) -> tuple[Generator, Objective]:
        made.append(number)
        return start(number)

    tries = Tries(counted, judged, PLAN, scores=whole.scores[:known])
    assert tries.left == 4 * max(1, 3 - known)
    got = seen(tries.whole())
    # the best one must be made again if an earlier process made it
    assert made == {1: [1, 2], 2: [2, 1], 3: [1]}[known]
    assert tries.scores == whole.scores
    assert same(got, alone(1))


def test_the_first_of_equals_is_kept():
    tries = Tries(start, lambda images: 0.5, PLAN)
    assert same(seen(tries.whole()), alone(0))


def test_all_steps_may_be_rough():
    tries = Tries(start, judged, Plan(3, 4, 4))
    assert [s.index for s in tries.whole()] == [0, 1, 2, 3]


def test_a_try_that_diverges_ends_the_run():
    class Broken(Brightness):
        def evaluate(self, image: torch.Tensor, step: int = 0) -> Evaluation:
            return Evaluation(super().evaluate(image, step).loss * torch.nan)

    tries = Tries(lambda number: (Pixels(16), Broken(0)), judged, PLAN)
    steps: list[Step] = []
    with pytest.raises(DivergedError, match="3 steps in a row"):
        steps.extend(tries.whole())


def test_wrong_numbers():
    with pytest.raises(InputError, match="tries must be at least 1 but is 0"):
        Plan(0, 1, 2)
    with pytest.raises(InputError, match="try_steps must be at least 1 and at most 9 but is 10"):
        Plan(2, 10, 9)
    with pytest.raises(InputError, match="of at most 3 tries but are 4"):
        Tries(start, judged, PLAN, scores=[0.1] * 4)
    with pytest.raises(InputError, match="the tries must be made first"):
        Tries(start, judged, PLAN).again()
