"""A file of weights under the name of its architecture."""

import contextlib
import io
import json
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_clip import TINY, build_tiny

from guidance.clip import load_clip
from guidance.errors import ModelError

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def folder(tiny_clip_path, tmp_path):
    """Return a copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_clip_path, tmp_path / "model")


@pytest.fixture(scope="session")
def architecture(tmp_path_factory):
    """Register a tiny architecture with open_clip and return its name."""
    import open_clip

    name = "tiny-for-tests"
    path = tmp_path_factory.mktemp("configs")
    (path / f"{name}.json").write_text(json.dumps(TINY["model_cfg"]))
    open_clip.add_model_config(path)
    return name


def test_architecture_with_a_file(architecture, folder, tmp_path, tiny_clip):
    state = load_file(folder / WEIGHTS)
    images = torch.rand(2, 3, 32, 32)
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "w.pt")
    for file in (folder / WEIGHTS, tmp_path / "w.pt"):
        model = load_clip(f"{architecture}={file}")
        assert model.name == f"{architecture}={file}"
        texts = ["a fox", "a boat"]
        torch.testing.assert_close(model.encode_text(texts), tiny_clip.encode_text(texts))
        # open_clip's default mean and deviation differ from the folder's by a little
        cosines = (model.encode_image(images) * tiny_clip.encode_image(images)).sum(-1)
        assert cosines.min() > 0.99


def test_architecture_with_a_damaged_file(architecture, folder, tmp_path):
    whole = (folder / WEIGHTS).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    other = build_tiny(tmp_path / "other", width=128) / WEIGHTS
    for file in ("cut.safetensors", "empty.pt", "list.pt", other):
        with pytest.raises(ModelError, match=f"not a readable {architecture} checkpoint") as caught:
            load_clip(f"{architecture}={tmp_path / file}")
        assert "\n" not in str(caught.value)


def test_a_tag_says_how_a_file_is_computed(architecture, folder, monkeypatch):
    """The same weights are another network with another activation, mean and way to resize."""
    from open_clip import pretrained

    usual = pretrained._pcfg(hf_hub="somebody/a/")
    tags = {
        "plain": usual,
        "quick": usual | {"quick_gelu": True, "resize_mode": "squash"},
        "other": usual | {"mean": (0.5, 0.5, 0.5), "interpolation": "bilinear"},
    }
    monkeypatch.setitem(pretrained._PRETRAINED, architecture, tags)
    named = {t: load_clip(f"{architecture}/{t}={folder / WEIGHTS}") for t in tags}
    with pytest.warns(UserWarning, match=f"trained in 3 ways; .*name that: {architecture}/quick="):
        unnamed = load_clip(f"{architecture}={folder / WEIGHTS}")
    assert {t: m.preprocess.resize_mode for t, m in named.items()} == {
        "plain": "shortest",
        "quick": "squash",
        "other": "shortest",
    }
    assert named["other"].preprocess.mean == (0.5, 0.5, 0.5)
    assert named["other"].preprocess.interpolation == "bilinear"
    picture = torch.rand(1, 3, 32, 32)
    seen = {t: m.encode_image(picture) for t, m in named.items()}
    assert torch.equal(unnamed.encode_image(picture), seen["plain"])
    assert not torch.allclose(seen["plain"], seen["quick"], atol=1e-4)
    assert named["plain"].fingerprint != named["quick"].fingerprint


def test_the_command_line_says_what_was_taken(architecture, folder, photo):
    arguments = ["a fox", str(photo), "--clip", f"{architecture}={folder / WEIGHTS}"]
    from guidance.rerank.__main__ import main as command

    for quiet in (False, True):
        shown = io.StringIO()
        with contextlib.redirect_stderr(shown), contextlib.redirect_stdout(io.StringIO()):
            assert command([*arguments, "--quiet"] if quiet else arguments) == 0
        told = f"no weights of {architecture} are published; taken is GELU, mean 0.481, "
        assert (told in shown.getvalue()) is not quiet
        assert "warning" not in shown.getvalue()


class Malicious:
    """An object whose unpickling runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_a_pickle_with_code_is_refused(architecture, folder, tmp_path, write):
    trace = tmp_path / "ran"
    bad = {"state_dict": Malicious(trace)}
    file = tmp_path / "bad.pt"
    if write == "torch":
        torch.save(bad, file)
    else:
        file.write_bytes(pickle.dumps(bad))
    (folder / WEIGHTS).unlink()
    shutil.copy(file, folder / "open_clip_pytorch_model.bin")
    for name in (f"{architecture}={file}", str(folder)):
        with pytest.raises(ModelError, match="not a readable"):
            load_clip(name)
    assert not trace.exists()
