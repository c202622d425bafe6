"""The training of the image tower, on a handful of flat pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from guidance.clip import load_clip
from guidance.train import clip, student
from guidance.train import model as mini

SIDE, TEXTS = 144, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Arrays of flat pictures, an untrained classifier and an untrained text tower."""
    import timm

    path = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(0)
    index = {"texts": [str(i) for i in range(TEXTS)]}
    for i, table in enumerate(("photos", "drawings", "painted", "scenes")):
        channels = 4 if table == "drawings" else 3
        colours = rng.integers(0, 256, (3, 1, 1, channels), np.uint8)
        np.save(path / f"{table}.npy", np.broadcast_to(colours, (3, SIDE, SIDE, channels)))
        numbers = [3 * i, 3 * i + 1, 3 * i + 2]
        index[table] = {
            "captions": [[n] for n in numbers], "group": numbers, "weight": [1.0] * 3,
            "source": ["here"] * 3, "split": ["train"] * 3,
        }  # fmt: skip
    np.save(path / "clutter.npy", rng.integers(0, 256, (2, SIDE, SIDE, 3), np.uint8))
    for name, count in (("embeddings", TEXTS), ("classes", 1000)):
        rows = rng.normal(size=(count, 384))
        np.save(path / f"{name}.npy", (rows / np.linalg.norm(rows, axis=1)[:, None]).astype("f2"))
    (path / "index.json").write_text(json.dumps(index))
    torch.manual_seed(0)
    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), path / "lite0.pth")
    text = mini.build(mini.read_config()).text
    mini.save_file(text.state_dict(), path / "text.safetensors")
    return path


def options(folder: Path, out: Path, **changes) -> clip.ClipOptions:
    counts = {"photos": 2, "drawings": 2, "painted": 1, "scenes": 1, "clutter": 1}
    given = {"steps": 2, "eps": 0.5, "bank": 4, "side": 64, **counts, **changes}
    return clip.ClipOptions(
        arrays=folder, classifier=folder / "lite0.pth", text=folder / "text.safetensors", out=out,
        **given,
    )  # fmt: skip


def test_train_and_resume(folder, tmp_path):
    trainer = clip.Trainer(options(folder, tmp_path / "run"))
    before = {k: v.clone() for k, v in trainer.student.state_dict().items()}
    trainer.run()
    assert trainer.step == 2
    after = trainer.student.state_dict()
    for name in ("visual.trunk.conv_stem.weight", "visual.head.proj.weight", "map.weight"):
        assert not torch.equal(before[name], after[name]), name
    more = clip.Trainer(options(folder, tmp_path / "run", steps=3, resume=True))
    assert more.step == 2
    torch.testing.assert_close(more.student.state_dict(), after)
    for name in ("open_clip_model.safetensors", "open_clip_config.json"):
        source = tmp_path / "run" / "mini-clip.safetensors" if "model" in name else mini.MINI_CONFIG
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    model = load_clip(str(tmp_path))
    with torch.no_grad():
        assert model.encode_image(torch.rand(1, 3, 128, 128)).norm().item() == pytest.approx(1)


def test_blend_goes_part_of_the_way():
    start = {"w": torch.zeros(2), "logit_scale": torch.tensor(1.0), "n": torch.tensor(3)}
    end = {"w": torch.ones(2), "logit_scale": torch.tensor(2.0), "n": torch.tensor(5)}
    got = clip.blend(start, end, 0.25)
    assert [v.tolist() for v in got.values()] == [[0.25, 0.25], 2.0, 5]
    torch.testing.assert_close(clip.blend(start, end, 1.0), end)


def test_gradient_belongs_to_its_image(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "PART", 2)
    trainer = clip.Trainer(options(folder, tmp_path))
    images = torch.rand(5, 3, 64, 64)
    monkeypatch.setattr(trainer, "loss", lambda seen, row: seen[row].square().sum())
    _, grad = trainer.learn(images, 1.0, 3)
    assert grad[3].abs().max() > 0
    assert grad[[0, 1, 2, 4]].abs().max() == 0


def test_attack_moves_up_the_gradient_by_the_length_given(folder, tmp_path):
    trainer = clip.Trainer(options(folder, tmp_path))
    images = torch.full((3, 3, 64, 64), 0.5)
    grad = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for step in range(3):  # single pixels, then blocks of 4 and of 8
        trainer.step = step
        moved = trainer.attack(images, grad, 0.4) - images
        length = moved.flatten(1).norm(dim=1)
        assert (length <= (1, 1.5, 2)[step] * 0.4 * 1.5 * 64 / 128 + 1e-5).all()
        assert ((moved * grad).flatten(1).sum(1) > 0).all()


def test_student_starts_as_the_teacher(folder):
    teacher = student.Teacher(folder / "lite0.pth")
    classes = torch.from_numpy(np.load(folder / "classes.npy")).float()
    pupil = student.start(teacher, mini.read_config(), classes, frozen=2)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        seen = pupil.look(images)[:, pupil.dim :]
        maps = teacher.network.forward_features(student.prepare(images))
        torch.testing.assert_close(seen, teacher.network.forward_head(maps, pre_logits=True))
    fixed = [n for n, p in pupil.visual.trunk.named_parameters() if not p.requires_grad]
    assert {n.split(".")[1] for n in fixed if n.startswith("blocks")} == {"0", "1"}
