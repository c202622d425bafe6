"""Weights of an older or another form load as by open_clip's ``local-dir:``, to the same values."""

import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from openai_files import write_archive
from safetensors.torch import load_file, save_file
from tiny_clip import TINY

from guidance.clip import load_clip
from guidance.clip.registry import load_network
from guidance.errors import ModelError

WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"


@pytest.fixture
def folder(tiny_clip_path, tmp_path):
    """Return a copy of the tiny model that a test may change."""
    return shutil.copytree(tiny_clip_path, tmp_path / "model")


def custom(folder):
    """Make the folder's model one whose text tower is a module of its own, as newer ones are."""
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["custom_text"] = True
    (folder / CONFIG).write_text(json.dumps(config))


def with_sizes(folder, **sizes):
    config = json.loads((folder / CONFIG).read_text())
    for tower, values in sizes.items():
        config["model_cfg"][f"{tower}_cfg"] |= values
    (folder / CONFIG).write_text(json.dumps(config))


def saved(folder, **changes):
    state = load_file(folder / WEIGHTS) | changes
    save_file({k: v for k, v in state.items() if v is not None}, folder / WEIGHTS)


CHANGES = {
    "as it is": lambda folder: None,
    "scale of one": lambda folder: saved(folder, logit_scale=torch.full((1,), 2.5)),
    "older text keys": custom,
    "smaller images": lambda folder: with_sizes(folder, vision={"image_size": 24}),
    "larger images": lambda folder: with_sizes(folder, vision={"image_size": 64}),
    "longer texts": lambda folder: with_sizes(folder, text={"context_length": 24}),
    "shorter texts": lambda folder: with_sizes(folder, text={"context_length": 8}),
    "position ids": lambda folder: saved(
        folder, **{"text.transformer.embeddings.position_ids": torch.arange(16)[None]}
    ),
    "half": lambda folder: save_file(
        {k: v.half() for k, v in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.filterwarnings("ignore")
def test_a_folder_loads_as_open_clip_loads_it(folder, change):
    CHANGES[change](folder)
    want = open_clip.create_model(f"local-dir:{folder}").state_dict()
    got = load_network(str(folder)).network.state_dict()
    assert sorted(got) == sorted(want)
    for name, value in want.items():
        assert got[name].dtype == value.dtype
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize(
    "name", ["model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.pth", "epoch_3.pth"]
)
def test_every_name_of_weights(folder, name):
    state = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    if name.endswith("safetensors"):
        save_file(state, folder / name)
    else:
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / name)
    got = load_network(str(folder)).network.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in got.items())


def test_preprocessing_that_a_folder_leaves_open(folder):
    config = json.loads((folder / CONFIG).read_text())
    del config["preprocess_cfg"]["mean"], config["preprocess_cfg"]["interpolation"]
    config["preprocess_cfg"]["std"] = None
    (folder / CONFIG).write_text(json.dumps(config))
    preprocess = load_network(str(folder)).preprocess
    assert preprocess.mean == open_clip.OPENAI_DATASET_MEAN
    assert preprocess.std == open_clip.OPENAI_DATASET_STD
    assert preprocess.interpolation == "bicubic"


def test_what_cannot_be_converted_is_one_line(folder):
    saved(folder, **{"visual.positional_embedding": torch.zeros(6, 64)})  # 5 is no square
    with pytest.raises(ModelError, match=r"has other shapes 1 entry, first 'visual\.pos") as caught:
        load_clip(str(folder))
    assert "\n" not in str(caught.value)


@pytest.fixture
def architecture(monkeypatch):
    """Register a tiny architecture with open_clip and return its name."""
    config = json.loads(json.dumps(TINY["model_cfg"]))
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-openai", config)
    return "tiny-openai"


def test_openai_s_own_file(architecture, tmp_path, monkeypatch):
    """Its tensors are taken, in full precision, and computed with the activation of its makers."""
    torch.manual_seed(0)
    network = open_clip.CLIP(**TINY["model_cfg"], quick_gelu=True)
    want = write_archive(network, tmp_path / "tiny.pt")
    monkeypatch.setattr(torch.jit, "load", None)
    got, _, preprocess = load_network(f"{architecture}={tmp_path / 'tiny.pt'}")
    kinds = {type(m).__name__ for m in got.modules() if "GELU" in type(m).__name__}
    assert kinds == {"QuickGELU"}
    assert preprocess.mean == open_clip.OPENAI_DATASET_MEAN
    for name, value in got.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, want[name].float())
    # the same, if somebody saved the archive's state dict
    torch.save(want, tmp_path / "state.pt")
    again = load_network(f"{architecture}={tmp_path / 'state.pt'}").network
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval().encode_image(image), got.eval().encode_image(image))
        plain = open_clip.CLIP(**TINY["model_cfg"]).eval()
        plain.load_state_dict(got.state_dict())
        assert not torch.allclose(plain.encode_image(image), got.encode_image(image), atol=1e-4)


def test_a_folder_with_openai_s_file(folder, tmp_path):
    torch.manual_seed(0)
    (folder / WEIGHTS).unlink()
    want = write_archive(open_clip.CLIP(**TINY["model_cfg"]), folder / "tiny.pt")
    with pytest.warns(UserWarning, match="trained with QuickGELU, .* says GELU"):
        got = load_network(str(folder)).network.state_dict()
    assert all(torch.equal(v, want[k].float()) for k, v in got.items())


def test_arrays_that_are_no_siglip(architecture, tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    np.savez_compressed(tmp_path / "b.npz", a=np.zeros(10**7))
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04")
    for name in "abc":
        with pytest.raises(ModelError, match="is not a readable tiny-openai checkpoint") as caught:
            load_clip(f"{architecture}={tmp_path / name}.npz")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "clip_model."])
def test_names_that_training_puts_before(folder, prefix):
    state = load_file(folder / WEIGHTS)
    save_file({f"{prefix}{k}": v for k, v in state.items()}, folder / WEIGHTS)
    got = load_network(str(folder)).network.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in got.items())


def test_weights_that_are_no_numbers_to_compute_with(folder):
    state = load_file(folder / WEIGHTS)
    name = "visual.proj"
    for change, message in (
        ({name: state[name] * torch.nan}, "its 'visual.proj' holds numbers that are not finite"),
        ({name: (state[name] * 100).to(torch.int8)}, "'visual.proj' is of torch.int8"),
        ({"logit_scale": torch.tensor(1000.0)}, "its logit_scale is 1000"),
    ):
        save_file(state | change, folder / WEIGHTS)
        with pytest.raises(ModelError, match=message):
            load_clip(str(folder))


def test_a_model_of_transformers_is_told(architecture, tmp_path):
    from transformers import CLIPConfig, CLIPModel

    text = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = text | {"image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is of the package transformers"):
        load_clip(f"{architecture}={tmp_path / 'model.safetensors'}")


def test_batch_norms_without_their_counts(tmp_path):
    config = json.loads(json.dumps(TINY))
    resnet = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None}
    config["model_cfg"]["vision_cfg"] = resnet
    (tmp_path / CONFIG).write_text(json.dumps(config))
    state = open_clip.CLIP(**config["model_cfg"]).state_dict()
    kept = {k: v.contiguous() for k, v in state.items() if "num_batches" not in k}
    save_file(kept, tmp_path / WEIGHTS)
    assert len(kept) < len(state)
    got = load_network(str(tmp_path)).network.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in got.items())


def test_tensors_that_repeat_a_number_fill_no_memory(folder):
    """A file of a few bytes may claim any shape; the network is as large as the file at most."""
    (folder / WEIGHTS).unlink()
    torch.save({"a": torch.zeros(1).expand(10**12)}, folder / "open_clip_pytorch_model.bin")
    with_sizes(folder, vision={"width": 16384, "layers": 400})
    with pytest.raises(ModelError, match="describes a network of at least"):
        load_clip(str(folder))
