"""Training a latent diffusion model: preparation, conditions, and minute runs that learn."""

import json

import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_clip import unit

from guidance.command.cli import main
from guidance.data.shards import Sample, ShardWriter, encode
from guidance.errors import FileError, InputError
from guidance.models.latent_unet import LatentUNet
from guidance.models.load_latents import load_latents
from guidance.models.noise_aware import NoiseAware
from guidance.train.diffusion.latent_data import LatentData
from guidance.train.diffusion.options import DiffusionTraining
from guidance.train.diffusion.trainer import Trainer, levels, train
from guidance.train.latents.encode import LatentsOptions, coarse, prepare, view
from guidance.train.noise_aware import trainer as noise_aware

TINY = {
    "unet": {
        "sample_size": 4, "in_channels": 3, "out_channels": 3, "block_out_channels": [16, 32],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "mid_block_type": "UNetMidBlock2D", "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 1, "attention_head_dim": 8, "norm_num_groups": 4,
        "class_embed_type": "projection", "projection_class_embeddings_input_dim": 16,
        "resnet_time_scale_shift": "scale_shift",
    },
    "scheduler": {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2",
                  "prediction_type": "v_prediction", "clip_sample": False},
}  # fmt: skip
DIM = 8


def write_pairs(path, *, low=False, facts="") -> None:
    """Write a file of two pictures, of three views each and of captions of their own."""
    first = torch.tensor([1.0, -1.0]).repeat_interleave(3)
    latents = first.view(-1, 1, 1, 1) * torch.linspace(0.5, 2, 3).view(1, 3, 1, 1)
    content = {
        "latents": latents.expand(-1, -1, 4, 4) + 0.05 * torch.randn(6, 3, 4, 4),
        "images": unit(2, DIM).repeat_interleave(3, 0),
        "rows": torch.arange(2, dtype=torch.int32).repeat_interleave(3),
        "captions": torch.tensor([[0, 1], [2, 2]], dtype=torch.int32),
        "texts": unit(3, DIM, seed=1),
        "weights": torch.tensor([1.0, 1.0]),
    }
    if low:
        content["low"] = content["latents"] * 0.5
    half = {k: v.half() if k in ("latents", "images", "texts", "low") else v.contiguous()
            for k, v in content.items()}  # fmt: skip
    save_file({k: v.contiguous() for k, v in half.items()}, path, {"guidance": facts})


@pytest.fixture
def place(tmp_path):
    torch.manual_seed(0)
    write_pairs(tmp_path / "pairs.safetensors")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    return tmp_path


def options(place, out="run", **more) -> DiffusionTraining:
    given = {"minutes": 0, "steps": 6, "batch": 16, "precision": "fp32", "threads": 0}
    return DiffusionTraining(
        data=(place / "pairs.safetensors",), out=place / out, config=place / "tiny.json",
        **(given | more),
    )  # fmt: skip


@torch.no_grad()
def sample(network: LatentUNet, vector: torch.Tensor, low: torch.Tensor | None = None):
    """Return restored latents for conditions ``[B, 2 D]``, by DDIM."""
    scheduler = DDIMScheduler.from_config(TINY["scheduler"], timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    x = torch.randn(len(vector), 3, 4, 4, generator=torch.Generator().manual_seed(3))
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t, vector, low), t, x).prev_sample
    return network.restore(x)


def test_text_or_image_or_both_decide_the_picture(place):
    train(options(place, steps=500, batch=32, rate=3e-3, ema=0.98, blur=0.1, drop=0.2))
    network = LatentUNet(TINY["unet"])
    network.load_state_dict(load_file(place / "run/diffusion.safetensors"))
    network.eval()
    texts, images = unit(3, DIM, seed=1), unit(2, DIM)
    sign = torch.tensor([1.0, -1.0]).repeat_interleave(20)
    texts, images = (rows.repeat_interleave(20, 0) for rows in (texts[[1, 2]], images))
    for given in ((texts, None), (None, images), (texts, images)):
        made = sample(network, network.vector(*given))
        right = made.mean((1, 2, 3)).sign() == sign
        assert right.float().mean() >= 0.85
        target = sign.view(-1, 1) * torch.linspace(0.5, 2, 3)
        assert (made.mean((2, 3)) - target)[right].abs().mean() < 0.35
    free = sample(network, torch.zeros(64, 2 * DIM)).mean((1, 2, 3))
    assert 3 < (free > 0).sum() < 61, "without a condition both pictures are made"


def test_an_upsampler_follows_the_small_picture(place):
    write_pairs(place / "pairs.safetensors", low=True)
    config = json.loads(json.dumps(TINY))
    config["unet"] |= {"in_channels": 6}
    (place / "tiny.json").write_text(json.dumps(config))
    train(options(place, steps=150, batch=32, rate=3e-3, ema=0.98))
    network = LatentUNet(config["unet"])
    network.load_state_dict(load_file(place / "run/diffusion.safetensors"))
    data = LatentData([place / "pairs.safetensors"])
    low = network.normalise(data.low.float())
    made = sample(network.eval(), torch.zeros(6, 2 * DIM), low)
    assert (made - data.latents.float()).abs().mean() < 0.35


def test_an_upsampler_needs_small_pictures(place):
    config = json.loads(json.dumps(TINY))
    config["unet"] |= {"in_channels": 6}
    (place / "tiny.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="--low"):
        Trainer(options(place))


def test_a_resumed_run_is_the_uninterrupted_one(place):
    train(options(place, "whole", steps=6))
    first = Trainer(options(place, "parts", steps=6))
    for views, _ in zip(first.batches(0), range(3), strict=False):
        first.train_step(views, first.clock.done())
    first.save()
    train(options(place, "parts", steps=6, resume=True))
    whole, parts = (load_file(place / n / "diffusion.safetensors") for n in ("whole", "parts"))
    for key, value in whole.items():
        assert torch.equal(value, parts[key]), key


def test_a_run_starts_from_another_ones_average(place):
    train(options(place, "first", steps=4))
    wanted = load_file(place / "first/diffusion.safetensors")
    for name in ("state.pt", "diffusion.safetensors"):
        given = options(place, name, init=place / "first" / name)
        begun = Trainer(given).network.state_dict()
        assert all(torch.equal(begun[k], v) for k, v in wanted.items())
    (place / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileError, match="does not fit"):
        Trainer(options(place, "other", init=place / "bad.safetensors"))


def test_conditions_are_dropped_as_often_as_asked(place):
    trainer = Trainer(options(place, drop=0.2, single=0.4))
    shown = trainer.shown(torch.linspace(0, 0.9999, 1000)).view(1000, 2, DIM)
    assert (shown == shown[..., :1]).all()
    texts, images = shown[..., 0].bool().T
    shares = [(~texts & ~images), (texts & ~images), (~texts & images), (texts & images)]
    assert [round(float(s.float().mean()), 2) for s in shares] == [0.2, 0.2, 0.2, 0.4]


def test_levels_are_those_of_the_schedule():
    alpha, sigma = levels(TINY["scheduler"])
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(1000))
    assert alpha[0] > 0.999
    assert alpha[-1] < 0.01


def test_the_loss_of_a_perfect_network_is_nought(place, monkeypatch):
    trainer = Trainer(options(place))
    views = trainer.data.batch(8, (0, 0))
    t, noise = torch.arange(0, 800, 100), torch.randn(views.latents.shape)
    x0 = trainer.network.normalise(views.latents)
    alpha, sigma = (x[t].view(-1, 1, 1, 1) for x in (trainer.alpha, trainer.sigma))
    right = (alpha * noise - sigma * x0).requires_grad_()
    monkeypatch.setattr(trainer.network, "forward", lambda x, *_: right)
    args = (views.latents, noise, t, views.texts, views.images, torch.rand(8), None)
    assert trainer.part(*args, total=8) == pytest.approx(0, abs=1e-9)
    monkeypatch.setattr(trainer.network, "forward", lambda x, *_: right + 1)
    snr = (alpha / sigma).flatten() ** 2
    weights = snr.clamp(1, 5) / (snr + 1)
    assert trainer.part(*args, total=8) == pytest.approx(float(weights.mean()), rel=1e-4)


def test_files_are_joined_with_their_own_captions(place):
    write_pairs(place / "more.safetensors")
    data = LatentData([place / "pairs.safetensors", place / "more.safetensors"])
    assert len(data) == 12
    assert data.captions[0].tolist() == [0, 1]
    assert data.captions[-1].tolist() == [5, 5]
    views = data.batch(40, (1, 2))
    again = data.batch(40, (1, 2))
    assert torch.equal(views.latents, again.latents)
    owner = (views.latents.mean((1, 2, 3)) < 0).long()  # which of the two pictures
    torch.testing.assert_close(views.images, unit(2, DIM)[owner].half().float())
    write_pairs(place / "more.safetensors", facts="another clip")
    with pytest.raises(InputError, match="differ"):
        LatentData([place / "pairs.safetensors", place / "more.safetensors"])
    (place / "more.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileError, match="no file of"):
        LatentData([place / "more.safetensors"])


@pytest.fixture
def shard(tmp_path):
    """Two pictures: red on the left and blue on the right, and a transparent one."""
    halves = Image.new("RGB", (40, 40), "red")
    halves.paste("blue", (20, 0, 40, 40))
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    with ShardWriter(tmp_path, "pictures") as writer:
        writer.add(Sample("a", ("red and blue", "two halves"), "made", "MIT"), *encode(halves))
        writer.add(Sample("b", ("nothing",), "other", "MIT"), *encode(clear))
    return tmp_path / "pictures-000.tar"


def test_preparation(shard, tmp_path, tiny_clip_path):
    given = LatentsOptions(
        data=(str(shard),), out=tmp_path / "out.safetensors", clip=str(tiny_clip_path), side=32,
        low=True, weights={"other": 0.5}, threads=1, device="cpu",
    )  # fmt: skip
    prepare(given)
    content = load_file(given.out)
    assert content["rows"].tolist() == [0, 0, 1, 1]
    assert content["weights"].tolist() == [1.0, 0.5]
    assert content["captions"].tolist() == [[0, 1, 0, 1, 0], [2] * 5]
    latents = load_latents("mini", device="cpu")
    with torch.no_grad():
        pictures = latents.decode(content["latents"].float())
    red, blue = pictures[:2, 0] - pictures[:2, 2], pictures[:2, 2] - pictures[:2, 0]
    assert red[0, :, :8].mean() > 0.5 < blue[0, :, -8:].mean()
    assert blue[1, :, :8].mean() > 0.5 < red[1, :, -8:].mean(), "the second view is mirrored"
    assert pictures[2].mean() > 0.95, "what is transparent lies on white"
    assert content["low"].shape == content["latents"].shape
    norms = content["images"].float().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(4), atol=2e-3, rtol=0)


def test_coarse_latents_lose_what_is_small():
    latents = load_latents("mini", device="cpu")
    images = torch.full((1, 3, 32, 32), 0.5)
    images[..., ::2] += 0.3  # stripes of one pixel
    with torch.no_grad():
        small = latents.decode(coarse(images, latents))
    assert (small[..., ::2] - small[..., 1::2]).mean().abs() < 0.05


def test_a_damaged_picture_is_left_out_and_told_once(shard):
    from guidance.data import read

    samples = read([str(shard)])
    shard.write_bytes(shard.read_bytes()[:700])
    given = LatentsOptions(data=(str(shard),), out=shard, side=32)
    with pytest.warns(UserWarning, match="the picture .* it is left out"):
        assert view(samples, 0, False, given) is None
    assert view(samples, 0, True, given) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [({"rate": 0}, "rate"), ({"single": 0.95}, "single"), ({"precision": "fp8"}, "fp8"),
     ({"steps": 0}, "length"), ({"gamma": 0}, "gamma"), ({"device": "tpu"}, "device")],
)  # fmt: skip
def test_options_are_checked(place, more, message):
    with pytest.raises(InputError, match=message):
        options(place, **more).check()


def test_command(place, capsys):
    arguments = ["--data", str(place / "pairs.safetensors"), "--out", str(place / "run")]
    more = ["--config", str(place / "tiny.json"), "--steps", "2", "--minutes", "0"]
    assert main(DiffusionTraining, train, prog="x", argv=[*arguments, *more]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2  100.0 %  loss ")
    assert said.endswith(f"wrote {place / 'run' / 'diffusion.safetensors'} after 2 steps\n")
    assert main(DiffusionTraining, train, prog="x", argv=[*arguments, *more]) == 2
    assert "--resume" in capsys.readouterr().err
    arguments[1] = str(place / "none.safetensors")
    assert main(DiffusionTraining, train, prog="x", argv=[*arguments, *more]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_noise_aware_clip_tells_pictures_apart_in_noise(place):
    (place / "run").mkdir()
    torch.manual_seed(0)
    network = LatentUNet(TINY["unet"])
    data = LatentData([place / "pairs.safetensors"])
    views = data.batch(200, (0, 1))
    for side, values in (("latent", views.latents), ("text", views.texts),
                         ("image", views.images)):  # fmt: skip
        network.measure(side, values)
    save_file(network.state_dict(), place / "run/diffusion.safetensors")
    noise_aware.train(
        noise_aware.NoiseAwareTraining(
            data=(place / "pairs.safetensors",), diffusion=place / "run", out=place / "head",
            config=place / "tiny.json", batch=16, steps=150, rate=3e-3,
        )
    )  # fmt: skip
    model = NoiseAware(network.eval())
    model.load_state_dict(load_file(place / "head/diffusion.safetensors"))
    views = data.batch(64, (7, 7))
    owner = (views.latents.mean((1, 2, 3)) < 0).long()
    vectors = network.vector(unit(3, DIM, seed=1)[[0, 2]], unit(2, DIM))
    rights = []
    for t in (100, 500, 999):
        x0, noise = network.normalise(views.latents), torch.randn(64, 3, 4, 4)
        alpha, sigma = (x[t] for x in levels(TINY["scheduler"]))
        with torch.no_grad():
            said = model(alpha * x0 + sigma * noise, torch.tensor(t))
        rights.append(float(((said @ vectors.T).argmax(1) == owner).float().mean()))
    assert rights[0] > 0.95
    assert rights[1] > 0.9
    assert rights[2] < 0.8, "pure noise tells nothing"
    with pytest.raises(InputError, match="does not exist"):
        noise_aware.NoiseAwareTraining(
            data=(place / "pairs.safetensors",), diffusion=place, out=place
        ).check()
