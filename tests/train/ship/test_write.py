"""Shipping a run: float16, one tower alone, and the hashes beside it."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file

from guidance.errors import InputError
from guidance.train.clip import model
from guidance.train.ship import write as ship


def test_ship(tmp_path):
    config = model.read_config("tiny")
    model.save_folder(config, model.build(config).state_dict(), tmp_path / "clip")
    for part, name in (("all", "a.safetensors"), ("image", "b.safetensors")):
        ship.ship(ship.ShipOptions(tmp_path / name, tmp_path / "clip", part=part))
    whole, image = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    assert set(image) == {k for k in whole if k.startswith("visual.")} != set(whole)
    assert image["visual.head.proj.weight"].dtype == torch.float16
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
