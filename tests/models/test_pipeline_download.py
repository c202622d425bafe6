"""Pipelines in the hub and in its cache."""

import shutil
import time

import pytest
import torch
from denoisers import answer, edit

from guidance.errors import ModelError
from guidance.models.load_denoiser import load_denoiser


def test_the_hub_out_of_reach_is_said_at_once():
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load_denoiser("google/ddpm-cat-255", device="cpu")
    assert time.monotonic() - start < 5
    message = str(caught.value)
    assert "\n" not in message
    assert "the diffusion model google/ddpm-cat-255 is no local file or folder" in message
    assert "did you mean google/ddpm-cat-256" in message
    assert message.endswith(
        "use --model mini, which ships with the package, or a local file or folder"
    )


def cached(cache, folder, skip=()):
    """Lay out a folder as the hub's cache of the repository ``owner/name`` does."""
    root = cache / "models--owner--name"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("a" * 40)
    snapshot = root / "snapshots" / ("a" * 40)
    shutil.copytree(folder, snapshot, ignore=shutil.ignore_patterns(*skip))
    return snapshot


@pytest.mark.parametrize("kind", ["sd", "ddpm"])
def test_a_repository_in_the_cache_needs_no_network(folders, tmp_path, monkeypatch, kind):
    from huggingface_hub import constants

    _, folder = folders[kind]
    cached(tmp_path, folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = load_denoiser("owner/name", device="cpu")
    assert model.name == "owner/name"
    assert torch.equal(answer(model), answer(load_denoiser(str(folder), device="cpu")))


def test_shards_in_the_cache(folders, tmp_path, monkeypatch):
    from huggingface_hub import constants

    pipe, folder = folders["sd"]
    snapshot = cached(tmp_path, folder, skip=["diffusion_pytorch_model.safetensors"])
    pipe.unet.save_pretrained(snapshot / "unet", max_shard_size="50KB")
    pipe.vae.save_pretrained(snapshot / "vae")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = load_denoiser("owner/name", device="cpu")
    expected = answer(load_denoiser(str(folder), device="cpu"))
    # where a weight lies in memory changes the last digit
    torch.testing.assert_close(answer(model), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("skip", ["diffusion_pytorch_model.safetensors", "tokenizer"])
def test_a_repository_that_is_only_half_in_the_cache(folders, tmp_path, monkeypatch, skip):
    from huggingface_hub import constants

    cached(tmp_path, folders["sd"][1], skip=[skip])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"owner/name is no local .* could not be downloaded"):
        load_denoiser("owner/name", device="cpu")


def test_a_repository_that_is_refused(folders, tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = cached(tmp_path, folders["sd"][1], skip=["*.safetensors"])
    edit(snapshot / "unet/config.json", in_channels=9)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="owner/name is not supported: it is an inpainting model"):
        load_denoiser("owner/name", device="cpu")
