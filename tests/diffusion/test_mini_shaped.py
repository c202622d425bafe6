"""A model of the mini one's shape: CLIP conditions it, and it has an upsampler."""

from __future__ import annotations

import pytest
import tiny_vqgan
import torch
from diffusing import TARGET, finish, make

from guidance.clip import ClipModel
from guidance.diffusion.conditioning import Conditioning
from guidance.errors import InputError
from guidance.images import to_pil
from guidance.models.denoiser_space import LatentSpace
from guidance.models.latent_unet import LatentUNet
from guidance.models.latents import wrap
from guidance.models.mini_diffusion import ClipReader, MiniDenoiser, Upsampler
from guidance.models.noise_aware import NoiseAware
from guidance.objective.regularisers import Likeness
from guidance.prompts.grammar import parse_prompts
from guidance.step import checkpoint

SCHEDULE = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction",
            "clip_sample": False, "num_train_timesteps": 1000}  # fmt: skip


def network(channels: int, clip_length: int = 32, *, sized: bool = False) -> LatentUNet:
    """Return a tiny network; more than 4 input channels take a smaller picture."""
    config = {
        "sample_size": 8, "in_channels": channels, "out_channels": 4, "layers_per_block": 1,
        "block_out_channels": [8, 16], "norm_num_groups": 4, "mid_block_type": "UNetMidBlock2D",
        "down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2,
        "class_embed_type": "projection", "attention_head_dim": 4,
        "projection_class_embeddings_input_dim": 2 * clip_length + sized,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(channels)
        return LatentUNet(config).eval().requires_grad_(False)


@pytest.fixture
def mini(with_prior: ClipModel, request: pytest.FixtureRequest) -> MiniDenoiser:
    """Return a tiny model; the parameter says if base and upsampler are told sizes."""
    sized = getattr(request, "param", (False, False))
    base, larger = network(4, sized=sized[0]), network(8, sized=sized[1])
    latents = wrap(tiny_vqgan.build("vq"), "tiny")
    model = MiniDenoiser(
        base.unet,
        LatentSpace(latents),
        name="mini",
        size=(32, 32),
        schedule=SCHEDULE,
        reader=ClipReader(with_prior, base),
        cfg=3.0,
    )
    model.upsampler = Upsampler(larger, latents, SCHEDULE)
    return model.place("cpu")


def test_finished_pictures_are_enlarged(mini):
    generator = make(mini)
    assert generator.final_size == (32, 32)
    steps = finish(generator)
    assert steps[-1].image.shape == (2, 3, 32, 32)
    assert generator.final_size == (64, 64)
    large = generator.render(64, 64)
    want = mini.upsampler(generator.image(), mini.condition(["a fox"])[0], [0, 1])
    torch.testing.assert_close(large, want)
    assert torch.equal(generator.render(32, 32), generator.image())
    assert generator.render(48, 48).shape == (2, 3, 48, 48)


@pytest.mark.parametrize(
    ("mini", "told"),
    [((False, False), (64, 64)), ((True, False), (65, 64)), ((True, True), (65, 65))],
    indirect=["mini"],
)
def test_sharp_pictures_are_asked_for(mini, told):
    seen: list[torch.Tensor] = []
    for unet in (mini.network, mini.upsampler.network.unet):
        unet.class_embedding.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    generator = make(mini)
    finish(generator)
    steps = len(seen)
    generator.render(64, 64)
    assert {t.shape[1] for t in seen[:steps]} == {told[0]}
    assert {t.shape[1] for t in seen[steps:]} == {told[1]}
    assert all(t[:, :64].any() and not t[:, 64:].any() for t in seen)


def test_enlarging_can_be_switched_off(mini):
    generator = make(mini, upsample="none")
    finish(generator)
    assert generator.final_size == (32, 32)


def test_large_pictures_are_the_same_after_resume(mini, tmp_path):
    whole, other = make(mini), make(mini)
    finish(whole)
    checkpoint.save(tmp_path / "c", whole, 4, "")
    assert checkpoint.load(tmp_path / "c", other, "") == 4
    assert torch.equal(other.render(*other.final_size), whole.render(64, 64))


@pytest.mark.parametrize("how", ["mask", "outpaint"])
def test_known_pixels_of_a_large_picture_come_from_the_file(mini, tmp_path, how):
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    to_pil(photo).save(tmp_path / "photo.png")
    options = {"init": str(tmp_path / "photo.png")}
    if how == "mask":
        mask = torch.zeros(1, 3, 64, 64)
        mask[..., 32:] = 1
        to_pil(mask).save(tmp_path / "mask.png")
        options["mask"] = str(tmp_path / "mask.png")
    else:
        options["outpaint"] = "0,0,8,0"
    generator = make(mini, **options)
    finish(generator, 0.0 * Likeness(torch.zeros(1, 3, *generator.pictures.size)))
    large = generator.render(*generator.final_size)
    known = ((photo * 255).round() / 255).expand(2, -1, -1, -1)
    width = 32 if how == "mask" else 64
    assert torch.equal(large[..., :width], known[..., :width])
    assert large.shape[-1] == (64 if how == "mask" else 80)
    assert (large[0] - large[1])[..., width + 8 :].abs().mean() > 1e-3


def test_pictures_as_prompts_condition_it(mini, with_prior, tmp_path):
    to_pil(TARGET).save(tmp_path / "photo.png")
    conditioning = Conditioning(mini, parse_prompts(f"a fox:3 | {tmp_path}/photo.png:1"))
    fox, photo = mini.condition(["a fox"])[0], mini.image_condition((TARGET * 255).round() / 255)[0]
    want = 0.75 * fox.tensors["class_labels"] + 0.25 * photo.tensors["class_labels"]
    told, opposite = conditioning.at(0)
    torch.testing.assert_close(told.tensors["class_labels"], want)
    assert not opposite.tensors["class_labels"].any()
    assert not torch.equal(
        finish(make(mini, prompt=f"{tmp_path}/photo.png"))[-1].image, finish(make(mini))[-1].image
    )


def test_a_clip_that_knows_noise_is_followed(mini):
    options = {"number": 3, "steps": 6, "clip_scale": "100", "clamp": 0.5, "upsample": "none"}
    with pytest.raises(InputError, match=r"--noise-aware needs a model .* but mini has none"):
        make(mini, **options, noise_aware=1.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mini.noise_aware = NoiseAware(mini.reader.embedding).requires_grad_(False)
    vector = mini.condition(["a fox"])[0].tensors["class_labels"]
    fits = []
    for weight in (0.0, 30.0):
        generator = make(mini, **options, noise_aware=weight)
        finish(generator, 0.0 * Likeness(TARGET))
        fits.append(mini.noise_aware.likeness(generator.x, torch.tensor(0), vector))
    assert (fits[1] > fits[0] + 0.01).all()
