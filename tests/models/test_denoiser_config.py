"""Names and folders of diffusion models that are refused before anything is loaded."""

import shutil
import sys

import pytest
import torch
from denoisers import edit
from safetensors.torch import save_file

from guidance.errors import FileError, InputError, ModelError
from guidance.models.denoiser_config import check_denoiser
from guidance.models.load_denoiser import load_denoiser

UNET = "unet/diffusion_pytorch_model"


def test_files_that_are_refused(tmp_path):
    path = tmp_path / "v1-5.safetensors"
    save_file({"model.diffusion_model.time_embed.0.weight": torch.zeros(2)}, path)
    check_denoiser(str(path))
    with pytest.raises(ModelError, match=r"StableDiffusionPipeline\.from_single_file\('.*v1-5\.s"):
        load_denoiser(str(path), device="cpu")
    state = {"model.diffusion_model.a": torch.zeros(2), "conditioner.embedders.0.b": torch.ones(1)}
    save_file(state, path)
    with pytest.raises(ModelError, match=r"StableDiffusionXLPipeline.*save_pretrained\('v1-5'\)"):
        load_denoiser(str(path), device="cpu")
    save_file({"decoder.weight": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="holds no UNet of guided-diffusion"):
        load_denoiser(str(path), device="cpu")
    with pytest.raises(InputError, match="works on pixels and needs no decoder"):
        check_denoiser(str(path), decoder="mini")
    with pytest.raises(FileError, match=r"v1-4\.safetensors does not exist; did you mean v1-5\.s"):
        check_denoiser(str(path.with_name("v1-4.safetensors")))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("unet/config.json", {"in_channels": 9}, r"an inpainting model \(9 input channels\)"),
        ("unet/config.json", {"in_channels": 8}, "takes 8 channels but its latents have 4"),
        ("unet/config.json", {"time_cond_proj_dim": 256}, r"a guidance scale \(LCM\)"),
        ("unet/config.json", {"class_embed_type": "projection"}, "wants class vectors or pictures"),
        ("unet/config.json", {"num_class_embeds": 1000}, "wants class labels or noise levels"),
        ("unet/config.json", {"encoder_hid_dim_type": "image_proj"}, "wants pictures as cond"),
        ("unet/config.json", {"addition_embed_type": "image"}, "conditions of kind image"),
        ("unet/config.json", {"addition_embed_type": "text_time"}, "makes no pooled embeddings"),
        (
            "model_index.json",
            {"unet": None, "transformer": ["diffusers", "FluxTransformer2DModel"]},
            r"a StableDiffusionPipeline without unet \(parts: .*transformer.*\); supported are",
        ),
        ("model_index.json", {"unet": ["diffusers", "UNet3D"]}, "its unet is a UNet3D; supported"),
        ("model_index.json", {"vae": ["diffusers", "AutoencoderDC"]}, "decoder is a AutoencoderDC"),
        ("model_index.json", {"vae": None}, "takes 4 channels but its pixels have 3"),
        ("model_index.json", {"text_encoder": None}, "it has no text encoder"),
        (
            "model_index.json",
            {"text_encoder": ["transformers", "T5EncoderModel"]},
            r"its text_encoder is a T5EncoderModel \(known: CLIPTextModel",
        ),
        ("model_index.json", {"tokenizer": None}, "its tokenizer is missing"),
        ("model_index.json", {"requires_aesthetics_score": True}, "refines pictures of another"),
        ("scheduler/scheduler_config.json", {"beta_schedule": None, "trained_betas": None}, "DDIM"),
        (
            "scheduler/scheduler_config.json",
            {"prediction_type": "flow"},
            r"predicts 'flow' \(known: epsilon",
        ),
    ],
)
def test_pipelines_that_are_refused(sd, file, changes, message):
    edit(sd / file, **changes)
    (sd / f"{UNET}.safetensors").unlink()  # nothing is loaded
    for attempt in (check_denoiser, lambda name: load_denoiser(name, device="cpu")):
        with pytest.raises(ModelError, match=message) as caught:
            attempt(str(sd))
        assert "\n" not in str(caught.value)
        assert str(sd) in str(caught.value)


def test_folders_that_are_refused(sd, tmp_path):
    def refused(folder, error, message):
        with pytest.raises(error, match=message):
            check_denoiser(str(folder))

    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", ModelError, r"neither model_index\.json nor config\.json; suppor")
    refused(sd / "vae", ModelError, "must hold a pipeline or a UNet2DModel but its model is Autoe")
    refused(sd / "unet", ModelError, "is UNet2DConditionModel; name the folder of the whole pipe")
    edit(sd / "model_index.json", text_encoder_2=["transformers", "CLIPTextModel"])
    refused(sd, ModelError, r"is incomplete: it has no text_encoder_2/config\.json")
    shutil.copytree(sd / "text_encoder", sd / "text_encoder_2")
    refused(sd, ModelError, "its tokenizer_2 is missing")
    edit(sd / "model_index.json", tokenizer_2=["transformers", "CLIPTokenizer"])
    refused(sd, ModelError, "it has 2 text encoders")
    (sd / "scheduler/scheduler_config.json").unlink()
    refused(sd, ModelError, r"it has no scheduler/scheduler_config\.json")
    (sd / "unet/config.json").write_text("{")
    refused(sd, FileError, r"cannot read .*unet/config\.json")
    (sd / "model_index.json").write_text("[]")
    refused(sd, FileError, r"cannot read .*model_index\.json: it is no JSON object")


def test_packages_that_are_not_installed(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"transformers: pip install 'clip-guidance\[pipelines\]'"):
        check_denoiser(str(folders["sd"][1]))
    check_denoiser(str(folders["ldm"][1]))
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ModelError, match=r"accelerate: pip install 'clip-guidance\[pipelines\]'"):
        check_denoiser(str(folders["ldm"][1]), offload=True)
