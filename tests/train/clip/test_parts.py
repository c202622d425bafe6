"""Parts of the training: depthwise kernels, losses, threads, attacks, augmentations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from guidance.train import losses
from guidance.train.clip import augment, start
from guidance.train.clip.adversarial import BLOCKS, Fooling, attack
from guidance.train.clip.loader import Batch
from guidance.train.loop import depthwise
from guidance.train.loop.chunks import Chunks


@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 1, 8), (5, 1, 7), (3, 2, 8), (5, 2, 9)])
@pytest.mark.parametrize("padding", ["same", ""])  # TensorFlow's, and as much on both sides
@pytest.mark.parametrize("bias", [False, True])
def test_depthwise_equals_timm(kernel, stride, side, padding, bias):
    from timm.layers import create_conv2d

    torch.manual_seed(0)
    given = {"stride": stride, "padding": padding, "depthwise": True, "bias": bias}
    slow = create_conv2d(4, 4, kernel, **given).double()
    fast = depthwise.DepthwiseConv(slow)
    results = []
    for conv in (slow, fast):
        x = torch.linspace(-1, 1, 2 * 4 * side**2, dtype=torch.float64).view(2, 4, side, side)
        x.requires_grad_()
        slow.zero_grad()
        y = conv(x)
        y.square().sum().backward()
        grads = [p.grad.clone() for p in slow.parameters()]
        results.append((y.detach(), x.grad, *grads))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_fast_depthwise_keeps_the_state_dict():
    network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.Conv2d(4, 2, 1))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    depthwise.fast_depthwise(network)
    assert isinstance(network[0], depthwise.DepthwiseConv)
    assert list(network.state_dict()) == list(before)


def test_start_head_follows_the_classifier():
    torch.manual_seed(0)
    weight, bias = torch.randn(6, 10), torch.randn(6)
    classes = F.normalize(torch.randn(6, 32), dim=-1)
    proj = nn.Linear(10, 32)
    start.start_head(proj, weight, bias, classes)
    features = torch.randn(50, 10)
    given = (features @ weight.T + bias).argmax(1)
    assert (given == (proj(features) @ classes.T).argmax(1)).float().mean() > 0.9


def test_contrast_equals_cross_entropy_without_duplicates():
    torch.manual_seed(0)
    q, k = F.normalize(torch.randn(5, 8), dim=-1), F.normalize(torch.randn(7, 8), dim=-1)
    positive, ignore = torch.eye(5, 7, dtype=torch.bool), torch.zeros(5, 7, dtype=torch.bool)
    got = losses.contrast(q, k, torch.tensor(10.0), positive, ignore)
    torch.testing.assert_close(got, F.cross_entropy(10 * q @ k.T, torch.arange(5)))


def test_contrast_leaves_out_what_is_ignored():
    q = torch.tensor([[1.0, 0.0]])
    k = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    positive = torch.tensor([[True, False]])
    scale = torch.tensor(5.0)
    alone = losses.contrast(q, k, scale, positive, torch.tensor([[True, True]]))
    both = losses.contrast(q, k, scale, positive, torch.tensor([[False, False]]))
    assert alone.item() == pytest.approx(0.0, abs=1e-6)
    assert both.item() == pytest.approx(np.log(2), abs=1e-6)


def test_contrast_is_the_loss_of_open_clip():
    from open_clip.loss import ClipLoss

    torch.manual_seed(0)
    q, k = F.normalize(torch.randn(6, 8), dim=-1), F.normalize(torch.randn(6, 8), dim=-1)
    own, none, scale = torch.eye(6, dtype=torch.bool), torch.zeros(6, 6, dtype=torch.bool), 14.0
    scale = torch.tensor(scale)
    both = losses.contrast(q, k, scale, own, none) + losses.contrast(k, q, scale, own, none)
    torch.testing.assert_close(both / 2, ClipLoss()(q, k, scale))


def keys(captions, groups, features=None):
    features = torch.zeros(len(captions), 2) if features is None else features
    return losses.Keys(features, torch.tensor(captions), torch.tensor(groups))


def test_matches_by_caption_and_by_group():
    got = losses.matches(keys([1, 2, 3], [5, -1, 6]), keys([1, 9, 9], [-1, -1, 5]))
    assert got.tolist() == [[True, False, True], [False, False, False], [False, False, False]]


def test_alike_by_meaning_and_never_for_pictures_of_nothing():
    meaning = torch.tensor([[1.0, 0.0], [0.9, 0.436], [0.0, 1.0]])
    got = losses.alike(keys([0, 2], [-1, -1]), keys([0, 1, -1], [-1, -1, -1]), meaning)
    assert got.tolist() == [[True, True, False], [False, False, False]]


def test_attack_moves_up_the_gradient_by_the_length_given():
    images = torch.full((3, 3, 60, 60), 0.5)  # not a multiple of the block of 8
    grad = torch.randn(3, 3, 60, 60, generator=torch.Generator().manual_seed(1))
    for step in range(3):  # single pixels, then blocks of 4 and of 8
        moved = attack(images, grad, 0.4, step, torch.Generator().manual_seed(step)) - images
        length = moved.flatten(1).norm(dim=1)
        factor = BLOCKS[step][1]
        assert (length <= factor * 0.4 * 1.5 + 1e-5).all()
        assert (length > factor * 0.4 * 0.5).all()
        assert ((moved * grad).flatten(1).sum(1) > 0).all()


def test_fooling_pictures_take_their_turns():
    def batch(value):
        images = torch.full((5, 3, 4, 4), value)
        return Batch(images, images, torch.tensor([0, 1]), torch.tensor([-1, -1]))

    rng, fooling = torch.Generator().manual_seed(0), Fooling(6)
    for value in (0.1, 0.2):  # two batches fill it
        mixed = fooling.mix(batch(value), rng)
        assert torch.equal(mixed.images, batch(value).images)
        fooling.keep(mixed.images + 0.5, mixed)
    mixed = fooling.mix(batch(0.9), rng)
    assert (mixed.images[:2] == 0.9).all()  # those with captions stay
    old = mixed.images[2:, 0, 0, 0]
    assert torch.equal(mixed.images, mixed.clean)
    assert all(v in (pytest.approx(0.6), pytest.approx(0.7), pytest.approx(0.9)) for v in old)
    assert (old < 0.8).any()
    fooling.keep(mixed.images + 0.05, mixed)
    assert len(fooling.kept) == 6
    assert torch.equal(fooling.kept[fooling.rows], mixed.images[2:] + 0.05)
    assert Fooling(0).mix(batch(0.3), rng).images.mean() == pytest.approx(0.3)


def test_chunks_give_the_gradient_of_the_whole_batch():
    torch.manual_seed(0)
    network, x = nn.Linear(4, 3), torch.randn(10, 4)
    network(x).square().sum().sqrt().backward()
    whole = network.weight.grad.clone()
    for threads, keep in ((0, True), (1, True), (2, False)):
        network.zero_grad()
        out = Chunks(threads).forward(network, x.split(3), dtype=torch.float32, keep=keep)
        out.features.square().sum().sqrt().backward()
        out.backward()
        torch.testing.assert_close(network.weight.grad, whole)


def test_augmentations_stay_in_range_and_follow_the_seed():
    def run(seed):
        rng = torch.Generator().manual_seed(seed)
        drawings = torch.zeros(6, 4, 48, 48)
        drawings[:, 0, 16:32, 16:32] = drawings[:, 3, 16:32, 16:32] = 1
        ground = augment.backgrounds(torch.rand(2, 3, 48, 48, generator=rng), 6, 32, rng)
        return augment.degrade(augment.compose(drawings, ground, rng), rng)

    x = run(0)
    assert x.shape == (6, 3, 32, 32)
    assert x.min() >= 0
    assert x.max() <= 1
    assert torch.equal(x, run(0))
    assert not torch.equal(x, run(1))


def test_relative_distance_is_one_for_the_mean():
    wanted = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    assert losses.relative(wanted, wanted).item() == 0
    mean = wanted.mean(0).expand_as(wanted)
    assert losses.relative(mean, wanted).item() == pytest.approx(1.0, abs=1e-6)
