"""Names of samplers, what they may be asked for, and how one is added."""

from __future__ import annotations

import doctest

import pytest
import torch
from known_data import SCHEDULES, Gaussian, run
from PIL import Image

from guidance.command.runner import command
from guidance.diffusion import samplers
from guidance.diffusion.samplers import (
    SAMPLERS,
    Solver,
    canonical,
    check_sampler,
    sampler_help,
    timestep_count,
)
from guidance.diffusion.sampling import Sampler
from guidance.diffusion.technique import DIFFUSION
from guidance.errors import InputError


def test_names_and_aliases():
    for name in SAMPLERS:
        assert (
            canonical(name) == canonical(name.upper()) == canonical(name.replace("-", "_")) == name
        )
    for name, solver in SAMPLERS.items():
        assert {canonical(alias) for alias in solver.aliases} <= {name}  # none has two meanings
    spelled = {
        "euler_a": "euler-a",
        "k_euler": "euler",
        "k_euler_ancestral": "euler-a",
        "dpmpp": "dpm++",
        "dpm++2m": "dpm++",
        "DPM++ 2M SDE": "dpm++sde",
        "dpmpp_2m": "dpm++",
        "plms": "pndm",
        "k-lms": "lms",
        "UniPC": "unipc",
    }
    for alias, name in spelled.items():
        assert check_sampler(alias, eta=0.0, karras=False) == name
    assert doctest.testmod(samplers).failed == 0


def test_abilities():
    assert check_sampler("DDIM", eta=0.5) == "ddim"
    assert check_sampler("heun", karras=True) == "heun"
    with pytest.raises(InputError, match=r"eta must be 0 for sampler euler .* \(it is for: ddim\)"):
        check_sampler("k_euler", eta=0.5)
    with pytest.raises(InputError, match=r"karras must be off for sampler pndm \(.* dpm\+\+,"):
        check_sampler("plms", karras=True)
    for eta in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="eta must be at least 0 and at most 1"):
            check_sampler("ddim", eta=eta)
    for name in ("dppm", "", "euler,", "ddim\n"):
        with pytest.raises(InputError, match="unknown sampler") as caught:
            check_sampler(name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="did you mean ddpm"):
        check_sampler("dppm")


@pytest.mark.parametrize("name", SAMPLERS)
def test_counts(name):
    for steps in (1, 2, 3, 10, 50):
        sampler = Sampler(name, SCHEDULES["linear"], steps)
        assert len(sampler) == timestep_count(name, steps)
    assert timestep_count(name, 50) == {"heun": 99, "pndm": 51}.get(name, 50)
    with pytest.raises(InputError, match="steps must be at least 1 but is 0"):
        timestep_count(name, 0)


@pytest.fixture
def single(monkeypatch) -> Solver:
    """Return a sampler that this package does not have: one record and no more."""
    solver = Solver(
        "single",
        "DPMSolverSinglestepScheduler",
        "DPM-Solver++, single steps",
        order=2,
        aliases=("dpmpp_2s",),
        options={"solver_order": 2, "lower_order_final": True},
        spacings=("linspace",),
    )
    monkeypatch.setitem(SAMPLERS, solver.name, solver)
    return solver


def test_a_new_sampler_is_one_record(single, folders, tmp_path, capsys):
    """It is found by its aliases, checked, told, run by the command, and continued."""
    model = ["--model", folders["ddpm"], "-n", 1, "--clip-scale", 0, "--video", "none", "-q"]

    def sample(*arguments: object) -> int:
        return command(DIFFUSION, [str(a) for a in ("a fox", *model, *arguments)])

    assert sample("--sampler", "DPMpp 2S", "--karras", "--steps", 6, "-o", tmp_path / "a") == 0
    with Image.open(tmp_path / "a/image.png") as image:
        assert len(image.convert("L").getcolors()) > 50
    assert sample("--sampler", "single", "--eta", 0.5) == 2
    assert sample("--sampler", "singel") == 2
    said = capsys.readouterr().err.splitlines()
    assert "eta must be 0 for sampler single but is 0.5 (it is for: ddim)" in said[-2]
    assert "unknown sampler 'singel'; did you mean single" in said[-1]
    assert "single (DPM-Solver++, single steps)" in sampler_help()


def test_a_new_sampler_samples(single):
    data = Gaussian([0.4], [[0.3]])
    sampler = Sampler("dpmpp_2s", SCHEDULES["linear"], 100)
    x = sampler.from_input(data.noisy(torch.tensor([[-1.0], [1.0]]), *sampler.level(0)), 0)
    x = run(sampler, x, data.clean)
    assert x.mean() == pytest.approx(0.4, abs=0.01)
    assert x.std(correction=0) == pytest.approx(0.3**0.5, rel=0.03)


def test_help_tells_every_sampler(capsys):
    assert command(DIFFUSION, ["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    for name, solver in SAMPLERS.items():
        assert name in shown
        assert solver.about.split()[0] in shown
