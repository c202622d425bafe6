"""Learned prompts: equal to plain ones at first, with the right gradients, better when tuned."""

from __future__ import annotations

import math

import open_clip
import pytest
import torch
from tiny_clip import TINY, unit

from guidance.clip import ClipModel, load_clip
from guidance.clip.preprocess import Preprocess
from guidance.errors import DivergedError, InputError
from guidance.probe.prompts import Prompts, parse_context
from guidance.probe.tuning import logits, tune

NAMES = ["cat", "a red fire engine", "owl"]


def build(custom: bool, **text: object) -> ClipModel:
    """Return a tiny model of either kind that open_clip has."""
    torch.manual_seed(0)
    config = {**TINY["model_cfg"], "text_cfg": {**TINY["model_cfg"]["text_cfg"], **text}}
    network = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
    preprocess = Preprocess(32, (0.5,) * 3, (0.25,) * 3)
    return ClipModel(network, open_clip.SimpleTokenizer(context_length=16), preprocess, name="tiny")


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


KINDS = {
    "clip": (False, {}),
    "custom": (True, {}),
    "no-mask": (True, {"no_causal_mask": True, "pool_type": "eos", "eos_id": 49407}),
    "last": (True, {"pool_type": "last"}),
    "own-token": (True, {"embed_cls": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_words_as_context_are_the_plain_prompt(kind):
    custom, text = KINDS[kind]
    model = build(custom, **text)
    plain = model.encode_text([f"a photo of a {n}." for n in NAMES])
    with torch.no_grad():
        ours = Prompts(model, NAMES, context="a photo of a").embeddings()
    torch.testing.assert_close(ours, plain, atol=1e-6, rtol=0)
    assert (plain[0] - plain[1]).norm() > 1e-2


def test_words_as_context_are_zero_shot_of_mini():
    model, images = load_clip("mini"), unit(4, 384)
    plain = model.encode_text([f"a photo of a {n}." for n in NAMES])
    for conditional in (False, True):
        prompts = Prompts(model, NAMES, conditional=conditional, each=not conditional)
        found = logits(prompts, images)
        torch.testing.assert_close(found, model.logit_scale * images @ plain.T, atol=2e-4, rtol=0)
        assert prompts.context.shape == ((1 if conditional else 3), 4, 192)


def test_the_text_is_read_where_it_ends_and_nowhere_else():
    model = build(True)
    prompts = Prompts(model, NAMES, context="5")
    seen = []
    tower = model.network.text
    handle = tower.ln_final.register_forward_hook(lambda m, i, out: seen.append(out))
    with torch.no_grad():
        found = prompts.embeddings()
    handle.remove()
    # start, five vectors, the words of the name, full stop
    ends = [1 + 5 + len(model.tokenizer.encode(n)) + 1 for n in NAMES]
    assert ends == [8, 11, 8]
    for row, end in enumerate(ends):
        pooled = seen[0][row, end] @ tower.text_projection
        torch.testing.assert_close(found[row], pooled / pooled.norm(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("each", [False, True])
def test_gradients_are_those_of_finite_differences(custom, conditional, each, random):
    model = build(custom)
    model.network.double()
    model._texts.clear()
    prompts = Prompts(
        model, NAMES, context="2", conditional=conditional, each=each, generator=random
    )
    prompts.double()
    images, labels = unit(2, 32).double(), torch.tensor([1, 2])
    if conditional:
        with torch.no_grad():  # away from zero, where the first layer has no gradient
            prompts.meta[2].weight.normal_(std=0.1, generator=random)

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(prompts(images), labels)

    loss().backward()
    assert (prompts.meta is not None) == conditional
    for parameter in prompts.parameters():
        direction = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
        slope = float((parameter.grad * direction).sum())
        step = 1e-5 * direction
        with torch.no_grad():
            parameter += step
            above = float(loss())
            parameter -= 2 * step
            below = float(loss())
            parameter += step
        assert slope == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-7)
        assert abs(slope) > 1e-4
    assert all(p.grad is None for p in model.network.parameters())


def test_the_conditional_context_is_shifted_by_each_image(random):
    model = build(False)
    prompts = Prompts(model, NAMES, conditional=True, generator=random)
    with torch.no_grad():
        prompts.meta[2].weight.normal_(std=0.5, generator=random)
        images = unit(3, 32)
        together = prompts.embeddings(images)
        assert together.shape == (3, 3, 32)
        for image, texts in zip(images, together, strict=True):
            alone = Prompts(model, NAMES)
            alone.context += prompts.meta(image)
            torch.testing.assert_close(alone.embeddings(), texts, atol=1e-6, rtol=0)
        assert (together[0] - together[1]).norm() > 1e-3
        torch.testing.assert_close(logits(prompts, images), prompts(images))


@pytest.mark.parametrize("conditional", [False, True])
def test_tuning_learns_the_classes_and_leaves_the_clip_alone(conditional):
    model = load_clip("mini")
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    # the names go with the pictures of another class: zero-shot is wrong, which can be learned
    names = ["cat", "cup of coffee", "rocket"]
    images = model.encode_text([f"a photo of a {n}." for n in names])
    images = torch.nn.functional.normalize(images.repeat(4, 1) + 0.3 * unit(12, 384), dim=-1)
    labels = (torch.arange(12) + 1) % 3
    prompts = Prompts(model, names, conditional=conditional, each=True)
    first = float(torch.nn.functional.cross_entropy(logits(prompts, images), labels))
    order = torch.Generator().manual_seed(0)
    losses = tune(prompts, images, labels, steps=12, rate=0.01, batch=12, generator=order)
    assert losses[0] == pytest.approx(first, rel=1e-4)
    after = float(torch.nn.functional.cross_entropy(logits(prompts, images), labels))
    assert after < 0.2 * first
    assert all(torch.equal(before[k], v) for k, v in model.network.state_dict().items())


def test_equal_seeds_learn_the_same():
    model, images, labels = build(False), unit(9, 32), torch.arange(9) % 3
    found = []
    for _ in range(2):
        prompts = Prompts(model, NAMES, context="3", generator=torch.Generator().manual_seed(1))
        order = torch.Generator().manual_seed(2)
        tune(prompts, images, labels, steps=5, batch=4, generator=order)
        found.append(prompts.context.detach().clone())
    assert torch.equal(*found)
    other = Prompts(model, NAMES, context="3", generator=torch.Generator().manual_seed(9))
    assert not torch.allclose(other.context, found[0], atol=1e-2)
    assert other.context.detach().std().item() == pytest.approx(0.02, rel=0.2)


def test_every_picture_is_seen_equally_often():
    model, images = build(False), unit(7, 32)
    seen = []

    class Watch(Prompts):
        def forward(self, given):
            seen.extend(int((images @ row).argmax()) for row in given)
            return super().forward(given)

    prompts = Watch(model, NAMES)
    order = torch.Generator().manual_seed(0)
    tune(prompts, images, torch.arange(7) % 3, steps=7, batch=3, generator=order)
    assert sorted(seen) == sorted([*range(7)] * 3)


def test_a_rate_that_is_too_high_is_told():
    model, images, labels = build(False), unit(4, 32), torch.tensor([0, 1, 2, 0])
    prompts = Prompts(model, NAMES)
    with torch.no_grad():
        prompts.context.fill_(math.inf)
    with pytest.raises(DivergedError, match="--rate"):
        tune(prompts, images, labels, steps=2, generator=torch.Generator())


@pytest.mark.parametrize("context", ["", " ", "0", "65", "1000000"])
def test_contexts_out_of_range_are_refused(context):
    with pytest.raises(InputError, match="context"):
        parse_context(context)


def test_what_does_not_fit_is_refused():
    model = build(False)
    with pytest.raises(InputError, match="16 tokens"):
        Prompts(model, ["cat", "a very long name " * 5])
    with pytest.raises(InputError, match="16 tokens"):
        Prompts(model, NAMES, context="14")

    class Foreign(torch.nn.Module):
        pass

    model.network.text = Foreign()
    with pytest.raises(InputError, match="--method linear"):
        Prompts(model, NAMES)
