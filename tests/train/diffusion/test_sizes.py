"""A diffusion training that is told how many pixels the pictures had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import unit
from tiny_latents import DIM, diffusion_options, sample, tiny_config, write_pairs

from guidance.models.latent_unet import LatentUNet
from guidance.train.diffusion.latent_data import LatentData
from guidance.train.diffusion.trainer import Trainer, train

SIZED = tiny_config(projection_class_embeddings_input_dim=2 * DIM + 1)


@pytest.fixture
def two_sizes(place: Path) -> Path:
    """A folder with one condition for two kinds of latents, which come in two sizes."""
    path = place / "pairs.safetensors"
    content = load_file(path)
    content["images"], content["texts"] = (unit(1, DIM).half().expand(n, -1) for n in (6, 3))
    content["sizes"] = torch.tensor([1.0, 0.5]).half().repeat_interleave(3)
    save_file({k: v.contiguous() for k, v in content.items()}, path, {"guidance": ""})
    (place / "tiny.json").write_text(json.dumps(SIZED))
    return place


def test_sizes_decide_between_pictures_of_one_condition(two_sizes):
    train(diffusion_options(two_sizes, steps=100, rate=3e-3, ema=0.95, blur=0.1))
    network = LatentUNet(SIZED["unet"])
    network.load_state_dict(load_file(two_sizes / "run/diffusion.safetensors"))
    network.eval()
    row = unit(1, DIM).expand(10, -1)
    vectors = torch.cat([network.vector(row, row), torch.zeros(10, 2 * DIM)])
    small = sample(network, vectors, None, torch.full((20,), 0.5)).mean((1, 2, 3))
    sharp = sample(network, vectors).mean((1, 2, 3))
    assert (sharp > 0).float().mean() >= 0.9
    assert (small < 0).float().mean() >= 0.9


def test_a_batch_has_the_sizes_of_its_pictures(two_sizes):
    write_pairs(two_sizes / "old.safetensors")
    data = LatentData([two_sizes / "pairs.safetensors", two_sizes / "old.safetensors"])
    assert data.sizes.tolist() == [1] * 3 + [0.5] * 3 + [1] * 6, "older files count as sharp"
    data = LatentData([two_sizes / "pairs.safetensors"])
    views = data.batch(40, (3, 4))
    owner = views.latents.mean((1, 2, 3)) > 0
    assert torch.equal(views.sizes, torch.where(owner, 1.0, 0.5))


def test_a_network_that_is_told_no_sizes_learns_as_before(place, two_sizes):
    (two_sizes / "tiny.json").write_text(json.dumps(tiny_config()))
    given = diffusion_options(two_sizes)
    trainer = Trainer(given)
    views = trainer.data.batch(16, (0, 0))
    trainer.gradients(views, 0)
    told = [p.grad.clone() for p in trainer.network.parameters()]
    trainer.network.zero_grad()
    trainer.data.sizes.fill_(1)
    trainer.gradients(trainer.data.batch(16, (0, 0)), 0)
    assert all(
        torch.equal(p.grad, g) for p, g in zip(trainer.network.parameters(), told, strict=True)
    )
