"""The training loop: clock, learning rate, average, checkpoints and log around any loss."""

import math
from dataclasses import dataclass
from itertools import count, pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from guidance.command.cli import main
from guidance.errors import FileError, InputError
from guidance.train.loop import checkpoint, schedule, trainer
from guidance.train.loop.average import Average
from guidance.train.loop.clock import Clock
from guidance.train.loop.log import Log
from guidance.train.loop.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class LineOptions(RunOptions):
    """Learn a line."""

    slope: float = 3.0
    """Of the line."""
    rate: float = 0.1
    """Learning rate at its highest."""


class Line(trainer.Trainer[LineOptions, torch.Tensor]):
    """The least that a training is."""

    def build(self):
        self.network = nn.Linear(1, 1)
        self.optimisers = [torch.optim.Adam(self.network.parameters())]
        self.told = []

    def batches(self, start):
        for step in count(start):
            yield torch.randn(16, 1, generator=torch.Generator().manual_seed(step))

    def loss(self, batch, done):
        return F.mse_loss(self.network(batch), self.options.slope * batch)

    def saved(self):
        self.told.append(self.step)


def options(out, **more):
    return LineOptions(**{"out": out, "steps": 120, "threads": 0, "ema": 0.9} | more)


def learn(given):
    run = Line(given)
    run.run()
    return run


def test_a_training_is_options_and_a_loss(tmp_path, capsys):
    argv = ["--out", str(tmp_path), "--steps", "120", "--threads", "0", "--slope", "-2"]
    assert main(LineOptions, lambda given: Line(given).run(), prog="line", argv=argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("50  40.8 %  loss ")
    assert "  gradient " in lines[0]
    assert "  rate 0.0" in lines[0]
    assert lines[-1] == f"wrote {tmp_path} after 120 steps"
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["averaged"]["weight"].item() == pytest.approx(-2, abs=0.05)
    assert state["step"] == 120


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    whole = learn(options(tmp_path / "a", steps=20))
    first = Line(options(tmp_path / "b", steps=20))
    for batch, _ in zip(first.batches(0), range(7), strict=False):
        first.train_step(batch, first.clock.done())
    first.save()
    again = learn(options(tmp_path / "b", steps=20, resume=True))
    assert again.step == whole.step == 20
    for name, value in whole.average.state.items():
        assert torch.equal(value, again.average.state[name])


def test_checkpoints_of_earlier_versions_go_on(tmp_path):
    """Those of one optimiser named it in the singular."""
    run = learn(options(tmp_path, steps=3))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    state["optimiser"] = state.pop("optimisers")[0]
    torch.save(state, tmp_path / "state.pt")
    again = Line(options(tmp_path, steps=3, resume=True))
    assert again.step == 3
    before, after = (r.optimisers[0].state_dict()["state"] for r in (run, again))
    assert torch.equal(before[0]["exp_avg"], after[0]["exp_avg"])


def test_checkpoints_are_written_as_often_as_asked(tmp_path):
    assert learn(options(tmp_path / "a", steps=4, save_every=0.0)).told == [1, 2, 3, 4, 4]
    assert learn(options(tmp_path / "b", steps=4)).told == [4]


def test_a_run_is_neither_overwritten_nor_made_up(tmp_path):
    with pytest.raises(InputError, match=r"resume: .* holds no state.pt"):
        options(tmp_path, resume=True).check()
    (tmp_path / "state.pt").write_bytes(b"no")
    with pytest.raises(InputError, match="holds a run; --resume continues it"):
        options(tmp_path).check()
    with pytest.raises(FileError, match=r"resume: .*state.pt does not fit these options: "):
        Line(options(tmp_path, resume=True))


def test_the_average_forgets_its_start(tmp_path):
    network = nn.BatchNorm1d(1)
    average = Average(network, 0.5)
    wanted = 1.0
    for step in range(4):
        with torch.no_grad():
            network.weight.fill_(step)
        network.num_batches_tracked.fill_(step)
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * step
    assert average.state["weight"].item() == pytest.approx(wanted)
    assert average.state["num_batches_tracked"] == 3  # whole numbers have no average
    follower = Average(network, 0.0)
    with torch.no_grad():
        network.weight.fill_(7.25)
    follower.update(network, 0)
    assert follower.state["weight"].item() == 7.25


def test_the_first_limit_ends_a_run():
    assert Clock(10, None, step=4).done() == 0.4
    assert Clock(None, 2.0, spent=60.0).done() == 0.5
    assert Clock(10, 2.0, step=9, spent=60.0).done() == 0.9
    assert Clock(0, None).done() == 1.0
    clock = Clock(None, 1.0, spent=30.0)
    clock.start()
    clock.tick()
    assert 30 <= clock.spent < 60


@pytest.mark.parametrize(
    "rate",
    [
        schedule.cosine,
        schedule.line,
        lambda done: schedule.warm_cosine(done, 0.2),
        lambda done: schedule.warm_line(done, 0.2),
    ],
)
def test_rates_rise_once_and_fall_to_little(rate):
    values = [rate(i / 1000) for i in range(1001)]
    top = values.index(max(values))
    assert 0.98 <= values[top] <= 1
    assert values[: top + 1] == sorted(values[: top + 1])
    falling = values[top:]
    assert all(b <= a + 1e-9 for a, b in pairwise(falling))
    assert 0 <= values[-1] <= 0.01 + 1e-9


def test_schedules_are_those_of_the_mini_models():
    assert schedule.cosine(0.5) == pytest.approx(0.5)
    assert schedule.cosine(0.005) == pytest.approx(0.5, abs=1e-3)
    assert schedule.warm_cosine(0.04, 0.08) == 0.5
    assert schedule.warm_cosine(0.54, 0.08) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 2))
    assert schedule.warm_line(0.025, 0.05) == 0.5


def test_weights_alone_can_be_read(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors")
    read = checkpoint.read(tmp_path / "a.safetensors", torch.device("cpu"))
    assert read["averaged"]["w"].tolist() == [1, 1]


def test_the_last_steps_are_logged_and_the_model_is_named(tmp_path, capsys):
    log = Log(options(tmp_path, log_every=2))
    for step in (1, 2, 3):
        log.step(step, step / 4, {"loss": float(step)})
    log.finish(3, tmp_path / "run" / "clip")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2  50.0 %  loss 1.5"
    assert lines[1].startswith("3  100.0 %  loss 3")
    assert lines[2:] == [f"wrote {tmp_path / 'run' / 'clip'} after 3 steps"]
