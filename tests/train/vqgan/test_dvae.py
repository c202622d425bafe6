"""Training a dVAE: its schedules and terms, a run that learns, resumes, and loads as a codec."""

import json
import math

import pytest
import torch
from PIL import Image

from guidance.command.cli import main
from guidance.data.shards import Sample, ShardWriter, encode
from guidance.errors import FileError, InputError
from guidance.models.codec import load_codec
from guidance.train.vqgan.dvae import DvaeTrainer, divergence, relaxed, temperature
from guidance.train.vqgan.options import VqganTraining
from guidance.train.vqgan.trainer import train

TINY = {"codes": 16, "width": 8, "groups": 3, "blocks": 1, "entry": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a shard of flat pictures and a tiny architecture."""
    folder = tmp_path_factory.mktemp("dvae")
    with ShardWriter(folder, "flat") as writer:
        for i, colour in enumerate(("red", "lime", "blue", "white", "black", "orange")):
            image = Image.new("RGB", (48, 48), colour)
            image.paste("gray", (0, 0, 24, 8 * i))
            writer.add(Sample(f"{i}", (colour,)), *encode(image))
    (folder / "tiny.json").write_text(json.dumps(TINY))
    return folder


def options(place, out, **more) -> VqganTraining:
    given = {"minutes": 0, "steps": 6, "side": 24, "batch": 4, "precision": "fp32", "threads": 0}
    given |= {"config": place / "tiny.json"} | more
    return VqganTraining(kind="dvae", data=(str(place / "*.tar"),), out=out, **given)


def test_the_temperature_falls_as_a_cosine():
    assert temperature(0, 1 / 16, 0.5) == 1
    assert temperature(0.25, 1 / 16, 0.5) == pytest.approx((1 + 1 / 16) / 2)
    assert temperature(0.125, 1 / 16, 0.5) == pytest.approx(1 / 16 + 15 / 16 * 0.853553, abs=1e-6)
    assert temperature(0.5, 1 / 16, 0.5) == temperature(1, 1 / 16, 0.5) == 1 / 16
    assert temperature(0, 1 / 16, 0) == 1 / 16


def test_the_divergence_by_hand():
    even = torch.zeros(1, 4, 2, 2)
    assert float(divergence(even)) == pytest.approx(0, abs=1e-6)
    chances = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    want = sum(p * math.log(p * 3) for p in chances.tolist())
    got = divergence(chances.log().view(1, 3, 1, 1) + 5)
    assert float(got) == pytest.approx(want)


def test_relaxed_codes_are_drawn_as_often_as_they_are_likely(generator):
    chances = torch.tensor([0.6, 0.3, 0.1])
    logits = chances.log().view(1, 3, 1, 1).expand(1, 3, 100, 100)
    drawn = relaxed(logits, 0.05, generator)
    torch.testing.assert_close(drawn.sum(1), torch.ones(1, 100, 100))
    shares = torch.bincount(drawn.argmax(1).flatten()) / 10_000
    torch.testing.assert_close(shares, chances, atol=0.02, rtol=0)
    assert drawn.amax(1).mean() > 0.9
    assert relaxed(logits, 5.0, generator).amax(1).mean() < 0.6


def test_it_learns(place, tmp_path):
    given = options(place, tmp_path / "run", steps=100, rate=1e-2, kl=0.1)
    trainer = DvaeTrainer(given)
    said = [
        trainer.train_step(images, step / 100)
        for step, images in zip(range(100), trainer.loader.batches(0), strict=False)
    ]
    assert set(said[-1]) >= {"loss", "likelihood", "kl", "error", "temperature", "codes in use"}
    first, last = (sum(s["error"] for s in part) / 8 for part in (said[:8], said[-8:]))
    assert last < 0.9 * first
    first, last = (sum(s["likelihood"] for s in part) / 8 for part in (said[:8], said[-8:]))
    assert last > first + 0.3
    assert sum(s["codes in use"] for s in said[-8:]) / 8 > 1.5
    assert 0.1 < said[-1]["kl"] < math.log(16)


def test_the_loss_is_the_bound(place, tmp_path):
    trainer = DvaeTrainer(options(place, tmp_path / "run", kl=2.0, kl_rise=0.5))
    images = next(trainer.loader.batches(0))
    said = trainer.gradients(images, 0.25)
    # a cell has 3 · 4² values, and half the rise is over
    assert said["loss"] == pytest.approx(1.0 * said["kl"] / 48 - said["likelihood"], rel=1e-5)


def test_resume_continues_the_run(place, tmp_path, capsys):
    train(options(place, tmp_path / "whole"))
    trainer = DvaeTrainer(options(place, tmp_path / "parts"))
    for step, images in zip(range(4), trainer.loader.batches(0), strict=False):
        trainer.train_step(images, step / 6)
    trainer.save()
    train(options(place, tmp_path / "parts", resume=True))
    whole, parts = (
        torch.load(tmp_path / name / "state.pt", weights_only=True)["averaged"]
        for name in ("whole", "parts")
    )
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[name], msg=name)


def test_the_folder_is_a_codec(place, tmp_path, capsys):
    train(options(place, tmp_path / "run"))
    assert capsys.readouterr().out.endswith(f"wrote {tmp_path / 'run' / 'dvae'} after 6 steps\n")
    codec = load_codec(str(tmp_path / "run" / "dvae"), device="cpu")
    assert (codec.codes, codec.factor) == (16, 4)
    codes = codec.encode(torch.rand(1, 3, 8, 12))
    assert codec.decode(codes).shape == (1, 3, 8, 12)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["averaged"]
    torch.testing.assert_close(codec.state_dict(), state)
    again = DvaeTrainer(options(place, tmp_path / "next", init=tmp_path / "run/state.pt"))
    torch.testing.assert_close(again.average.state, state)
    (tmp_path / "broken.pt").write_bytes(b"no")
    with pytest.raises(FileError, match="does not fit the architecture"):
        DvaeTrainer(options(place, tmp_path / "other", init=tmp_path / "broken.pt"))
    with pytest.raises(
        InputError, match="side must be a multiple of 4 pixels for this dVAE but is"
    ):
        DvaeTrainer(options(place, tmp_path / "other", side=26))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"judge": "0.5"}, "--judge belongs to --kind vqgan but --kind is dvae"),
        ({"kind": "vqgan"}, "a VQGAN needs --classifier"),
        ({"kind": "vqgan", "classifier": "FILE", "kl": "1"}, "--kl belongs to --kind dvae but"),
        ({"temperature": "0"}, "temperature must be greater than 0 and at most 1 but is 0"),
        ({"config": "none.json"}, "--config: none.json does not exist"),
    ],
)
def test_bad_input(place, tmp_path, given, said, capsys):
    given = {k: str(place / "tiny.json") if v == "FILE" else v for k, v in given.items()}
    arguments = {"kind": "dvae", "data": str(place / "*.tar"), "out": str(tmp_path / "run")} | given
    argv = [word for k, v in arguments.items() for word in (f"--{k}", v)]
    assert main(VqganTraining, train, prog="train", argv=argv) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_default_architecture_is_there(place, tmp_path):
    trainer = DvaeTrainer(options(place, tmp_path / "run", config=None))
    assert (trainer.config.codes, trainer.config.factor) == (2048, 8)
