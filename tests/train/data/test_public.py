"""Snapshots of public repositories → captioned pictures."""

import io
import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from guidance.data import read
from guidance.errors import FileError, InputError
from guidance.train.data import build, emoji, public
from guidance.train.data.options import DataOptions
from guidance.train.data.snapshots import Snapshot, find
from guidance.train.data.wordnet import WordNet

FOX, DOG, CANINE, VULPES = "02118333", "02084071", "02083346", "02118854"
NOUNS = f"""  1 This software and database is provided by ...
{CANINE} 05 n 02 canine 0 canid 0 000 | a mammal
{FOX} 05 n 01 fox 0 001 @ {CANINE} n 0000 | alert carnivorous mammal
02119022 05 n 02 red_fox 0 Vulpes_vulpes 0 002 @ {FOX} n 0000 #m {VULPES} n 0000 | the common fox
{VULPES} 05 n 02 Vulpes 0 genus_Vulpes 0 000 | foxes
"""
INDEX = f"""  1 This software and database is provided by ...
fox n 1 1 @ 1 1 {FOX}
red_fox n 1 1 @ 1 1 02119022
"""


@pytest.fixture
def wordnet(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    (folder / "data.noun").write_text(NOUNS)
    (folder / "index.noun").write_text(INDEX)
    for part in ("verb", "adj"):
        (folder / f"index.{part}").write_text("  1\n")
    return folder


def picture(colour, size=(40, 30), mode="RGB", kind="PNG"):
    """A gradient beside a flat colour, as a file."""
    image = Image.new(mode, size, colour)
    image.paste(Image.linear_gradient("L").resize((size[0] // 2, size[1])).convert(mode))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def repository(folder: Path, files: dict[str, bytes]) -> Path:
    """Make a git repository with one commit of `files`."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "pictures")):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder


def test_a_snapshot_is_read_without_a_work_tree(tmp_path):
    made = repository(tmp_path / "a+b" / "repo", {"x/a b.txt": b"one", "y.txt": b"two"})
    place = find(tmp_path, "a/b")
    assert place == made / ".git"
    with Snapshot(place) as snapshot:
        assert list(snapshot.names()) == ["x/a b.txt", "y.txt"]
        assert snapshot.read("y.txt") == b"two"
        assert snapshot.read("x/a b.txt") == b"one"


def test_no_snapshot(tmp_path):
    assert find(tmp_path, "a/b") is None
    with pytest.raises(FileError, match="is no snapshot"):
        Snapshot(tmp_path)


def test_wordnet_knows_names_and_kinds(wordnet):
    net = WordNet(wordnet)
    assert net.names("02119022") == ("red fox",)  # not the Latin one
    assert net.kinds("02119022") == ("fox",)
    assert net.kinds(FOX) == ()  # its own name is no kind, and "canine" is no everyday word


def test_pictures_of_classes_become_captioned_samples(tmp_path, wordnet):
    folder = tmp_path / "snapshots"
    repository(
        folder / "thunderInfy+imagenette" / "repo",
        {"train/n02119022/1.png": picture("red"), "train/n02119022/readme.txt": b"no picture"},
    )
    repository(
        folder / "kibru9399+Image-classifier",
        {
            "flowers/train/7/a.png": picture("blue"),
            "flowers/train/7/broken.png": b"\x89PNG",
            "cat_to_name.json": json.dumps({"7": "Osteospermum Daisy"}).encode(),
        },
    )
    repository(
        folder / "MachineLearning2020+Homework3-PACS",
        {"PACS/art_painting/dog/p.png": picture("green", (400, 300))},
    )
    found = {s.source: (s, image) for s, image in public.pictures(folder, WordNet(wordnet))}
    assert set(found) == {"imagenette", "flowers102", "pacs"}
    fox, image = found["imagenette"]
    assert fox.captions == ("a photo of a red fox", "a photo of a fox", "red fox")
    assert (fox.label, fox.tags, image.size) == ("red fox", ("animal", "photo"), (40, 30))
    assert found["flowers102"][0].label == "osteospermum daisy"
    painting, image = found["pacs"]
    assert painting.captions[0] == "a painting of a dog"
    assert "painting" in painting.tags
    assert image.size == (256, 192)


def test_transparent_pictures_lie_on_white_and_tiny_ones_are_left_out():
    image = public.shrunk(picture((0, 0, 0, 0), mode="RGBA"))
    assert image is not None
    assert image.getpixel((39, 0)) == (255, 255, 255)
    assert public.shrunk(picture("red", (40, 20))) is None
    assert public.shrunk(None) is None


def test_named_pictures_like_a_photo_are_dropped(tmp_path, wordnet):
    folder = tmp_path / "snapshots"
    same = picture("red", (96, 96))
    repository(
        folder / "thunderInfy+imagenette",
        {"n02119022/copy.png": same, "n02119022/new.png": _checks()},
    )
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(same)
    (photos / "captions.csv").write_text("image,caption\na.png,a red thing\n")
    out = tmp_path / "out"
    build.build(
        DataOptions(
            out=out, snapshots=folder, photos=(str(photos),), wordnet=wordnet,
            painted=0, scenes=0, flowers=0, clutter=0, texts=0,
        )
    )  # fmt: skip
    named = read([str(out / "named-000.tar")])
    assert len(named) == 1
    assert json.loads((out / "summary.json").read_text())["pictures"]["named"] == {
        "imagenette (imagenet-research)": 1
    }


def _checks():
    image = Image.new("L", (8, 8))
    image.putdata([255 * ((x // 2 + y) % 2) for y in range(8) for x in range(8)])
    out = io.BytesIO()
    image.resize((96, 96), Image.Resampling.NEAREST).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_emoji_are_named_by_their_code_points(tmp_path):
    iconify, package = tmp_path / "iconify", tmp_path / "package"
    (iconify / "json").mkdir(parents=True)
    chars = {"1f98a": "fox", "1f44b-1f3fb": "wave-light"}
    (iconify / "json" / "noto.json").write_text(json.dumps({"chars": chars}))
    (package / "assets").mkdir(parents=True)
    for code in ("1f98a", "1f44b-1f3fb", "1f000"):
        drawn = picture((200, 90, 20, 255), mode="RGBA", kind="WEBP")
        (package / "assets" / f"{code}.webp").write_bytes(drawn)
    ((image, sample),) = emoji.emoji_3d(package, iconify, {"fox": "05"})
    assert image.mode == "RGBA"
    assert (sample.group, sample.tags, sample.captions[0]) == ("fox", ("animal",), "fox")


def test_emoji_need_the_set_that_names_them(tmp_path):
    with pytest.raises(InputError, match="--emoji-3d: the emoji are named by --iconify"):
        DataOptions(out=tmp_path, emoji_3d=tmp_path, photos=("x",)).check()
