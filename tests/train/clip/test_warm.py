"""The head phase: what comes last learns on cached views of what comes before."""

import json
import math
import re

import numpy as np
import pytest
import torch
from tiny_training import clip_options as options

from guidance.errors import InputError
from guidance.train.clip import model as models
from guidance.train.clip.trainer import Trainer


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


def test_some_pictures_take_part_by_their_weight(shards, tmp_path, monkeypatch):
    """Half of the emoji, none of them of weight 0; the steps see no others."""
    head = {"head_views": 2, "head_epochs": 2, "head_batch": 8, "head_pictures": 10}
    trainer = Trainer(options(shards, tmp_path, head=head, optimiser={"epochs": 0, "steps": 0}))
    loader, drawn = trainer.passes.loader, []
    shares = np.ones(len(loader.samples))
    shares[::2] = 0
    loader.lot.chances = np.cumsum(shares / shares.sum())
    plan, decode = loader.plan, loader.decode

    def noted(step):
        made = plan(step)
        drawn.extend(made.rows.tolist())
        return made

    seen = set()
    monkeypatch.setattr(loader, "plan", noted)
    monkeypatch.setattr(loader, "decode", lambda p, i: (seen.add(int(p.rows[i])), decode(p, i))[1])
    trainer.begin()
    assert len(seen) == 10
    assert all(row % 2 for row in seen)
    assert set(drawn) <= seen
    assert loader.lot.chances[-1] == pytest.approx(1)
    assert (np.diff(loader.lot.chances, prepend=0) > 0).sum() == len(shares) // 2  # as before
