"""Image → scalar loss, lower is better: what an objective is, and prompts seen by CLIP.

Objectives are callables that add, subtract and scale with operators::

    objective = guide("a fox:2 | text:-0.3") + 0.1 * Smoothness()
    objective(image).backward()

`guidance.guide` makes the one that follows prompts as the commands do. The
objectives that need no CLIP are in `guidance.objective.regularisers`.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from guidance.clip.scorer import ClipScorer
from guidance.conventions import check_count, check_images, derive_seed, make_generator
from guidance.errors import InputError
from guidance.images import as_tensor
from guidance.objective.aims import Aims, take_aims
from guidance.objective.cutouts import CutoutOptions, Cuts, apply_cuts, batches, sample_cuts
from guidance.objective.text_off import clouds, text_directions, without_basis
from guidance.prompts.grammar import Prompt

PLAIN_PICTURES = 16  # on which words are written to learn what writing does


@dataclass(frozen=True)
class Evaluation:
    """What an objective says about an image.

    Attributes:
        loss: scalar with gradient.
        terms: the loss by the name of the objective, detached scalars that sum to the loss.
        score: mean cosine similarity to the positive prompts, weighted, detached, or None without
            prompts. What is pushed away from does not count.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    score: Tensor | None = None


class Objective:
    """Base of all objectives; subclasses give `name` and `evaluate`."""

    name = "objective"

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Judge `image` ``[B, 3, H, W]`` at a step of the loop."""
        raise NotImplementedError

    def __call__(self, image: Tensor, step: int = 0) -> Tensor:
        """Return the loss alone."""
        return self.evaluate(image, step).loss

    def seeded(self, seed: int) -> Objective:
        """Return the objective with other random choices; one that makes none is as it was."""
        return self

    def __add__(self, other: Objective) -> Objective:
        return Combined([(1.0, self), (1.0, other)])

    def __sub__(self, other: Objective) -> Objective:
        return Combined([(1.0, self), (-1.0, other)])

    def __mul__(self, factor: float) -> Objective:
        return Combined([(float(factor), self)])

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return Combined([(-1.0, self)])


class Combined(Objective):
    """A weighted sum of objectives; its score is the first score among them."""

    def __init__(self, parts: Sequence[tuple[float, Objective]]):
        flat: list[tuple[float, Objective]] = []
        for factor, part in parts:
            inner = part.parts if isinstance(part, Combined) else [(1.0, part)]
            flat += [(factor * f, p) for f, p in inner]
        self.parts = flat
        self.name = " + ".join(p.name for _, p in flat)

    def seeded(self, seed: int) -> Combined:
        """Return the sum of the parts with other random choices."""
        return Combined([(factor, part.seeded(seed)) for factor, part in self.parts])

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Return the weighted sum; terms of the same name are added up."""
        loss, terms, score = image.new_zeros(()), {}, None
        for factor, part in self.parts:
            one = part.evaluate(image, step)
            loss = loss + factor * one.loss
            for name, value in one.terms.items():
                terms[name] = terms.get(name, 0) + factor * value
            score = one.score if score is None else score
        return Evaluation(loss, terms, score)


class PromptObjective(Objective):
    """Distance between the cutouts of an image and weighted prompts, averaged over CLIP models.

    The distance is the squared great-circle distance ``2·asin(‖a − b‖/2)²`` of VQGAN-CLIP (Crowson
    et al. 2022, section 3.1). For one prompt of weight w and stop s the term is
    ``|w| · mean(max(sign(w) · distance, s))``: no gradient once a cut is past the stop.

    This is the bare distance. To be guided as the commands are, use
    `guidance.guide`: this class neither takes the towers made for gradients, which
    is what ``ClipScorer("mini", guide=True)`` does, nor gives the subject of a prompt its extra
    weight, nor lays a story out over the steps, nor checks that each step has a prompt. With
    ``ClipScorer("mini")``, the tower for looking, pictures come out worse.

    Args:
        scorer: the CLIP models.
        prompts: with weights, stops and the steps at which they apply.
        cutouts: how the image is cut, always or as a function of the step.
        seed: cuts depend on it and on the step only.
        cuts_per_batch: cuts in memory at once; the gradient is the same for any number.
        prior: aim positive text prompts at what a model's prior (if it has one) says of their
            pictures, see `guidance.objective.aims`. A prompt with a stop keeps its text embedding,
            which its threshold was chosen for. The score is always that of the texts.
        text_off: take the direction of written text out of the cuts' embeddings
            (`guidance.objective.text_off`), so that writing the prompt into the picture does not
            pay.
    """

    name = "prompts"

    def __init__(
        self,
        scorer: ClipScorer,
        prompts: Sequence[Prompt],
        cutouts: CutoutOptions | Callable[[int], CutoutOptions] | None = None,
        *,
        seed: int = 0,
        cuts_per_batch: int | None = None,
        prior: bool = True,
        text_off: bool = False,
    ):
        if not prompts:
            raise InputError("prompts must not be empty")
        if not all(isinstance(p, Prompt) for p in prompts):
            raise InputError("prompts must be parsed: parse_prompts('a fox') returns them")
        if cuts_per_batch is not None:
            check_count("cuts_per_batch", cuts_per_batch, 1)
        self.scorer = scorer
        self.prompts = tuple(prompts)
        self.cutouts = cutouts or CutoutOptions()
        self.seed = seed
        self.cuts_per_batch = cuts_per_batch
        self._texts = [_embed(model, self.prompts) for model in scorer.models]
        self._aims = [
            take_aims(model, self.prompts, texts, prior=prior)
            for model, texts in zip(scorer.models, self._texts, strict=True)
        ]
        self._text_off = text_off
        self._writing = self._what_writing_does()

    def seeded(self, seed: int) -> PromptObjective:
        """Return the objective with other cuts; the models and embeddings are shared."""
        other = copy.copy(self)
        other.seed = seed
        other._writing = other._what_writing_does()
        return other

    def _what_writing_does(self) -> list[Tensor | None]:
        """Return the directions of written text of each model, None where they stay."""
        if not self._text_off:
            return [None] * len(self.scorer.models)
        plain = clouds(PLAIN_PICTURES, seed=self.seed)
        return [text_directions(ClipScorer([model]), plain) for model in self.scorer.models]

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Cut, embed and compare; see the class for the formula."""
        check_images("image", image)
        generator = make_generator(derive_seed(self.seed, "cuts", step))
        options = self.cutouts(step) if callable(self.cutouts) else self.cutouts
        cuts = sample_cuts(options, *image.shape[-2:], generator=generator)
        parts = batches(cuts, self.cuts_per_batch)
        image = image.to(self.scorer.device)
        if len(parts) == 1 or not (image.requires_grad and torch.is_grad_enabled()):
            values = [self._part(image, part, len(cuts), step) for part in parts]
            loss, score = (functools.reduce(torch.add, v) for v in zip(*values, strict=True))
        else:
            loss, score = _InBatches.apply(
                image, lambda x, part: self._part(x, part, len(cuts), step), parts
            )
        return Evaluation(loss, {self.name: loss.detach()}, score.detach())

    def _part(self, image: Tensor, part: Cuts, total: int, step: int) -> tuple[Tensor, Tensor]:
        """Return loss and score of some of the cuts, as their share of the mean over all."""
        loss, score = image.new_zeros(()), image.new_zeros(())
        share = len(part) / total
        weights = {i: w for i, p in enumerate(self.prompts) if (w := p.weight_at(step))}
        crops: dict[int, Tensor] = {}  # models of one input size share their crops
        models = zip(self.scorer.models, self.scorer.weights, self._writing, strict=True)
        for (model, weight, writing), aims, texts in zip(
            models, self._aims, self._texts, strict=True
        ):
            size = model.image_size
            if size not in crops:
                crops[size] = apply_cuts(image, part, size)
            features = model.encode_image(crops[size])
            if writing is not None:
                features = without_basis(features, writing)
            loss = loss + share * weight * self._distance(features, aims, weights)
            score = score + share * weight * self._score(features.detach(), texts, weights)
        return loss, score

    def _distance(self, features: Tensor, aims: Aims, weights: dict[int, float]) -> Tensor:
        """Return the loss of the prompts that apply, given as weights by their number."""
        loss = features.new_zeros(())
        if not weights:
            return loss + 0 * features.sum()
        targets = aims.targets[list(weights)]
        distances = spherical_distance(features[:, None], targets[None])  # [N, P]
        for column, (i, weight) in enumerate(weights.items()):
            signed = distances[:, column] * math.copysign(1, weight)
            if self.prompts[i].stop > -math.inf:
                signed = signed.clamp(min=self.prompts[i].stop)
            loss = loss + abs(weight) * signed.mean()
            if i in aims.rivals:
                loss = loss + weight * aims.confusion(features, i)
        return loss

    def _score(self, features: Tensor, texts: Tensor, weights: dict[int, float]) -> Tensor:
        """Return the mean cosine to the active positive prompts, weighted (0 if there are none)."""
        weights = {i: weight for i, weight in weights.items() if weight > 0}
        if not weights:
            return features.new_zeros(())
        factors = torch.tensor(list(weights.values())).to(features)
        return ((features @ texts[list(weights)].T).mean(0) * factors).sum() / factors.sum()


def spherical_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return ``2·asin(‖a − b‖/2)²`` of unit vectors along the last dimension, broadcast.

    It is half the squared angle: 0 for equal vectors, π²/2 for opposite ones.
    """
    # the norm has an infinite gradient at 0 and asin at 1: both are kept a rounding error away
    half = (a - b).pow(2).sum(-1).clamp(min=1e-12).sqrt() / 2
    return 2 * half.clamp(max=1 - 1e-6).asin().pow(2)


class _InBatches(torch.autograd.Function):
    """Sum of a function over batches whose gradient is taken batch by batch, in the forward pass.

    Only one batch's graph is alive at a time, and nothing is computed twice.
    """

    @staticmethod
    def forward(ctx, image, function, parts):
        total, gradient = image.new_zeros(2), torch.zeros_like(image)
        for part in parts:
            with torch.enable_grad():
                leaf = image.detach().requires_grad_()
                loss, score = function(leaf, part)
                gradient += torch.autograd.grad(loss, leaf)[0]
            total = total + torch.stack([loss.detach(), score.detach()])
        ctx.save_for_backward(gradient)
        return total[0], total[1]

    @staticmethod
    @once_differentiable
    def backward(ctx, loss_gradient, _):  # type: ignore[bad-override]
        (gradient,) = ctx.saved_tensors
        return loss_gradient * gradient, None, None


def _embed(model, prompts: Sequence[Prompt]) -> Tensor:
    """Return the unit embedding of each prompt, ``[P, D]``."""
    rows = []
    for prompt in prompts:
        if prompt.kind == "text":
            row = model.encode_text([prompt.text])
        elif prompt.kind == "image":
            with torch.no_grad():
                row = model.encode_image(as_tensor(prompt.text))
        else:  # noise: a seeded random direction
            size = rows[0].shape[-1] if rows else model.encode_text(["a"]).shape[-1]
            generator = make_generator(int(prompt.text))
            row = torch.randn(1, size, generator=generator).to(model.device)
            row = row / torch.linalg.vector_norm(row, dim=-1, keepdim=True)
        rows.append(row)
    return torch.cat(rows)
