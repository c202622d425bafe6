"""Training a latent diffusion model: preparation, conditions, and minute runs that learn."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_clip import unit
from tiny_latents import DIM, TINY, sample, tiny_config, write_pairs
from tiny_latents import diffusion_options as options

from guidance.command.cli import main
from guidance.errors import FileError, InputError
from guidance.models.latent_unet import LatentUNet
from guidance.train.diffusion.latent_data import LatentData
from guidance.train.diffusion.options import DiffusionTraining
from guidance.train.diffusion.trainer import Trainer, levels, train


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
    config = tiny_config(in_channels=6)
    (place / "tiny.json").write_text(json.dumps(config))
    train(options(place, steps=150, batch=32, rate=3e-3, ema=0.98))
    network = LatentUNet(config["unet"])
    network.load_state_dict(load_file(place / "run/diffusion.safetensors"))
    data = LatentData([place / "pairs.safetensors"])
    low = network.normalise(data.low.float())
    made = sample(network.eval(), torch.zeros(6, 2 * DIM), low)
    assert (made - data.latents.float()).abs().mean() < 0.35


def test_an_upsampler_needs_small_pictures(place):
    config = tiny_config(in_channels=6)
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
    with pytest.raises(FileError, match="holds no weights of a diffusion model"):
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
    rows = (views.latents, noise, t, views.texts, views.images, torch.rand(8), views.sizes)
    assert trainer.part(rows, None, total=8) == pytest.approx(0, abs=1e-9)
    monkeypatch.setattr(trainer.network, "forward", lambda x, *_: right + 1)
    snr = (alpha / sigma).flatten() ** 2
    weights = snr.clamp(1, 5) / (snr + 1)
    assert trainer.part(rows, None, total=8) == pytest.approx(float(weights.mean()), rel=1e-4)


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
