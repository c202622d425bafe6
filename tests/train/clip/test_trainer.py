"""The contrastive training: it learns, resumes, freezes, distils and says what it needs."""

import dataclasses
import json
import math
import re

import pytest
import torch
from emoji import NAMES, write_emoji

from guidance.clip import load_clip
from guidance.command.cli import main
from guidance.data import read
from guidance.errors import InputError
from guidance.evaluate.retrieval import embed_pairs, recalls
from guidance.train.clip import model as models
from guidance.train.clip import start
from guidance.train.clip import trainer as clip
from guidance.train.clip.objective import Lessons
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.presets import read_config, take_config
from guidance.train.clip.trainer import Trainer
from guidance.train.loop.log import Log

pytest.importorskip("resvg_py")
CHANCE = 100 / len(NAMES)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emoji")
    write_emoji(folder, "train", copies=4)
    write_emoji(folder, "test", outlined=True)
    return folder


def options(shards, out, **changes) -> ClipOptions:
    """Return the tiny config for 3 steps of 12 pictures, changed by ``section={...}``."""
    given = read_config("tiny")
    small = {
        "sampling": {"batch": 12, "workers": 1},
        "optimiser": {"steps": 3, "precision": "fp32"},
    }
    for name in ("model", "sampling", "optimiser", "head", "teachers", "loss"):
        values = small.get(name, {}) | changes.pop(name, {})
        given = dataclasses.replace(
            given, **{name: dataclasses.replace(getattr(given, name), **values)}
        )
    paths = {"data": (str(shards / "train-*.tar"),), "out": out}
    return dataclasses.replace(given, **paths, threads=1, **changes)


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


def test_the_head_alone_learns_first(shards, tmp_path, capsys):
    given = {"model": {"freeze": ("text",), "text_map": True}, "loss": {"bank": 20}}
    warm = {"head_views": 2, "head_epochs": 48}
    after = {"steps": 1, "rate": 1e-9}
    trainer = Trainer(options(shards, tmp_path, **given, head=warm, optimiser=after))
    before = {k: v.clone() for k, v in trainer.student.state_dict().items()}
    trainer.run()
    after = trainer.student.state_dict()
    trunk = [k for k in after if k.startswith("network.visual.trunk") and k.endswith("weight")]
    for key in trunk:
        torch.testing.assert_close(after[key], before[key], rtol=1e-3, atol=1e-5)
    assert not torch.equal(after["network.visual.head.proj.weight"],
                           before["network.visual.head.proj.weight"])  # fmt: skip
    said = capsys.readouterr().out
    (found,) = re.findall(r"head 36 of 36  loss \S+  to text \S+  to image (\S+)", said)
    assert float(found) < math.log(512) - 0.4


def test_a_head_that_drops_features_learns_less_by_heart(shards, tmp_path, capsys):
    config = models.read_config("tiny")
    config["model_cfg"]["vision_cfg"] |= {"timm_proj": "mlp", "timm_drop": 0.125}
    (tmp_path / "mlp.json").write_text(json.dumps(config))
    losses = {}
    for drop in (0.0, 0.9):
        head = {"head_views": 1, "head_epochs": 24, "head_batch": 96, "head_drop": drop}
        given = {"model": {"freeze": ("text",), "architecture": str(tmp_path / "mlp.json")}}
        trainer = Trainer(options(shards, tmp_path / str(drop), **given, head=head,
                                  optimiser={"epochs": 0, "steps": 0}))  # fmt: skip
        trainer.run()
        losses[drop] = float(
            re.findall(r"head \d+ of \d+  loss (\S+)", capsys.readouterr().out)[-1]
        )
        assert trainer.student.network.visual.head.mlp.drop1.p == 0.125  # its own again
    assert losses[0.0] < losses[0.9] - 0.1


def test_text_tower_and_last_stages_learn_on_cached_views(shards, tmp_path, capsys):
    head = {"head_views": 1, "head_epochs": 12, "head_stages": 2, "head_batch": 96}
    trainer = Trainer(options(shards, tmp_path, head=head, optimiser={"epochs": 0, "steps": 0}))
    before = {k: v.clone() for k, v in trainer.student.state_dict().items()}
    trainer.run()
    after = trainer.student.state_dict()
    changed = {k for k, v in after.items() if v.ndim > 1 and not torch.equal(v, before[k])}
    trunk = "network.visual.trunk."
    assert {k.split(".")[4] for k in changed if k.startswith(trunk + "blocks")} == {"3", "4"}
    assert trunk + "conv_head.weight" in changed
    assert trunk + "conv_stem.weight" not in changed
    assert any(k.startswith("network.text") for k in changed)
    assert trainer.step == 0  # with no epochs to follow the run ends here
    losses = re.findall(r"head \d+ of \d+  loss (\S+)", capsys.readouterr().out)
    assert float(losses[-1]) < math.log(96)
    wrong = Trainer(options(shards, tmp_path / "b", head=head | {"head_stages": 9}))
    with pytest.raises(InputError, match="head_stages: the image tower has 5 stages"):
        wrong.run()


def test_frozen_stages_and_unknown_ones(shards, tmp_path):
    trainer = Trainer(options(shards, tmp_path, model={"frozen_stages": 2}))
    trunk = trainer.student.network.visual.trunk
    assert not any(p.requires_grad for p in trunk.conv_stem.parameters())
    assert not any(p.requires_grad for p in trunk.blocks[1].parameters())
    assert all(p.requires_grad for p in trunk.blocks[2].parameters())
    with pytest.raises(InputError, match="no 99 stages"):
        Trainer(options(shards, tmp_path, model={"frozen_stages": 99}))


def fresh(name):
    config = models.read_config(name)
    return config, models.build(config).state_dict()


def test_start_from_another_run_and_blend(shards, tmp_path):
    config, state = fresh("tiny")
    models.save_folder(config, state, tmp_path / "a")
    whole = start.build(options(shards, tmp_path, model={"init": str(tmp_path / "a")}), config)
    key = "visual.head.proj.weight"
    torch.testing.assert_close(whole.network.state_dict()[key], state[key], rtol=1e-3, atol=1e-4)
    given = {"init": str(tmp_path / "a"), "fresh_head": True}
    anew = start.build(options(shards, tmp_path, model=given), config).network.state_dict()
    differ = {k for k, v in whole.network.state_dict().items() if not torch.equal(v, anew[k])}
    assert key in differ
    assert all(k.startswith("visual.head.") or k == "logit_scale" for k in differ)
    torch.save(
        {f"network.{k}": v for k, v in state.items() if "head" not in k}, tmp_path / "headless.pt"
    )
    given["init"] = str(tmp_path / "headless.pt")
    with pytest.raises(InputError, match="has no head of timm's"):
        start.build(options(shards, tmp_path, model=given), config)
    part = start.blend({"w": torch.zeros(2)}, {"w": torch.ones(2)}, 0.25)
    assert part["w"].tolist() == [0.25, 0.25]
    torch.save({"w": torch.zeros(2)}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match="does not fit tiny"):
        start.build(options(shards, tmp_path, model={"init": str(tmp_path / "bad.pt")}), config)


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


def test_the_last_steps_are_logged_and_the_model_is_named(shards, tmp_path, capsys):
    log = Log(options(shards, tmp_path / "run", log_every=2))
    for step in (1, 2, 3):
        log.step(step, step / 4, {"loss": float(step)})
    log.finish(3, tmp_path / "run" / "clip")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2  50.0 %  loss 1.5"
    assert lines[1].startswith("3  100.0 %  loss 3")
    assert lines[2:] == [f"wrote {tmp_path / 'run' / 'clip'} after 3 steps"]


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
