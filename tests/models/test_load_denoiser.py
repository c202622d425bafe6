"""Names of diffusion models: checked before anything is loaded, then loaded from what they name."""

import json
import shutil
import sys
import time
from dataclasses import replace

import diffusers
import pytest
import tiny_diffusion
import tiny_vqgan
import torch
from reference.slow_adm import Layout, entries, predict, random_state
from safetensors.torch import load_file, save_file

from guidance.errors import FileError, InputError, ModelError
from guidance.models.denoiser_config import check_denoiser
from guidance.models.load_denoiser import load_denoiser

ADM = Layout(32, (1, 1, 1, 1, 1, 4), (5,), 1)
UNET = "unet/diffusion_pytorch_model"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a pipeline of each kind, and its folder."""
    made = {}
    for kind in tiny_diffusion.KINDS:
        folder = tmp_path_factory.mktemp("diffusion") / kind
        pipe = tiny_diffusion.pipeline(kind, folder.with_name(f"{kind} tokenizer"))
        pipe.save_pretrained(folder)
        made[kind] = pipe, folder
    return made


@pytest.fixture
def sd(folders, tmp_path):
    """Return a copy of the folder of the small Stable Diffusion, to be changed."""
    return shutil.copytree(folders["sd"][1], tmp_path / "sd")


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def answer(model):
    """Return what a model predicts of some noise, and the picture of that."""
    side = 32 // model.factor
    condition = model.condition(["a fox"])[0] if model.conditional else None
    with torch.no_grad():
        out = model(randn(1, model.channels, side, side), 500, condition)
        return torch.cat([out.flatten(), model.decode(out).flatten()])


def edit(file, **changes):
    """Change entries of a JSON file; None takes one away."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


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
    with pytest.raises(ModelError, match=r"the decoder: .*taesd .* not be downloaded .*\)$"):
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
    ("name", "error", "message"),
    [
        ("", InputError, "must not be empty; the default is mini"),
        ("minni", InputError, "unknown diffusion model 'minni'; did you mean mini?"),
        ("512x512_diffusion", InputError, r"did you mean .*512x512_diffusion_uncond_finet"),
        ("a/b/c", InputError, "unknown diffusion model 'a/b/c'"),
        ("lost.pt", FileError, r"the checkpoint lost\.pt does not exist"),
        ("./nowhere", FileError, r"the diffusion model's folder '\./nowhere' does not exist"),
        ("models/", FileError, "folder 'models/' does not exist"),
        (__file__, InputError, r"file must be one of \.ckpt, \.pt, \.pth, \.safetensors but is"),
    ],
)
def test_names_that_are_refused(name, error, message):
    for attempt in (check_denoiser, lambda name: load_denoiser(name, device="cpu")):
        with pytest.raises(error, match=message) as caught:
            attempt(name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mini", "google/ddpm-cat-256", "any-one/some.thing"])
def test_names_that_are_accepted_without_a_look(name):
    assert check_denoiser(name) is None


def test_a_precision_is_checked_before_anything_is_loaded(sd):
    (sd / f"{UNET}.safetensors").unlink()
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        load_denoiser(str(sd), device="cpu", precision="fp16")
    with pytest.raises(InputError, match="precision must be fp32, bf16, fp16 but is 'fp8'"):
        load_denoiser(str(sd), device="cpu", precision="fp8")


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


def test_packages_that_are_not_installed(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"transformers: pip install 'clip-guidance\[pipelines\]'"):
        check_denoiser(str(folders["sd"][1]))
    check_denoiser(str(folders["ldm"][1]))
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ModelError, match=r"accelerate: pip install 'clip-guidance\[pipelines\]'"):
        check_denoiser(str(folders["ldm"][1]), offload=True)


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
