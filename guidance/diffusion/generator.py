"""Denoising: pictures that a diffusion network makes out of noise, steered by a gradient.

x ─▶ z ─▶ network ─▶ classifier-free guidance ─▶ x0, eps ─▶ CLIP guidance ─▶ sampler ─▶ next x
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from guidance.conventions import check_count, derive_seed, make_generator
from guidance.diffusion.edit import Edit
from guidance.diffusion.guide import Guide, Prediction, guided
from guidance.diffusion.mix import cfg as mix_cfg
from guidance.diffusion.mix import dynamic_threshold, rescale
from guidance.diffusion.sampler_memory import remember
from guidance.diffusion.sampling import Sampler
from guidance.diffusion.wording import Wording
from guidance.errors import DivergedError, InputError, counted
from guidance.images.canvas import scale, tile
from guidance.images.fitting import check_multiple
from guidance.models.conditions import Condition
from guidance.models.denoiser import Denoiser
from guidance.step.generator import Generator, Update
from guidance.step.loop import fast_matmul

UPSAMPLED_AT_ONCE = 8  # finished pictures in the network that enlarges them
SAMPLER = "sampler."  # prefix of its memory in the state of a run


class Denoising(Generator):
    """A batch of pictures on their way out of noise.

    Picture k depends on ``seeds[k]`` and not on the others of the batch, but for rounding and the
    cuts that the objective draws for all of them.

    Args:
        denoiser: the network and its decoder; not part of this module's state.
        sampler: made for as many steps as the run has.
        size: height and width of the pictures, pixels.
        seeds: one a picture.
        guide: how the objective steers.
        wording: what the network is told.
        cfg: scale of classifier-free guidance; None for the network's usual one.
        cfg_rescale: see `mix.rescale`.
        threshold: see `mix.dynamic_threshold`; 0 is off.
        edit: picture to start from and mask. Without one the run begins with pure noise.
        pure: begin with pure noise in any case.
        enlarge: the edit on a canvas so many times as large, for the upsampler; None to do without.
        recurrence: times each step is taken.
        batch: pictures at once in the networks; None for all.
        joint: ask the network for both answers of classifier-free guidance at once.

    Raises:
        InputError: sizes or numbers that do not fit the network.
    """

    x: Tensor
    clean: Tensor
    done: Tensor
    remedy = "lower --clip-scale or --cfg, or take --precision fp32"

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: Sampler,
        size: tuple[int, int],
        seeds: Sequence[int],
        *,
        guide: Guide,
        wording: Wording,
        cfg: float | None = None,
        cfg_rescale: float = 0.0,
        threshold: float = 0.0,
        edit: Edit | None = None,
        pure: bool = False,
        enlarge: Callable[[int], Edit | None] | None = None,
        recurrence: int = 1,
        batch: int | None = None,
        joint: bool = True,
    ):
        super().__init__()
        check_multiple(denoiser.name, denoiser.factor, size)
        check_count("recurrence", recurrence, 1)
        _check_fits(denoiser, cfg, threshold, guide)
        self._denoiser = (denoiser,)  # in a tuple: its weights do not belong into checkpoints
        self.sampler, self.size, self.seeds = sampler, size, tuple(seeds)
        self.guide, self.wording = guide, wording
        self.cfg = denoiser.cfg if cfg is None else cfg
        self.cfg_rescale, self.threshold = cfg_rescale, threshold
        self.recurrence, self.joint = recurrence, joint
        self.batch = batch or len(self.seeds)
        self._enlarge = None if denoiser.upsampler is None else enlarge
        self._edit = None if edit is None else edit.to(denoiser.device)
        self._index = 0
        self._seen: Tensor | None = None  # what the last step scored
        self._pictures: dict[str, Tensor] = {}  # of the present state

        start = None if edit is None else denoiser.encode(self._edit.picture)
        self._known = None if edit is None or edit.mask is None else start
        self._free = None if self._known is None else self._edit.cells(denoiser.factor)
        noise = self._noise("start")
        first = sampler.first(noise) if start is None or pure else self._noised(start, noise, 0)
        self.register_buffer("x", first)
        clean = torch.zeros_like(first) if start is None else start.expand_as(first).clone()
        self.register_buffer("clean", clean)
        self.register_buffer("done", torch.tensor(0))

    @property
    def denoiser(self) -> Denoiser:
        """The network."""
        return self._denoiser[0]

    @property
    def finished(self) -> bool:
        """Whether all steps have been made."""
        return int(self.done) == len(self.sampler)

    @property
    def final_size(self) -> tuple[int, int]:
        """Height and width of the pictures that are saved."""
        factor = self.denoiser.upsampler.factor if self._enlarges() else 1
        return self.size[0] * factor, self.size[1] * factor

    def prepare(self, index: int, steps: int) -> None:
        """Get ready for step `index`."""
        if steps != len(self.sampler):
            raise InputError(
                f"this run has {counted(len(self.sampler), 'step')} but is asked for {steps}"
            )
        self._index = index

    def step(self, objective: Callable[[Tensor], Tensor]) -> Update:
        """Take one step of the sampler.

        The objective is asked where the step is guided, and in the end about the finished pictures,
        so that each run has a score.

        Raises:
            DivergedError: the network's answer was not finite; nothing has changed.
        """
        i, x = self._index, self.x
        scale, finite = self.guide.scale_at(i, len(self.sampler)), True
        after = x
        for turn in range(self.recurrence):
            x = self.sampler.again(after, self._noise("again", i, turn), i) if turn else x
            found = self._predict(self.sampler.to_input(x, i), i, scale, objective)
            finite = finite and found.finite
            generators = self._generators("step", i, turn) if self.sampler.stochastic else None
            after = self.sampler.step(x, i, found.x0, found.eps, generators)
            after = self._with_known(after, i + 1, turn)
        if not bool(after.isfinite().all()):
            raise DivergedError(
                f"the network's answer in step {i} is not finite; the last good state is kept; "
                f"{self.remedy}"
            )
        self.x, self.clean = after, found.x0
        self.done.fill_(i + 1)
        self._pictures, self._seen = {}, found.image
        seen = functools.partial(self._foreseen, found.x0) if found.image is None else found.image
        if self.finished:
            self.clean = self.sampler.to_input(after, i + 1)
            self._seen = seen = self.image()
            with torch.no_grad():
                for part in seen.split(self.batch):
                    objective(part)
        return Update(seen, finite)

    @torch.no_grad()
    def image(self) -> Tensor:
        """Return the pictures ``[B, 3, H, W]`` in [0, 1], before the end as they are foreseen."""
        if "own" not in self._pictures:
            with fast_matmul():
                pictures = self.denoiser.decode(self.clean, fast=False)
            self._pictures["own"] = self._paste(pictures).clamp(0, 1)
        return self._pictures["own"]

    @torch.no_grad()
    def render(self, height: int, width: int) -> Tensor:
        """Return the pictures at any size; finished ones are enlarged by the model if it can."""
        if (height, width) == self.size:
            return self.image()
        pictures = self._large() if self._enlarges() else self.image()
        return scale(pictures, height, width)

    @torch.no_grad()
    def frame(self, height: int, width: int) -> Tensor:
        """Return all pictures as the last step saw them on one sheet, ``[1, 3, height, width]``."""
        return tile(self._foreseen(self.clean) if self._seen is None else self._seen, height, width)

    def state_dict(self, *args, **kwargs) -> dict[str, Tensor]:
        """Return the state of the run with the memory of the sampler."""
        memory = {SAMPLER + name: value for name, value in self.sampler.state().items()}
        return {**super().state_dict(*args, **kwargs), **memory}

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Go on from a state."""
        memory = {
            name.removeprefix(SAMPLER): value
            for name, value in state_dict.items()
            if name.startswith(SAMPLER)
        }
        own = {k: v for k, v in state_dict.items() if not k.startswith(SAMPLER)}
        loaded = super().load_state_dict(own, strict, assign)
        remember(self.sampler, memory, self.x, int(self.done))
        self._pictures, self._seen = {}, None
        return loaded

    def _predict(self, z: Tensor, i: int, scale: float, objective: Callable) -> Prediction:
        """Return the prediction for all pictures, in batches."""
        parts = [self._part(part, i, scale, objective) for part in z.split(self.batch)]
        if len(parts) == 1:
            return parts[0]
        columns = zip(*((p.x0, p.eps, p.image) for p in parts), strict=True)
        joined = (None if c[0] is None else torch.cat(c) for c in columns)
        return Prediction(*joined, all(p.finite for p in parts))

    def _part(self, z: Tensor, i: int, scale: float, objective: Callable) -> Prediction:
        def predict(z: Tensor) -> tuple[Tensor, Tensor]:
            x0, eps = self.sampler.split(z, self._answer(z, i), i)
            if not self.threshold:
                return x0, eps
            x0 = dynamic_threshold(x0, self.threshold)
            return x0, self.sampler.eps_of(z, x0, i)

        if scale:
            level = self.sampler.level(i)
            noisy = self._noisy(i)
            return guided(z, level, predict, self._show, objective, self.guide, scale, noisy)
        with torch.no_grad():
            x0, eps = predict(z)
            return Prediction(x0, eps, None)

    def _noisy(self, i: int) -> Callable[[Tensor], Tensor] | None:
        """Return the loss of noisy pictures by a CLIP that knows noise, None without a weight."""
        if not self.guide.noisy:
            return None
        clip, t = self.denoiser.noise_aware, self.sampler.timestep(i)
        vector = self.wording.at(i)[0].tensors["class_labels"]
        return lambda z: 1 - clip.likeness(z, t, vector).mean()

    def _answer(self, z: Tensor, i: int) -> Tensor:
        """Return what the network says of ``z [B, C, h, w]``, with classifier-free guidance."""
        condition, opposite = self.wording.at(i)
        network, t = self.denoiser, self.sampler.timestep(i)
        if condition is None or self.cfg in (0, 1):
            return network(z, t, opposite if self.cfg == 0 else condition)
        if self.joint:
            both = Condition.cat([condition.rows(len(z)), opposite.rows(len(z))])
            told, untold = network(torch.cat([z, z]), t, both).chunk(2)
        else:
            told, untold = network(z, t, condition), network(z, t, opposite)
        return rescale(mix_cfg(told, untold, self.cfg), told, self.cfg_rescale)

    def _show(self, x0: Tensor) -> Tensor:
        """Return clean pictures as pixels, not clamped, over what is known of them."""
        return self._paste(self.denoiser.decode(x0, clamp=False))

    @torch.no_grad()
    def _foreseen(self, x0: Tensor) -> Tensor:
        """Return pictures ``[B, 3, H, W]`` in [0, 1] as a guided step would have seen them."""
        with fast_matmul():
            return torch.cat([self._show(part).clamp(0, 1) for part in x0.split(self.batch)])

    def _paste(self, images: Tensor) -> Tensor:
        return images if self._edit is None else self._edit.paste(images)

    def _with_known(self, x: Tensor, level: int, turn: int) -> Tensor:
        """Replace what is known in a sample by the known picture with fresh noise."""
        if self._known is None:
            return x
        noise = self._noise("known", level, turn)
        return torch.where(self._free, x, self._noised(self._known, noise, level))

    def _noised(self, x0: Tensor, noise: Tensor, level: int) -> Tensor:
        return self.sampler.noised(x0.expand_as(noise), noise, level)

    def _enlarges(self) -> bool:
        return self.finished and self._enlarge is not None

    def _large(self) -> Tensor:
        """Return the finished pictures, enlarged, over what is known at that size."""
        if "large" not in self._pictures:
            upsampler, last = self.denoiser.upsampler, len(self.sampler) - 1
            condition, _ = self.wording.at(last)
            n = UPSAMPLED_AT_ONCE
            with fast_matmul():
                parts = [
                    upsampler(self.image()[k : k + n], condition, self.seeds[k : k + n])
                    for k in range(0, len(self.seeds), n)
                ]
            pictures = torch.cat(parts)
            edit = self._enlarge(upsampler.factor)
            pictures = pictures if edit is None else edit.to(pictures.device).paste(pictures)
            self._pictures["large"] = pictures
        return self._pictures["large"]

    def _generators(self, *purpose: str | int) -> list[torch.Generator]:
        """Return a random generator a picture, for one purpose."""
        return [make_generator(derive_seed(seed, *purpose)) for seed in self.seeds]

    def _noise(self, *purpose: str | int) -> Tensor:
        """Return standard normal noise ``[B, C, h, w]``; each picture's own."""
        shape = (self.denoiser.channels, *(side // self.denoiser.factor for side in self.size))
        rows = [torch.randn(shape, generator=g) for g in self._generators(*purpose)]
        return torch.stack(rows).to(self.denoiser.device)


def _check_fits(denoiser: Denoiser, cfg: float | None, threshold: float, guide: Guide) -> None:
    """Raise `InputError` for what this network cannot do."""
    if cfg is not None and not denoiser.conditional:
        raise InputError(
            f"--cfg needs a model that takes prompts but {denoiser.name} is unconditional; "
            "--clip-scale guides it"
        )
    if threshold and denoiser.factor > 1:
        raise InputError(
            f"--threshold is for models that work on pixels but {denoiser.name} works on latents"
        )
    if guide.noisy and getattr(denoiser, "noise_aware", None) is None:
        raise InputError(
            f"--noise-aware needs a model with a CLIP that knows noise (mini) but {denoiser.name} "
            "has none"
        )
