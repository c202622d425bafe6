"""What a training learns from besides its pairs."""

import dataclasses

import pytest
import timm
import torch
import torch.nn.functional as F
from emoji import write_emoji

from guidance.data import read
from guidance.errors import InputError
from guidance.train.clip import model as models
from guidance.train.clip.presets import read_config
from guidance.train.clip.sections import LossOptions, TeacherOptions
from guidance.train.clip.sentences import SentenceTable
from guidance.train.clip.trainer import Trainer


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emoji")
    write_emoji(folder, "train")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A CLIP as large as the student, with other weights."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(5)
    config = models.read_config("tiny")
    models.save_folder(config, models.build(config).state_dict(), folder)
    return folder


def options(shards, out, teachers, eps=0.0, **optimiser):
    given = read_config("tiny")
    optimiser = {"steps": 3, "precision": "fp32"} | optimiser
    return dataclasses.replace(
        given, data=(str(shards / "train-*.tar"),), out=out, threads=1,
        sampling=dataclasses.replace(given.sampling, batch=12, workers=1),
        optimiser=dataclasses.replace(given.optimiser, **optimiser),
        teachers=TeacherOptions(**teachers), loss=LossOptions(eps=eps),
    )  # fmt: skip


def test_teachers_take_part_and_attacks_are_learned_from(shards, teacher, tmp_path):
    torch.manual_seed(0)
    lite = timm.create_model("tf_efficientnet_lite0")
    torch.save(lite.state_dict(), tmp_path / "lite0.pth")
    texts = read([str(shards / "train-*.tar")]).texts()
    vectors = F.normalize(torch.randn(len(texts), 128), dim=-1)
    SentenceTable(texts, vectors.half()).save(tmp_path)
    teachers = {
        "classifier": tmp_path / "lite0.pth", "teacher": str(teacher), "anchor": 1.0,
        "sentences": tmp_path, "sentence": 1.0,
    }  # fmt: skip
    trainer = Trainer(options(shards, tmp_path / "run", teachers, eps=0.5))
    parts = trainer.train_step(next(trainer.passes.loader.batches(0)), 0.5)
    expected = {"to text", "to image", "knowledge", "distil", "anchor", "sentence"}
    assert expected | {"attacked to text"} <= set(parts)
    assert all(torch.isfinite(torch.tensor(v)) for v in parts.values())


def test_an_anchor_keeps_the_embeddings_of_another_clip(shards, teacher, tmp_path):
    far = {}
    for weight in (0.0, 100.0):
        teachers = {"teacher": str(teacher), "distil": 0.0, "anchor": weight}
        trainer = Trainer(options(shards, tmp_path / str(weight), teachers, steps=25, rate=3e-3))
        batch = next(trainer.passes.loader.batches(999))
        trainer.run()
        trainer.student.eval()
        with torch.no_grad():
            own = trainer.student.look(batch.clean)[:, : trainer.student.dim]
            other = trainer.passes.teachers.clip.encode_image(batch.clean)
        far[weight] = 1 - F.cosine_similarity(own, other).mean().item()
    assert far[100.0] < 0.2
    assert far[0.0] > 0.5


def test_anchors_are_the_teachers_embeddings_of_clean_pictures(shards, teacher, tmp_path):
    teachers = {"teacher": str(teacher), "distil": 0.0, "anchor": 1.0}
    trainer = Trainer(options(shards, tmp_path, teachers))
    batch = next(trainer.passes.loader.batches(0))
    lessons = trainer.passes.teachers.compare(trainer.passes.teachers.clip, batch)
    assert set(lessons) == {"anchors"}  # no texts are read for nothing
    expected = trainer.passes.teachers.clip.encode_image(batch.clean)
    assert F.cosine_similarity(lessons["anchors"], expected).min() > 0.999  # bfloat16


def test_an_anchor_of_another_size_ends_before_any_work(shards, tmp_path):
    with pytest.raises(InputError, match="anchor: needs the CLIP to stay near"):
        Trainer(options(shards, tmp_path, {"anchor": 1.0}))
    with pytest.raises(InputError, match="anchor: embeddings of 384 numbers cannot hold one of"):
        Trainer(options(shards, tmp_path, {"anchor": 1.0, "teacher": "mini-guide"}))
