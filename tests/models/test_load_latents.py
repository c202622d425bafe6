"""Names of latent spaces: checked before anything is loaded, then loaded from what they name."""

import json
import time

import pytest
import tiny_vqgan
import torch
from reference.taming_decoder import decode, entries, nearest_codes, random_state
from safetensors.torch import load_file, save_file

from guidance.errors import FileError, InputError, ModelError
from guidance.models.latents_config import check_latents, latents_factor
from guidance.models.load_latents import WEIGHTS, load_latents

TAMING = {"ch": 32, "ch_mult": (1, 2), "attended": (1,), "n_embed": 16, "z_channels": 8}
TAMING_YAML = """
model:
  target: taming.models.vqgan.VQModel
  params:
    n_embed: 16
    embed_dim: 8
    ddconfig:
      {z_channels: 8, resolution: 32, in_channels: 3, out_ch: 3, ch: 32, ch_mult: [1, 2],
       num_res_blocks: 2, attn_resolutions: [16], double_z: false}
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a folder of diffusers of each kind, and the network in it."""
    made = {}
    for kind in tiny_vqgan.NAMES:
        folder = tiny_vqgan.save(tmp_path_factory.mktemp("diffusers") / kind, kind)
        made[kind] = folder, tiny_vqgan.build(kind)
    return made


@pytest.fixture
def checkpoint(tmp_path):
    """Return a taming-transformers checkpoint with its .yaml, and its state dict."""
    state = random_state(entries(embed_dim=8, **TAMING))
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    (tmp_path / "model.yaml").write_text(TAMING_YAML)
    return tmp_path / "last.ckpt", tmp_path / "model.yaml", state


@pytest.mark.parametrize("kind", tiny_vqgan.NAMES)
@pytest.mark.parametrize("where", ["model", "pipeline", "part"])
def test_folders_of_diffusers(folders, tmp_path, kind, where, generator):
    folder, network = folders[kind]
    if where != "model":
        part = {"vq": "vqvae", "kl": "vae", "tiny": "vae"}[kind]
        (tmp_path / part).symlink_to(folder)
        index = {"_class_name": "Any", "unet": ["diffusers", "UNet2DModel"], "safety": [None, None]}
        index[part] = ["diffusers", type(network).__name__]
        (tmp_path / "model_index.json").write_text(json.dumps(index))
        folder = tmp_path / part if where == "part" else tmp_path
    check_latents(str(folder))
    latents = load_latents(str(folder), device="cpu")
    assert (latents.name, latents.factor, latents.channels) == (str(folder), 4, 4)
    assert not any(p.requires_grad for p in latents.parameters())
    expected = network.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in latents.network.state_dict().items())
    z = latents.random(2, 3, generator)
    assert latents.decode(z).shape == (1, 3, 8, 12)


def test_a_folder_in_half_precision_is_loaded_in_float32(tmp_path):
    tiny_vqgan.build("vq").half().save_pretrained(tmp_path)
    latents = load_latents(str(tmp_path), device="cpu")
    assert {p.dtype for p in latents.network.parameters()} == {torch.float32}


def test_a_folder_with_pickled_weights(tmp_path):
    network = tiny_vqgan.build("vq")
    network.save_pretrained(tmp_path, safe_serialization=False)
    loaded = load_latents(str(tmp_path), device="cpu").network.state_dict()
    assert torch.equal(loaded["quant_conv.weight"], network.quant_conv.weight)


def test_the_model_of_the_package(generator):
    latents = load_latents("mini", device="cpu")
    assert (latents.name, latents.factor) == ("mini", 8)
    assert {p.dtype for p in latents.network.parameters()} == {torch.float32}
    picture = latents.decode(latents.random(2, 3, generator))
    assert picture.shape == (1, 3, 16, 24)
    assert picture.std() > 0.01


@pytest.mark.parametrize("with_config", [False, True])
@torch.no_grad()
def test_a_taming_checkpoint(checkpoint, with_config, generator):
    path, config, state = checkpoint
    config = str(config) if with_config else None
    check_latents(str(path), config)
    latents = load_latents(str(path), config, device="cpu")
    assert (latents.factor, latents.channels, tuple(latents.codebook.shape)) == (2, 8, (16, 8))
    z = latents.random(3, 4, generator) + 0.01
    expected = (decode(state, nearest_codes(state, z)) + 1) / 2
    torch.testing.assert_close(latents.decode(z), expected.clamp(0, 1), atol=1e-4, rtol=0)


def test_the_nearest_config_is_named(checkpoint):
    path, config, _ = checkpoint
    with pytest.raises(FileError, match=r"modl\.yaml does not exist; did you mean model\.yaml\?"):
        check_latents(str(path), str(config.with_name("modl.yaml")))


def test_configs_that_are_refused(checkpoint, folders):
    path, config, _ = checkpoint
    for name in ("mini", "amused/amused-256", str(folders["vq"][0])):
        with pytest.raises(
            InputError, match=r"a config belongs to a taming-transformers checkpoin"
        ):
            check_latents(name, str(config))
    config.write_text("model: {params: 3}")
    with pytest.raises(InputError, match="is not one of taming-transformers"):
        check_latents(str(path), str(config))


def test_folders_that_are_refused(tmp_path):
    def refused(error, message):
        with pytest.raises(error, match=message) as caught:
            check_latents(str(tmp_path))
        assert "\n" not in str(caught.value)

    refused(InputError, r"neither config\.json nor model_index\.json \(a taming-transformers")
    index, config = tmp_path / "model_index.json", tmp_path / "config.json"
    index.write_text('{"unet": ["diffusers", "UNet2DModel"], "vae": ["diffusers", "Other"]}')
    refused(InputError, r"of class VQModel, .* but its parts are unet, vae")
    config.write_text('{"_class_name": "UNet2DModel"}')
    refused(InputError, "its parts are unet, vae")
    index.unlink()
    refused(InputError, "must hold one of VQModel, .* but its model is UNet2DModel")
    config.write_text('["VQModel"]')
    refused(FileError, "it is no JSON object")
    config.write_text("{")
    refused(FileError, "cannot read .*config.json")


def test_folders_with_bad_weights(folders, tmp_path):
    def refused(message):
        with pytest.raises(ModelError, match=message) as caught:
            load_latents(str(tmp_path), device="cpu")
        assert "\n" not in str(caught.value)

    folder, _ = folders["vq"]
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    refused("is not a usable VQModel")
    state = load_file(folder / WEIGHTS)
    weight = state.pop("decoder.conv_in.weight")
    save_file(state, tmp_path / WEIGHTS)
    refused(r"they lack 1 entry, first 'decoder\.conv_in\.weight'")
    save_file(state | {"decoder.conv_in.weight": weight[:1]}, tmp_path / WEIGHTS)
    refused("is not a usable VQModel")
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1000])
    refused("is not a usable VQModel")


@pytest.mark.parametrize("name", ["amused/amused-255", "amused/amused-255/vqvae"])
def test_the_hub_out_of_reach_is_said_at_once(name):
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load_latents(name, device="cpu")
    assert time.monotonic() - start < 5
    message = str(caught.value)
    assert "\n" not in message
    assert f"the VQGAN {name} is no local file or folder" in message
    assert "did you mean amused/amused-256" in message
    assert message.endswith(
        "use --vqgan mini, which ships with the package, or a local file or folder"
    )


def cached(cache, files):
    """Lay out files as the hub's cache of the repository ``owner/name`` does."""
    root = cache / "models--owner--name"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("a" * 40)
    for name, source in files.items():
        path = root / "snapshots" / ("a" * 40) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())


@pytest.mark.parametrize("name", ["owner/name", "owner/name/vqvae"])
def test_a_repository_in_the_cache_needs_no_network(folders, tmp_path, monkeypatch, name):
    from huggingface_hub import constants

    folder, network = folders["vq"]
    index = tmp_path / "index.json"
    index.write_text('{"vqvae": ["diffusers", "VQModel"]}')
    files = {f"vqvae/{f}": folder / f for f in ("config.json", WEIGHTS)}
    cached(tmp_path / "hub", files | {"model_index.json": index})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    loaded = load_latents(name, device="cpu").network.state_dict()
    assert torch.equal(loaded["quant_conv.weight"], network.quant_conv.weight)


def test_a_repository_without_such_a_model(tmp_path, monkeypatch):
    from huggingface_hub import constants

    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    cached(tmp_path / "hub", {"config.json": tmp_path / "config.json"})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(InputError, match=r"owner/name must hold one of VQModel, .* UNet2DModel"):
        load_latents("owner/name", device="cpu")


def test_cells_are_known_before_anything_is_loaded(checkpoint, tmp_path):
    assert latents_factor("mini") == 8
    for kind, config in (("vq", {}), ("kl", {}), ("tiny", {}), ("kl", {"block_out_channels": (8, 8),
                          "down_block_types": ("DownEncoderBlock2D",) * 2,
                          "up_block_types": ("UpDecoderBlock2D",) * 2})):  # fmt: skip
        folder = tiny_vqgan.save(tmp_path / f"{kind}{len(config)}", kind, **config)
        for file in folder.glob("*.safetensors"):
            file.unlink()
        assert latents_factor(str(folder)) == (2 if config else 4)
    path, config, _ = checkpoint
    want = load_latents(str(path), device="cpu").factor
    assert latents_factor(str(path)) == latents_factor(str(path), str(config)) == want
    with pytest.raises(ModelError, match="use --vqgan mini"):
        latents_factor("nobody/nothing")
