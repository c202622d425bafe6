"""The contrastive training: it learns, resumes, freezes, distils and says what it needs."""

import dataclasses
import re

import pytest
import torch
from emoji import NAMES
from tiny_training import clip_options as options

from guidance.clip import load_clip
from guidance.command.cli import main
from guidance.data import read
from guidance.errors import InputError
from guidance.evaluate.retrieval import embed_pairs, recalls
from guidance.train.clip import model as models
from guidance.train.clip import trainer as clip
from guidance.train.clip.objective import Lessons
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.presets import read_config, take_config
from guidance.train.clip.trainer import Trainer

CHANCE = 100 / len(NAMES)


def test_a_minute_of_training_finds_emoji_in_a_style_never_seen(shards, tmp_path, capsys):
    """About a minute on two cores; chance is 1 of 96."""
    given = dataclasses.replace(
        read_config("tiny"),
        data=(str(shards / "train-*.tar"),),
        val=(str(shards / "test-*.tar"),),
        out=tmp_path,
        threads=1,
        optimiser=dataclasses.replace(read_config("tiny").optimiser, steps=110),
    )
    Trainer(given).run()
    model = load_clip(str(tmp_path / "clip"))
    got = recalls(*embed_pairs(model, read(given.val)))
    assert got["text to image R@1"] > 4 * CHANCE
    assert got["text to image R@10"] > 35  # chance 10.4
    assert got["image to text R@10"] > 30
    said = capsys.readouterr().out
    assert re.search(r"^100 .* loss .* scale .* step/s$", said, re.M)
    assert re.search(r"held out, 96 pictures, %: text to image R@1", said)


def test_resumed_is_as_uninterrupted(shards, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    given = {"optimiser": {"steps": 4}, "model": {"freeze": ("text",)}, "loss": {"bank": 20}}
    Trainer(options(shards, whole, **given)).run()
    first = Trainer(options(shards, parts, **given))
    for batch, _ in zip(first.passes.loader.batches(0), range(2), strict=False):
        first.train_step(batch, first.step / 4)
    first.save()
    Trainer(options(shards, parts, **given, resume=True)).run()
    a, b = (torch.load(p / "state.pt", weights_only=True) for p in (whole, parts))
    assert a["step"] == b["step"] == 4
    torch.testing.assert_close(a["student"], b["student"])
    torch.testing.assert_close(a["averaged"], b["averaged"])


def test_accumulated_parts_give_the_gradient_of_the_whole(shards, tmp_path):
    """Batch statistics belong to a part, so they are fixed here."""
    grads = []
    for accumulate in (1, 3):
        trainer = Trainer(
            options(
                shards, tmp_path, model={"batchnorm": "fixed"}, sampling={"accumulate": accumulate}
            )
        )
        trainer.passes.part = -(-12 // accumulate)
        batch = next(trainer.passes.loader.batches(0))
        trainer.passes.learn(batch, trainer.passes.look(batch.images)[0], 1.0, Lessons(), None)
        grads.append(
            {k: p.grad for k, p in trainer.student.named_parameters() if p.grad is not None}
        )
    assert len(grads[0]) > 50
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_frozen_tower_stays(shards, tmp_path, tower):
    trainer = Trainer(options(shards, tmp_path, model={"freeze": (tower,)}))
    before = {k: v.clone() for k, v in trainer.student.state_dict().items()}
    trainer.run()
    after = trainer.student.state_dict()
    changed = {k for k in after if not torch.equal(before[k], after[k])}
    frozen, learning = ("network.visual.", "network.text.")[:: 1 if tower == "image" else -1]
    assert not any(k.startswith(frozen) for k in changed)
    assert any(k.startswith(learning) for k in changed)


def test_the_map_of_frozen_texts_is_folded_into_the_weights(shards, tmp_path):
    given = {"freeze": ("text",), "text_map": True}
    loss = {"bank": 30}
    trainer = Trainer(
        options(shards, tmp_path, model=given, loss=loss, optimiser={"rate": 0.05, "ema": 0.0})
    )
    trainer.run()
    weight = trainer.average.state["map.weight"]
    assert (weight - torch.eye(128)).abs().max() > 1e-3
    texts = ["a red heart", "a blue fish"]
    with torch.no_grad():
        tokens = models.tokenizer(trainer.config)(texts)
        expected = trainer.student.place(trainer.student.read(tokens))
    got = load_clip(str(tmp_path / "clip")).encode_text(texts)
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=2e-3)  # stored as float16
    with pytest.raises(InputError, match="text_map: needs a frozen text tower"):
        Trainer(options(shards, tmp_path, model={"text_map": True}))


def test_gradient_belongs_to_its_image(shards, tmp_path, monkeypatch):
    trainer = Trainer(options(shards, tmp_path))
    trainer.passes.part = 2
    batch = next(trainer.passes.loader.batches(0))
    monkeypatch.setattr(
        trainer.passes, "objective", lambda student, seen, *rest: (seen[3].square().sum(), {})
    )
    trainer.student.eval()  # batch statistics would tie the pictures together
    seen, views = trainer.passes.look(batch.images, watch=True)
    trainer.passes.learn(batch, seen, 1.0, Lessons(), None)
    grad = torch.cat([v.grad for v in views])
    assert grad[3].abs().max() > 0
    assert grad[[0, 1, 2, *range(4, 12)]].abs().max() == 0


def test_tensorboard_gets_losses_retrieval_and_samples(shards, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    val = (str(shards / "test-*.tar"),)
    Trainer(options(shards, tmp_path / "run", val=val, log_dir=tmp_path / "log", log_every=1)).run()
    log = events.EventAccumulator(str(tmp_path / "log"), size_guidance={"images": 0}).Reload()
    assert {"loss", "scale", "to/text", "retrieval/text to image R@1"} <= set(log.Tags()["scalars"])
    assert [e.step for e in log.Scalars("loss")] == [1, 2, 3]
    assert log.Tags()["images"] == ["samples"]


def test_any_open_clip_architecture(shards, tmp_path):
    config = models.read_config("RN50")
    assert config["model_cfg"]["embed_dim"] == 1024
    with pytest.raises(InputError, match=r"architecture 'minni'.*mini"):
        models.read_config("minni")


def test_bad_input_ends_before_any_work(tmp_path, capsys):
    def run(*argv):
        code = main(ClipOptions, clip.train, prog="train", argv=[*argv], base=take_config)
        return code, capsys.readouterr().err

    for argv, message in (
        (["--config", "tiny"], "name the pictures"),
        (["--config", "tiny", "--data", "none/*.tar"], "nothing matches"),
        (["--config", "none"], "unknown config 'none'"),
        (["--data", "x", "--architecture", "nets"], "unknown architecture 'nets'"),
    ):
        code, said = run(*argv, "--out", str(tmp_path / "out"))
        assert (code, message in said) == (2, True), said
    assert not (tmp_path / "out").exists()
