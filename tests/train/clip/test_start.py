"""What a student starts from."""

import pytest
import torch
from tiny_training import clip_options as options

from guidance.errors import InputError
from guidance.train.clip import model as models
from guidance.train.clip import start
from guidance.train.clip.trainer import Trainer


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
