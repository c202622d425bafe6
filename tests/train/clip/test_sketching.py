"""Drawings in the middle of a training, and what its teachers say of them."""

import dataclasses

import pytest
import timm
import torch
import torch.nn.functional as F
from emoji import write_emoji

from guidance.errors import InputError
from guidance.train import losses
from guidance.train.clip import model as models
from guidance.train.clip import sketches, student, warm
from guidance.train.clip.loader import Batch
from guidance.train.clip.objective import Classified, Lessons, Objective
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.presets import read_config
from guidance.train.clip.sections import LossOptions, TeacherOptions
from guidance.train.clip.teachers import Panel, Teacher
from guidance.train.clip.trainer import Trainer

NOTHING = torch.zeros(0, dtype=torch.int64)


def batch(count, side=16):
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Batch(images, images, NOTHING, NOTHING)


@pytest.fixture
def short_life(monkeypatch):
    monkeypatch.setattr(sketches, "STROKES", 24)


def test_sketches_have_no_caption_and_no_hint_but_are_classified():
    torch.manual_seed(0)
    options = ClipOptions(teachers=TeacherOptions(knowledge=1.0, hint=1.0))
    config = models.read_config("tiny")
    own = student.Student(models.build(config), config, 10.0)
    images = torch.zeros(6, 3, 8, 8)
    numbers = torch.tensor([0, 1, 2])
    mixed = Batch(images, images, numbers, torch.full((3,), -1), sketches=2)  # one of nothing
    wide = own.dim + own.hint.in_features
    seen, read = torch.randn(6, wide), F.normalize(torch.randn(3, own.dim), dim=-1)
    told = Classified(
        rows=torch.tensor([1, 4, 5]), logits=torch.randn(3, 7), classes=torch.randn(7, own.dim),
        features=torch.randn(1, own.hint.out_features),
    )  # fmt: skip
    lessons = Lessons(classified=told)
    before = Objective(options)(own, seen, read, mixed, lessons)[1]
    seen = torch.cat([seen[:4], torch.randn(2, wide)])
    after = Objective(options)(own, seen, read, mixed, lessons)[1]
    changed = {k for k in before if before[k] != after[k]}
    assert changed == {"knowledge"}


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers")
    for seed, name in enumerate(("lite0", "lite2")):
        torch.manual_seed(seed)
        torch.save(timm.create_model(f"tf_efficientnet_{name}").state_dict(), folder / name)
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emoji")
    write_emoji(folder, "train")
    return folder


def options(shards, classifiers, out, steps=4):
    """Two turns of sketches after two steps without, at 32 pixels."""
    given = read_config("tiny")
    return dataclasses.replace(
        given, data=(str(shards / "train-*.tar"),), out=out, threads=1,
        model=dataclasses.replace(given.model, freeze=("text",)),
        sampling=dataclasses.replace(given.sampling, batch=6, workers=1),
        optimiser=dataclasses.replace(given.optimiser, steps=steps, precision="fp32"),
        teachers=TeacherOptions(
            classifier=classifiers / "lite0", examiner=(classifiers / "lite2",), examiner_side=48
        ),
        loss=LossOptions(sketches=4, eps=0.5),
    )  # fmt: skip


def test_resumed_with_sketches_is_as_uninterrupted(
    shards, classifiers, tmp_path, monkeypatch, short_life
):
    monkeypatch.setattr("guidance.train.clip.trainer.SKETCH_AFTER", 2)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    Trainer(options(shards, classifiers, whole)).run()
    first = Trainer(options(shards, classifiers, parts))
    for drawn, _ in zip(first.passes.loader.batches(0), range(3), strict=False):
        first.train_step(drawn, first.step / 4)
    assert sum(sketch.age for sketch in first.sketches.drawn) == sketches.MOVES
    first.save()
    given = options(shards, classifiers, parts)
    Trainer(dataclasses.replace(given, resume=True)).run()
    a, b = (torch.load(p / "state.pt", weights_only=True) for p in (whole, parts))
    for key in ("student", "sketches", "moments"):
        torch.testing.assert_close(a[key], b[key])
    assert a["sketches"]["age"].tolist() == [0, 0, 2, 2]  # turns 2 and 3 of four


def test_the_examiner_looks_at_sketches_and_the_classifier_at_the_rest(
    shards, classifiers, tmp_path
):
    trainer = Trainer(options(shards, classifiers, tmp_path))
    teachers, mixed = trainer.passes.teachers, dataclasses.replace(batch(6, 64), sketches=2)
    teachers.hints = True
    panel = teachers.panel
    said = teachers.classify(panel, mixed, 0, torch.Generator().manual_seed(0))
    assert said.rows[2:].tolist() == [4, 5]  # all of them, and half of the rest
    own = teachers.classifier(mixed.clean[said.rows])
    close = {"rtol": 0.02, "atol": 0.02}  # bfloat16
    torch.testing.assert_close(said.logits[:2], own[:2, :1000], **close)
    torch.testing.assert_close(said.features, own[:2, 1000:], **close)
    large = F.interpolate(mixed.clean[4:], (48, 48), mode="bicubic")
    (examiner,) = teachers.examiners.members
    other = Teacher(examiner.network, torch.device("cpu"))(large)[:, :1000]
    torch.testing.assert_close(said.logits[2:], other, **close)
    teachers.examiners = None
    said = teachers.classify(panel, mixed, 0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(said.logits, own[:, :1000], **close)


def test_a_panel_says_what_all_its_members_find_likely(classifiers):
    from guidance.clip.classifier import image_classifier

    members = [
        Teacher(image_classifier(classifiers / name, ""), torch.device("cpu"), side)
        for name, side in (("lite0", 0), ("lite2", 48))
    ]
    images = batch(3, 40).clean
    single, said = Panel(members[:1])(images), Panel(members)(images)
    torch.testing.assert_close(single, members[0](images))
    apart = torch.stack([m(images)[:, :1000].log_softmax(-1) for m in members]).mean(0)
    torch.testing.assert_close(said[:, :1000], apart, rtol=0.02, atol=0.02)
    torch.testing.assert_close(said[:, 1000:], single[:, 1000:])  # the first's features


def test_hint_is_fitted_to_a_tower_that_came_without(shards, classifiers, tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "HINT_BATCHES", 2)
    given = options(shards, classifiers, tmp_path)
    given = dataclasses.replace(
        given, loss=LossOptions(),
        model=dataclasses.replace(given.model, architecture="mini-guide", batchnorm="fixed"),
        sampling=dataclasses.replace(given.sampling, augment="crop"),
        teachers=TeacherOptions(classifier=classifiers / "lite0", hint=1.0),
    )  # fmt: skip
    trainer = Trainer(given)
    own, numbers = trainer.student, iter([7, 8])
    assert own.hinted  # nothing was loaded that would need a map of its own
    torch.nn.init.zeros_(own.hint.weight)
    drawn = [next(trainer.passes.loader.batches(step)) for step in numbers]
    monkeypatch.setattr(trainer.passes.loader, "batches", lambda step: iter([*drawn, *drawn]))
    with torch.no_grad():
        warm.fit_hint(trainer.passes)
        pooled = torch.cat([own.look(b.images)[:, own.dim :] for b in drawn])
        wanted = torch.cat([trainer.passes.teachers.classifier(b.clean)[:, 1000:] for b in drawn])
    assert losses.relative(own.hint(pooled), wanted) < 0.05  # the mean alone would give 1


@pytest.mark.parametrize(
    ("loss", "teachers", "message"),
    [
        ({"sketches": 6}, {}, "multiple of 4 but is 6"),
        ({"sketches": 8}, {}, "a classifier must look at them"),
        ({}, {"examiner": ["here"]}, "looks at sketches only"),
        (
            {"sketches": 4},
            {"classifier": "here", "examiner": ["here", "gone"]},
            "--examiner: .*gone does not exist",
        ),
        ({}, {"assistant": ["here"]}, "there is no classifier to assist"),
    ],
)
def test_check(tmp_path, loss, teachers, message):
    (tmp_path / "here").touch()
    teachers = {
        k: tuple(tmp_path / x for x in v) if isinstance(v, list) else tmp_path / v
        for k, v in teachers.items()
    }
    given = ClipOptions(data=("x",), loss=LossOptions(**loss), teachers=TeacherOptions(**teachers))
    with pytest.raises(InputError, match=message):
        given.check()
