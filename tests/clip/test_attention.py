"""The accelerated towers give the values and gradients of the stock ones."""

import pytest
import torch
from torch import nn

from guidance.clip.attention import (
    PLAIN_TOKENS,
    FoldedAttention,
    FoldedPatches,
    disable_inplace,
    fold_attention,
    fold_patches,
    freeze,
    fuse_batchnorm,
)

TEXT = {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}


def make_attention(batch_first: bool, bias: bool = True) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(24, 3, batch_first=batch_first, bias=bias)
    if bias:  # they start as zeros
        nn.init.normal_(attention.in_proj_bias)
        nn.init.normal_(attention.out_proj.bias)
    return freeze(attention)


def mask_of(kind: str, batch: int, tokens: int) -> torch.Tensor | None:
    forbidden = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    additive = torch.zeros(tokens, tokens).masked_fill(forbidden, float("-inf"))
    each = additive + torch.linspace(-1, 1, batch * 3).view(-1, 1, 1)
    each = each * torch.rand(batch * 3, 1, tokens).clamp(0.1)
    return {"none": None, "additive": additive, "forbidden": forbidden, "per head": each}[kind]


@pytest.mark.parametrize("mask", ["none", "additive", "forbidden", "per head"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_attention_equals_stock(batch_first, mask, bias):
    stock = make_attention(batch_first, bias)
    folded = FoldedAttention(stock)
    shape = (2, 5, 24) if batch_first else (5, 2, 24)
    x = torch.randn(shape, requires_grad=True)
    cotangent = torch.randn(shape)
    attn_mask = mask_of(mask, 2, 5)
    want = stock(x, x, x, need_weights=False, attn_mask=attn_mask)[0]
    got = folded(x, x, x, need_weights=False, attn_mask=attn_mask)[0]
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
    (want_gradient,) = torch.autograd.grad(want, x, cotangent)
    (gradient,) = torch.autograd.grad(got, x, cotangent)
    torch.testing.assert_close(gradient, want_gradient, atol=1e-6, rtol=1e-5)


def test_many_tokens_take_the_tiled_way_to_the_same_result():
    stock = make_attention(True)
    x = torch.randn(1, PLAIN_TOKENS + 1, 24)
    want = stock(x, x, x, need_weights=False)[0]
    torch.testing.assert_close(FoldedAttention(stock)(x, x, x)[0], want, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_patches_equal_the_convolution(bias):
    conv = freeze(nn.Conv2d(3, 7, (8, 12), (8, 12), bias=bias))
    tower = nn.Sequential(
        conv, nn.Conv2d(7, 7, 2, 2), nn.Conv2d(7, 7, 8, 4), nn.Conv2d(7, 7, 8, 8, 1)
    )
    assert fold_patches(tower) == 1
    assert isinstance(tower[0], FoldedPatches)
    assert tower[0].weight is conv.weight
    x = torch.randn(2, 3, 29, 24, requires_grad=True)
    want, got = conv(x), tower[0](x)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
    cotangent = torch.randn_like(want)
    (want_gradient,) = torch.autograd.grad(want, x, cotangent)
    (gradient,) = torch.autograd.grad(got, x, cotangent)
    torch.testing.assert_close(gradient, want_gradient, atol=1e-6, rtol=1e-5)


def test_a_mask_matters():
    folded = FoldedAttention(make_attention(True))
    x = torch.randn(2, 5, 24)
    free = folded(x, x, x)[0]
    causal = folded(x, x, x, attn_mask=mask_of("additive", 2, 5))[0]
    assert not torch.allclose(free, causal, atol=1e-2)
    torch.testing.assert_close(free[:, -1], causal[:, -1])  # the last token sees all


def test_fold_shares_the_parameters_and_counts():
    import open_clip

    vision = {"image_size": 16, "layers": 2, "width": 64, "patch_size": 8}
    network = open_clip.CLIP(embed_dim=8, vision_cfg=vision, text_cfg=TEXT)
    before = {k: v.data_ptr() for k, v in network.state_dict().items()}
    assert fold_attention(network) == 3
    after = network.state_dict()
    assert {k: v.data_ptr() for k, v in after.items()} == before
    assert fold_attention(network) == 0


def randomise_batchnorm(model: nn.Module) -> None:
    """Make every batch norm do something: fresh ones are close to the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)


def make_resnet() -> nn.Module:
    import open_clip

    vision = {"image_size": 64, "layers": [1, 2, 1, 1], "width": 16, "head_width": 16}
    return open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=TEXT).visual


def make_timm(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, num_classes=16)


TOWERS = {
    "open_clip ResNet": make_resnet,
    "EfficientNet": lambda: make_timm("tf_efficientnet_lite0"),
    "FastViT": lambda: make_timm("fastvit_t8"),
}


@pytest.mark.parametrize("tower", TOWERS)
def test_fused_batchnorm_equals_unfused(tower):
    torch.manual_seed(0)
    model = TOWERS[tower]()
    randomise_batchnorm(model)
    freeze(model)
    x = torch.rand(2, 3, 64, 64, requires_grad=True)
    want = model(x)
    (want_gradient,) = torch.autograd.grad(want.square().sum(), x)
    assert fuse_batchnorm(model) > 5
    disable_inplace(model)
    got = model(x)
    scale = want.abs().max()
    torch.testing.assert_close(got / scale, want / scale, atol=2e-5, rtol=0)
    (gradient,) = torch.autograd.grad(got.square().sum(), x)
    scale = want_gradient.abs().max()
    torch.testing.assert_close(gradient / scale, want_gradient / scale, atol=5e-5, rtol=0)
    assert not any(p.requires_grad for p in model.parameters())


def test_the_mini_tower_and_resnet_keep_no_batchnorm():
    for tower in ("open_clip ResNet", "EfficientNet"):
        model = freeze(TOWERS[tower]())
        count = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        assert fuse_batchnorm(model) == count
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


def test_batchnorm_without_convolution_is_left():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.act = nn.ReLU()
            self.norm = nn.BatchNorm2d(4)

    model = freeze(Odd())
    assert fuse_batchnorm(model) == 0
    assert isinstance(model.norm, nn.BatchNorm2d)
