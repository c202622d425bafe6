"""What a diffusion training starts from: a run, the shipped weights, some of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import unit
from tiny_latents import DIM, diffusion_options, tiny_config

from guidance.errors import InputError
from guidance.models import mini_diffusion
from guidance.models.latent_unet import LatentUNet
from guidance.train.diffusion.options import CONFIGS, SHIPPED
from guidance.train.diffusion.trainer import Trainer, save_weights, train

SIZED = {"projection_class_embeddings_input_dim": 2 * DIM + 1}


def begun(place: Path, out: str, *, scale: float = 1.0, **more) -> LatentUNet:
    """Return the network that a training starts with; `scale` changes the data's latents."""
    path = place / "pairs.safetensors"
    content = load_file(path)
    save_file(content | {"latents": content["latents"] * scale}, path, {"guidance": ""})
    return Trainer(diffusion_options(place, out, **more)).unet


def write_config(place: Path, **unet) -> None:
    (place / "tiny.json").write_text(json.dumps(tiny_config(**unet)))


def said(network: LatentUNet, dim: int = DIM) -> torch.Tensor:
    """Return what a network says of some noise."""
    rng = torch.Generator().manual_seed(4)
    config = network.unet.config
    side = config.sample_size
    x = torch.randn(2, config.in_channels, side, side, generator=rng)
    with torch.no_grad():
        return network(x, torch.tensor([100, 800]), torch.randn(2, 2 * dim, generator=rng))


@pytest.fixture
def first(place: Path) -> Path:
    """A folder with a run of a few steps."""
    train(diffusion_options(place, "first", steps=3, ema=0.0))
    return place


@pytest.mark.parametrize("file", ["state.pt", "diffusion.safetensors"])
def test_a_network_that_is_told_sizes_starts_as_one_that_is_not(first, file):
    old = begun(first, "old", init=first / "first" / file)
    write_config(first, **SIZED)
    new = begun(first, "new", init=first / "first" / file)
    torch.testing.assert_close(said(new), said(old), atol=1e-6, rtol=0)
    column = new.unet.class_embedding.linear_1.weight[:, -1]
    assert not column.any()
    with torch.no_grad():
        column.fill_(0.7)
    save_weights(new.state_dict(), first / "sized.safetensors")
    write_config(first)
    back = begun(first, "back", init=first / "sized.safetensors")
    torch.testing.assert_close(said(back), said(old), atol=1e-6, rtol=0)


def test_another_length_of_embeddings_does_not_fit(first):
    path = first / "first/diffusion.safetensors"
    content = load_file(path)
    name = "unet.class_embedding.linear_1.weight"
    save_file(content | {name: torch.zeros(64, 2 * DIM + 2)}, path)
    with pytest.raises(InputError, match=rf"does not fit .* 1 misshapen entry \({name}: 64x18, no"):
        begun(first, "other", init=path)
    write_config(first, projection_class_embeddings_input_dim=2 * DIM + 2)
    message = "data: latents have 3 channels and embeddings 8 numbers, but --config is for 3 and 9"
    with pytest.raises(InputError, match=message):
        begun(first, "longer")


def test_what_fits_a_larger_network_is_taken(first, capsys):
    old = load_file(first / "first/diffusion.safetensors")
    write_config(first, layers_per_block=2)
    with pytest.raises(InputError, match=r"does not fit .* it lacks \d+ entries .*--init-partly"):
        begun(first, "strict", init=first / "first/state.pt")
    new = begun(first, "new", init=first / "first/state.pt", init_partly=True).state_dict()
    same = [k for k in new if k in old and new[k].shape == old[k].shape]
    assert all(torch.equal(new[k], old[k]) for k in same)
    told = capsys.readouterr().out.splitlines()[-1]
    fresh = [k for k in new if k not in same]
    assert told == (
        f"init: {len(same)} of {len(new)} tensors are taken; new are {', '.join(fresh[:8])} and "
        f"{len(fresh) - 8} more"
    )


def test_statistics_are_those_of_the_weights_or_of_the_data(first):
    path = first / "first/state.pt"
    own = Trainer(diffusion_options(first, "own")).unet.latent_std.clone()
    assert torch.equal(begun(first, "kept", init=path).latent_std, own)
    with pytest.warns(UserWarning, match=r"init: .*state\.pt knows latents of .* \(these are 3\.?"):
        kept = begun(first, "warned", init=path, scale=3.0)
    assert torch.equal(kept.latent_std, own)
    measured = begun(first, "measured", init=path, measure=True)
    torch.testing.assert_close(measured.latent_std, 3 * own, rtol=0.01, atol=0)
    assert torch.equal(measured.unet.conv_in.weight, kept.unet.conv_in.weight)


@pytest.mark.parametrize(
    ("config", "name"),
    [("mini-diffusion", "mini-diffusion"), ("mini-diffusion-sized", "mini-diffusion"),
     ("mini-upsampler", "mini-upsampler")],
)  # fmt: skip
def test_the_shipped_weights_are_a_start(place, config, name):
    shipped, _ = mini_diffusion._network(name)
    side = shipped.unet.config.sample_size
    latents = torch.randn(4, 8, side, side) * shipped.latent_std.view(-1, 1, 1)
    content = {
        "latents": (latents + shipped.latent_mean.view(-1, 1, 1)).half(),
        "low": torch.zeros(4, 8, side, side).half(),
        "images": unit(4, 384).half(),
        "texts": unit(1, 384).half(),
        "captions": torch.zeros(4, 5, dtype=torch.int32),
        "rows": torch.arange(4, dtype=torch.int32),
        "weights": torch.ones(4),
    }
    save_file(content, place / "pairs.safetensors", {"guidance": ""})
    (place / "tiny.json").write_bytes((CONFIGS / f"{config}.json").read_bytes())
    new = begun(place, "run", init=SHIPPED).eval()
    old = said(shipped.to(memory_format=torch.channels_last), 384)
    exact = 0 if config == name else 1e-5  # a longer sum is rounded otherwise
    torch.testing.assert_close(said(new, 384), old, atol=exact, rtol=0)


def test_options_of_the_start_are_checked(place):
    message = "--init: .*none.pt does not exist, and the only name is mini"
    with pytest.raises(InputError, match=message):
        diffusion_options(place, init=place / "none.pt").check()
    for more in ({"init_partly": True}, {"measure": True}):
        with pytest.raises(InputError, match="need --init"):
            diffusion_options(place, **more).check()
