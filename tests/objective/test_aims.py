"""What prompts are aimed at, and the contrast, against formulas written out."""

import math

import pytest
import torch
from tiny_clip import unit

from guidance.clip.prior import OTHER
from guidance.objective.aims import SCALE, SHARPEN, TEXT_SHARE, Aims, take_aims
from guidance.prompts.grammar import parse_prompts


def test_only_plain_prompts_are_aimed(with_prior):
    prompts = parse_prompts("a fox | a boat:-0.5 | a cat:1:0.1 | [noise 3]")
    texts = unit(4, 32, seed=2)
    aims = take_aims(with_prior, prompts, texts)
    prior = with_prior.prior
    centre = (prior.image_codes.float() @ prior.image_basis.float()).mean(0)
    want = centre + SHARPEN * (with_prior.imagine(["a fox"])[0] - centre)
    want = want / want.norm() + TEXT_SHARE * texts[0]
    torch.testing.assert_close(aims.targets[0], want / want.norm())
    assert torch.equal(aims.targets[1:], texts[1:])
    assert set(aims.rivals) == {0}


def test_without_a_prior_words_are_the_aim(with_prior, tiny_clip):
    prompts, texts = parse_prompts("a fox"), unit(1, 32)
    for aims in (take_aims(tiny_clip, prompts, texts),
                 take_aims(with_prior, prompts, texts, prior=False)):  # fmt: skip
        assert torch.equal(aims.targets, texts)
        assert not aims.rivals


def test_rivals_are_memories_of_something_else(with_prior):
    prior = with_prior.prior
    named = prior.text_codes.float() @ prior.text_basis.float()
    texts = torch.stack([named[3] / named[3].norm(), unit(1, 32, seed=5)[0]])
    images = (prior.image_codes.float() @ prior.image_basis.float()).tolist()
    for text in texts:
        want = [
            [x / math.sqrt(sum(y * y for y in image)) for x in image]
            for image, name in zip(images, named, strict=True)
            if float(text @ name / name.norm()) < OTHER
        ]
        torch.testing.assert_close(prior.rivals(text), torch.tensor(want))
    assert len(prior.rivals(texts[0])) < 20  # not what it names itself


def test_confusion_is_the_cross_entropy():
    features, targets, rivals = unit(5, 8), unit(2, 8, seed=1), unit(3, 8, seed=2)
    aims = Aims(targets, {0: rivals})
    total = 0.0
    for f in features.tolist():
        own, *wrong = (
            math.exp(SCALE * sum(a * b for a, b in zip(f, v, strict=True)))
            for v in (targets[0].tolist(), *rivals.tolist())
        )
        total -= math.log(own / (own + sum(wrong))) / SCALE
    assert float(aims.confusion(features, 0)) == pytest.approx(total / 5, rel=1e-4)


def test_the_contrast_turns_away_from_what_all_pictures_share():
    """Target and rivals agree in one direction: it gives no gradient, the other one does."""
    shared, own = torch.eye(3)[0], torch.eye(3)[1]
    target = (shared + 0.3 * own)[None]
    rivals = (shared - 0.3 * own)[None]
    aims = Aims(target / target.norm(), {0: rivals / rivals.norm()})
    features = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
    aims.confusion(features, 0).backward()
    assert features.grad[0, 0].abs() < 1e-6
    assert features.grad[0, 1] < -0.05
    exact = Aims(aims.targets.double(), {0: aims.rivals[0].double()})
    views = features.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: exact.confusion(f, 0), views)
