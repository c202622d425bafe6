"""The denoiser against diffusers' own pipelines, built tiny from the real classes."""

import itertools

import pytest
import tiny_diffusion
import torch
from denoisers import denoiser, randn
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import SlicedAttnProcessor

from guidance.errors import InputError, ModelError
from guidance.models.conditions import Condition
from guidance.models.denoiser import Denoiser, pad
from guidance.models.denoiser_space import Pixels

TEXTS = ["a fox at sunrise", "the red house"]


def sample(model, x, steps, texts=None, scale=1.0):
    """Sample as a plain loop over diffusers' DDIM, with classifier-free guidance."""
    scheduler = DDIMScheduler.from_config(model.schedule)
    scheduler.set_timesteps(steps)
    condition = Condition.cat(model.condition(texts)) if texts else None
    for t in scheduler.timesteps:
        with torch.no_grad():
            out = model(x, t, condition)
            if scale != 1:
                empty = model(x, t)
                out = empty + scale * (out - empty)
        x = scheduler.step(out, t, x).prev_sample
    return model.decode(x, fast=False)


@pytest.mark.parametrize("kind", ["sd", "xl"])
@pytest.mark.parametrize("text", [0, 1])
@torch.no_grad()
def test_the_network_sees_what_the_pipeline_shows_it(pipelines, kind, text):
    pipe = pipelines(kind)
    parts = pipe.encode_prompt(
        TEXTS[text],
        device="cpu",
        num_images_per_prompt=1,
        do_classifier_free_guidance=True,
        negative_prompt=None,
    )
    model = denoiser(pipe, kind)
    x, t = randn(1, 4, 8, 8), torch.tensor(371)
    for side, condition in enumerate((model.condition(TEXTS)[text], model.empty())):
        added = None
        if kind == "xl":
            ids = torch.tensor([[32.0, 32, 0, 0, 32, 32]])
            added = {"text_embeds": parts[2 + side], "time_ids": ids}
            assert torch.equal(condition.tensors["text_embeds"], parts[2 + side])
        torch.testing.assert_close(condition.tensors["encoder_hidden_states"], parts[side])
        expected = pipe.unet(
            x, t, encoder_hidden_states=parts[side], added_cond_kwargs=added
        ).sample
        out = model(x, t, condition)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)
        assert out.dtype == torch.float32
    # not the same for every text
    other = model(x, t, model.condition(TEXTS)[1 - text])
    assert (other - model(x, t, model.condition(TEXTS)[text])).abs().max() > 1e-3


@pytest.mark.parametrize("kind", tiny_diffusion.KINDS)
def test_sampling_ends_in_the_picture_of_the_pipeline(pipelines, kind):
    pipe = pipelines(kind)
    options, texts, scale = {}, None, 1.0
    if kind in ("sd", "xl"):
        texts, scale = TEXTS, 4.0
        options = {"prompt": texts, "guidance_scale": scale}
    else:
        options = {"batch_size": 2}
    made = pipe(
        num_inference_steps=4,
        output_type="np",
        generator=torch.Generator().manual_seed(3),
        **options,
    ).images
    model = denoiser(pipe, kind)
    side = 32 // model.factor
    pictures = sample(model, randn(2, model.channels, side, side, seed=3), 4, texts, scale)
    expected = torch.from_numpy(made).permute(0, 3, 1, 2)
    assert expected.std() > 0.05
    torch.testing.assert_close(pictures, expected, atol=2e-4, rtol=0)


def test_one_condition_serves_all_pictures_and_several_one_each(pipelines):
    model = denoiser(pipelines("sd"), "sd")
    x, t = randn(2, 4, 8, 8), torch.tensor([900, 20])
    conditions = model.condition(TEXTS)
    together = model(x, t, Condition.cat(conditions))
    for i in range(2):
        alone = model(x[i : i + 1], t[i], conditions[i])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-4)
    same = model(x, t, conditions[0])
    torch.testing.assert_close(same, model(x, t, conditions[0].rows(2)))
    torch.testing.assert_close(model(x, t), model(x, t, model.empty()))


@pytest.mark.parametrize("kind", ["sd", "xl", "ddpm"])
def test_the_gradient_is_that_of_the_network(pipelines, kind, tmp_path):
    pipe = tiny_diffusion.pipeline(kind, tmp_path)
    model = denoiser(pipe, kind)
    condition = model.condition(TEXTS)[0] if model.conditional else None
    model.network.double()
    side = 32 // model.factor
    x = randn(1, model.channels, side, side).double().requires_grad_()
    towards = randn(*x.shape, seed=1).double()
    ahead = randn(*x.shape, seed=2).double()

    def value(z):
        return (model(z, 400, condition) * towards).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    with torch.no_grad():
        slope = (value(x + 1e-5 * ahead) - value(x - 1e-5 * ahead)) / 2e-5
    torch.testing.assert_close((gradient * ahead).sum(), slope, rtol=1e-6, atol=1e-6)


def test_frozen_and_in_evaluation_mode(pipelines):
    model = denoiser(pipelines("sd"), "sd").train()
    assert not any(m.training for m in model.modules())
    assert not any(p.requires_grad for p in model.parameters())
    x = randn(1, 4, 8, 8).requires_grad_()
    model.decode(model(x, 10)).sum().backward()
    assert all(p.grad is None for p in model.parameters())


@torch.no_grad()
def test_learned_variances_are_dropped():
    network = tiny_diffusion.unet("ddpm", out_channels=6)
    model = Denoiser(network, Pixels(), name="six", size=(32, 32), schedule={}).place("cpu")
    x = randn(2, 3, 32, 32)
    expected = network(x, 500).sample
    torch.testing.assert_close(model(x, 500), expected[:, :3])


@torch.no_grad()
def test_tensors_that_every_call_gets():
    network = tiny_diffusion.unet("ddpm", num_class_embeds=5)
    always = Condition({"class_labels": torch.tensor([3])})
    model = Denoiser(network, Pixels(), name="classes", size=(32, 32), schedule={}, always=always)
    x = randn(2, 3, 32, 32)
    expected = network(x, 500, class_labels=torch.tensor([3, 3])).sample
    torch.testing.assert_close(model(x, 500), expected)
    assert not model.conditional


@torch.no_grad()
def test_half_precision_is_close_and_answers_in_float32(pipelines, tmp_path):
    pipe = tiny_diffusion.pipeline("sd", tmp_path)
    model = denoiser(pipe, "sd")
    x, condition = randn(2, 4, 8, 8), model.condition(TEXTS)[0]
    exact, picture = model(x, 500, condition), model.decode(x, clamp=False)
    final = model.decode(x, fast=False)
    model.place("cpu", "bf16")
    assert {p.dtype for p in model.network.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.reader.parameters()} == {torch.float32}
    out, half = model(x, 500, condition), model.decode(x, clamp=False)
    assert out.dtype == half.dtype == torch.float32
    torch.testing.assert_close(out, exact, atol=0.05, rtol=0.05)
    assert 1e-5 < (half - picture).abs().max() < 0.1
    assert torch.equal(model.decode(x, fast=False), final)  # finished pictures are exact


def test_attention_in_slices_is_the_same(tmp_path):
    pipe = tiny_diffusion.pipeline("xl", tmp_path)
    model = denoiser(pipe, "xl")
    x, condition = randn(2, 4, 8, 8), model.condition(TEXTS)[1]
    expected = model(x, 40, condition)
    model.place("cpu", attention_slicing=True)
    sliced = [m for m in pipe.unet.attn_processors.values() if isinstance(m, SlicedAttnProcessor)]
    assert len(sliced) == len(pipe.unet.attn_processors) > 4
    torch.testing.assert_close(model(x, 40, condition), expected, atol=1e-5, rtol=1e-4)


def test_offloading_changes_neither_values_nor_gradients(tmp_path):
    pytest.importorskip("accelerate")
    pipe = tiny_diffusion.pipeline("xl", tmp_path)
    model = denoiser(pipe, "xl")

    def run():
        x = randn(1, 4, 8, 8).requires_grad_()
        picture = model.decode(model(x, 300, model.condition(TEXTS)[0]), clamp=False)
        picture.square().sum().backward()
        return picture.detach(), x.grad, model.encode(picture.detach().clamp(0, 1))

    expected = run()
    model.place("cpu", offload=True)
    weights = [model.network.conv_in.weight, model.reader.encoders[0].get_input_embeddings().weight]
    assert {w.device.type for w in weights} == {"meta"}  # they are elsewhere until needed
    for got, want in zip(run(), expected, strict=True):
        torch.testing.assert_close(got, want)


# what makes the blocks of a Stable Diffusion such as cannot be told how many cells there were
DEEP = {"block_out_channels": (8, 16, 16, 16)}
PLAIN = {
    "down_block_types": ("DownBlock2D", *("AttnDownBlock2D",) * 3),
    "up_block_types": (*("AttnUpBlock2D",) * 3, "UpBlock2D"),
}
TEXT = {
    "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
    "up_block_types": (*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
}
NETWORKS = {
    "sd": ("sd", {}),
    "xl": ("xl", {}),
    "ldm": ("ldm", {}),
    "ddpm": ("ddpm", {}),
    "deep sd": ("sd", DEEP | TEXT),
    "deep sd with plain attention": ("sd", DEEP | PLAIN),
    "deep ldm": ("ldm", DEEP | PLAIN),
    "deep ddpm": ("ddpm", DEEP | PLAIN),
}


@pytest.mark.parametrize(("kind", "config"), NETWORKS.values(), ids=NETWORKS)
@torch.no_grad()
def test_any_number_of_cells_will_do(tmp_path, kind, config):
    model = denoiser(tiny_diffusion.pipeline(kind, tmp_path, **config), kind)
    assert (model.name, model.size) == (kind, (32, 32))
    for rows, columns in itertools.product((1, 2, 5, 9, 18), (1, 3, 24)):
        x = randn(1, model.channels, rows, columns)
        image = model.decode(model(x, 3))
        assert image.shape == (1, 3, rows * model.factor, columns * model.factor)
        assert image.isfinite().all()


def test_what_is_padded_is_mirrored():
    x = torch.arange(5.0).expand(1, 1, 3, 5)
    assert pad(x, 4)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 3, 2]
    assert pad(x, 4).shape == (1, 1, 4, 8)
    assert pad(x[..., :1], 4)[0, 0, 0].tolist() == [0, 0, 0, 0]
    assert pad(x[:, :, :2, :4], 2).shape == (1, 1, 2, 4)


def test_the_large_model_is_told_the_size_of_its_canvas(pipelines):
    pipe = pipelines("xl")
    model = denoiser(pipe, "xl")
    x, condition = randn(1, 4, 8, 12), model.condition(TEXTS)[0]
    ids = torch.tensor([[32.0, 48, 0, 0, 32, 48]])
    added = {"text_embeds": condition.tensors["text_embeds"], "time_ids": ids}
    states = condition.tensors["encoder_hidden_states"]
    expected = pipe.unet(x, 7, encoder_hidden_states=states, added_cond_kwargs=added).sample
    torch.testing.assert_close(model(x, 7, condition), expected, atol=1e-5, rtol=1e-4)


def test_calls_that_are_refused(pipelines):
    model = denoiser(pipelines("ddpm"), "ddpm")
    with pytest.raises(InputError, match="takes no texts: it is unconditional"):
        model.condition(["a fox"])
    assert model.empty() is None
    with pytest.raises(InputError, match="ddpm takes no condition"):
        model(randn(1, 3, 32, 32), 1, Condition({"a": randn(1, 1)}))
    with pytest.raises(InputError, match=r"x must have shape \[B, 3, h, w\] but has \[1, 4,"):
        model(randn(1, 4, 8, 8), 1)
    with pytest.raises(InputError, match="x0 must have shape"):
        model.decode(randn(3, 32, 32))
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        model.place("cpu", "fp16")
    with pytest.raises(InputError, match=r"must be multiples of 4 pixels but it has 30x32"):
        denoiser(pipelines("sd"), "sd").encode(torch.rand(1, 3, 32, 30))
    with pytest.raises(ModelError, match="must take and predict 3 channels but takes 4 and pred"):
        Denoiser(tiny_diffusion.unet("ldm"), Pixels(), name="a", size=(8, 8), schedule={})
