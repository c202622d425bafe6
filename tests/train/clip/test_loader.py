"""Batches: weights, captions, groups, seeds and damaged pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from guidance.data import Sample, read
from guidance.data.shards import ShardWriter, encode
from guidance.errors import InputError
from guidance.train.clip.loader import Loader
from guidance.train.clip.sections import SamplingOptions
from guidance.train.loop.chunks import Chunks
from guidance.train.samples import factor

COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


@pytest.fixture
def samples(tmp_path):
    with ShardWriter(tmp_path, "x") as writer:
        for name, colour in COLOURS.items():
            sample = Sample(name, (name, f"a {name} thing"), source=f"set:{name}", group=name)
            writer.add(sample, *encode(Image.new("RGB", (40, 30), colour)))
        writer.add(Sample("none", (), source="clutter"), *encode(Image.new("RGB", (8, 8))))
        clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
        clear.paste((250, 250, 0, 255), (8, 8, 24, 24))
        writer.add(Sample("icon", ("icon",), source="icons"), *encode(clear))
    return read([str(tmp_path / "*.tar")])


def loader(samples, seed=0, **options):
    options = SamplingOptions(**{"batch": 24, "augment": "none", **options})
    return Loader(samples, options, 16, seed, Chunks(0), torch.device("cpu"), 5)


def test_pictures_and_captions_stay_together(samples):
    made = loader(samples)
    batch = next(made.batches(0))
    n = len(batch.captions)
    assert batch.images.shape == (24, 3, 16, 16)
    assert 0 < n < 24  # those without a caption come last
    assert (batch.images[n:] < 0.01).all()
    for image, caption in zip(batch.images, batch.captions, strict=False):
        name = next(c for c in (*COLOURS, "icon") if c in made.texts[caption])
        middle = (image[:, 8, 8] * 255).round()
        expected = COLOURS.get(name, (250, 250, 0))
        assert (middle - torch.tensor(expected)).abs().max() < 6  # JPEG
    same = batch.groups[:, None] == batch.groups
    words = np.array(
        [made.texts[c].replace("a ", "").replace(" thing", "") for c in batch.captions]
    )
    grouped = batch.groups >= 0
    assert (same.numpy() == (words[:, None] == words))[grouped][:, grouped].all()
    assert (batch.groups < 0).sum() == (words == "icon").sum()


def test_a_batch_follows_from_the_seed_and_its_number(samples):
    first = [b.images for _, b in zip(range(3), loader(samples).batches(0), strict=False)]
    later = next(loader(samples).batches(2)).images
    assert torch.equal(first[2], later)
    assert not torch.equal(first[0], first[1])
    other = next(loader(samples, seed=1).batches(0)).images
    assert not torch.equal(first[0], other)


@pytest.mark.parametrize("augment", ["guidance", "crop"])
def test_augmentations_are_seeded_and_in_range(samples, augment):
    a, b = (next(loader(samples, augment=augment).batches(0)) for _ in range(2))
    assert torch.equal(a.images, b.images)
    assert a.images.min() >= 0
    assert a.images.max() <= 1
    assert a.images.shape == a.clean.shape == (24, 3, 16, 16)


def test_weights_choose_by_source_tag_and_pattern(samples):
    made = loader(samples, weights={"set:*": 0.0, "clutter": 0.0})
    assert {made.texts[c] for c in next(made.batches(0)).captions} == {"icon"}
    sample = Sample("x", (), source="iconify:noto", tags=("animal",))
    assert factor(sample, {"iconify:*": 2.0, "animal": 3.0, "thing": 5.0}) == 6.0
    assert factor(replace(sample, group="flag peru"), {"flag *": 7.0, "flag": 2.0}) == 7.0
    with pytest.raises(InputError, match="every picture has weight 0"):
        loader(samples, weights={"*": 0.0})


def test_a_damaged_picture_warns_and_turns_grey(tmp_path):
    with ShardWriter(tmp_path, "x") as writer:
        writer.add(Sample("bad", ("bad",)), b"no picture")
    made = loader(read([str(tmp_path / "*.tar")]), batch=2)
    with pytest.warns(UserWarning, match="'bad' is not an image.*grey"):
        batch = next(made.batches(0))
    assert (batch.images - 128 / 255).abs().max() < 0.01
