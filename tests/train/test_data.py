"""Sources and arrays: names, drawings, splits and captions."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from guidance.errors import InputError
from guidance.train import data, painterly, scenes, sources


def icon_folder(path, bodies):
    """Write an iconify folder in which every set has the icons `bodies`."""
    (path / "json").mkdir(parents=True)
    for name in sources.ICON_SETS:
        icons = {key: {"body": body} for key, body in bodies.items()} if name == "noto" else {}
        (path / "json" / f"{name}.json").write_text(json.dumps({"icons": icons, "width": 16}))
    return path


def photo_shard(path, count, source="flickr8k"):
    """Write a shard of `count` flat photos, sample i of grey level 10 i."""
    with tarfile.open(path, "w") as tar:
        for i in range(count):
            image = io.BytesIO()
            Image.new("RGB", (150, 144), (10 * i,) * 3).save(image, "PNG")
            meta = {"captions": [f"photo {i}"], "source": source, "license": "cc0"}
            for name, raw in ((f"k{i}.jpg", image.getvalue()), (f"k{i}.json", json.dumps(meta))):
                raw = raw if isinstance(raw, bytes) else raw.encode()
                member = tarfile.TarInfo(name)
                member.size = len(raw)
                tar.addfile(member, io.BytesIO(raw))
    return path


def wordnet_folder(path, nouns):
    """Write a WordNet folder with `nouns`: name → number of its lexicographer file."""
    path.mkdir()
    head = "  1 This software and database is provided by ...\n"
    index, entries = [head], [head]
    for i, (name, number) in enumerate(nouns.items()):
        index.append(f"{name} n 2 2 @ ~ 2 1 {i:08} 99999999  \n")
        entries.append(f"{i:08} {number} n 01 {name} 0 000 | what it is  \n")
    (path / "index.noun").write_text("".join(index))
    (path / "data.noun").write_text("".join(entries))
    return path


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("fox-face", "fox face"),
        ("sofa-3-duo", "sofa"),
        ("flag-peru", None),
        ("man-cook-medium-skin-tone", None),
        ("clock-face-one-oclock", None),
    ],
)
def test_icon_name(name, caption):
    assert sources.icon_name(name) == caption


def test_segment_takes_the_fewest_words():
    words = {"rain", "bow", "rainbow", "fish"}
    assert sources.segment("rainbowfish", words) == "rainbow fish"
    assert sources.segment("xyz", words) == "xyz"


def test_fit_premultiplies_and_centres():
    image = Image.new("RGBA", (100, 50))
    image.paste((200, 100, 0, 128), (10, 10, 50, 30))
    pixels = sources.fit(image)
    middle = sources.SIDE // 2
    assert pixels.shape == (sources.SIDE, sources.SIDE, 4)
    np.testing.assert_allclose(pixels[middle, middle], [100, 50, 0, 128], atol=1)
    assert pixels[5, middle, 3] == 0  # twice as wide as high: nothing above
    assert pixels[middle, 5, 3] == 128  # but it reaches the sides
    assert sources.fit(Image.new("RGBA", (20, 20))) is None


def test_build_writes_aligned_arrays(tmp_path):
    pytest.importorskip("resvg_py")
    body = '<circle cx="8" cy="8" r="7" fill="#f00"/>'
    icons = icon_folder(tmp_path / "icons", {"red-ball": body, "flag-peru": body})
    nouns = wordnet_folder(tmp_path / "wordnet", {"red_ball": "06"})
    photo_shard(tmp_path / "a.tar", 10)
    options = data.DataOptions(
        out=tmp_path / "out", iconify=icons, shards=str(tmp_path / "*.tar"),
        test_flickr=3, painted=4, clutter=2, scenes=5, wordnet=nouns, workers=1,
    )  # fmt: skip
    data.build(options)
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    photos = np.load(tmp_path / "out" / "photos.npy")
    drawings = np.load(tmp_path / "out" / "drawings.npy")
    assert photos.shape == (10, 144, 144, 3)
    assert drawings.shape == (1, 144, 144, 4)
    assert index["photos"]["split"].count("test") == 3
    for i, captions in enumerate(index["photos"]["captions"]):
        assert [index["texts"][c] for c in captions] == [f"photo {photos[i, 0, 0, 0] // 10}"]
    names = [index["texts"][c] for c in index["drawings"]["captions"][0]]
    assert names[:3] == ["red ball", "a red ball", "a drawing of a red ball"]
    assert tuple(drawings[0, 72, 72]) == (255, 0, 0, 255)
    held = {k for k, s in zip(*(index["photos"][n] for n in ("key", "split")), strict=True) if s == "test"}  # noqa: E501  # fmt: skip
    assert not held & set(index["painted"]["key"])  # nothing held out is repainted
    assert np.load(tmp_path / "out" / "scenes.npy").shape == (5, 144, 144, 3)
    captions = [index["texts"][c] for (c,) in index["scenes"]["captions"]]
    assert all(c.startswith("a red ball ") for c in captions)
    assert {len(column) for column in index["scenes"].values()} == {5}
    assert index["drawings"]["weight"] == [1.5]  # an artefact


def test_build_needs_a_source(tmp_path):
    with pytest.raises(InputError, match="name at least one source"):
        data.build(data.DataOptions(out=tmp_path))


def test_nouns_by_file_takes_the_first_sense(tmp_path):
    folder = wordnet_folder(tmp_path / "wordnet", {"polar_bear": "05", "idea": "09"})
    assert scenes.nouns_by_file(folder) == {"polar bear": "05", "idea": "09"}


def scene_tables():
    """A red photo of the sea and drawings of a fox (green) and of an idea (blue)."""
    photo = np.full((1, 144, 144, 3), (200, 0, 0), np.uint8)
    drawings = np.zeros((2, 144, 144, 4), np.uint8)
    drawings[0, ..., 1] = drawings[1, ..., 2] = drawings[..., 3] = 255
    texts = [t.format(n) for n in ("fox", "idea") for t in ("{}", "a {}", "a drawing of a {}")]
    columns = {"captions": [[0, 1, 2], [3, 4, 5]], "weight": [1.0, 1.0]}
    return (photo, {"label": ["sea"], "split": ["train"]}), (drawings, columns), texts


def test_scenes_show_what_their_captions_say(monkeypatch):
    monkeypatch.setattr(scenes, "PAINT_SHARE", 0.0)
    files = {"fox": "05", "idea": "09"}
    pixels, captions = scenes.compose(*scene_tables(), files, 60, np.random.default_rng(0))
    assert pixels.shape == (60, 144, 144, 3)
    sea = 0
    for picture, caption in zip(pixels.astype(int), captions, strict=True):
        assert caption.startswith("a fox ")  # an idea cannot be seen
        green = (picture == (0, 255, 0)).all(-1).mean()
        assert 0.1 < green < 0.8
        if "sea" in caption or "water" in caption:
            sea += (picture == (200, 0, 0)).all(-1).any()
        if caption.endswith("a red background"):
            assert picture[0, 0, 0] > picture[0, 0, 1:].max() + 100
    assert sea


def test_scenes_need_things():
    pixels, captions = scenes.compose(*scene_tables(), {}, 5, np.random.default_rng(0))
    assert (len(pixels), captions) == (0, [])


def test_paint_keeps_the_colours_and_changes_the_picture():
    rng = np.random.default_rng(0)
    picture = np.zeros((144, 144, 3), np.uint8)
    picture[:, 72:] = (240, 200, 40)
    picture[::7, 72:] = (200, 160, 20)
    painted = [painterly.paint(picture, rng).astype(float) for _ in range(12)]
    for image in painted:
        assert image.shape == picture.shape
        assert np.abs(image - picture).mean() > 0.5
        assert image[:, 90:, 0].mean() - image[:, :54, 0].mean() > 60


def test_clutter_is_seeded():
    first, again, other = (painterly.clutter(64, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
