"""Training a VQGAN: codebook, patches, judge, and a minute run that learns and resumes."""

import json
from dataclasses import replace

import pytest
import timm
import torch
from emoji import COLOURS, SHAPES, emoji
from PIL import Image
from tiny_clip import build_tiny

from guidance.command.cli import main
from guidance.data import shards
from guidance.data.shards import Sample, ShardWriter, encode
from guidance.errors import FileError, InputError
from guidance.train.vqgan.options import VqganTraining
from guidance.train.vqgan.patches import PatchLoader
from guidance.train.vqgan.trainer import Trainer, train

TINY = {
    "_class_name": "VQModel", "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3, "block_out_channels": [8, 16, 16],
    "layers_per_block": 1, "latent_channels": 4, "vq_embed_dim": 4, "num_vq_embeddings": 64,
    "norm_num_groups": 4, "mid_block_add_attention": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a shard of emoji, a tiny architecture and a classifier."""
    pytest.importorskip("resvg_py")
    folder = tmp_path_factory.mktemp("vqgan")
    with ShardWriter(folder, "emoji") as writer:
        for colour in list(COLOURS)[:4]:
            for i, shape in enumerate(list(SHAPES)[:4]):
                sample = Sample(f"{colour}-{i}", (f"a {colour} {shape}",), "emoji", "MIT")
                writer.add(sample, *encode(emoji(f"{colour} {shape}", i, outlined=False)))
    (folder / "tiny.json").write_text(json.dumps(TINY))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("tf_efficientnet_lite0")
    torch.save(network.state_dict(), folder / "lite0.pth")
    return folder


def options(place, out, **more) -> VqganTraining:
    given = {"minutes": 0, "steps": 6, "side": 32, "batch": 4, "codes_from": 0.2,
             "judge_from": 0.5, "precision": "fp32", "threads": 0}  # fmt: skip
    return VqganTraining(
        data=(str(place / "*.tar"),), out=out, classifier=place / "lite0.pth",
        config=place / "tiny.json", **(given | more),
    )  # fmt: skip


def pictures(place) -> shards.Samples:
    return shards.read([str(place / "*.tar")])


def test_patches_repeat_and_differ(place):
    loader = PatchLoader(pictures(place), {}, 24, 3, seed=1)
    first = next(loader.batches(0))
    assert first.shape == (3, 3, 24, 24)
    assert 0 <= first.min() < first.max() <= 1
    batches = loader.batches(0)
    torch.testing.assert_close(next(batches), first)
    second = next(batches)
    assert not torch.equal(second, first)
    torch.testing.assert_close(next(loader.batches(1)), second)
    with pytest.raises(InputError, match="weight 0"):
        PatchLoader(pictures(place), {"*": 0.0}, 24, 3, seed=1)


def test_patches_of_a_small_picture_are_filled(tmp_path):
    with ShardWriter(tmp_path, "small") as writer:
        writer.add(Sample("a", ("red",)), *encode(Image.new("RGB", (20, 9), "red")))
    loader = PatchLoader(shards.read([str(tmp_path / "*.tar")]), {}, 32, 1, seed=0)
    batch = next(loader.batches(0))
    assert batch[:, 0].min() > 0.9
    assert batch[:, 1:].max() < 0.1


def test_it_learns(place, tmp_path):
    trainer = Trainer(options(place, tmp_path / "run", steps=60, rate=3e-3, judge_from=0.7))
    said = [
        trainer.train_step(images, step / 60)
        for step, images in zip(range(60), trainer.loader.batches(0), strict=False)
    ]
    assert set(said[-1]) >= {"error", "look", "judge fooled", "judge", "commitment", "codes in use"}
    first, last = (sum(s["error"] for s in part) / 10 for part in (said[:10], said[30:40]))
    assert last < 0.7 * first
    assert said[-1]["codes in use"] > 3


def test_pictures_need_no_captions(place, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        emoji("red happy face", number, outlined=False).save(folder / f"{number}.png")
    given = replace(options(place, tmp_path / "run", steps=1), data=(str(folder),))
    trainer = Trainer(given)
    assert len(trainer.loader.samples) == 3
    assert next(trainer.loader.batches(0)).shape == (4, 3, 32, 32)


def part_of(given: VqganTraining, steps: int) -> Trainer:
    """Return the trainer of a run of 6 steps after the first, with its checkpoint written."""
    trainer = Trainer(given)
    for step, images in zip(range(steps), trainer.loader.batches(0), strict=False):
        trainer.train_step(images, step / 6)
    trainer.save()
    return trainer


@pytest.mark.parametrize("critics", [{}, {"critic": "clip", "critic_from": 0.3}, {"judge": 0.0}])
def test_resume_continues_the_run(place, tmp_path, critics, capsys):
    if "critic" in critics:
        critics = critics | {"critic": str(build_tiny(tmp_path / "clip"))}
    train(options(place, tmp_path / "whole", **critics))
    part_of(options(place, tmp_path / "parts", **critics), 4)
    train(options(place, tmp_path / "parts", resume=True, **critics))
    whole, parts = (
        torch.load(tmp_path / name / "state.pt", weights_only=True)["averaged"]
        for name in ("whole", "parts")
    )
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[name], msg=name)


def test_critics_may_change_when_a_run_goes_on(place, tmp_path):
    """A checkpoint of 0.1 does not name its critics and has a judge."""
    held = part_of(options(place, tmp_path / "run"), 5).state()
    assert held.pop("critics") == ["judge"]
    torch.save(held, tmp_path / "run" / "state.pt")
    same = Trainer(options(place, tmp_path / "run", resume=True))
    torch.testing.assert_close(same.voices[0].critic.state_dict(), held["judge"])
    assert same.state()["optimisers"][1]["state"].keys() == held["optimisers"][1]["state"].keys()
    clip = str(build_tiny(tmp_path / "clip"))
    other = Trainer(options(place, tmp_path / "run", resume=True, judge=0.0, critic=clip))
    assert [v.critic.name for v in other.voices] == ["critic"]
    said = other.train_step(next(other.loader.batches(5)), 5 / 6)
    assert {"critic", "critic fooled"} <= said.keys()
    assert not {"judge", "judge fooled"} & said.keys()
    other.save()
    both = Trainer(options(place, tmp_path / "run", resume=True, critic=clip))
    critic = other.voices[0].critic.state_dict()
    torch.testing.assert_close(both.voices[1].critic.state_dict(), critic)


def test_without_critics_there_is_none(place, tmp_path):
    given = options(place, tmp_path / "run", judge=0.0, critic="mini", critic_weight=0.0)
    trainer = part_of(given, 6)
    assert not trainer.voices
    assert len(trainer.optimisers) == 1
    assert not {"judge", "critic"} & trainer.state().keys()


def test_the_squared_error_counts(place, tmp_path, generator):
    trainer = Trainer(options(place, tmp_path / "run"))
    images, made = torch.rand(2, 2, 3, 32, 32, generator=generator) * 2 - 1
    loss, parts = trainer.errors(made, images)
    assert "squared" not in parts
    trainer.options = replace(trainer.options, squared=3.0)
    more, parts = trainer.errors(made, images)
    torch.testing.assert_close(parts["squared"], (made - images).square().mean())
    torch.testing.assert_close(more, loss + 3 * parts["squared"])


def test_the_judges_gradient_has_its_length_in_the_last_layer(place, tmp_path, generator):
    trainer = Trainer(options(place, tmp_path / "run"))
    z = torch.randn(2, 4, 8, 8, generator=generator)
    made = trainer.network.decode(z, force_not_quantize=True).sample
    grad = torch.randn(made.shape, generator=generator)
    last = trainer.network.decoder.conv_out.weight
    push = torch.ones_like(made) / made.numel()
    factor = trainer.balance(made, grad, push)
    lengths = [
        torch.autograd.grad(made, last, g, retain_graph=True)[0].norm()
        for g in (grad, factor * push)
    ]
    torch.testing.assert_close(lengths[1], lengths[0], rtol=1e-2, atol=0)
    assert factor < grad.norm() / push.norm(), "what points one way must count less"


def test_init_takes_the_weights_of_another_run(place, tmp_path, capsys):
    train(options(place, tmp_path / "first"))
    first = torch.load(tmp_path / "first/state.pt", weights_only=True)
    trainer = Trainer(options(place, tmp_path / "next", init=tmp_path / "first/state.pt"))
    assert trainer.step == 0
    torch.testing.assert_close(trainer.average.state, first["averaged"])
    torch.testing.assert_close(trainer.codebook.codes, first["codebook"]["codes"])
    (tmp_path / "broken.pt").write_bytes(b"no")
    with pytest.raises(FileError, match="does not fit the architecture"):
        Trainer(options(place, tmp_path / "other", init=tmp_path / "broken.pt"))


def test_the_folder_is_a_vqgan(place, tmp_path, capsys):
    from guidance.models.load_latents import load_latents

    train(options(place, tmp_path / "run"))
    said = capsys.readouterr().out
    assert said.endswith(f"wrote {tmp_path / 'run' / 'vqgan'} after 6 steps\n")
    latents = load_latents(str(tmp_path / "run" / "vqgan"), device=torch.device("cpu"))
    assert latents.factor == 4
    assert latents.codebook.shape == (64, 4)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    torch.testing.assert_close(latents.codebook, state["codebook"]["codes"])
    with pytest.raises(InputError, match="--resume"):
        train(options(place, tmp_path / "run"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"classifier": "none.pth"}, "none.pth does not exist"),
        ({"rate": "0"}, "rate must be greater than 0"),
        ({"minutes": "0"}, "length"),
        ({"precision": "fp8"}, "bf16 or fp32"),
        ({"critic": "minj"}, "unknown CLIP model 'minj'; did you mean mini"),
        ({"critic-weight": "-1"}, "critic_weight must be at least 0"),
        ({"critic-from": "1.5"}, "critic_from must be at least 0 and at most 1 but is 1.5"),
        ({"squared": "-2"}, "squared must be at least 0"),
    ],
)
def test_bad_input(place, tmp_path, given, said, capsys):
    arguments = {"data": str(place / "*.tar"), "out": str(tmp_path / "run"),
                 "classifier": str(place / "lite0.pth")} | given  # fmt: skip
    argv = [word for k, v in arguments.items() for word in (f"--{k}", v)]
    assert main(VqganTraining, train, prog="train", argv=argv) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
