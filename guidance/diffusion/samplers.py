"""The samplers: each is one record of `SAMPLERS`, which is where a new one is added.

Everything that sets a sampler apart is a field of its record; its name is asked nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from guidance.conventions import check_count, check_range
from guidance.errors import InputError, unknown

PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True)
class Solver:
    """A class of schedulers and how it steps.

    Attributes:
        name: after ``--sampler``.
        scheduler: the class, in `module`.
        about: for ``--help``.
        order: of the method, as its authors count; it remembers less than so many predictions.
        aliases: its names in older tools; case, spaces, hyphens and underscores do not count.
        module: that holds `scheduler`.
        options: of its configuration, whatever the model says.
        twice: the places in a run, from and until, of noise levels where it asks the network twice.
        spacings: of timesteps, to try in turn where that of the model is of no use.
        respaced: it counts in steps of the run, see `guidance.diffusion.noise_levels`.
        karras: it can space noise levels as in Karras et al. 2022 (arXiv:2206.00364), eq. 5.
        scaled: it keeps x = z * sqrt(1 + s^2) instead of z, s being the ratio of noise to signal.
        capped: it reckons in that ratio, which must not grow without bounds.
        eta: it can add noise by choice.
        noise: it draws random numbers in each step.
        variance: the variance of these is that of the model's configuration.
        noisy_end: the class would leave the noise of the first timestep; the last step is ours.
        predictions: that its equations are right for; the first one is the one to fall back on.
    """

    name: str
    scheduler: str
    about: str
    order: int = 1
    aliases: tuple[str, ...] = ()
    module: str = "diffusers"
    options: Mapping[str, object] = field(default_factory=dict)
    twice: tuple[int, int | None] = (0, 0)
    spacings: tuple[str, ...] = ("trailing", "linspace")
    respaced: bool = False
    karras: bool = True
    scaled: bool = False
    capped: bool = True
    eta: bool = False
    noise: bool = False
    variance: bool = False
    noisy_end: bool = False
    predictions: tuple[str, ...] = PREDICTIONS

    def visits(self, levels: Sequence[int]) -> list[int]:
        """Return the noise levels of a run in the order in which the network is asked."""
        return sorted([*levels, *levels[slice(*self.twice)]])

    def evaluations(self, levels: int) -> int:
        """Return how often the network is asked in a run of so many noise levels."""
        return len(self.visits(range(levels)))


_ALL = (
    Solver(
        "ddim",
        "DDIMScheduler",
        "deterministic, or random with --eta",
        respaced=True,
        karras=False,
        capped=False,
        eta=True,
    ),
    Solver(
        "ddpm",
        "DDPMScheduler",
        "ancestral, for many steps",
        karras=False,
        capped=False,
        noise=True,
        variance=True,
    ),
    Solver(
        "dpm++",
        "DPMSolverMultistepScheduler",
        "DPM-Solver++ 2M",
        order=2,
        aliases=("dpm", "dpmpp", "dpm++ 2m", "dpmpp_2m", "dpmsolver", "dpmsolver++"),
        options={"algorithm_type": "dpmsolver++"},
    ),
    Solver(
        "dpm++sde",
        "DPMSolverMultistepScheduler",
        "DPM-Solver++ 2M SDE",
        order=2,
        aliases=("dpmpp_sde", "dpm++ 2m sde", "dpmpp_2m_sde", "sde-dpmsolver++"),
        options={"algorithm_type": "sde-dpmsolver++"},
        noise=True,
    ),
    Solver(
        "euler",
        "EulerDiscreteScheduler",
        "Euler's method",
        aliases=("k_euler",),
        scaled=True,
    ),
    Solver(
        "euler-a",
        "EulerAncestralDiscreteScheduler",
        "Euler's, ancestral",
        aliases=("euler_ancestral", "k_euler_a", "k_euler_ancestral"),
        karras=False,
        scaled=True,
        noise=True,
        predictions=("v_prediction", "epsilon"),
    ),
    Solver(
        "lms",
        "LinearMultistepScheduler",
        "linear multistep",
        order=4,
        aliases=("k_lms",),
        module="guidance.diffusion.lms",
        scaled=True,
    ),
    Solver(
        "heun",
        "HeunDiscreteScheduler",
        "Heun's method, two evaluations a step",
        order=2,
        aliases=("k_heun",),
        twice=(1, None),
        scaled=True,
    ),
    Solver("unipc", "UniPCMultistepScheduler", "UniPC, for few steps", order=2),
    Solver(
        "deis",
        "DEISMultistepScheduler",
        "DEIS",
        order=2,
        options={"algorithm_type": "deis"},
        noisy_end=True,
    ),
    Solver(
        "pndm",
        "PNDMScheduler",
        "pseudo linear multistep (PLMS)",
        order=4,
        aliases=("plms",),
        options={"skip_prk_steps": True},
        twice=(1, 2),
        respaced=True,
        karras=False,
        capped=False,
        predictions=("epsilon",),  # its average is one of noises, which those of v or x0 are not
    ),
)
SAMPLERS: dict[str, Solver] = {solver.name: solver for solver in _ALL}


def sampler_help() -> str:
    """Return what ``--help`` says of the samplers."""
    return (
        "; ".join(f"{s.name} ({s.about})" for s in SAMPLERS.values())
        + ". Names of older tools are understood as well, e.g. k_euler_a, plms."
    )


def canonical(name: str) -> str:
    """Return the name in `SAMPLERS` for a name or alias, whatever its case, spaces and hyphens.

    Raises:
        InputError: there is no such sampler.

    Example:
        >>> canonical("Euler_a"), canonical("DPM++ 2M"), canonical("plms")
        ('euler-a', 'dpm++', 'pndm')
    """
    spellings = {_plain(k): s.name for s in SAMPLERS.values() for k in (*s.aliases, s.name)}
    if _plain(name) not in spellings:
        raise InputError(unknown("sampler", name, SAMPLERS))
    return spellings[_plain(name)]


def check_sampler(name: str, *, eta: float = 0.0, karras: bool = False) -> str:
    """Return the canonical name of a sampler that can do what is asked.

    Args:
        name: a name or alias, e.g. "euler_a".
        eta: noise added by DDIM, from 0 to 1 (Song et al. 2021, arXiv:2010.02502, eq. 16).
        karras: space noise levels as Karras et al. 2022 do.

    Raises:
        InputError: there is no such sampler, or it cannot.
    """
    solver = SAMPLERS[canonical(name)]
    check_range("eta", eta, 0, 1)
    if eta and not solver.eta:
        able = _able(lambda s: s.eta)
        raise InputError(
            f"eta must be 0 for sampler {solver.name} but is {eta} (it is for: {able})"
        )
    if karras and not solver.karras:
        able = _able(lambda s: s.karras)
        raise InputError(f"karras must be off for sampler {solver.name} (it is for: {able})")
    return solver.name


def timestep_count(name: str, steps: int) -> int:
    """Return the evaluations of the network, which are the steps of the loop, for `steps`.

    Raises:
        InputError: an unknown sampler, or less than one step.

    Example:
        >>> timestep_count("ddim", 50), timestep_count("heun", 50), timestep_count("plms", 50)
        (50, 99, 51)
    """
    solver = SAMPLERS[canonical(name)]
    check_count("steps", steps, 1)
    return solver.evaluations(steps)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c not in " _-")


def _able(test: Callable[[Solver], bool]) -> str:
    return ", ".join(s.name for s in SAMPLERS.values() if test(s))
