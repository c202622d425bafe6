"""Embedding streams: the same vectors however they are computed, and a store that saves work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from systems import posix
from tiny_clip import build_tiny

from guidance.clip import load_clip
from guidance.clip.scorer import ClipScorer
from guidance.embeddings import local, reading
from guidance.embeddings.check import check_store
from guidance.embeddings.embed import embed, embed_all, store_for
from guidance.embeddings.results import Skipped
from guidance.embeddings.store import content_key
from guidance.errors import FileError, InputError


@pytest.fixture(scope="module")
def scorer(tiny_clip_path):
    return ClipScorer([load_clip(str(tiny_clip_path))])


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> list[Path]:
    """Nine pieces of a photograph, of different sizes, as JPEG and PNG."""
    folder = tmp_path_factory.mktemp("crops")
    photo = Image.fromarray(skimage.data.astronaut())
    for n in range(9):
        x, y = 150 * (n % 3), 150 * (n // 3)
        box = (x, y, x + 90 + 10 * n, y + 120)
        photo.crop(box).save(folder / f"{n}.{'png' if n % 2 else 'jpg'}")
    return sorted(folder.iterdir())


def one_by_one(files, scorer):
    """Resize with Pillow alone and encode each by itself: ``[N, D]``."""
    from open_clip import image_transform

    p = scorer.models[0].preprocess
    transform = image_transform(p.size, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    pixels = torch.stack([transform(Image.open(f)) for f in files])
    with torch.no_grad():
        return torch.cat([scorer.encode_image(x[None]) for x in pixels])


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (4, 0), (4, 2), (100, 3)])
def test_vectors_are_those_of_the_plain_way_in_order(scorer, crops, batch, workers):
    vectors, sources, skipped = embed_all(crops, scorer, batch=batch, workers=workers)
    assert sources == crops
    assert skipped == []
    cosines = (vectors * one_by_one(crops, scorer)).sum(1)
    assert cosines.min() > 0.99999
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(9))


def test_every_image_comes_once_with_a_vector_or_a_reason(scorer, crops, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no")
    images = [crops[0], bad, Image.open(crops[1]), torch.rand(2, 3, 40, 40), crops[2]]
    found = [e for part in embed(images, scorer, batch=2) for e in part]
    assert sorted(e.index for e in found) == [0, 1, 2, 3, 4, 5]
    by_index = {e.index: e for e in found}
    assert by_index[1].vector is None
    assert by_index[1].reason == "is not an image of a known format"
    assert {e.index for e in found if e.reason == ""} == {0, 2, 3, 4, 5}
    assert by_index[2].source is None
    assert by_index[5].source == crops[2]
    vectors, sources, skipped = embed_all(images, scorer)
    assert vectors.shape == (5, 32)
    assert sources == [crops[0], None, None, None, crops[2]]
    assert skipped == [Skipped(1, bad, "is not an image of a known format")]


def test_pictures_of_8_bits_and_the_same_as_float_agree(scorer):
    photo = Image.fromarray(skimage.data.coffee()[:32, :32])
    pixels = torch.from_numpy(skimage.data.coffee()[:32, :32].copy()).permute(2, 0, 1) / 255
    vectors, _, _ = embed_all([photo, pixels], scorer)  # in one batch
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-6, rtol=0)


def test_an_ensemble_gives_the_weighted_mean_of_cosines(tiny_clip_path, tmp_path, crops):
    other = build_tiny(tmp_path / "other", seed=1, image_size=48)
    both = ClipScorer(f"{tiny_clip_path}:1,{other}:3", device="cpu")
    alone = [ClipScorer(str(p), device="cpu") for p in (tiny_clip_path, other)]
    cosines = [embed_all(crops, s)[0] @ s.encode_text(["a fox"]).T for s in (*alone, both)]
    torch.testing.assert_close(cosines[2], (cosines[0] + 3 * cosines[1]) / 4, atol=1e-5, rtol=0)


@pytest.fixture
def counted(monkeypatch):
    """Return the list of the files that are decoded from now on."""
    decoded = []
    load = reading.load_image

    def count(path, **options):
        decoded.append(path)
        return load(path, **options)

    monkeypatch.setattr(reading, "load_image", count)
    return decoded


def test_what_the_store_knows_is_not_decoded(scorer, crops, tmp_path, counted):
    fresh, _, _ = embed_all(crops[:5], scorer, store=store_for(tmp_path / "s", scorer))
    assert len(counted) == 5
    counted.clear()
    store = store_for(tmp_path / "s", scorer)
    vectors, sources, _ = embed_all(crops, scorer, store=store, batch=4)
    assert sorted(counted) == crops[5:]
    assert sources == crops
    assert torch.equal(vectors[:5], fresh)
    assert len(store) == 9
    kept = {s: v for b in store.batches() for s, v in zip(b.sources, b.vectors, strict=True)}
    assert all(torch.equal(kept[str(f)], v) for f, v in zip(crops, vectors, strict=True))


def test_the_store_goes_by_content(scorer, crops, tmp_path, counted):
    store = store_for(tmp_path / "s", scorer)
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(crops[0].read_bytes())
    embed_all([crops[0], copy, crops[0]], scorer, store=store)
    assert len(store) == 1
    counted.clear()
    copy.rename(tmp_path / "renamed")
    embed_all([tmp_path / "renamed"], scorer, store=store)
    assert counted == []
    crops[1].read_bytes()
    (tmp_path / "renamed").write_bytes(crops[1].read_bytes())
    embed_all([tmp_path / "renamed"], scorer, store=store)
    assert len(counted) == 1
    assert len(store) == 2


def test_files_that_change_while_they_are_read_are_not_stored(scorer, crops, tmp_path, monkeypatch):
    path = tmp_path / "x.jpg"
    path.write_bytes(crops[0].read_bytes())
    load = reading.load_image

    def change(source, **options):
        image = load(source, **options)
        path.write_bytes(crops[2].read_bytes())
        os.utime(path, ns=(0, 1))
        return image

    monkeypatch.setattr(reading, "load_image", change)
    store = store_for(tmp_path / "s", scorer)
    vectors, _, _ = embed_all([path], scorer, store=store)
    assert len(vectors) == 1
    assert len(store) == 0


@posix
def test_bad_files_and_odd_paths_pass_the_store(scorer, crops, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    files = [tmp_path / n for n in ("pipe.png", "empty.png", "none.png")] + [tmp_path, crops[0]]
    store = store_for(tmp_path / "s", scorer)
    _, sources, skipped = embed_all(files, scorer, store=store)
    assert sources == [crops[0]]
    assert [s.reason for s in skipped] == [
        "is not a regular file",
        "is empty",
        "does not exist",
        "is a folder, not an image",
    ]
    assert store.find([content_key(crops[0])])[0] == [0]
    assert len(store) == 1


def test_a_stream_that_is_closed_early_keeps_what_is_done(scorer, crops, tmp_path):
    store = store_for(tmp_path / "s", scorer)
    stream = embed(crops, scorer, batch=3, store=store)
    assert len(next(stream)) == 3
    assert len(store) == 0
    stream.close()
    assert len(store) == 3


def test_long_streams_are_written_on_the_way(scorer, crops, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "FLUSH", 4)
    store = store_for(tmp_path / "s", scorer)
    sizes = [len(store) for _ in embed(crops, scorer, batch=2, store=store)]
    assert sizes == [0, 4, 4, 8, 8]
    assert len(store) == 9


def test_arguments_are_checked_at_once(scorer, crops, tmp_path, tiny_clip_path):
    for change, message in (
        ({"batch": 0}, "batch must be at least 1"),
        ({"workers": 65}, "workers must be at least 0 and at most 64"),
        ({"images": "a.png"}, "images must be a tensor .* but is str"),
    ):
        with pytest.raises(InputError, match=message):
            embed(**({"images": crops, "scorer": scorer} | change))
    other = ClipScorer(str(build_tiny(tmp_path / "other", seed=1)), device="cpu")
    with pytest.raises(InputError, match="belongs to another CLIP model"):
        embed(crops, scorer, store=store_for(tmp_path / "s", other))
    with pytest.raises(InputError, match="images must not be empty"):
        embed_all([], scorer)
    with pytest.raises(FileError, match="is a file, not a folder of embeddings"):
        check_store(crops[0])


def test_nothing_usable_gives_an_empty_matrix(scorer, tmp_path):
    vectors, sources, skipped = embed_all([tmp_path / "none.png"], scorer)
    assert vectors.shape == (0, 32)
    assert (sources, len(skipped)) == ([], 1)
