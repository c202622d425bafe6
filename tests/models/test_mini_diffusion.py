"""The parts of the mini diffusion model: conditions from a CLIP, and the upsampler."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from guidance.errors import InputError
from guidance.models.latent_unet import LatentUNet, enlarge, labels
from guidance.models.load_latents import load_latents
from guidance.models.mini_diffusion import ClipReader, Upsampler
from guidance.models.noise_aware import NoiseAware

DIM = 32
CONFIG = {
    "sample_size": 4, "in_channels": 8, "out_channels": 8, "block_out_channels": [16, 16],
    "down_block_types": ["DownBlock2D"] * 2, "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ["UpBlock2D"] * 2, "layers_per_block": 1, "norm_num_groups": 4,
    "class_embed_type": "projection", "projection_class_embeddings_input_dim": 2 * DIM,
}  # fmt: skip
SCHEDULE = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction",
            "clip_sample": False}  # fmt: skip


def network(**config) -> LatentUNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = LatentUNet(CONFIG | config)
        sides = {"latent": torch.randn(50, 8, 2, 2) * 3 + 1, "text": torch.randn(50, DIM) + 2}
        for side, rows in (sides | {"image": torch.randn(50, DIM)}).items():
            made.measure(side, rows)
    return made.eval().requires_grad_(False)


def test_latents_are_normalised_and_restored(generator):
    made = network()
    z = torch.randn(3, 8, 4, 4, generator=generator) * 3 + 1
    x = made.normalise(z)
    assert abs(float(x.mean())) < 0.2
    assert float(x.std()) == pytest.approx(1, abs=0.15)
    torch.testing.assert_close(made.restore(x), z)


def test_what_is_not_given_is_nought(generator):
    made, rows = network(), torch.randn(2, DIM, generator=generator)
    both = made.vector(rows, rows)
    assert torch.equal(made.vector(rows, None), torch.cat([both[:, :DIM], 0 * rows], 1))
    assert torch.equal(made.vector(None, rows), torch.cat([0 * rows, both[:, DIM:]], 1))
    torch.testing.assert_close(made.vector(made.text_mean[None], None), torch.zeros(1, 2 * DIM))


def test_conditions_of_texts_and_pictures(with_prior, generator):
    made = network()
    reader = ClipReader(with_prior, made)
    fox, wolf = reader.read(["a fox", "a wolf"])
    embeddings = with_prior.encode_text(["a fox"]), with_prior.imagine(["a fox"])
    torch.testing.assert_close(fox.tensors["class_labels"], made.vector(*embeddings))
    assert not torch.equal(fox.tensors["class_labels"], wolf.tensors["class_labels"])
    pictures = torch.rand(2, 3, 40, 40, generator=generator)
    seen = reader.look(pictures)
    expected = made.vector(None, with_prior.encode_image(pictures))
    torch.testing.assert_close(torch.cat([c.tensors["class_labels"] for c in seen]), expected)
    assert not reader.empty().tensors["class_labels"].any()
    with pytest.raises(InputError, match="shape"):
        reader.look(pictures[0])


def test_conditions_change_what_the_network_says(with_prior, generator):
    made = network()
    x, t = torch.randn(1, 8, 4, 4, generator=generator), torch.tensor(400)
    vectors = [c.tensors["class_labels"] for c in ClipReader(with_prior, made).read(["a", "b"])]
    assert not torch.allclose(made(x, t, vectors[0]), made(x, t, vectors[1]), atol=1e-6)


def test_a_network_that_knows_no_sizes_is_asked_as_ever(generator):
    made, t = network(), torch.tensor([10, 900])
    x, vector = (torch.randn(2, *s, generator=generator) for s in ((8, 4, 4), (2 * DIM,)))
    want = made.unet(x, t, encoder_hidden_states=None, class_labels=vector).sample
    assert torch.equal(made(x, t, vector), want)
    assert torch.equal(made(x, t, vector, None, torch.tensor([0.3, 1])), want)


def test_the_logarithm_of_the_size_follows_the_condition(generator):
    made, t = network(projection_class_embeddings_input_dim=2 * DIM + 1), torch.tensor(500)
    assert made.dim == DIM
    x, vector = (torch.randn(3, *s, generator=generator) for s in ((8, 4, 4), (2 * DIM,)))
    told = labels(made.unet, vector, torch.tensor([1, 0.5, 0.25]))
    assert torch.equal(told[:, :-1], vector)
    assert told[:, -1].tolist() == [0, -1, -2]
    sharp = made(x, t, vector)
    assert torch.equal(made(x, t, vector, None, torch.ones(3)), sharp)
    assert not torch.allclose(made(x, t, vector, None, torch.full((3,), 0.5)), sharp, atol=1e-3)


class Oracle(nn.Module):
    """A network that says what leads to the latents of the small picture, whatever the noise."""

    def __init__(self, inner: LatentUNet):
        super().__init__()
        self.normalise, self.restore = inner.normalise, inner.restore
        self.seen: list[float] = []

    def forward(self, x, t, vector, low):
        share = torch.cos((t / 1000 + 0.008) / 1.008 * torch.pi / 2)  # its noise schedule, nearly
        self.seen.append(float(t))
        sigma = (1 - share**2).sqrt()
        return (share * x - low) / sigma  # v of x0 = low


def test_the_upsampler_follows_the_small_picture(with_prior, generator):
    latents, inner = load_latents("mini", device="cpu"), network()
    pictures = torch.rand(2, 3, 4, 4, generator=generator)
    pictures = nn.functional.interpolate(pictures, (16, 24), mode="bilinear")
    oracle = Oracle(inner)
    up = Upsampler(oracle, latents, SCHEDULE)
    condition = ClipReader(with_prior, inner).empty()
    large = up(pictures, condition, [1, 2])
    assert large.shape == (2, 3, 32, 48)
    with torch.no_grad():
        wanted = latents.decode(latents.encode(enlarge(pictures)))
    assert (large - wanted).abs().mean() < 0.02
    assert 200 < oracle.seen[0] < 400, "it begins with a part of the noise"
    assert sorted(oracle.seen, reverse=True) == oracle.seen


def test_the_seed_of_a_picture_decides_its_details(with_prior, generator):
    latents, made = load_latents("mini", device="cpu"), network(in_channels=16)
    up = Upsampler(made, latents, SCHEDULE)
    picture = torch.rand(1, 3, 16, 16, generator=generator)
    condition = ClipReader(with_prior, made).read(["a fox"])[0]
    alone = up(picture, condition, [5])
    together = up(picture.expand(2, -1, -1, -1), condition, [4, 5])
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=0)
    assert (together[0] - together[1]).abs().mean() > 1e-3
    assert 0 <= float(alone.min()) <= float(alone.max()) <= 1


@pytest.mark.parametrize("told", [2 * DIM, 2 * DIM + 1])
def test_the_noise_aware_clip_reads_the_first_half_of_the_network(generator, told):
    body = network(
        down_block_types=["AttnDownBlock2D", "DownBlock2D"], attention_head_dim=8,
        projection_class_embeddings_input_dim=told,
    )  # fmt: skip
    model = NoiseAware(body)
    x, t = torch.randn(3, 8, 4, 4, generator=generator), torch.tensor([10, 400, 900])
    seen: list[torch.Tensor] = []
    hook = body.unet.mid_block.register_forward_hook(lambda _, __, out: seen.append(out))
    body(x, t, torch.zeros(3, 2 * DIM))
    hook.remove()
    features = model.features(x, t)
    assert features.shape == (3, 48)
    torch.testing.assert_close(features[:, 32:], seen[0].mean((2, 3)))
    assert set(model.state_dict()) == {
        "log_scale", "head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias",
    }  # fmt: skip
    vector = torch.randn(1, 2 * DIM, generator=generator)
    likeness = model.likeness(x, t, 5 * vector)
    said = model(x, t)
    torch.testing.assert_close(said.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(likeness, said @ vector[0] / vector.norm())
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.likeness(leaf, t, vector).sum(), leaf)
    step = 0.02 * gradient / gradient.pow(2).mean().sqrt()
    assert (model.likeness(x + step, t, vector) > likeness).all()
