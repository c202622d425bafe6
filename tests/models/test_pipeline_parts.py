"""Weights and tokenizers of a pipeline: in which files they may be, and damaged ones."""

import shutil

import pytest
import torch
from denoisers import answer
from safetensors.torch import load_file, save_file

from guidance.errors import ModelError
from guidance.models.load_denoiser import load_denoiser

UNET = "unet/diffusion_pytorch_model"


@pytest.mark.parametrize("form", ["pickled", "half", "variant", "shards"])
def test_other_files_of_weights(folders, tmp_path, form):
    pipe, folder = folders["xl"]
    expected = answer(load_denoiser(str(folder), device="cpu"))
    shutil.copytree(folder, tmp_path / "xl")
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        network, place = getattr(pipe, part), tmp_path / "xl" / part
        for file in place.glob("*.safetensors"):
            file.unlink()
        if form == "pickled":
            stem = "pytorch_model" if "text" in part else "diffusion_pytorch_model"
            torch.save(network.state_dict(), place / f"{stem}.bin")
        elif form == "shards":
            network.save_pretrained(place, max_shard_size="20KB")
            assert len(list(place.glob("*.safetensors"))) > 1
        else:
            state = {k: v.half().contiguous() for k, v in network.state_dict().items()}
            stem = "model" if "text" in part else "diffusion_pytorch_model"
            variant = ".fp16" if form == "variant" else ""
            meta = {"format": "pt"}
            save_file(state, place / f"{stem}{variant}.safetensors", metadata=meta)
    model = load_denoiser(str(tmp_path / "xl"), device="cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    exact = form in ("pickled", "shards")
    torch.testing.assert_close(answer(model), expected, atol=1e-5 if exact else 0.01, rtol=0)


def test_half_precision_takes_the_half_precision_file(sd):
    state = load_file(sd / f"{UNET}.safetensors")
    doubled = {k: (v * 2).half() for k, v in state.items()}
    save_file(doubled, sd / f"{UNET}.fp16.safetensors", metadata={"format": "pt"})
    bias = state["conv_out.bias"]
    plain = load_denoiser(str(sd), device="cpu").network.conv_out.bias
    half = load_denoiser(str(sd), device="cpu", precision="bf16").network.conv_out.bias
    assert torch.equal(plain, bias)
    torch.testing.assert_close(half, (bias * 2).bfloat16(), atol=1e-3, rtol=0.01)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_parts_with_bad_weights(sd, part):
    def refused(message):
        with pytest.raises(ModelError, match=message) as caught:
            load_denoiser(str(sd), device="cpu")
        assert "\n" not in str(caught.value)

    (file,) = (sd / part).glob("*.safetensors")
    state, whole = load_file(file), file.read_bytes()
    key = next(k for k in state if k.endswith("norm.weight") or "conv_in.weight" in k)
    lacking = {k: v for k, v in state.items() if k != key}
    save_file(lacking, file, metadata={"format": "pt"})
    refused(f"{part} of .* do not fit its config: they lack 1 entry, first '.*{key[-11:]}'")
    save_file(lacking | {key: state[key][:1]}, file, metadata={"format": "pt"})
    refused(f"{part} of .*")
    file.write_bytes(whole[:1000])
    refused(f"{part} of .* is not a usable ")
    file.unlink()
    refused(f"{part} of .* has no weights")


def test_a_bad_tokenizer(sd):
    for file in (sd / "tokenizer").iterdir():
        file.write_text("{")
    with pytest.raises(
        ModelError, match=r"tokenizer of .* is not a usable CLIPTokenizer"
    ) as caught:
        load_denoiser(str(sd), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_pickle_that_would_run_code(sd):
    (sd / f"{UNET}.safetensors").unlink()
    torch.save({"conv_in.weight": shutil.rmtree}, sd / f"{UNET}.bin")
    with pytest.raises(ModelError, match=r"unet of .* is not a usable UNet2DConditionModel"):
        load_denoiser(str(sd), device="cpu")
