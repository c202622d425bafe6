"""Names of samplers and what they may be asked for."""

from __future__ import annotations

import doctest

import pytest
from known_data import SCHEDULES

from guidance.diffusion import solvers
from guidance.diffusion.sampler import Sampler
from guidance.diffusion.solvers import ALIASES, SAMPLERS, canonical, check_sampler, timestep_count
from guidance.errors import InputError


def test_names_and_aliases():
    for name in SAMPLERS:
        assert (
            canonical(name) == canonical(name.upper()) == canonical(name.replace("-", "_")) == name
        )
    assert set(ALIASES.values()) <= set(SAMPLERS)
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
    assert doctest.testmod(solvers).failed == 0


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
