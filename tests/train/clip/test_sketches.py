"""What a tower draws while it learns."""

import copy

import pytest
import torch
import torch.nn.functional as F

from guidance.objective.aims import Aims
from guidance.objective.prompted import spherical_distance
from guidance.train.clip import sketches
from guidance.train.clip.augment import guided
from guidance.train.clip.loader import Batch
from guidance.train.clip.moments import Moments
from guidance.train.clip.sections import TURNS
from guidance.train.clip.sketches import LIFE, PICTURES, Sketches, Subjects, aims_of, loss_of
from guidance.train.loop.chunks import Chunks

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


def start(drawing, pictures, subjects, seed=0):
    drawing.drawn = drawing.start(
        drawing.count, pictures, mean_colour, subjects, torch.Generator().manual_seed(seed)
    )


def seen(sketches):
    """Return what the tower makes of drawings as they are."""
    with torch.no_grad():
        return mean_colour(torch.cat([s.drawing.image() for s in sketches]))


def test_a_sketch_moves_as_a_drawing_of_clipdraw(short_life):
    """One step of the sketches is `Drawing.step` against their loss."""
    drawing, subjects = Sketches(4, 16), subjects_of(COLOURS)
    start(drawing, batch(2), subjects)
    sketch, other = drawing.drawn[:2]
    for age in (0, 0, 60):  # the last with points slowed down
        sketch.age, sketch.life = age, 100
        alone = copy.deepcopy(sketch.drawing)
        targets, rivals = aims_of([sketch], subjects)

        def objective(image, targets=targets, rivals=rivals):
            opaque = F.pad(image, (0, 0, 0, 0, 0, 1), value=1.0)
            lot = torch.Generator().manual_seed(5)
            clear = torch.zeros(1, dtype=torch.bool)
            views = guided(opaque, clear, 16, lot, sketches.MIN_CROP, sketches.COLOUR)[1]
            return loss_of(mean_colour(views), targets, subjects.images, rivals)

        alone.prepare(age, 100)
        alone.step(objective)
        drawing.move([sketch], 5, mean_colour, subjects)
        assert sketch.age == age + 1
        for key, value in sketch.drawing.state_dict().items():
            torch.testing.assert_close(value, alone.state_dict()[key])
    assert other.age == 0


def test_the_loss_is_that_of_guidance():
    """Views with a target each, together, cost what their prompts would one by one."""
    features, targets, images = (
        F.normalize(torch.randn(n, 5, generator=torch.Generator().manual_seed(n)), dim=-1)
        for n in (2, 2, 7)
    )
    rivals = torch.tensor([[True] * 4 + [False] * 3, [False] * 2 + [True] * 5])
    wanted = 0
    for row in range(2):
        aims, own = Aims(targets, {row: images[rivals[row]]}), features[row : row + 1]
        wanted += spherical_distance(own, targets[row]).sum() + aims.confusion(own, row)
    torch.testing.assert_close(loss_of(features, targets, images, rivals), wanted)


def test_a_checkpoint_brings_drawings_back(short_life):
    drawing, subjects = Sketches(4, 16), subjects_of(COLOURS)
    start(drawing, captioned(batch(3).images), subjects)
    drawing.move(drawing.drawn[1:], 3, mean_colour, subjects)
    kept = drawing.state
    assert kept["points"].shape[:2] == kept["m.points"].shape[:2] == (4, 24)
    again = Sketches(4, 16)
    again.state = kept
    assert again.state.keys() == kept.keys()
    assert all(torch.equal(value, again.state[key]) for key, value in kept.items())
    for each in (drawing, again):
        each.move(each.drawn, 4, mean_colour, subjects)
    assert all(torch.equal(value, again.state[key]) for key, value in drawing.state.items())
    assert Sketches(4, 16).state == {}


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
            drawing.drawn[step].life = 1000
            first.append(mean_colour(mixed.clean[size:]) @ subjects.images.T)
    return torch.cat(first), seen(drawing.drawn) @ subjects.images.T


COLOURS = torch.tensor([[1.0, 0.1, 0.1], [0.1, 0.1, 1.0], [0.1, 0.8, 0.1]])


def test_drawings_get_closer_to_their_class(short_life):
    drawing = Sketches(4, 16)
    first, last = draw(drawing, batch(2), subjects_of(COLOURS))  # no captions, so classes only
    own = torch.tensor([sketch.number for sketch in drawing.drawn])[:, None]
    assert (last.gather(1, own) > 0.8).all()
    assert (last.gather(1, own) > first.gather(1, own) + 0.05).all()
    assert (last.argmax(1) == own[:, 0]).all()


def test_drawings_get_closer_to_their_picture(short_life, monkeypatch):
    monkeypatch.setattr(sketches, "PICTURES", 1.0)
    drawing = Sketches(4, 16)
    pictures = captioned(COLOURS[1].view(1, 3, 1, 1).expand(2, 3, 16, 16))  # blue ones
    last = draw(drawing, pictures, subjects_of(COLOURS[[0, 2]]))[1]  # no such class
    blue = mean_colour(pictures.images)
    for sketch in drawing.drawn:
        assert sketch.number == -1
        torch.testing.assert_close(sketch.image, blue[0])
    assert (seen(drawing.drawn) @ blue[0] > 0.8).all()
    assert (last < 0).all()  # it is like neither of the classes


def test_classes_and_pictures_are_drawn_by_lot(short_life):
    drawing, pictures = Sketches(400, 16), captioned(batch(5).images)
    start(drawing, pictures, subjects_of(torch.rand(30, 3)))
    numbers = [sketch.number for sketch in drawing.drawn]
    assert numbers.count(-1) / 400 == pytest.approx(PICTURES, abs=0.08)
    assert len({n for n in numbers if n >= 0}) > 25
    images = [sketch.image for sketch in drawing.drawn if sketch.number < 0]
    assert len(torch.stack(images).unique(dim=0)) == 5


def test_what_means_the_same_is_no_rival(short_life):
    texts = F.normalize(torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.0, 0.0, 1.0]]), dim=-1)
    images = F.normalize(torch.tensor([[0.0, 1.0, 0.1], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), dim=-1)
    subjects = Subjects(images, texts, torch.tensor([0.2, 0.2, 0.0]), lambda numbers: texts[:1])
    drawing = Sketches(4, 16)
    start(drawing, batch(1), subjects)
    first, second = drawing.drawn[:2]
    first.number, second.number = 2, -1
    second.image, second.text = images[2], texts[0]
    targets, rivals = aims_of([first, second], subjects)
    assert rivals.tolist() == [[True, True, False], [False, False, True]]
    sharp = F.normalize(torch.tensor([1.6 - 0.6 * 0.2, -0.6 * 0.2, 0.0]), dim=0)
    torch.testing.assert_close(targets[0], F.normalize(sharp + 0.3 * texts[2], dim=0))
    torch.testing.assert_close(targets[1], F.normalize(sharp + 0.3 * texts[0], dim=0))


def test_a_finished_drawing_gives_way_to_a_new_one(short_life):
    drawing, rng = Sketches(4, 16), torch.Generator().manual_seed(0)
    subjects = subjects_of(torch.rand(1000, 3, generator=rng))
    start(drawing, batch(2), subjects)
    low, high = LIFE
    assert all(low <= sketch.life < high for sketch in drawing.drawn)
    old = list(drawing.drawn)
    old[1].age = old[1].life
    for step in range(TURNS):
        drawing.join(batch(2), mean_colour, subjects, Chunks(0), step, rng)
    assert [sketch.age for sketch in drawing.drawn] == [sketches.MOVES] * 4
    same = [new is before for new, before in zip(drawing.drawn, old, strict=True)]
    assert same == [True, False, True, True]
