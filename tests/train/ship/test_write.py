"""Shipping a run: 8 or 16 bits, one tower alone, and the hashes beside it."""

import hashlib
import json
import re

import pytest
import tiny_dalle
import torch
from safetensors.torch import load_file
from tiny_latents import TINY, diffusion_options

from guidance.command.cli import main
from guidance.errors import InputError
from guidance.models.dalle.load import load_dalle
from guidance.models.dalle.names import read_facts
from guidance.models.latent_unet import LatentUNet
from guidance.pretrained.eight_bit import load_weights
from guidance.train.clip import model
from guidance.train.diffusion.trainer import Trainer, save_weights
from guidance.train.noise_aware.options import NoiseAwareTraining
from guidance.train.noise_aware.trainer import Trainer as HeadTrainer
from guidance.train.ship import write as ship


@pytest.fixture
def run(tmp_path):
    """Return the folder of a tiny CLIP, as a training leaves it, and its state."""
    config = model.read_config("tiny")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = model.build(config).state_dict()
    model.save_folder(config, state, tmp_path / "clip")
    return tmp_path / "clip", state


def test_ship_in_sixteen_bits(run, tmp_path):
    clip, state = run
    for part, name in (("all", "a.safetensors"), ("image", "b.safetensors")):
        ship.ship(ship.ShipOptions(tmp_path / name, clip, part=part, bits=16))
    whole, image = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    assert set(image) == {k for k in whole if k.startswith("visual.")} != set(whole)
    assert set(whole) == set(state)
    for name, value in whole.items():
        assert torch.equal(value, state[name].to(value.dtype))
        assert value.dtype == (torch.float16 if state[name].is_floating_point() else torch.int64)
    sums = (tmp_path / "SHA256SUMS").read_text().splitlines()
    digest = hashlib.sha256((tmp_path / "b.safetensors").read_bytes()).hexdigest()
    assert [line.split()[1] for line in sums] == ["a.safetensors", "b.safetensors"]
    assert sums[1] == f"{digest}  b.safetensors"
    (tmp_path / "a.safetensors").unlink()
    ship.list_hash(tmp_path / "b.safetensors")
    assert (tmp_path / "SHA256SUMS").read_text() == f"{digest}  b.safetensors\n"
    with pytest.raises(InputError, match="does not exist"):
        ship.ship(ship.ShipOptions(tmp_path / "c.safetensors", tmp_path))
    with pytest.raises(InputError, match="one of"):
        ship.ship(ship.ShipOptions(tmp_path / "c.safetensors"))


def test_ship_in_eight_bits(run, tmp_path, capsys):
    clip, state = run
    out = tmp_path / "a.safetensors"
    argv = ["--clip", str(clip), "--out", str(out)]
    assert main(ship.ShipOptions, ship.ship, prog="x", argv=argv) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert " ".join(rows[0].split()) == "in 8 bits tensors numbers mean error, % worst, %"
    told = {row.split()[0]: [float(x) for x in row.split()[1:]] for row in rows[1:]}
    assert set(told) == {"table", "linear"}
    assert told["table"][:2] == [1, 49408 * 64]
    assert all(0 < mean < worst < 2 for _, _, mean, worst in told.values())
    half, size = 2e-6 * sum(v.numel() for v in state.values()), out.stat().st_size / 1e6
    assert last == f"{out}: {len(state)} tensors, {size:.1f} MB ({half:.1f} MB in 16 bits)"
    assert size < 0.6 * half
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert (tmp_path / "SHA256SUMS").read_text() == f"{digest}  a.safetensors\n"
    tower = model.build(model.read_config("tiny"))
    model.load_text(tower, out)  # as for --text-init
    name, given = "token_embedding.weight", model.load_state(clip / ship.FILES["clip"])
    want = given[f"text.{name}"]  # of the run's float16
    off = (tower.state_dict()[f"text.{name}"] - want).abs().amax(1)
    assert (off <= want.abs().amax(1) / 254 * 1.0001).all()
    assert off.max() > 0
    assert main(ship.ShipOptions, ship.ship, prog="x", argv=[*argv, "--bits", "4"]) == 2
    assert re.search(r"bits.*8.*16", capsys.readouterr().err, re.DOTALL)


def test_the_error_that_is_told_is_that_of_the_worst_channel():
    weight = torch.ones(256, 256)
    weight[3, 1:] = 0.49 / 127  # comes out as zeros beside a 1
    for name, kind in (
        ("a.weight", "linear"), ("token_embedding.weight", "table"),
        ("position_embedding", "table"), ("class_embedding.linear_1.weight", "linear"),
    ):  # fmt: skip
        ((found, figures),) = ship.losses({name: weight}, ship.pack({name: weight})).items()
        lost = 255**0.5 * 0.49 / 127
        assert (found, figures["tensors"], figures["numbers"]) == (kind, 1, 65_536)
        assert figures["worst, %"] == pytest.approx(100 * lost / (1 + lost**2) ** 0.5, rel=1e-4)
        assert figures["mean error, %"] == pytest.approx(figures["worst, %"] / 256, rel=1e-4)
    assert ship.kind("a", torch.ones(64, 1, 3, 3)) == "depthwise"
    assert ship.kind("a", torch.ones(64, 2, 3, 3)) == "convolution"


@pytest.mark.parametrize("bits", [8, 16])
def test_a_dalle_keeps_what_its_file_says(tiny_clip_path, tmp_path, bits):
    """Without its config and the names of its CLIP and VQGAN it could not be loaded."""
    tiny_dalle.write_model(tmp_path, tiny_clip_path, code_width=64, codes=32, width=128)
    out = tmp_path / "shipped.safetensors"
    ship.ship(ship.ShipOptions(out, dalle=tmp_path, bits=bits))
    assert read_facts(out) == read_facts(tmp_path / "dalle.safetensors")
    want, network = load_weights(out), load_dalle(str(out), device="cpu").writer.network
    assert (torch.int8 in {v.dtype for v in load_file(out).values()}) == (bits == 8)
    assert all(torch.equal(v.to(want[k]), want[k]) for k, v in network.state_dict().items())
    for again in (8, 16):  # a shipped file is a source as well
        (tmp_path / "again").mkdir(exist_ok=True)
        source = tmp_path / f"again/{ship.FILES['dalle']}"
        source.write_bytes(out.read_bytes())
        ship.ship(ship.ShipOptions(tmp_path / "b.safetensors", dalle=source.parent, bits=again))
        back = load_weights(tmp_path / "b.safetensors")
        assert all(torch.allclose(back[k].float(), v.float(), rtol=1e-2, atol=1e-2)
                   for k, v in want.items())  # fmt: skip


def test_trainings_go_on_from_a_shipped_diffusion_model(place):
    config = {**TINY, "unet": TINY["unet"] | {"block_out_channels": [16, 64]}}
    (place / "tiny.json").write_text(json.dumps(config))
    (place / "run").mkdir()
    out = place / "shipped/diffusion.safetensors"
    out.parent.mkdir()
    save_weights(LatentUNet(config["unet"]).state_dict(), place / "run/diffusion.safetensors")
    ship.ship(ship.ShipOptions(out, diffusion=place / "run"))
    assert torch.int8 in {v.dtype for v in load_file(out).values()}
    want = load_weights(out)
    head = NoiseAwareTraining(
        data=(place / "pairs.safetensors",), diffusion=out.parent, out=place / "head",
        config=place / "tiny.json", steps=1,
    )  # fmt: skip
    for network in (
        Trainer(diffusion_options(place, "next", init=out)).network,
        HeadTrainer(head).body,
    ):
        state = network.state_dict()
        assert all(torch.equal(state[k], v.to(state[k])) for k, v in want.items())
