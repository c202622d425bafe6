"""Sampler name → entry of a table: its class in diffusers, and what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guidance.conventions import check_count, check_range
from guidance.errors import InputError, unknown

PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True)
class Solver:
    """A class of schedulers in diffusers and what it can do.

    Attributes:
        scheduler: the class' name; of LMS, our own.
        title: for ``--help``.
        options: of the configuration, whatever the model says.
        scaled: it keeps x = z * sqrt(1 + s^2) instead of z.
        capped: it reckons in the ratio of noise to signal, which must not grow without bounds.
        karras: it can space noise levels as in Karras et al. 2022 (arXiv:2206.00364), eq. 5.
        eta: it can add noise by choice.
        noise: it draws random numbers in each step.
        respaced: it counts in steps of the run, see above.
        predictions: that its equations are right for; the first one is the one to fall back on.
    """

    scheduler: str
    title: str
    options: Mapping[str, object] = field(default_factory=dict)
    scaled: bool = False
    capped: bool = True
    karras: bool = True
    eta: bool = False
    noise: bool = False
    respaced: bool = False
    predictions: tuple[str, ...] = PREDICTIONS


_DPM = "DPMSolverMultistepScheduler"
SAMPLERS: dict[str, Solver] = {
    "ddim": Solver(
        "DDIMScheduler",
        "deterministic, or random with eta",
        capped=False,
        karras=False,
        eta=True,
        respaced=True,
    ),
    "ddpm": Solver(
        "DDPMScheduler", "ancestral, for many steps", capped=False, karras=False, noise=True
    ),
    "dpm++": Solver(_DPM, "DPM-Solver++ (2M)", {"algorithm_type": "dpmsolver++"}),
    "dpm++sde": Solver(
        _DPM, "DPM-Solver++ (2M SDE)", {"algorithm_type": "sde-dpmsolver++"}, noise=True
    ),
    "euler": Solver("EulerDiscreteScheduler", "Euler", scaled=True),
    "euler-a": Solver(
        "EulerAncestralDiscreteScheduler",
        "Euler ancestral",
        scaled=True,
        karras=False,
        noise=True,
        predictions=("v_prediction", "epsilon"),
    ),
    "lms": Solver("LinearMultistepScheduler", "linear multistep", scaled=True),
    "heun": Solver("HeunDiscreteScheduler", "Heun, 2N-1 evaluations", scaled=True),
    "unipc": Solver("UniPCMultistepScheduler", "UniPC, for few steps"),
    "deis": Solver("DEISMultistepScheduler", "DEIS", {"algorithm_type": "deis"}),
    # its multistep average is one of noises, which averages of v or x0 are not
    "pndm": Solver(
        "PNDMScheduler",
        "PLMS, N+1 evaluations",
        {"skip_prk_steps": True},
        capped=False,
        karras=False,
        respaced=True,
        predictions=("epsilon",),
    ),
}
ALIASES = {
    "plms": "pndm",
    "dpm": "dpm++",
    "dpmpp": "dpm++",
    "dpm++2m": "dpm++",
    "dpmpp2m": "dpm++",
    "dpmsolver": "dpm++",
    "dpmsolver++": "dpm++",
    "dpmppsde": "dpm++sde",
    "dpmpp2msde": "dpm++sde",
    "dpm++2msde": "dpm++sde",
    "sdedpmsolver++": "dpm++sde",
    "keuler": "euler",
    "keulera": "euler-a",
    "keulerancestral": "euler-a",
    "eulerancestral": "euler-a",
    "klms": "lms",
    "kheun": "heun",
}
_SPELLINGS = {k.replace("-", ""): k for k in SAMPLERS} | ALIASES


def canonical(name: str) -> str:
    """Return the name in `SAMPLERS` for a name or alias, whatever its case, spaces and hyphens.

    Raises:
        InputError: there is no such sampler.

    Example:
        >>> canonical("Euler_a"), canonical("DPM++ 2M"), canonical("plms")
        ('euler-a', 'dpm++', 'pndm')
    """
    key = "".join(c for c in name.lower() if c not in " _-")
    if key not in _SPELLINGS:
        raise InputError(unknown("sampler", name, SAMPLERS))
    return _SPELLINGS[key]


def check_sampler(name: str, *, eta: float = 0.0, karras: bool = False) -> str:
    """Return the canonical name of a sampler that can do what is asked.

    Args:
        name: a name or alias, e.g. "euler_a".
        eta: noise added by DDIM, from 0 to 1 (Song et al. 2021, arXiv:2010.02502, eq. 16).
        karras: space noise levels as Karras et al. 2022 do.

    Raises:
        InputError: there is no such sampler, or it cannot.
    """
    name = canonical(name)
    check_range("eta", eta, 0, 1)
    if eta and not SAMPLERS[name].eta:
        able = ", ".join(n for n, s in SAMPLERS.items() if s.eta)
        raise InputError(f"eta must be 0 for sampler {name} but is {eta} (it is for: {able})")
    if karras and not SAMPLERS[name].karras:
        able = ", ".join(n for n, s in SAMPLERS.items() if s.karras)
        raise InputError(f"karras must be off for sampler {name} (it is for: {able})")
    return name


def timestep_count(name: str, steps: int) -> int:
    """Return the evaluations of the network, which are the steps of the loop, for `steps`.

    Raises:
        InputError: an unknown sampler, or less than one step.

    Example:
        >>> timestep_count("ddim", 50), timestep_count("heun", 50), timestep_count("plms", 50)
        (50, 99, 51)
    """
    name = canonical(name)
    check_count("steps", steps, 1)
    if name == "heun":
        return 2 * steps - 1
    return steps + 1 if name == "pndm" and steps > 1 else steps
