"""From sources to shards: names, drawings, splits, captions and copies."""

import dataclasses
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image, ImageDraw

from guidance.data import Sample, read
from guidance.data.shards import ShardWriter, encode
from guidance.errors import FileError, InputError
from guidance.train.data import build as data
from guidance.train.data import flora, names, painterly, scenes, sources
from guidance.train.data.duplicates import BITS, difference_hash, near


def icon_folder(path, bodies):
    """Write an iconify folder: a set with all icons `bodies`, and a test set with the flag."""
    (path / "json").mkdir(parents=True)
    for name in (*sources.EMOJI_SETS, *sources.ICON_SETS, sources.TEST_SET):
        icons = {key: {"body": body} for key, body in bodies.items()} if name == "noto" else {}
        if name == sources.TEST_SET:
            icons = {"flag-peru": {"body": bodies["flag-peru"]}, "other": {"body": "<g/>"}}
        (path / "json" / f"{name}.json").write_text(json.dumps({"icons": icons, "width": 16}))
    return path


def photo_shard(path, count, source="flickr8k"):
    """Write a shard of `count` photos of coarse noise."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for i in range(count):
            image = io.BytesIO()
            noise = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
            noise.resize((150, 144), Image.Resampling.BICUBIC).save(image, "PNG")
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
    for part in ("verb", "adj"):
        (path / f"index.{part}").write_text(head)
    (path / "index.noun").write_text("".join(index))
    (path / "data.noun").write_text("".join(entries))
    return path


@pytest.mark.parametrize(
    ("key", "icon", "emoji"),
    [
        ("fox-face", "fox face", "fox face"),
        ("sofa-3-duo", "sofa", "sofa 3 duo"),
        ("flag-for-flag-peru", None, "flag peru"),
        ("flag-peru", None, "flag peru"),
        ("man-cook-medium-skin-tone", None, None),
        ("two-oclock", None, "two oclock"),
    ],
)
def test_names(key, icon, emoji):
    assert names.icon_name(key) == icon
    assert names.emoji_name(key) == emoji


def test_sentences_of_a_name():
    assert names.sentences("owl")[:2] == ("owl", "an owl")
    assert names.sentences("flag peru")[1] == "the flag of peru"


def test_segment_takes_the_fewest_words():
    words = {"rain", "bow", "rainbow", "fish"}
    assert names.segment("rainbowfish", words) == "rainbow fish"
    assert names.segment("xyz", words) == "xyz"


def test_fit_centres_and_keeps_colours_at_soft_edges():
    image = Image.new("RGBA", (100, 50))
    image.paste((200, 100, 0, 128), (10, 10, 50, 30))
    fitted = np.asarray(sources.fit(image)).astype(int)
    middle = sources.SIDE // 2
    assert fitted.shape == (sources.SIDE, sources.SIDE, 4)
    np.testing.assert_allclose(fitted[middle, middle], [200, 100, 0, 128], atol=2)
    assert fitted[5, middle, 3] == 0  # twice as wide as high: nothing above
    assert fitted[middle, 5, 3] == 128  # but it reaches the sides
    assert sources.fit(Image.new("RGBA", (20, 20))) is None


def test_hashes_know_copies_and_tell_pictures_apart():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 12, 12, 3), np.uint8)
    pictures = [Image.fromarray(c).resize((144, 144), Image.Resampling.BICUBIC) for c in coarse]
    hashes = np.array([difference_hash(p) for p in pictures])
    copies = [difference_hash(p.resize((100, 100))) for p in pictures[:2]]
    assert near(hashes, np.array(copies), 24).tolist() == [True, True, *[False] * 4]
    assert not near(hashes, np.zeros((0, BITS), np.int8), 24).any()


def make_options(path, **changes):
    body = '<circle cx="8" cy="8" r="7" fill="#f00"/><path d="M4 4h3v5z"/>'
    icons = icon_folder(path / "icons", {"red-ball": body, "flag-peru": body.replace("7", "5")})
    nouns = wordnet_folder(path / "wordnet", {"red_ball": "06"})
    photo_shard(path / "a.tar", 10)
    given = {
        "out": path / "out", "iconify": icons, "photos": (str(path / "*.tar"),), "test_flickr": 3,
        "painted": 4, "clutter": 2, "scenes": 5, "flowers": 3, "texts": 20, "wordnet": nouns,
        "workers": 1,
    }  # fmt: skip
    return data.DataOptions(**given | changes)


def test_build_splits_names_licences_and_is_reproducible(tmp_path):
    pytest.importorskip("resvg_py")
    options = make_options(tmp_path)
    data.build(options)
    out = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    built = {n: read([str(tmp_path / "out" / f"{n}-*.tar")]) for n in
             ("photos", "drawings", "painted", "scenes", "flowers", "clutter", "test-flickr8k",
              "test-openmoji")}  # fmt: skip
    assert {n: len(s) for n, s in built.items()} == {
        "photos": 7, "drawings": 1, "painted": 4, "scenes": 5, "flowers": 3, "clutter": 2,
        "test-flickr8k": 3, "test-openmoji": 1,
    }  # fmt: skip
    assert all(s.licence for samples in built.values() for s in samples)
    (ball,) = built["drawings"]
    assert ball.captions[:3] == ("red ball", "a red ball", "a drawing of a red ball")
    assert (ball.group, ball.tags) == ("red ball", ("thing",))
    assert built["drawings"].image(0).getpixel((72, 100)) == (255, 0, 0, 255)
    assert [s.captions for s in built["test-openmoji"]] == [("flag peru",)]
    held = {s.captions for s in built["test-flickr8k"]}
    for name in ("photos", "painted"):
        assert not held & {s.captions for s in built[name]}
    assert all(s.captions[0].startswith("a red ball") for s in built["scenes"])
    texts = (tmp_path / "out" / "texts.txt").read_text().splitlines()
    assert "a photo of a goldfish" in texts
    assert any("red ball" in t for t in texts)
    counts = json.loads((tmp_path / "out" / "summary.json").read_text())["pictures"]
    assert counts["photos"] == {"flickr8k (cc0)": 7}
    again = dataclasses.replace(options, out=tmp_path / "again")
    data.build(again)
    for name, content in out.items():
        if name != "summary.json":
            assert (tmp_path / "again" / name).read_bytes() == content, name


def test_copies_of_test_pictures_are_left_out(tmp_path, capsys):
    """The test style's icon is the very drawing of the training style."""
    pytest.importorskip("resvg_py")
    options = make_options(tmp_path, painted=0, scenes=0)
    path = tmp_path / "icons" / "json" / "openmoji.json"
    noto = json.loads((tmp_path / "icons" / "json" / "noto.json").read_text())
    path.write_text(json.dumps({"icons": {"red-ball": noto["icons"]["red-ball"]}, "width": 16}))
    data.build(options)
    assert [s.group for s in read([str(tmp_path / "out" / "drawings-*.tar")])] == ["flag peru"]
    assert "left out: 1" in capsys.readouterr().out


def test_build_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="name a source"):
        data.build(data.DataOptions(out=tmp_path))
    with pytest.raises(InputError, match=r"--iconify: .* does not exist"):
        data.build(data.DataOptions(out=tmp_path, iconify=tmp_path / "none"))
    options = make_options(tmp_path)
    options.out.mkdir()
    (options.out / "photos-000.tar").write_bytes(b"")
    with pytest.raises(FileError, match="holds shards already"):
        data.build(options)


def test_nouns_take_the_first_sense(tmp_path):
    folder = wordnet_folder(tmp_path / "wordnet", {"polar_bear": "05", "idea": "09"})
    assert names.nouns(folder) == {"polar bear": "05", "idea": "09"}


@pytest.fixture
def composer(tmp_path):
    """A red photo of the sea and drawings of a fox (green) and of an idea (blue)."""
    with ShardWriter(tmp_path, "photos") as writer:
        photo = Image.new("RGB", (144, 144), (200, 0, 0))
        writer.add(Sample("p", ("the sea",), label="sea"), *encode(photo))
    with ShardWriter(tmp_path, "drawings") as writer:
        for name, tags, colour in (("fox", ("animal",), (0, 255, 0)), ("idea", (), (0, 0, 255))):
            image = Image.new("RGBA", (144, 144), (*colour, 255))
            writer.add(Sample(name, (name,), group=name, tags=tags), *encode(image))
    return scenes.Composer(*(read([str(tmp_path / f"{n}-*.tar")]) for n in ("drawings", "photos")))


def test_scenes_show_what_their_captions_say(monkeypatch, composer):
    monkeypatch.setattr(scenes, "PAINT_SHARE", 0.0)
    sea = count = 0
    for picture, caption in composer.scenes(60, np.random.default_rng(0)):
        picture, count = picture.astype(int), count + 1
        assert picture.shape == (144, 144, 3)
        assert caption.startswith("a fox ")  # an idea cannot be seen
        green = (picture == (0, 255, 0)).all(-1).mean()
        assert 0.1 < green < 0.8
        if "sea" in caption or "water" in caption:
            sea += (np.abs(picture - (200, 0, 0)) < 4).all(-1).any()
        if caption.endswith("a red background"):
            assert picture[0, 0, 0] > picture[0, 0, 1:].max() + 100
    assert count == 60
    assert sea


def test_scenes_need_things(composer):
    nothing = scenes.Composer(composer.photos, composer.photos)
    assert not list(nothing.scenes(5, np.random.default_rng(0)))


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


@pytest.mark.parametrize("name", ["a daisy", "a poppy", "a dandelion"])
def test_flower_heads_have_their_rays_and_colours(name):
    (kind,) = [k for k in flora.SPECIES if k.one[0] == name]
    for seed in range(5):
        image = Image.new("RGB", (400, 400))
        flora.head(ImageDraw.Draw(image, "RGBA"), kind, np.array([200.0, 200.0]), 150,
                   np.random.default_rng(seed))  # fmt: skip
        pixels = np.asarray(image).astype(int)
        lit = pixels.sum(-1) > 0
        y, x = np.mgrid[:400, :400]
        assert not lit[np.hypot(x - 200, y - 200) > 150 * 1.06].any()
        assert lit[190:210, 190:210].all()
        middle = kind.centre if kind.disc else kind.petals
        distance = min(np.abs(pixels[185:215, 185:215].mean((0, 1)) - c).max() for c in middle)
        assert distance < 90, distance
        petals = pixels[lit & (np.hypot(x - 200, y - 200) > 80)].mean(0)
        assert min(np.abs(petals - c).max() for c in kind.petals) < 70


def test_flowers_say_what_they_show():
    made = [flora.picture(64, np.random.default_rng(s)) for s in range(60)]
    assert {p.shape for p, _, _ in made} == {(64, 64, 3)}
    poppies = [p for p, _, name in made if name == "a poppy"]
    assert all((p[..., 0] > 150).any() & (p[..., 1] < 80).any() for p in poppies)
    assert any("daisies" in c for _, c, _ in made)
    assert any("a daisy" in c for _, c, _ in made)
    assert not any("flower flower" in c or "a aster" in c for _, c, _ in made)
    again = flora.picture(64, np.random.default_rng(0))
    assert np.array_equal(made[0][0], again[0])


def test_clutter_is_seeded():
    first, again, other = (painterly.clutter(64, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
