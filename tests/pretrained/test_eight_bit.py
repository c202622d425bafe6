"""Weights in 8 bits: how near they stay, which scale is whose, and files that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from guidance.errors import InputError, ModelError
from guidance.pretrained import eight_bit
from guidance.pretrained.eight_bit import load_weights, pack, save_packed, unpack
from guidance.pretrained.foreign import read_state


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_number_is_off_by_half_a_step_of_its_channel_at_most():
    gains = torch.logspace(-6, 4, 256)[:, None]
    weight = normal(256, 300) * gains
    weight[7] = 0
    for given in (weight, weight.view(256, 3, 10, 10), weight.double()):
        packed = pack({"a.weight": given})
        numbers, scale = packed["a.weight"], packed["a.weight.scale"]
        assert (numbers.dtype, scale.dtype) == (torch.int8, torch.float32)
        assert scale.numel() == 256
        back = unpack(packed)["a.weight"]
        assert (back.dtype, back.shape) == (torch.float32, given.shape)
        off = (back - given.float()).flatten(1).abs().amax(1)
        largest = given.float().flatten(1).abs().amax(1)
        assert (off <= largest / 254 * 1.0001).all()
        assert (off > 0).sum() == 255, "the row of zeros alone is exact"
    again = pack(unpack(packed))
    assert torch.equal(again["a.weight"], packed["a.weight"]), "what is packed again is the same"


def test_what_is_small_stays_in_sixteen_bits():
    state = {
        "bias": normal(70_000),  # of one dimension
        "first.weight": normal(64, 56, 3, 3),  # fewer than 32,768 numbers
        "depthwise.weight": normal(4000, 1, 5, 5),  # rows of 25
        "codes.weight": normal(8192, 8),
        "logit_scale": torch.tensor(4.6),
        "running_var": torch.tensor([1e-9, 3.0, 70_000.0]),
        "num_batches_tracked": torch.tensor(123_456),
        "half.weight": normal(16, 16).half(),
    }
    packed = pack(state)
    assert list(packed) == list(state)
    wide = {k for k, v in packed.items() if v.dtype != torch.float16}
    assert wide == {"running_var", "num_batches_tracked"}, "float16 ends at 65,504"
    for name in (*wide, "half.weight"):
        assert torch.equal(packed[name], state[name])
    assert torch.equal(packed["bias"], state["bias"].half())


class Projected(nn.Module):
    """Multiplies from the right, as the towers of open_clip do."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Parameter(normal(256, 160))
        self.text_projection = nn.Parameter(normal(256, 160, seed=1))

    def forward(self, x):
        return x @ self.proj + x @ self.text_projection


LAYERS = {  # layer and the shape of its input
    "linear": (lambda: nn.Linear(256, 160), (50, 256)),
    "convolution": (lambda: nn.Conv2d(64, 96, 3), (2, 64, 8, 8)),
    "convolution in groups": (lambda: nn.Conv2d(128, 96, 5, groups=4), (2, 128, 8, 8)),
    "depthwise": (lambda: nn.Conv2d(96, 96, 23, groups=96), (2, 96, 25, 25)),
    "transposed": (lambda: nn.ConvTranspose2d(96, 64, 3), (2, 96, 8, 8)),
    "transposed up": (lambda: nn.ConvTranspose2d(64, 96, 4, 2), (2, 64, 8, 8)),
    "transposed depthwise": (lambda: nn.ConvTranspose2d(96, 96, 20, groups=96), (2, 96, 5, 5)),
    "right": (Projected, (50, 256)),
}


def stretched(layer: nn.Module, outputs: int) -> nn.Module:
    """Multiply the output channels of a layer by 0.001 to 1,000."""
    gains = torch.logspace(-3, 3, outputs)
    with torch.no_grad():
        for weight in layer.parameters():
            if isinstance(layer, Projected):
                weight *= gains
            elif weight.ndim == 1:
                weight.zero_()
            elif isinstance(layer, nn.ConvTranspose2d) and layer.groups == 1:
                weight *= gains.view(1, -1, 1, 1)
            else:
                weight *= gains.view(-1, *[1] * (weight.ndim - 1))
    return layer


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_each_output_channel_has_its_own_scale(name):
    """With the scales of another dimension the small channels would come out as noise or zeros."""
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer, x = make(), normal(*shape)
    stretched(layer, layer(x).shape[1])
    want = layer(x)
    packed = pack(layer.state_dict())
    assert any(v.dtype == torch.int8 for v in packed.values())
    layer.load_state_dict(unpack(packed))
    off, size = (v.movedim(1, 0).flatten(1).norm(dim=1) for v in (layer(x) - want, want))
    assert (off / size).max() < 0.02


def test_tables_have_a_scale_for_each_row():
    torch.manual_seed(0)
    table, attention = nn.Embedding(2000, 64), nn.MultiheadAttention(128, 4)
    packed = pack(table.state_dict() | attention.state_dict())
    assert packed["weight.scale"].shape == (2000, 1)
    assert packed["in_proj_weight.scale"].shape == (384, 1)
    assert packed["out_proj.weight"].dtype == torch.float16
    positions = pack({"positional_embedding": normal(577, 64)})
    assert positions["positional_embedding.scale"].shape == (577, 1)


def test_what_cannot_be_packed_is_named():
    broken = normal(256, 256)
    broken[3, 4] = torch.nan
    with pytest.raises(InputError, match=r"^a\.weight holds numbers that are not finite$"):
        pack({"a.weight": broken})
    packed = pack({"a.weight": normal(256, 256)})
    with pytest.raises(InputError, match=r"^a\.weight is in 8 bits already$"):
        pack(packed)
    with pytest.raises(InputError, match=r"^a\.scale is an entry already$"):
        pack({"a": normal(256, 256), "a.scale": torch.ones(1)})


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Return a packed file, and what it holds."""
    state = pack({"a.weight": normal(256, 300), "a.bias": normal(256), "n": torch.tensor(3)})
    save_packed(state, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors", state


def test_a_file_is_read_by_what_its_header_says(packed, tmp_path):
    path, state = packed
    want = unpack(state)
    assert path.stat().st_size < 256 * 300 * 1.1
    for read in (load_weights, read_state):
        got = read(path)
        assert sorted(got) == ["a.bias", "a.weight", "n"]
        assert all(torch.equal(v, want[k]) and v.dtype == want[k].dtype for k, v in got.items())
        assert sum(v.nbytes for v in got.values()) <= 4 * path.stat().st_size
    renamed = path.rename(tmp_path / "a.pt")
    assert torch.equal(read_state(renamed)["a.weight"], want["a.weight"])
    save_file(state, tmp_path / "plain.safetensors")  # somebody's own whole numbers
    plain = load_weights(tmp_path / "plain.safetensors")
    assert all(torch.equal(v, state[k]) and v.dtype == state[k].dtype for k, v in plain.items())


def test_files_of_sixteen_bits_are_read_bit_for_bit(tmp_path):
    state = {"a.weight": normal(256, 300).half(), "b.weight": normal(300, 300).bfloat16(),
             "c.weight": normal(40, 40), "a.weight.scale": torch.ones(256, 1)}  # fmt: skip
    for header in (None, {"format": "pt"}, {"title": "mine"}):
        save_file(state, tmp_path / "a.safetensors", header)
        for read in (load_weights, read_state):
            got = read(tmp_path / "a.safetensors")
            assert got.keys() == state.keys()
            for name, value in state.items():
                assert got[name].dtype == value.dtype
                assert torch.equal(got[name], value)


def changed(**changes: torch.Tensor | None):
    """Return a change of a packed state: other scales or numbers, or none."""
    names = {"scale": "a.weight.scale", "numbers": "a.weight"}

    def change(state):
        for key, value in changes.items():
            state[names[key]] = value
        return {k: v for k, v in state.items() if v is not None}

    return change


SHAPE = r"its 'a.weight' has a scale of shape \({}\), which fits no dimension of \({}\)$"
KIND = "its 'a.weight' has a scale that is not of finite float32 numbers$"
DAMAGES = {
    "none": (changed(scale=None), "its 'a.weight' is in 8 bits but has no scale$"),
    "short": (changed(scale=torch.ones(255, 1)), SHAPE.format("255, 1", "256, 300")),
    "flat": (changed(scale=torch.ones(256)), SHAPE.format("256,", "256, 300")),
    "whole": (changed(scale=torch.ones(256, 300)), SHAPE.format("256, 300", "256, 300")),
    "wide": (  # would make many numbers of few
        changed(numbers=torch.ones(1, 300, dtype=torch.int8)), SHAPE.format("256, 1", "1, 300")
    ),
    "number": (
        changed(numbers=torch.tensor(3, dtype=torch.int8)), SHAPE.format("256, 1", ""),
    ),
    "half": (changed(scale=torch.ones(256, 1).half()), KIND),
    "nan": (changed(scale=torch.full((256, 1), torch.nan)), KIND),
    "infinite": (changed(scale=torch.full((256, 1), torch.inf)), KIND),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_line(packed, damage):
    path, state = packed
    change, message = DAMAGES[damage]
    save_packed(change(dict(state)), path)
    for read in (load_weights, read_state):
        with pytest.raises(ModelError, match=message) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path} is not a readable checkpoint: its 'a.weight'")
        assert "\n" not in str(caught.value)


def test_other_versions_and_cut_files_are_refused(packed, monkeypatch):
    path, state = packed
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    assert json.loads(whole[8 : 8 + length])["__metadata__"] == eight_bit.HEADER
    path.write_bytes(whole[:-100])
    with pytest.raises(ModelError, match=r"a\.safetensors is not a readable checkpoint: \S+"):
        load_weights(path)
    monkeypatch.setattr(eight_bit, "HEADER", eight_bit.HEADER | {"version": "2"})
    save_packed(state, path)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="packed in version 2 of 8 bits, of which version 1 is"):
        load_weights(path)
    save_file(state, path, {"format": "guidance-int8"})
    with pytest.raises(ModelError, match="packed in version None of 8 bits"):
        load_weights(path)
    assert load_file(path).keys() == state.keys()
