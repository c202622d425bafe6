"""Sources and arrays: names, drawings, splits and captions."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from guidance.errors import InputError
from guidance.train import data, painterly, sources


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
    photo_shard(tmp_path / "a.tar", 10)
    options = data.DataOptions(
        out=tmp_path / "out", iconify=icons, shards=str(tmp_path / "*.tar"),
        test_flickr=3, painted=4, clutter=2, workers=1,
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


def test_build_needs_a_source(tmp_path):
    with pytest.raises(InputError, match="name at least one source"):
        data.build(data.DataOptions(out=tmp_path))


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
