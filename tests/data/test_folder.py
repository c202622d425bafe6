"""Folders of pictures with captions in all the forms that tools write."""

import json

import pytest
from PIL import Image

from guidance.data import read
from guidance.errors import FileError, InputError

ROWS = [("a.png", "a fox"), ("sub/b.png", "an owl, at night"), ("a.png", "a red fox")]
FILES = {
    "captions.csv": 'image,caption\na.png,a fox\nsub/b.png,"an owl, at night"\na.png,a red fox\n',
    "captions.tsv": "filename\ttitle\n" + "".join(f"{f}\t{c}\n" for f, c in ROWS),
    "metadata.csv": 'file_name,text\na.png,a fox\nsub/b.png,"an owl, at night"\na.png,a red fox\n',
    "captions.jsonl": "\n".join(json.dumps({"file": f, "caption": c}) for f, c in ROWS),
    "captions.json": json.dumps({"a.png": ["a fox", "a red fox"], "sub/b.png": "an owl, at night"}),
    "captions.txt": "".join(f"{f}\t{c}\n" for f, c in ROWS),
}
COCO = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "sub/b.png"}],
    "annotations": [
        {"image_id": 7, "caption": "a fox"}, {"image_id": 9, "caption": "an owl, at night"},
        {"image_id": 7, "caption": "a red fox"},
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png", "unnamed.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def captions(folder):
    return {s.key: s.captions for s in read([str(folder)])}


EXPECTED = {"a.png": ("a fox", "a red fox"), "sub/b.png": ("an owl, at night",)}


@pytest.mark.parametrize("name", FILES)
def test_captions_files(folder, name):
    (folder / name).write_text(FILES[name])
    assert captions(folder) == EXPECTED


def test_coco_and_flickr_forms(folder):
    (folder / "captions.txt").write_text("image,caption\na.png#0\ta fox\na.png#1\ta red fox\n")
    assert captions(folder) == {"a.png": EXPECTED["a.png"]}
    (folder / "captions.json").write_text(json.dumps(COCO))
    assert captions(folder) == EXPECTED


def test_text_files_beside_the_pictures(folder):
    (folder / "a.txt").write_text("a fox\na red fox\n")
    (folder / "sub/b.txt").write_text("an owl, at night")
    assert captions(folder) == EXPECTED


def test_further_columns_are_kept(folder):
    (folder / "captions.csv").write_text("file,caption,label,licence\na.png,a fox,fox,cc0\n")
    (sample,) = read([str(folder)])
    assert (sample.label, sample.licence) == ("fox", "cc0")


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("captions.csv", "picture,words\na.png,a fox\n", FileError, "has picture, words but needs"),
        ("captions.json", "{", FileError, "not a readable captions file"),
        ("captions.txt", "a.png a fox\n", FileError, "no tab or comma"),
        ("captions.csv", "image,caption\nz.png,a fox\n", InputError, "1 of 1 .* first 'z.png'"),
        ("notes.txt", "hello", InputError, "has no captions; put them into captions.csv"),
    ],
)
def test_errors_say_what_is_wrong(folder, name, text, error, message):
    (folder / name).write_text(text)
    with pytest.raises(error, match=message):
        read([str(folder)])


def test_text_files_beside_are_tidied_or_skipped(folder):
    (folder / "a.TXT").write_bytes("\ufeffa fox\u2028at night\r\n\r\na red fox".encode())
    (folder / "._a.txt").write_bytes(b"\0\5")
    (folder / "._a.png").write_bytes(b"\0\5")
    (folder / "sub/b.txt").write_bytes(b"caf\xe9")
    (folder / "unnamed.txt").write_bytes(b"")
    with pytest.warns(UserWarning, match="is skipped") as told:
        assert captions(folder) == {"a.png": ("a fox at night", "a red fox")}
    said = {str(w.message).partition(f"{folder}: ")[2] for w in told}
    assert said == {
        "sub/b.txt is skipped: it is not UTF-8 text (line 1); save it as UTF-8",
        "unnamed.txt is skipped: it has no caption",
    }


def test_pictures_alone(folder):
    """Whatever becomes of the captions."""
    every = {"a.png", "sub/b.png", "unnamed.png"}
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "a.png").write_bytes((folder / "a.png").read_bytes())
    assert {s.key for s in read([str(folder)], captioned=False)} == every
    (folder / "a.txt").write_text("a fox")
    (folder / "metadata.csv").write_text("camera,iso\nx,100\n")
    assert {s.key for s in read([str(folder)], captioned=False)} == every
    (folder / "metadata.csv").write_text("image,caption\na.png,a fox\n")
    assert {s.key for s in read([str(folder)], captioned=False)} == {"a.png"}
