"""Patches lie where they are in the picture, in small towers of every family of open_clip."""

import open_clip
import pytest
import timm
import torch
from torch import nn

from guidance.clip.model import ClipModel
from guidance.clip.preprocess import Preprocess
from guidance.clip.scorer import ClipScorer
from guidance.clip.tokens import TokenTower, patch_embeddings
from guidance.errors import ModelError
from guidance.look.prepare import best_method

TEXT = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VIT = {"depth": 1, "embed_dim": 64, "num_heads": 2}
# architecture of timm → what makes it small; the families of ViTamin, MobileCLIP-B and S, EVA, PE,
# SigLIP, ConvNeXt and the single ones
FAMILIES = {
    "vitamin_small_224": {"depth": 1},
    "vit_base_mci_224": {"depth": 1},
    "fastvit_mci0": {"layers": (1,) * 4, "embed_dims": (16, 32, 64, 128)},
    "eva02_base_patch16_clip_224": VIT,
    "vit_pe_core_tiny_patch16_384": {"depth": 1},
    "vit_base_patch32_siglip_256": VIT,
    "vit_large_patch14_clip_224": VIT,
    "vit_medium_patch16_gap_256": VIT,
    "vit_relpos_medium_patch16_cls_224": VIT,
    "convnext_tiny": {"depths": (1,) * 4, "dims": (8, 16, 32, 64)},
    "swin_base_patch4_window7_224": {
        "depths": (1,) * 4, "embed_dim": 16, "num_heads": (1,) * 4,
    },
}  # fmt: skip
SPREADS = ("vitamin", "fastvit", "swin")  # convolutions or windows before the last layer


def small(name: str) -> ClipModel:
    """Return a CLIP with a small image tower of the family of `name`, with random weights."""
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8}
    network = open_clip.CustomTextCLIP(embed_dim=24, vision_cfg=vision, text_cfg=TEXT)
    tower = open_clip.timm_model.TimmModel("vit_tiny_patch16_224", 24, pool="token", proj=None)
    tower.trunk = timm.create_model(name, num_classes=24, **FAMILIES[name])
    network.visual = tower
    side = tower.trunk.default_cfg["input_size"][1]
    tokenizer = open_clip.SimpleTokenizer(context_length=8)
    return ClipModel(network, tokenizer, Preprocess(side, (0.5,) * 3, (0.5,) * 3), name=name)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_a_change_of_a_patch_moves_its_own_cell(name):
    model = small(name)
    side, tower = model.image_size, TokenTower(model)
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    tokens, (rows, columns) = tower.features(images)
    torch.testing.assert_close(
        tower.pool(tokens, (rows, columns)), model.encode_image(images), atol=1e-4, rtol=0
    )
    before = tower.patches(tokens, (rows, columns))[0]
    near = int(name.startswith(SPREADS))
    for y, x in ((0, 0), (0, columns - 1), (rows // 2, columns // 3), (rows - 1, columns - 1)):
        changed = images.clone()
        box = changed[
            ...,
            y * side // rows : (y + 1) * side // rows,
            x * side // columns : (x + 1) * side // columns,
        ]
        box.copy_(1 - box.round())
        moved = (patch_embeddings(model, changed)[0] - before).norm(dim=0)
        most = divmod(int(moved.argmax()), columns)
        assert max(abs(most[0] - y), abs(most[1] - x)) <= near, (most, (y, x))


def test_tokens_of_no_known_layout_are_refused_and_auto_looks_through_windows():
    model = small("vit_relpos_medium_patch16_cls_224")
    model.network.visual.trunk.num_prefix_tokens = 0  # says one thing and does another
    with pytest.raises(ModelError, match=r"197 tokens .* not known; windows and gradients work"):
        patch_embeddings(model, torch.rand(1, 3, 224, 224))
    assert best_method("auto", ClipScorer([model])) == "windows"
    assert best_method("patches", ClipScorer([model])) == "patches"


def test_auto_looks_through_windows_where_a_head_needs_all_patches():
    model = small("convnext_tiny")
    assert best_method("auto", ClipScorer([model])) == "patches"
    model.network.visual.head = nn.Sequential()
    model.network.visual.head.add_module("pool", nn.Identity())
    assert best_method("auto", ClipScorer([model])) == "windows"
