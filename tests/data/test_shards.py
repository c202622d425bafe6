"""Shards: what is written is what is read, and other people's shards are understood."""

import json

import numpy as np
import pytest
from PIL import Image
from tars import picture, write_tar

from guidance.data import Sample, read
from guidance.data.classes import labelled
from guidance.data.shards import ShardWriter, encode
from guidance.errors import FileError, InputError


def test_round_trip(tmp_path):
    given = [
        Sample("a", ("a fox", "fox"), "here", "cc0", "fox", "g", 0.5, ("animal",)),
        Sample("b", (), "there", "none"),
    ]
    images = [Image.new("RGB", (9, 7), "red"), Image.new("RGBA", (5, 5), (0, 255, 0, 100))]
    with ShardWriter(tmp_path, "x") as writer:
        for sample, image in zip(given, images, strict=True):
            writer.add(sample, *encode(image))
    got = read([str(tmp_path / "x-*.tar")])
    for i, sample in enumerate(given):
        for name in ("key", "captions", "source", "licence", "label", "group", "weight", "tags"):
            assert getattr(got[i], name) == getattr(sample, name)
        assert (got.image(i).mode, got.image(i).size) == (images[i].mode, images[i].size)
    assert got.image(1).getpixel((2, 2)) == (0, 255, 0, 100)
    assert got.texts() == ["a fox", "fox"]
    assert not list(tmp_path.glob(".tmp*"))


def test_writer_starts_a_new_shard_at_the_limit(tmp_path):
    with ShardWriter(tmp_path, "x", limit=6000) as writer:
        for i in range(5):
            writer.add(Sample(str(i), ("t",)), b"0" * 1500)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["x-000.tar", "x-001.tar", "x-002.tar"]
    assert [s.key for s in read([str(tmp_path / "*.tar")])] == list("01234")


def test_a_failure_leaves_no_half_shard(tmp_path):
    def fail():
        with ShardWriter(tmp_path, "x") as writer:
            writer.add(Sample("a", ("t",)), b"0")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not list(tmp_path.iterdir())


def test_webdataset_of_others(tmp_path):
    path = write_tar(
        tmp_path / "a.tar",
        {
            "d/1.png": picture((255, 0, 0)), "d/1.txt": "first\nsecond\n",
            "d/2.jpeg": picture((0, 0, 255), kind="JPEG"), "d/2.json": '{"caption": "blue"}',
            "3.png": picture((0, 0, 0)),  # no caption: passed over
            "4.json": '{"caption": "no picture"}',
        },
    )  # fmt: skip
    got = read([str(path)])
    assert [(s.key, s.captions) for s in got] == [
        ("d/1", ("first", "second")), ("d/2", ("blue",)),
    ]  # fmt: skip
    assert got.image(0).getpixel((0, 0)) == (255, 0, 0)
    assert np.abs(np.subtract(got.image(1).getpixel((0, 0)), (0, 0, 255))).max() < 5
    assert got.raw(1)[1] == "jpeg"


def test_a_shard_without_one_usable_caption_says_why(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"1.png": b"x", "1.json": '{"captions": [3]}'})
    with pytest.raises(
        InputError, match=r"no captioned pictures; 1\.json has a caption that is not"
    ):
        read([str(path)])


def test_damaged_picture_names_itself(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"1.png": b"x", "1.json": '{"captions": ["a"]}'})
    with pytest.raises(FileError, match="the picture '1' is not an image"):
        read([str(path)]).image(0)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="nothing matches"):
        read([str(tmp_path / "*.tar")])
    write_tar(tmp_path / "a.tar", {"1.txt": "x"})
    with pytest.raises(InputError, match="holds no captioned pictures"):
        read([str(tmp_path / "*.tar")])


def test_labelled_folders_and_shards(tmp_path):
    for name in ("red_panda", "owl"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        (tmp_path / "classes" / name / "1.png").write_bytes(picture((1, 2, 3)))
    got = labelled(str(tmp_path / "classes"))
    assert [s.label for s in got] == ["owl", "red panda"]
    assert got.image(0).size == (20, 10)
    meta = [{"captions": [], "label": name} for name in ("owl", "", "fox")]
    entries = {f"{i}.json": json.dumps(m) for i, m in enumerate(meta)}
    path = write_tar(
        tmp_path / "a.tar", entries | {f"{i}.png": picture((0, 0, 0)) for i in range(3)}
    )
    assert [s.label for s in labelled(str(path))] == ["owl", "fox"]
    (tmp_path / "classes" / "owl" / "1.png").unlink()
    with pytest.raises(InputError, match="two classes or more"):
        labelled(str(tmp_path / "classes"))


def test_files_that_are_no_shards(tmp_path):
    (tmp_path / "a.png").write_bytes(picture((1, 2, 3)))
    (tmp_path / "captions.csv").write_text("image,caption\na.png,a\n")
    for name in ("a.png", "captions.csv"):
        with pytest.raises(InputError, match=rf"{name} is no tar shard; name its folder"):
            read([str(tmp_path / name)])
    samples = read([str(tmp_path / "*.png")], captioned=False)
    assert [s.key for s in samples] == ["a.png"]
    assert samples.image(0).size == (20, 10)
