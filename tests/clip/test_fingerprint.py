"""The fingerprint of an image tower: what changes embeddings changes it, and nothing else."""

import dataclasses
import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import build_tiny

from guidance.clip import load_clip
from guidance.clip.model import ClipModel
from guidance.clip.registry import load_network
from guidance.clip.scorer import ClipScorer

RESNET = {"layers": [1, 1, 1, 1], "width": 8}


def changed(folder, source, key, delta=1e-3):
    """Copy a checkpoint with one number of one tensor changed."""
    shutil.copytree(source, folder)
    state = load_file(folder / "open_clip_model.safetensors")
    state[key].view(-1)[-1] += delta
    save_file(state, folder / "open_clip_model.safetensors")
    return load_clip(str(folder))


def configured(folder, source, **vision):
    """Copy a checkpoint with other settings of the same weights."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"] |= vision.pop("model", {})
    config["model_cfg"]["vision_cfg"] |= vision
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return load_clip(str(folder))


@pytest.fixture(scope="module")
def resnet_path(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("resnet") / "tiny", **RESNET)


def test_it_is_32_digits_and_that_of_any_process(tiny_clip_path, resnet_path):
    names = [str(tiny_clip_path), str(resnet_path), "mini"]
    here = [load_clip(name).fingerprint for name in names]
    code = "import sys; from guidance.clip import load_clip as l\n"
    code += "print(*(l(name).fingerprint for name in sys.argv[1:]))"
    there = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, check=True
    )
    assert there.stdout.split() == here
    assert len(set(here)) == 3
    for fingerprint in here:
        assert len(fingerprint) == 32
        assert int(fingerprint, 16) >= 0


@pytest.mark.parametrize(
    "key",
    ["visual.proj", "visual.conv1.weight", "visual.positional_embedding", "visual.ln_post.bias",
     "visual.transformer.resblocks.1.attn.in_proj_weight"],
)  # fmt: skip
def test_every_weight_of_the_image_tower_counts(tmp_path, tiny_clip_path, key):
    base = load_clip(str(tiny_clip_path)).fingerprint
    assert changed(tmp_path / "other", tiny_clip_path, key).fingerprint != base


@pytest.mark.parametrize(
    "key",
    ["visual.conv1.weight", "visual.bn1.running_var", "visual.layer3.0.bn2.weight",
     "visual.attnpool.c_proj.bias"],
)  # fmt: skip
def test_every_weight_of_a_convolutional_tower_counts(tmp_path, resnet_path, key):
    base = load_clip(str(resnet_path)).fingerprint
    assert changed(tmp_path / "other", resnet_path, key).fingerprint != base


def test_what_does_not_change_image_embeddings_does_not_count(tmp_path, tiny_clip_path):
    base = load_clip(str(tiny_clip_path)).fingerprint
    assert changed(tmp_path / "text", tiny_clip_path, "text_projection").fingerprint == base
    assert changed(tmp_path / "scale", tiny_clip_path, "logit_scale").fingerprint == base
    renamed = shutil.copytree(tiny_clip_path, tmp_path / "renamed")
    assert load_clip(str(renamed)).fingerprint == base
    model = load_clip(str(tiny_clip_path))
    model.encode_image(torch.rand(1, 3, 40, 50))  # using it leaves no trace
    model.encode_text(["a fox"])
    assert model.fingerprint == base


def test_settings_of_the_same_weights_count(tmp_path, tiny_clip_path):
    models = [
        load_clip(str(tiny_clip_path)),
        configured(tmp_path / "quick", tiny_clip_path, model={"quick_gelu": True}),
        configured(tmp_path / "heads", tiny_clip_path, head_width=16),
        load_clip(str(tiny_clip_path), precision="bf16"),
    ]
    assert len({m.fingerprint for m in models}) == 4
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first = models[0].encode_image(image)
    for other in models[1:]:
        assert not torch.equal(other.encode_image(image), first)


@pytest.mark.parametrize(
    "change",
    [{"size": 64}, {"mean": (0.5, 0.46, 0.41)}, {"interpolation": "bilinear"},
     {"resize_mode": "squash"}],
)  # fmt: skip
def test_preprocessing_counts(tiny_clip_path, change):
    network, tokenizer, preprocess = load_network(str(tiny_clip_path))
    other = ClipModel(
        network, tokenizer, dataclasses.replace(preprocess, **change), name="tiny"
    ).fingerprint
    assert other != load_clip(str(tiny_clip_path)).fingerprint


def test_the_tower_for_gradients_is_another():
    assert load_clip("mini", guide=True).fingerprint != load_clip("mini").fingerprint


def test_a_scorer_stands_for_its_models_and_their_weights(tiny_clip, resnet_path):
    other = load_clip(str(resnet_path))
    assert ClipScorer([tiny_clip]).fingerprint == tiny_clip.fingerprint
    assert ClipScorer([tiny_clip], weights=[7]).fingerprint == tiny_clip.fingerprint
    ensembles = [
        ClipScorer([tiny_clip, other]),
        ClipScorer([other, tiny_clip]),
        ClipScorer([tiny_clip, other], weights=[2, 1]),
        ClipScorer([tiny_clip, other, other]),
    ]
    found = {e.fingerprint for e in ensembles}
    assert len(found | {tiny_clip.fingerprint, other.fingerprint}) == 6
    assert ClipScorer([tiny_clip, other], weights=[3, 3]).fingerprint == ensembles[0].fingerprint
