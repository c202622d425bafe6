"""Each model of the package is loaded from files in 8 bits, by the names that users know."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import tiny_vqgan
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import build_tiny, unit
from tiny_latents import TINY

from guidance.clip import load_clip
from guidance.clip.prior import remember
from guidance.models.latent_unet import LatentUNet
from guidance.models.load_denoiser import load_denoiser
from guidance.models.load_latents import load_latents
from guidance.models.noise_aware import NoiseAware
from guidance.pretrained import packaged
from guidance.pretrained.eight_bit import load_weights, pack, save_packed, unpack

DIM = 32  # of the tiny CLIP's embeddings
WIDE = {"block_out_channels": (16, 64, 64)}  # wide enough that there is something to pack
WEIGHTS = "open_clip_model.safetensors"
State = dict[str, torch.Tensor]


def unet(channels: int) -> tuple[dict, LatentUNet]:
    """Return the config and an untrained network of a diffusion model."""
    config = {**TINY, "unet": TINY["unet"] | {
        "block_out_channels": [16, 64], "in_channels": channels, "out_channels": 4,
        "projection_class_embeddings_input_dim": 2 * DIM,
    }}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(channels)
        network = LatentUNet(config["unet"])
    return config, network


def write_models(folder: Path) -> dict[str, State]:
    """Write the files of a package with tiny models, weights in 8 bits; return these."""
    for name in ("clip/configs", "models/configs", "pretrained"):
        (folder / name).mkdir(parents=True)
    looks, draws = (
        build_tiny(folder / f"clip{seed}", seed, width=128, layers=1) for seed in (0, 1)
    )
    for name in ("mini", "mini-guide"):
        shutil.copy(looks / "open_clip_config.json", folder / f"clip/configs/{name}.json")
    configs = {"vqgan": {"_class_name": "VQModel"}}
    vqgan = tiny_vqgan.build("vq", **WIDE)
    configs["vqgan"] |= {k: v for k, v in vqgan.config.items() if not k.startswith("_")}
    configs["diffusion"], base = unet(4)
    configs["upsampler"], upsampler = unet(8)
    for name, config in configs.items():
        (folder / f"models/configs/mini-{name}.json").write_text(json.dumps(config))
    tower = {k: v for k, v in load_file(draws / WEIGHTS).items() if k.startswith("visual.")}
    whole = {
        "clip": load_file(looks / WEIGHTS), "clip-guide": tower, "vqgan": vqgan.state_dict(),
        "diffusion": base.state_dict(), "upsampler": upsampler.state_dict(),
        "noise-aware": NoiseAware(base).state_dict(),
    }  # fmt: skip
    place = folder / "pretrained"
    for name, state in whole.items():
        save_packed(pack(state), place / f"mini-{name}.safetensors")
    save_file(remember(unit(50, DIM), unit(50, DIM, seed=1), 16),
              place / "mini-clip-prior.safetensors")  # fmt: skip
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in place.iterdir()]
    (place / packaged.HASHES).write_text("".join(sums))
    return {name: unpack(pack(state)) for name, state in whole.items()}


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> tuple[Path, dict[str, State]]:
    """Return the folder of a package with tiny models, and their weights."""
    folder = tmp_path_factory.mktemp("package")
    return folder, write_models(folder)


@pytest.fixture
def models(package, monkeypatch) -> dict[str, State]:
    """Put a package with tiny models in the place of the real one; return its weights."""
    folder, want = package
    monkeypatch.setattr(packaged.resources, "files", lambda package: folder)
    return want


def check(network: torch.nn.Module, want: State) -> None:
    """Fail unless a network has exactly these weights, as float32."""
    state = network.state_dict()
    assert state.keys() == want.keys()
    for name, value in want.items():
        assert torch.equal(state[name], value.to(state[name])), name
        assert state[name].dtype != torch.float16


def test_each_file_has_weights_in_eight_bits(package):
    folder, models = package
    for name in models:
        kinds = {
            v.dtype for v in load_file(folder / f"pretrained/mini-{name}.safetensors").values()
        }
        assert torch.int8 in kinds, name


@torch.no_grad()
def test_the_clip(models, package):
    from guidance.clip.registry import load_network

    check(load_network("mini").network, models["clip"])
    text = {k: v for k, v in models["clip"].items() if not k.startswith("visual.")}
    check(load_network("mini-guide").network, text | models["clip-guide"])
    looks, draws = load_clip("mini"), load_clip("mini", guide=True)
    whole = load_clip(str(package[0] / "clip0"))  # in float32
    picture = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for ask in (lambda m: m.encode_image(picture), lambda m: m.encode_text(["a fox", "two dogs"])):
        assert (ask(looks) * ask(whole)).sum(1).min() > 0.999
    assert draws.imagine(["a fox"]).shape == (1, DIM)


@torch.no_grad()
def test_the_vqgan_and_the_diffusion_model(models):
    latents = load_latents("mini", device="cpu")
    assert torch.equal(latents.codebook, models["vqgan"]["quantize.embedding.weight"])
    denoiser = load_denoiser("mini", device="cpu")
    check(denoiser.upsampler.network, models["upsampler"])
    check(denoiser.noise_aware, models["noise-aware"])
    own = {k.removeprefix("unet."): v for k, v in models["diffusion"].items() if "unet." in k}
    given = denoiser.network.state_dict()
    assert all(torch.equal(given[k], v.to(given[k])) for k, v in own.items())
    picture = latents.decode(latents.random(2, 2, torch.Generator().manual_seed(0)))
    assert picture.shape == (1, 3, 8, 8)


@torch.no_grad()
def test_a_folder_and_a_file_of_one_s_own(models, package, tmp_path):
    """A packed file in the place of a run's is read, too."""
    folder = shutil.copytree(package[0] / "clip0", tmp_path / "own")
    shutil.copy(package[0] / "pretrained/mini-clip.safetensors", folder / WEIGHTS)
    for name in (str(folder), str(folder / WEIGHTS)):
        packed, mini = load_clip(name), load_clip("mini")
        assert torch.equal(packed.encode_text(["a fox"]), mini.encode_text(["a fox"]))
        assert packed.fingerprint == mini.fingerprint


def test_the_weights_that_ship_are_read_as_they_are():
    with packaged.packaged(f"pretrained/{packaged.HASHES}") as sums:
        names = [line.split()[1] for line in sums.read_text().splitlines()]
    for name in names:
        with packaged.pretrained(name) as path:
            stored, read = load_file(path), load_weights(path)
            for key, value in read.items():
                if stored[key].dtype == value.dtype:
                    assert torch.equal(stored[key], value), f"{name}: {key}"
                else:
                    assert (stored[key].dtype, value.dtype) == (torch.int8, torch.float32)
