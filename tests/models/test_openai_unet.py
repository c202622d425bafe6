"""OpenAI's diffusion checkpoints: published sizes and names, and the network written out.

``PUBLISHED`` are the flags beside which OpenAI published each checkpoint, with its parameters in
millions: for guided-diffusion those of Dhariwal & Nichol 2021, appendix, hyperparameters.
"""

from dataclasses import replace
from math import prod

import pytest
import torch
from adm_files import IDDPM, LSUN, SEVEN, SIX, SMALL, TINY, saved
from checkpoint_files import FORMS, assert_same_weights, write_form
from diffusers import DDIMScheduler, UNet2DModel
from reference.slow_adm import Layout, entries, predict, random_state

from guidance.models.openai_architecture import AdmArchitecture, Conventions, infer_adm, published
from guidance.models.openai_names import openai_names, wanted_shapes
from guidance.models.openai_unet import AdmUNet, build, is_openai, load_openai
from guidance.pretrained.foreign import read_state

PUBLISHED = {  # layout, millions, size, steps, cosine
    "64x64_diffusion": (
        Layout(192, (1, 2, 3, 4), (1, 2, 3), 3, new_order=True, classes=1000), 296, 64, 1000, True,
    ),
    "128x128_diffusion": (
        Layout(256, (1, 1, 2, 3, 4), (2, 3, 4), heads=4, classes=1000), 422, 128, 1000, False,
    ),
    "256x256_diffusion": (Layout(256, SIX, (3, 4, 5), classes=1000), 554, 256, 1000, False),
    "256x256_diffusion_uncond": (Layout(256, SIX, (3, 4, 5)), 553, 256, 1000, False),
    "512x512_diffusion": (Layout(256, SEVEN, (4, 5, 6), classes=1000), 559, 512, 1000, False),
    "512x512_diffusion_uncond_finetune_008100": (
        Layout(256, SEVEN, (4, 5, 6)), 558, 512, 1000, False,
    ),
    "portrait_generator_v001": (Layout(128, SEVEN, (4, 5, 6), heads=4), 140, 512, 1000, False),
    "imagenet64_uncond_100M_1500K": (
        Layout(128, (1, 2, 3, 4), (2, 3), time_scale=0.25, **IDDPM), 121, 64, 4000, True,
    ),
    "imagenet64_cond_270M_250K": (
        Layout(192, (1, 2, 3, 4), (2, 3), classes=1000, **IDDPM), 273, 64, 4000, True,
    ),
    "cifar10_uncond_50M_500K": (
        Layout(128, (1, 2, 2, 2), (1, 2), time_scale=0.25, **IDDPM), 53, 32, 4000, True,
    ),
    "lsun_uncond_100M_1200K_bs128": (Layout(128, SIX, (4,), **LSUN), 114, 256, 1000, False),
}  # fmt: skip
PLAIN = (  # those that need nothing beyond diffusers' own class
    "64x64_diffusion",
    "256x256_diffusion",
    "256x256_diffusion_uncond",
    "lsun_uncond_100M_1200K_bs128",
)


def inputs(layout: Layout, size: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)
    return x, torch.tensor([3, 900]), torch.tensor([4, 1]) if layout.classes else None


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_entry_finds_its_place_at_full_size(name):
    layout, millions, size, steps, cosine = PUBLISHED[name]
    shapes = entries(layout)
    assert round(sum(map(prod, shapes.values())) / 1e6) == millions
    state = {k: torch.empty(s, device="meta") for k, s in shapes.items()}
    architecture = infer_adm(state)
    conventions = published(architecture)
    assert architecture.channels == tuple(layout.widths)
    assert architecture.size == size
    assert (conventions.steps, conventions.cosine) == (steps, cosine)
    assert conventions.new_order == layout.new_order
    assert conventions.time_scale == layout.time_scale
    for level in (*layout.attended, len(layout.mult) - 1):
        width = layout.widths[level]
        assert conventions.heads(width) == (layout.heads or width // 64)
    with torch.device("meta"):
        network = build(architecture, conventions, name)
    names = openai_names(network, architecture)
    assert wanted_shapes(network, names) == shapes
    assert (type(network) is UNet2DModel) == (name in PLAIN)


def test_the_names_and_shapes_of_the_two_models_that_are_used_most():
    uncond = entries(PUBLISHED["256x256_diffusion_uncond"][0])
    finetune = entries(PUBLISHED["512x512_diffusion_uncond_finetune_008100"][0])
    assert (len(uncond), len(finetune)) == (566, 644)
    for shapes, name, shape in (
        (uncond, "time_embed.0.weight", (1024, 256)),
        (uncond, "input_blocks.0.0.weight", (256, 3, 3, 3)),
        (uncond, "input_blocks.3.0.in_layers.2.weight", (256, 256, 3, 3)),
        (uncond, "input_blocks.10.0.skip_connection.weight", None),
        (uncond, "input_blocks.13.0.skip_connection.weight", (1024, 512, 1, 1)),
        (uncond, "input_blocks.11.1.qkv.weight", (1536, 512, 1)),
        (uncond, "input_blocks.17.1.proj_out.bias", (1024,)),
        (uncond, "middle_block.1.qkv.weight", (3072, 1024, 1)),
        (uncond, "output_blocks.2.2.in_layers.2.weight", (1024, 1024, 3, 3)),
        (uncond, "output_blocks.11.1.out_layers.3.weight", (512, 512, 3, 3)),
        (uncond, "output_blocks.17.0.in_layers.0.weight", (512,)),
        (uncond, "output_blocks.17.1.qkv.weight", None),
        (uncond, "out.2.weight", (6, 256, 3, 3)),
        (finetune, "time_embed.0.weight", (1024, 256)),
        (finetune, "input_blocks.0.0.weight", (128, 3, 3, 3)),
        (finetune, "input_blocks.1.0.emb_layers.1.weight", (256, 1024)),
        (finetune, "input_blocks.20.1.norm.weight", (1024,)),
        (finetune, "output_blocks.20.0.skip_connection.weight", (128, 256, 1, 1)),
        (finetune, "label_emb.weight", None),
        (finetune, "out.2.weight", (6, 128, 3, 3)),
    ):
        assert shapes.get(name) == shape, name


# one block a level, where seven levels take most of the time of all
@pytest.mark.parametrize(
    "layout", (SMALL | {"512": replace(SMALL["512"], num_res_blocks=1)}).values(), ids=SMALL
)
def test_output_and_gradient_equal_the_network_written_out(tmp_path, layout):
    state = random_state(entries(layout))
    loaded = load_openai(saved(tmp_path / "a.pt", state))
    assert loaded.classes == layout.classes
    assert loaded.learned_variance == (layout.out == 6)
    x, t, classes = inputs(layout, size=2 ** (len(layout.mult) - 1))
    with torch.no_grad():
        single = loaded.network(x.float(), t, class_labels=classes).sample
    x.requires_grad_()
    out = loaded.network.double()(x, t, class_labels=classes).sample
    exact = predict({k: v.double() for k, v in state.items()}, layout, x, t, classes)
    assert 0.3 < exact.std() < 30
    torch.testing.assert_close(out, exact, atol=1e-8, rtol=0)
    torch.testing.assert_close(single, exact.float(), atol=1e-4, rtol=0)
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).double()
    ours, theirs = (torch.autograd.grad(y, x, cotangent)[0] for y in (out, exact))
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=0)


@torch.no_grad()
def test_other_conventions_are_followed(tmp_path):
    state = random_state(entries(TINY))
    path = saved(tmp_path / "a.pt", state)
    x, t, _ = inputs(TINY)
    exact = {k: v.double() for k, v in state.items()}
    outs = []
    for layout, conventions in (
        (TINY, None),
        (replace(TINY, new_order=True), Conventions(new_order=True)),
        (replace(TINY, heads=4), Conventions(num_heads=4)),
        (replace(TINY, time_scale=0.25), Conventions(time_scale=0.25, steps=4000)),
    ):
        network = load_openai(path, conventions).network.double()
        outs.append(predict(exact, layout, x, t))
        torch.testing.assert_close(network(x, t).sample, outs[-1], atol=1e-8, rtol=0)
    for other in outs[1:]:  # each of them matters
        assert (other - outs[0]).abs().max() > 0.05


def test_the_schedule_is_one_for_diffusers(tmp_path):
    def alphas(layout):
        loaded = load_openai(saved(tmp_path / "a.pt", random_state(entries(layout))))
        scheduler = DDIMScheduler.from_config(loaded.schedule)
        assert scheduler.config.prediction_type == "epsilon"
        return scheduler.alphas_cumprod

    linear = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    torch.testing.assert_close(alphas(TINY).double(), linear, atol=1e-5, rtol=0)
    for layout, steps in ((SMALL["64"], 1000), (SMALL["improved-diffusion"], 4000)):
        found = alphas(layout).double()
        level = (torch.linspace(0, 1, steps + 1).double() + 0.008) / 1.008 * torch.pi / 2
        cosine = (level.cos() / level[0].cos()).square()[1:]
        torch.testing.assert_close(found, cosine, atol=1e-4, rtol=0)


@torch.no_grad()
def test_what_diffusers_can_express_can_be_saved_as_its_model(tmp_path):
    network = load_openai(saved(tmp_path / "a.pt", random_state(entries(TINY)))).network
    assert type(network) is UNet2DModel
    network.save_pretrained(tmp_path / "unet")
    again = UNet2DModel.from_pretrained(tmp_path / "unet")
    x, t, _ = inputs(TINY)
    assert torch.equal(again(x.float(), t).sample, network(x.float(), t).sample)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "plain"])
def test_other_files_give_the_same_network(tmp_path, form):
    state = random_state(entries(TINY))
    expected = load_openai(saved(tmp_path / "a.pt", state)).network.state_dict()
    path = write_form(tmp_path, form, state)
    assert is_openai(read_state(path))
    network = load_openai(path).network
    assert not network.training
    path.unlink()  # nothing may still be mapped from it
    assert_same_weights(network, expected, form)


def test_the_encoder_or_the_decoder_tells_what_the_other_lacks():
    shapes = entries(SMALL["512"])
    state = {k: torch.empty(s, device="meta") for k, s in shapes.items()}
    whole = infer_adm(state)
    assert whole == AdmArchitecture(
        channels=(32, 64, 64, 64, 64, 128, 128),
        attention=(False, False, False, False, True, True, True),
        num_res_blocks=2,
        time_channels=64,
        time_width=256,
        out_channels=6,
        classes=5,
    )
    for side in ("input", "output"):
        kept = {
            k: v
            for k, v in state.items()
            if not k.startswith(f"{side}_blocks") or k.endswith("in_layers.0.weight") or "s.0." in k
        }
        assert infer_adm(kept) == whole


def test_only_the_names_of_the_network_make_it_openai():
    names = list(entries(TINY))
    assert is_openai(names)
    assert is_openai(iter(names))
    assert not is_openai([])
    assert not is_openai(name for name in names if name != "time_embed.0.weight")
    assert not is_openai(f"model.diffusion_model.{name}" for name in names)


@torch.no_grad()
def test_networks_beyond_diffusers_keep_its_interface(tmp_path):
    layout = SMALL["128"]
    network = load_openai(saved(tmp_path / "a.pt", random_state(entries(layout)))).network
    assert isinstance(network, AdmUNet)
    x, t, classes = inputs(layout)
    out = network(x.float(), t[0], class_labels=classes, return_dict=False)[0]
    assert out.shape == (2, 6, 32, 32)
    half = network.to(torch.bfloat16)(x.bfloat16(), t[0], class_labels=classes).sample
    assert (half.float() - out).abs().mean() < 0.1 * out.abs().mean()
