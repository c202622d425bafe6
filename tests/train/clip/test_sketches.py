"""What a tower draws while it learns, and what its teachers say of it."""

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
from guidance.train.clip.moments import DECAY, Moments
from guidance.train.clip.objective import Lessons, Objective
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.presets import read_config
from guidance.train.clip.sections import TURNS, LossOptions, TeacherOptions
from guidance.train.clip.sketches import LIFE, PICTURES, RATES, Sketches, Subjects
from guidance.train.clip.teachers import Teacher
from guidance.train.clip.trainer import Trainer
from guidance.train.loop.chunks import Chunks
from guidance.train.prior import build as prior

NOTHING = torch.zeros(0, dtype=torch.int64)


def batch(count, side=16):
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Batch(images, images, NOTHING, NOTHING)


def mean_colour(views):
    """A tower that sees nothing but the mean colour, as a direction."""
    return F.normalize(views.mean((2, 3)) - 0.5, dim=-1)


def subjects_of(colours):
    """Subjects for such a tower: classes that look like `colours` ``[C, 3]`` and have no text."""
    moments = Moments()
    logits = 4 * torch.eye(len(colours))
    moments.add(F.normalize(colours - 0.5, dim=-1), logits)
    images, texts = moments.class_images(), torch.zeros(len(colours), 3)
    return Subjects(images, texts, moments.centre, lambda numbers: torch.zeros(len(numbers), 3))


def captioned(images):
    numbers = torch.arange(len(images))
    return Batch(images, images, numbers, torch.full_like(numbers, -1))


@pytest.fixture
def short_life(monkeypatch):
    monkeypatch.setattr(sketches, "STROKES", 24)


def test_running_moments_give_the_classes_of_all_batches():
    random = torch.Generator().manual_seed(0)
    images = F.normalize(torch.randn(60, 8, generator=random) + 0.5, dim=-1)
    logits = torch.randn(60, 5, generator=random) + 3 * images[:, :5]
    moments = Moments()
    for part in range(0, 60, 10):
        moments.add(images[part : part + 10], logits[part : part + 10])
    assert moments.batches == 6
    torch.testing.assert_close(moments.centre, images.mean(0))
    torch.testing.assert_close(moments.class_images(), prior.imagine_classes(images, logits))


def test_moments_forget():
    moments, old, new = Moments(), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    logits = torch.zeros(1, 3)
    for _ in range(300):
        moments.add(old, logits)
    for _ in range(400):
        moments.add(new, logits)
    assert moments.centre[0] == pytest.approx(DECAY**400, rel=1e-3)


def test_steps_are_those_of_adam_with_points_slowed_down(short_life):
    drawing, rng = Sketches(4, 16), torch.Generator().manual_seed(0)
    drawing.start(torch.arange(4), batch(2), mean_colour, subjects_of(torch.rand(3, 3)), rng)
    drawing.state["life"][:] = 8
    before = {k: drawing.state[k].clone() for k in RATES}
    # clamping is not what is compared here
    before["colors"] = drawing.state["colors"] = 0.4 + 0.2 * before["colors"]
    before["widths"] = drawing.state["widths"] = torch.full_like(before["widths"], 0.1)
    reference = {k: v[2].clone().requires_grad_() for k, v in before.items()}
    adam = torch.optim.Adam([{"params": [reference[k]], "lr": r} for k, r in RATES.items()])
    for factor in (1, 1, 1, 1, 0.4, 0.4, 0.1):
        grads = {k: torch.randn(v[2:3].shape, generator=rng) for k, v in before.items()}
        drawing.adam(torch.tensor([2]), grads)
        for (key, rate), group in zip(RATES.items(), adam.param_groups, strict=True):
            reference[key].grad = grads[key][0]
            group["lr"] = rate * (factor if key == "points" else 1)
        adam.step()
    for key, value in reference.items():
        torch.testing.assert_close(drawing.state[key][2], value.detach())
        assert torch.equal(drawing.state[key][:2], before[key][:2])  # the others rest


def draw(drawing, pictures, subjects):
    """Take all drawings 120 steps further; return likenesses to the classes, before and after."""
    rng, chunks, first = torch.Generator().manual_seed(0), Chunks(0), []
    for step in range(60 * TURNS):
        mixed = drawing.join(pictures, mean_colour, subjects, chunks, step, rng)
        assert mixed.sketches == 1
        size = len(pictures.images)
        assert mixed.images.shape == mixed.clean.shape == (size + 1, 3, 16, 16)
        assert torch.equal(mixed.images[:size], pictures.images)
        if step < TURNS:
            drawing.state["life"][:] = 1000
            first.append(mean_colour(mixed.clean[size:]) @ subjects.images.T)
    last = mean_colour(drawing.render(torch.arange(4), **{k: drawing.state[k] for k in RATES}))
    return torch.cat(first), last @ subjects.images.T


COLOURS = torch.tensor([[1.0, 0.1, 0.1], [0.1, 0.1, 1.0], [0.1, 0.8, 0.1]])


def test_drawings_get_closer_to_their_class(short_life):
    drawing = Sketches(4, 16)
    first, last = draw(drawing, batch(2), subjects_of(COLOURS))  # no captions, so classes only
    own = drawing.state["class"][:, None]
    assert (last.gather(1, own) > 0.8).all()
    assert (last.gather(1, own) > first.gather(1, own) + 0.05).all()
    assert (last.argmax(1) == own[:, 0]).all()


def test_drawings_get_closer_to_their_picture(short_life, monkeypatch):
    monkeypatch.setattr(sketches, "PICTURES", 1.0)
    drawing = Sketches(4, 16)
    pictures = captioned(COLOURS[1].view(1, 3, 1, 1).expand(2, 3, 16, 16))  # blue ones
    last = draw(drawing, pictures, subjects_of(COLOURS[[0, 2]]))[1]  # no such class
    assert (drawing.state["class"] == -1).all()
    blue = mean_colour(pictures.images)
    torch.testing.assert_close(drawing.state["image"], blue[:1].expand(4, 3))
    seen = mean_colour(drawing.render(torch.arange(4), **{k: drawing.state[k] for k in RATES}))
    assert (seen @ blue[0] > 0.8).all()
    assert (last < 0).all()  # it is like neither of the classes


def test_classes_and_pictures_are_drawn_by_lot():
    drawing, rng = Sketches(400, 16), torch.Generator().manual_seed(0)
    pictures = captioned(batch(5).images)
    drawing.start(torch.arange(400), pictures, mean_colour, subjects_of(torch.rand(30, 3)), rng)
    own = drawing.state["class"]
    assert (own < 0).float().mean() == pytest.approx(PICTURES, abs=0.08)
    assert len(own[own >= 0].unique()) > 25
    assert len(drawing.state["image"][own < 0].unique(dim=0)) == 5


def test_what_means_the_same_is_no_rival():
    texts = F.normalize(torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.0, 0.0, 1.0]]), dim=-1)
    images = F.normalize(torch.tensor([[0.0, 1.0, 0.1], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), dim=-1)
    subjects = Subjects(images, texts, torch.tensor([0.2, 0.2, 0.0]), lambda numbers: texts[:1])
    drawing = Sketches(4, 16)
    rng = torch.Generator().manual_seed(0)
    drawing.start(torch.arange(4), batch(1), mean_colour, subjects, rng)
    drawing.state["class"][:2] = torch.tensor([2, -1])
    drawing.state["image"][1], drawing.state["text"][1] = images[2], texts[0]
    targets, rivals = drawing.aims(torch.tensor([0, 1]), subjects)
    assert rivals.tolist() == [[True, True, False], [False, False, True]]
    sharp = F.normalize(torch.tensor([1.6 - 0.6 * 0.2, -0.6 * 0.2, 0.0]), dim=0)
    torch.testing.assert_close(targets[0], F.normalize(sharp + 0.3 * texts[2], dim=0))
    torch.testing.assert_close(targets[1], F.normalize(sharp + 0.3 * texts[0], dim=0))


def test_a_finished_drawing_gives_way_to_a_new_one(short_life):
    drawing, rng = Sketches(4, 16), torch.Generator().manual_seed(0)
    subjects = subjects_of(torch.rand(1000, 3, generator=rng))
    drawing.start(torch.arange(4), batch(2), mean_colour, subjects, rng)
    low, high = LIFE
    assert ((drawing.state["life"] >= low) & (drawing.state["life"] < high)).all()
    old = {k: v.clone() for k, v in drawing.state.items()}
    drawing.state["age"][1] = drawing.state["life"][1]
    for step in range(TURNS):
        drawing.join(batch(2), mean_colour, subjects, Chunks(0), step, rng)
    assert drawing.state["age"].tolist() == [sketches.MOVES] * 4
    same = (drawing.state["counts"] == old["counts"]).all(1)  # what is not optimised
    assert same.tolist() == [True, False, True, True]


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
    lessons = Lessons(
        rows=torch.tensor([1, 4, 5]), logits=torch.randn(3, 7), classes=torch.randn(7, own.dim),
        features=torch.randn(1, own.hint.out_features),
    )  # fmt: skip
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
            classifier=classifiers / "lite0", examiner=classifiers / "lite2", examiner_side=48
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
    assert first.sketches.state["age"].sum() == sketches.MOVES
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
    said = teachers.classify(mixed, torch.Generator().manual_seed(0))
    assert said["rows"][2:].tolist() == [4, 5]  # all of them, and half of the rest
    own = teachers.classifier(mixed.clean[said["rows"]])
    close = {"rtol": 0.02, "atol": 0.02}  # bfloat16
    torch.testing.assert_close(said["logits"][:2], own[:2, :1000], **close)
    torch.testing.assert_close(said["features"], own[:2, 1000:], **close)
    large = F.interpolate(mixed.clean[4:], (48, 48), mode="bicubic")
    other = Teacher(teachers.examiner.network, torch.device("cpu"))(large)[:, :1000]
    torch.testing.assert_close(said["logits"][2:], other, **close)
    teachers.examiner = None
    said = teachers.classify(mixed, torch.Generator().manual_seed(0))
    torch.testing.assert_close(said["logits"], own[:, :1000], **close)


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
        ({}, {"examiner": "here"}, "looks at sketches only"),
        ({"sketches": 4}, {"classifier": "here", "examiner": "gone"}, "--examiner: .* not exist"),
    ],
)
def test_check(tmp_path, loss, teachers, message):
    (tmp_path / "here").touch()
    teachers = {k: tmp_path / v for k, v in teachers.items()}
    given = ClipOptions(data=("x",), loss=LossOptions(**loss), teachers=TeacherOptions(**teachers))
    with pytest.raises(InputError, match=message):
        given.check()
