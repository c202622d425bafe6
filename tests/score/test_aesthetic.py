"""Heads in every format, beside the torch modules they come from."""

from __future__ import annotations

import os
import pickle
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import unit
from torch import nn

from guidance.errors import FileError, InputError, ModelError
from guidance.score.aesthetic import AestheticHead, load_head, save_head

WIDTHS = (768, 1024, 128, 64, 16, 1)


def laion_mlp(relu: bool) -> nn.Sequential:
    """Return a network as of LAION's improved predictor, whose dropouts have numbers as well."""
    layers: list[nn.Module] = []
    for place, (width, out) in enumerate(pairwise(WIDTHS)):
        layers.append(nn.Linear(width, out))
        last = place == len(WIDTHS) - 2
        layers += [nn.ReLU()] if relu and not last else []
        layers += [nn.Dropout(0.2)] if place < 3 else []
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("relu", [False, True])
def test_laions_perceptrons(tmp_path, relu):
    torch.manual_seed(0)
    network = laion_mlp(relu)
    state = {f"layers.{name}": tensor for name, tensor in network.state_dict().items()}
    assert ("layers.7.weight" in state) != relu  # the numbers tell the two kinds apart
    torch.save(state, tmp_path / "mlp.pth")
    head = load_head(tmp_path / "mlp.pth")
    vectors = unit(20, 768) * 3
    expected = network(vectors)[:, 0].detach().double()
    assert (head.dim, head.relu) == (768, relu)
    torch.testing.assert_close(head(vectors), expected, atol=1e-6, rtol=1e-6)
    other = AestheticHead(head.layers, relu=not relu)(vectors)
    assert (other - expected).abs().max() > 1e-3


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_linear_layer(tmp_path, suffix):
    torch.manual_seed(1)
    layer = nn.Linear(512, 1)
    path = tmp_path / f"head{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(layer.state_dict(), path)
    vectors = unit(9, 512)
    head = load_head(path)
    torch.testing.assert_close(head(vectors), layer(vectors)[:, 0].detach().double())
    with pytest.raises(InputError, match="of 512 numbers but mini gives 1; use --clip ViT-B-32/op"):
        head.check(1, "mini")
    assert head.check(512, "any") is None
    with pytest.raises(InputError, match=r"\[N, 512\] but have \[9, 8\]"):
        head(unit(9, 8))


def test_ours_come_back_with_their_clip(tmp_path):
    layer = (torch.randn(1, 32), torch.tensor([5.0]))
    head = AestheticHead((layer,), clip="tiny", fingerprint="ab")
    save_head(tmp_path / "head.safetensors", head)
    again = load_head(tmp_path / "head.safetensors")
    assert (again.clip, again.fingerprint, again.relu) == ("tiny", "ab", False)
    assert torch.equal(again(unit(3, 32)), head(unit(3, 32)))
    assert again.check(32, "other", "ab") is None
    assert again.check(32, "other", "") is None
    assert "trained on other embeddings (tiny) than those of other" in again.check(
        32, "other", "cd"
    )
    with pytest.raises(InputError, match="of 32 numbers but other gives 512; use --clip tiny"):
        again.check(512, "other")
    with pytest.raises(InputError, match=r"written as \.safetensors but got 'head\.pth'"):
        save_head("head.pth", head)
    deep = AestheticHead((layer, (torch.ones(1, 1), torch.ones(1))))
    with pytest.raises(InputError, match="only a head of one layer"):
        save_head(tmp_path / "deep.safetensors", deep)


def test_heads_of_earlier_versions_still_know_their_clip(tmp_path):
    tensors = {"weight": torch.ones(1, 8), "bias": torch.ones(1)}
    about = {"format": "guidance.aesthetic", "clip": "mini", "fingerprint": "ab"}
    save_file(tensors, tmp_path / "head.safetensors", metadata=about)
    head = load_head(tmp_path / "head.safetensors")
    assert (head.clip, head.fingerprint) == ("mini", "ab")


class Evil:
    """Pickled code that would leave a trace."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.ones(1, 8)}, r"its layers are \[0\]"),
        ({"weight": torch.ones(2, 8), "bias": torch.ones(2)}, "it gives 2 numbers an image"),
        ({"weight": torch.ones(1, 8), "bias": torch.ones(3)}, "do not fit each other"),
        ({"weight": torch.ones(8), "bias": torch.ones(8)}, "do not fit each other"),
        ({"weight": torch.full((1, 8), torch.nan), "bias": torch.ones(1)}, "not finite"),
        ({"visual.proj": torch.ones(8, 8)}, "it holds 'visual.proj'"),
        ({"a.weight": torch.ones(1, 8), "b.weight": torch.ones(1, 8)}, "it holds 'b.weight'"),
        ({"1.weight": torch.ones(1, 8), "1.bias": torch.ones(1)}, r"its layers are \[1\]"),
    ],
)
def test_checkpoints_that_are_no_heads(tmp_path, state, message):
    torch.save(state, tmp_path / "head.pth")
    with pytest.raises(ModelError, match=message):
        load_head(tmp_path / "head.pth")


def test_files_that_cannot_be_read(tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"weight": Evil(trace)}))
    (tmp_path / "web.pth").write_text("<html>")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    for name, kind, message in (
        ("evil.pth", ModelError, "evil.pth"),
        ("web.pth", ModelError, "is a web page"),
        ("cut.safetensors", ModelError, "not a readable checkpoint"),
        ("none.pth", FileError, "does not exist"),
        ("head.ckpt", InputError, re.escape("must end in .safetensors, .pth, .pt but is")),
    ):
        with pytest.raises(kind, match=message):
            load_head(tmp_path / name)
    assert not trace.exists()
