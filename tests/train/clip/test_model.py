"""The config that a training starts from."""

import open_clip
import pytest

from guidance.train.clip.model import activations, build, read_config


@pytest.mark.parametrize(
    ("arch", "init", "quick", "mean"),
    [
        ("ViT-B-32", "", False, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-B-32", "ViT-B-32/openai", True, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-B-32", "ViT-B-32/laion2b_s34b_b79k", False, open_clip.OPENAI_DATASET_MEAN),
        ("ViT-L-14", "ViT-L-14/laion2b_s32b_b82k", False, (0.5, 0.5, 0.5)),
        ("ViT-B-32", "mini", False, open_clip.OPENAI_DATASET_MEAN),
    ],
)
def test_published_weights_bring_their_activation_and_preprocessing(arch, init, quick, mean):
    config = read_config(arch, init)
    assert config["model_cfg"].get("quick_gelu", False) is quick
    assert tuple(config["preprocess_cfg"]["mean"]) == mean


def test_activations_are_those_of_open_clip_s_own_towers():
    config = read_config("mini")  # its image tower is timm's
    assert activations(build(config)) == "GELU"
    config["model_cfg"]["quick_gelu"] = True
    assert activations(build(config)) == "QuickGELU"
