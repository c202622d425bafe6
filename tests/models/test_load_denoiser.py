"""Names of diffusion models: checked before anything is loaded, then loaded from what they name."""

import shutil
from dataclasses import replace

import diffusers
import pytest
import tiny_diffusion
import tiny_vqgan
import torch
from denoisers import answer, edit, randn
from reference.slow_adm import Layout, entries, predict, random_state

from guidance.errors import FileError, InputError, ModelError
from guidance.models.denoiser_config import check_denoiser
from guidance.models.load_denoiser import load_denoiser

ADM = Layout(32, (1, 1, 1, 1, 1, 4), (5,), 1)
UNET = "unet/diffusion_pytorch_model"


def sampled(folder, **schedule):
    """Return pictures of our denoiser of a folder, in a plain loop of diffusers' DDIM."""
    model = load_denoiser(str(folder), device="cpu")
    scheduler = diffusers.DDIMScheduler.from_config(model.schedule)
    scheduler.set_timesteps(3)
    side = 32 // model.factor
    x = randn(1, model.channels, side, side, seed=5)
    condition = model.condition(["a fox"])[0] if model.conditional else None
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t, condition), t, x).prev_sample
        return model.decode(x, fast=False)


@pytest.mark.parametrize("kind", tiny_diffusion.KINDS)
def test_folders_of_pipelines(folders, kind):
    pipe, folder = folders[kind]
    check_denoiser(str(folder))
    model = load_denoiser(str(folder), device="cpu")
    assert (model.name, model.size) == (str(folder), (32, 32))
    assert (model.factor, model.channels) == ((1, 3) if kind == "ddpm" else (4, 4))
    assert model.conditional == (kind in ("sd", "xl"))
    assert model.cfg == {"sd": 7.5, "xl": 5.0}.get(kind, 1.0)
    assert model.schedule["beta_schedule"] == "scaled_linear"
    assert model.schedule["prediction_type"] == "epsilon"
    options = {"prompt": "a fox", "guidance_scale": 1.0} if model.conditional else {}
    made = pipe(
        num_inference_steps=3,
        output_type="np",
        generator=torch.Generator().manual_seed(5),
        **options,
    ).images
    expected = torch.from_numpy(made).permute(0, 3, 1, 2)
    torch.testing.assert_close(sampled(folder), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", ["sd", "ddpm"])
def test_a_network_that_predicts_velocity(kind, tmp_path):
    pipe = tiny_diffusion.pipeline(kind, tmp_path, schedule={"prediction_type": "v_prediction"})
    pipe.save_pretrained(tmp_path / "v")
    assert load_denoiser(str(tmp_path / "v"), device="cpu").schedule["prediction_type"] == (
        "v_prediction"
    )


def test_the_first_pipelines_had_their_only_network_beside_the_index(folders, tmp_path):
    _, folder = folders["ddpm"]
    expected = answer(load_denoiser(str(folder), device="cpu"))
    for file in ("unet/config.json", f"{UNET}.safetensors", "scheduler/scheduler_config.json"):
        shutil.copy(folder / file, tmp_path)
    shutil.copy(folder / "model_index.json", tmp_path)
    edit(tmp_path / "scheduler_config.json", beta_schedule="linear", prediction_type=None)
    check_denoiser(str(tmp_path))
    model = load_denoiser(str(tmp_path), device="cpu")
    assert torch.equal(answer(model), expected)
    assert model.schedule["beta_schedule"] == "linear"
    assert model.schedule["prediction_type"] == "epsilon"


def test_a_network_alone_has_the_schedule_of_ddpm(folders):
    folder = folders["ddpm"][1] / "unet"
    check_denoiser(str(folder))
    model = load_denoiser(str(folder), device="cpu")
    expected = load_denoiser(str(folder.parent), device="cpu")
    assert torch.equal(answer(model), answer(expected))
    wanted = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
    assert wanted.items() <= model.schedule.items()


def test_schedules_of_old_and_of_learned_variances(sd):
    edit(sd / "scheduler/scheduler_config.json", steps_offset=0, variance_type="learned_range")
    schedule = load_denoiser(str(sd), device="cpu").schedule
    assert schedule["steps_offset"] == 1  # as Stable Diffusion's own pipeline corrects it
    assert schedule["variance_type"] == "fixed_small"


def test_texts_of_latent_diffusion(tmp_path):
    from diffusers.pipelines.latent_diffusion import LDMBertModel
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig
    from transformers import BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "fox"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    config = LDMBertConfig(
        vocab_size=len(words),
        max_position_embeddings=77,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        head_dim=8,
        d_model=32,
    )
    pipe = diffusers.LDMTextToImagePipeline(
        vqvae=tiny_vqgan.build("kl"),
        bert=LDMBertModel(config).eval(),
        tokenizer=BertTokenizer(str(tmp_path / "vocab.txt")),
        unet=tiny_diffusion.unet("sd"),
        scheduler=diffusers.DDIMScheduler(**tiny_diffusion.SCHEDULE),
    )
    pipe.save_pretrained(tmp_path / "ldm")
    model = load_denoiser(str(tmp_path / "ldm"), device="cpu")
    tokens = pipe.tokenizer(
        "a fox", padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = pipe.bert(tokens.input_ids)[0]
    states = model.condition(["a fox"])[0].tensors["encoder_hidden_states"]
    torch.testing.assert_close(states, expected)


def test_another_decoder_on_the_way(folders, sd, tmp_path):
    _, folder = folders["sd"]
    taesd = tiny_vqgan.save(tmp_path / "taesd", "tiny")
    options = {"decoder": str(taesd)}
    check_denoiser(str(folder), **options)
    model = load_denoiser(str(folder), device="cpu", **options)
    x0 = randn(1, 4, 8, 8)
    expected = tiny_vqgan.build("tiny").decode(x0).sample / 2 + 0.5
    torch.testing.assert_close(model.decode(x0, clamp=False), expected)
    own = load_denoiser(str(folder), device="cpu")
    assert torch.equal(model.decode(x0, fast=False), own.decode(x0, fast=False))
    other = tiny_vqgan.save(tmp_path / "eight", "tiny", latent_channels=8)
    with pytest.raises(ModelError, match="eight must take 4 channels"):
        load_denoiser(str(folder), device="cpu", decoder=str(other))
    (sd / f"{UNET}.safetensors").unlink()  # a decoder is looked for before anything is loaded
    with pytest.raises(ModelError, match=r"the decoder: .*taesd .*; use --decoder auto"):
        load_denoiser(str(sd), device="cpu", decoder="madebyollin/taesd")
    for attempt in (check_denoiser, lambda *a, **k: load_denoiser(*a, device="cpu", **k)):
        with pytest.raises(InputError, match=r"works on pixels and needs no decoder but got"):
            attempt(str(folders["ddpm"][1]), decoder=str(taesd))
        with pytest.raises(InputError, match="the decoder of mini is its own"):
            attempt("mini", decoder=str(taesd))
        with pytest.raises(FileError, match=r"the decoder must be .*'\./nowhere' does not exist"):
            attempt(str(folder), decoder="./nowhere")


@torch.no_grad()
def test_a_checkpoint_of_guided_diffusion(tmp_path):
    state = random_state(entries(ADM))
    path = tmp_path / "256x256_diffusion_uncond.pt"
    torch.save(state, path)
    check_denoiser(str(path))
    model = load_denoiser(str(path), device="cpu")
    assert (model.size, model.factor) == ((256, 256), 1)
    assert model.schedule["beta_schedule"] == "linear"
    x = randn(1, 3, 64, 64)
    expected = predict(
        {k: v.double() for k, v in state.items()}, ADM, x.double(), torch.tensor([9])
    )
    assert expected.shape[1] == 6  # the learned variances are dropped
    torch.testing.assert_close(model(x, 9).double(), expected[:, :3], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_no_class_in_particular_is_the_mean_of_their_vectors(tmp_path):
    layout = replace(ADM, classes=4)
    state = random_state(entries(layout))
    torch.save(state, tmp_path / "classes.pt")
    model = load_denoiser(str(tmp_path / "classes.pt"), device="cpu")
    assert not model.conditional
    state["label_emb.weight"] = state["label_emb.weight"].mean(0, keepdim=True).repeat(4, 1)
    x = randn(1, 3, 64, 64)
    exact = {k: v.double() for k, v in state.items()}
    expected = predict(exact, layout, x.double(), torch.tensor([9]), torch.tensor([2]))
    torch.testing.assert_close(model(x, 9).double(), expected[:, :3], atol=1e-3, rtol=1e-3)


def test_a_precision_is_checked_before_anything_is_loaded(sd):
    (sd / f"{UNET}.safetensors").unlink()
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        load_denoiser(str(sd), device="cpu", precision="fp16")
    with pytest.raises(InputError, match="precision must be fp32, bf16, fp16 but is 'fp8'"):
        load_denoiser(str(sd), device="cpu", precision="fp8")


def test_ways_to_save_memory_are_passed_on(folders):
    pytest.importorskip("accelerate")
    from diffusers.models.attention_processor import SlicedAttnProcessor

    folder = str(folders["sd"][1])
    expected = answer(load_denoiser(folder, device="cpu"))
    model = load_denoiser(folder, device="cpu", offload=True, attention_slicing=True)
    assert model.network.conv_in.weight.device.type == "meta"
    processors = model.network.attn_processors.values()
    assert all(isinstance(p, SlicedAttnProcessor) for p in processors)
    torch.testing.assert_close(answer(model), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="mini is small and cannot be offloaded"):
        check_denoiser("mini", offload=True)


def test_loading_is_quiet(folders, capfd):
    load_denoiser(str(folders["xl"][1]), device="cpu")
    assert capfd.readouterr() == ("", "")
