"""Denoising: pictures that a diffusion network makes out of noise, steered by a gradient.

x ─▶ z ─▶ network ─▶ classifier-free guidance ─▶ x0, eps ─▶ CLIP guidance ─▶ sampler ─▶ next x
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from guidance.conventions import check_count
from guidance.diffusion.classifier_free import ClassifierFree, dynamic_threshold
from guidance.diffusion.conditioning import Conditioning
from guidance.diffusion.edit import Start
from guidance.diffusion.guide import Guide
from guidance.diffusion.guided import Prediction, guided
from guidance.diffusion.pictures import Pictures
from guidance.diffusion.sampler_memory import remember
from guidance.diffusion.sampling import Sampler
from guidance.errors import DivergedError, InputError, counted
from guidance.images.canvas import scale, tile
from guidance.images.fitting import check_multiple
from guidance.models.denoiser import Denoiser, Upsampling
from guidance.step.generator import Generator, Update
from guidance.step.loop import fast_matmul

UPSAMPLED_AT_ONCE = 8  # finished pictures in the network that enlarges them
SAMPLER = "sampler."  # prefix of its memory in the state of a run
USUAL, NOISE = ClassifierFree(), Start()


class Denoising(Generator):
    """A batch of pictures on their way out of noise.

    Picture k depends on ``seeds[k]`` and not on the others of the batch, but for rounding and the
    cuts that the objective draws for all of them.

    Args:
        denoiser: the network and its decoder; not part of this module's state.
        sampler: made for as many steps as the run has.
        pictures: what is made.
        guide: how the objective steers.
        conditioning: what the network is told.
        cfg: how the network's answers are mixed.
        start: what they are made of.
        recurrence: times each step is taken.

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
        pictures: Pictures,
        *,
        guide: Guide,
        conditioning: Conditioning,
        cfg: ClassifierFree = USUAL,
        start: Start = NOISE,
        recurrence: int = 1,
    ):
        super().__init__()
        check_multiple(denoiser.name, denoiser.factor, pictures.size)
        check_count("recurrence", recurrence, 1)
        cfg.check(denoiser)
        if guide.noisy:
            denoiser.noise_clip()
        self._denoiser = (denoiser,)  # in a tuple: its weights do not belong into checkpoints
        self.sampler, self.pictures = sampler, pictures
        self.guide, self.conditioning, self.cfg = guide, conditioning, cfg
        self.recurrence = recurrence
        self.batch = pictures.at_once or len(pictures.seeds)
        self._enlarge = None if denoiser.upsampler is None else start.enlarge
        edit = None if start.edit is None else start.edit.to(denoiser.device)
        self._edit = edit
        self._index = 0
        self._seen: Tensor | None = None  # what the last step scored
        self._shown: dict[str, Tensor] = {}  # of the present state

        begin = None if edit is None else denoiser.encode(edit.picture)
        masked = edit is not None and edit.mask is not None
        self._known = begin if masked else None
        self._free = edit.cells(denoiser.factor) if edit is not None and masked else None
        noise = self._noise("start")
        plain = begin is None or start.pure
        first = sampler.first(noise) if plain else self._noised(begin, noise, 0)
        self.register_buffer("x", first)
        clean = torch.zeros_like(first) if begin is None else begin.expand_as(first).clone()
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
        upsampler = self._upsampler()
        factor = 1 if upsampler is None else upsampler.factor
        return self.pictures.size[0] * factor, self.pictures.size[1] * factor

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
        scale = self.guide.scale_at(i, len(self.sampler))
        found, after = self._turn(x, 0, scale, objective)
        finite = found.finite
        for turn in range(1, self.recurrence):
            x = self.sampler.again(after, self._noise("again", i, turn), i)
            found, after = self._turn(x, turn, scale, objective)
            finite = finite and found.finite
        if not bool(after.isfinite().all()):
            raise DivergedError(
                f"the network's answer in step {i} is not finite; the last good state is kept; "
                f"{self.remedy}"
            )
        self.x, self.clean = after, found.x0
        self.done.fill_(i + 1)
        self._shown, self._seen = {}, found.image
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
        if "own" not in self._shown:
            with fast_matmul():
                pictures = self.denoiser.decode(self.clean, fast=False)
            self._shown["own"] = self._paste(pictures).clamp(0, 1)
        return self._shown["own"]

    @torch.no_grad()
    def render(self, height: int, width: int) -> Tensor:
        """Return the pictures at any size; finished ones are enlarged by the model if it can."""
        if (height, width) == self.pictures.size:
            return self.image()
        upsampler = self._upsampler()
        pictures = self.image() if upsampler is None else self._large(upsampler)
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
        self._shown, self._seen = {}, None
        return loaded

    def _turn(
        self, x: Tensor, turn: int, scale: float, objective: Callable
    ) -> tuple[Prediction, Tensor]:
        """Return the prediction for a sample of this step, and the sample of the next one."""
        i, draws = self._index, self.sampler.stochastic
        found = self._predict(self.sampler.to_input(x, i), i, scale, objective)
        generators = self.pictures.generators("step", i, turn) if draws else None
        after = self.sampler.step(x, i, found.x0, found.eps, generators)
        return found, self._with_known(after, i + 1, turn)

    def _predict(self, z: Tensor, i: int, scale: float, objective: Callable) -> Prediction:
        """Return the prediction for all pictures, in batches."""
        parts = [self._part(part, i, scale, objective) for part in z.split(self.batch)]
        if len(parts) == 1:
            return parts[0]
        x0, eps = torch.cat([p.x0 for p in parts]), torch.cat([p.eps for p in parts])
        images = [p.image for p in parts if p.image is not None]
        image = torch.cat(images) if images else None
        return Prediction(x0, eps, image, all(p.finite for p in parts))

    def _part(self, z: Tensor, i: int, scale: float, objective: Callable) -> Prediction:
        def predict(z: Tensor) -> tuple[Tensor, Tensor]:
            x0, eps = self.sampler.split(z, self._answer(z, i), i)
            if not self.cfg.threshold:
                return x0, eps
            x0 = dynamic_threshold(x0, self.cfg.threshold)
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
        told = self.conditioning.at(i)[0]
        if not self.guide.noisy or told is None:
            return None
        clip, t = self.denoiser.noise_clip(), self.sampler.timestep(i)
        vector = told.tensors["class_labels"]
        return lambda z: 1 - clip.likeness(z, t, vector).mean()

    def _answer(self, z: Tensor, i: int) -> Tensor:
        """Return what the network says of ``z [B, C, h, w]``, with classifier-free guidance."""
        t = self.sampler.timestep(i)
        return self.cfg.answer(self.denoiser, z, t, *self.conditioning.at(i))

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
        if self._known is None or self._free is None:
            return x
        noise = self._noise("known", level, turn)
        return torch.where(self._free, x, self._noised(self._known, noise, level))

    def _noised(self, x0: Tensor, noise: Tensor, level: int) -> Tensor:
        return self.sampler.noised(x0.expand_as(noise), noise, level)

    def _upsampler(self) -> Upsampling | None:
        """Return what enlarges finished pictures, None before or if they stay as they are."""
        return self.denoiser.upsampler if self.finished and self._enlarge is not None else None

    def _large(self, upsampler: Upsampling) -> Tensor:
        """Return the finished pictures, enlarged, over what is known at that size."""
        if "large" not in self._shown:
            condition, _ = self.conditioning.at(len(self.sampler) - 1)
            if condition is None:
                raise InputError(f"{self.denoiser.name} enlarges no pictures without a condition")
            n = UPSAMPLED_AT_ONCE
            with fast_matmul():
                parts = [
                    upsampler(self.image()[k : k + n], condition, self.pictures.seeds[k : k + n])
                    for k in range(0, len(self.pictures.seeds), n)
                ]
            pictures = torch.cat(parts)
            edit = None if self._enlarge is None else self._enlarge(upsampler.factor)
            pictures = pictures if edit is None else edit.to(pictures.device).paste(pictures)
            self._shown["large"] = pictures
        return self._shown["large"]

    def _noise(self, *purpose: str | int) -> Tensor:
        return self.pictures.noise(self.denoiser, *purpose)
