"""Patch and word embeddings, against the towers themselves and written-out references."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from guidance.clip.model import ClipModel
from guidance.clip.preprocess import Preprocess
from guidance.clip.tokens import TokenTower, patch_embeddings, word_embeddings
from guidance.errors import ModelError

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8}
COCA = {**VIT, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16}
TIMM = {"image_size": 64, "timm_model_name": "tf_efficientnet_lite0", "timm_proj": "linear"}
TIMM |= {"timm_model_pretrained": False, "timm_pool": "avg"}
VISION = {
    "vit": VIT,
    "vit mean": {**VIT, "pool_type": "avg", "final_ln_after_pool": True},
    "resnet": RESNET,
    "timm": TIMM,
    "timm mlp": TIMM | {"timm_proj": "mlp"},
}
POOLS = ("token", "avg", "map")


def make(kind: str) -> nn.Module:
    """Return a tiny open_clip model whose biases count."""
    import open_clip

    torch.manual_seed(0)
    if kind == "coca":
        decoder = {"width": 32, "heads": 2, "layers": 1, "context_length": 15}
        text = {**TEXT, "embed_cls": True, "output_tokens": True, "context_length": 15}
        network = open_clip.CoCa(24, decoder, text, COCA)
    elif kind in POOLS:
        network = open_clip.CustomTextCLIP(embed_dim=24, vision_cfg=TIMM, text_cfg=TEXT)
        network.visual.trunk = small_timm_vit(kind)
        network.visual.head = nn.Sequential(nn.Linear(32, 24))
    else:
        network = open_clip.CLIP(embed_dim=24, vision_cfg=VISION[kind], text_cfg=TEXT)
    for name, parameter in network.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter, std=0.1)
    return network.eval().requires_grad_(False)


def small_timm_vit(pool: str) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=0,
        global_pool=pool, class_token=pool != "map", reg_tokens=2 if pool == "avg" else 0,
    )  # fmt: skip


def side_of(kind: str) -> int:
    return 64 if kind in ("resnet", "timm", "timm mlp") else 32


def wrap(network: nn.Module, side: int) -> ClipModel:
    import open_clip

    length = 15 if isinstance(network, open_clip.CoCa) else 16
    tokenizer = open_clip.SimpleTokenizer(context_length=length)
    return ClipModel(network, tokenizer, Preprocess(side, MEAN, STD), name="test")


def pictures(side: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [*VISION, *POOLS, "coca"])
def test_the_two_parts_of_a_tower_are_the_tower(kind):
    model = wrap(make(kind), side_of(kind))
    images = pictures(side_of(kind))
    tower = TokenTower(model)
    tokens, grid = tower.features(images)
    torch.testing.assert_close(
        tower.pool(tokens, grid), model.encode_image(images), atol=1e-5, rtol=0
    )
    patches = tower.patches(tokens, grid)
    assert patches.shape == (3, 24, *grid)
    torch.testing.assert_close(patches.norm(dim=1), torch.ones(3, *grid), atol=1e-5, rtol=0)
    flat = patches.flatten(2)
    assert flat.std(dim=2).mean() > 1e-3, "all patches are the same"


def test_patches_of_a_vision_transformer_are_the_path_of_the_values():
    stock = make("vit")
    images = pictures(32)
    found = patch_embeddings(wrap(copy.deepcopy(stock), 32), images)
    visual = stock.visual
    x = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    x = visual.ln_pre(
        torch.cat(
            [
                visual.class_embedding.expand(3, 1, -1),
                visual.conv1(x).flatten(2).transpose(1, 2),
            ],
            dim=1,
        )
        + visual.positional_embedding
    )
    first, last = visual.transformer.resblocks
    x = first(x)
    weight, bias = last.attn.in_proj_weight[128:], last.attn.in_proj_bias[128:]  # of the values
    x = x + last.attn.out_proj(F.linear(last.ln_1(x), weight, bias))
    x = x + last.mlp(last.ln_2(x))
    want = F.normalize(visual.ln_post(x[:, 1:]) @ visual.proj, dim=-1)
    got = found.flatten(2).transpose(1, 2)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_patches_of_a_resnet_are_its_pool_over_one_token():
    network = make("resnet")
    model = wrap(network, 64)
    images = pictures(64, 2)
    tower = TokenTower(model)
    tokens, grid = tower.features(images)
    pool = network.visual.attnpool
    biases = torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias])
    found = tower.patches(tokens, grid).flatten(2)
    for number in range(grid[0] * grid[1]):
        one = (tokens[:, number] + pool.positional_embedding[number + 1])[None]  # [1, N, C]
        out, _ = F.multi_head_attention_forward(
            one, one, one, one.shape[-1], pool.num_heads, None, biases, None, None, False, 0.0,
            pool.c_proj.weight, pool.c_proj.bias, use_separate_proj_weight=True, training=False,
            q_proj_weight=pool.q_proj.weight, k_proj_weight=pool.k_proj.weight,
            v_proj_weight=pool.v_proj.weight,
        )  # fmt: skip
        want = F.normalize(out[0], dim=-1)
        torch.testing.assert_close(found[:, :, number], want, atol=1e-5, rtol=0)


def test_a_linear_head_makes_the_image_the_mean_of_its_patches():
    network = make("timm")
    model = wrap(network, 64)
    images = pictures(64, 2)
    tower = TokenTower(model)
    tokens, grid = tower.features(images)
    each = tower._tower.each(tokens, grid).unflatten(0, (2, -1))
    want = F.normalize(each.mean(dim=1), dim=-1)
    torch.testing.assert_close(model.encode_image(images), want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pool", ["avg", "map"])
def test_patches_of_timm_transformers_are_the_head_of_each_token(pool):
    network = make(pool)
    tower = TokenTower(wrap(network, 32))
    tokens, grid = tower.features(pictures(32, 2))
    trunk = network.visual.trunk
    for number in range(16):
        token = tokens[:, number - 16]
        if pool == "map":
            pooled = trunk.attn_pool(token[:, None])
        else:
            pooled = trunk.fc_norm(token)
        want = F.normalize(network.visual.head(pooled), dim=-1)
        found = tower.patches(tokens, grid).flatten(2)[:, :, number]
        torch.testing.assert_close(found, want, atol=1e-5, rtol=0)


def test_patches_lie_where_they_are_in_the_picture():
    model = wrap(make("vit"), 32)
    plain = pictures(32, 1)
    changed = plain.clone()
    changed[..., 24:, :8] = 1 - changed[..., 24:, :8]  # the patch at the bottom left
    tower = TokenTower(model)
    tower._tower.visual.transformer.resblocks[0].attn.out_proj.weight.zero_()  # nothing mixes
    found = [tower.patches(*tower.features(x))[0] for x in (plain, changed)]
    moved = (found[0] - found[1]).norm(dim=0) > 1e-4
    assert moved[3, 0]
    assert moved.sum() == 1


def test_gradients_reach_the_picture():
    images = pictures(32, 1).requires_grad_()
    patch_embeddings(wrap(make("vit"), 32), images)[..., 0, 0].sum().backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["vit", "timm"])
def test_words_end_in_the_embedding_of_the_text(kind):
    model = wrap(make(kind), side_of(kind))
    texts = ["a fox", "a fox runs at night", " ".join(["fox"] * 14)]
    words, mask = word_embeddings(model, texts)
    assert words.shape == (3, 16, 24)
    assert mask.sum(dim=1).tolist() == [3, 6, 15]
    assert not mask[:, 0].any()
    ends = words[torch.arange(3), mask.sum(dim=1)]
    torch.testing.assert_close(ends, model.encode_text(texts), atol=1e-5, rtol=0)
    # the tower looks back only: what two texts begin with is the same in both
    torch.testing.assert_close(words[0, 1:3], words[1, 1:3], atol=1e-5, rtol=0)
    assert not torch.allclose(words[0, 3], words[1, 3], atol=1e-2)


def test_towers_without_tokens_say_so():
    with pytest.raises(ModelError, match="gives no embeddings of words"):
        word_embeddings(wrap(make("coca"), 32), ["a fox"])
    network = make("vit")
    network.visual = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 24))
    with pytest.raises(ModelError, match="a Sequential, gives no patches; windows and gradients"):
        TokenTower(wrap(network, 32))
    network = make("timm")
    network.visual.head.add_module("pool", nn.Identity())
    with pytest.raises(ModelError, match="needs all patches at once"):
        patch_embeddings(wrap(network, 64), pictures(64))
