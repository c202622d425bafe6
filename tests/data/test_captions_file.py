"""Files of captions as spreadsheets and scripts of all kinds write them, also badly."""

import json

import pytest
from PIL import Image

from guidance.data import read
from guidance.errors import FileError, InputError
from guidance.files.tables import write_csv

TWO = {"a.png": ("a red dot",), "b.png": ("a blue field",)}


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png", "-c.png", "d#1.png", "sub/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def captions(folder, name=None, content=None):
    if name is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
    return {s.key: s.captions for s in read([str(folder)])}


PLAIN = "image,caption\na.png,a red dot\nb.png,a blue field\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.csv", PLAIN),
        ("captions.csv", "\ufeff" + PLAIN),
        ("Captions.CSV", PLAIN),
        ("captions.csv", PLAIN.replace("\n", "\r\n")),
        ("captions.csv", PLAIN.replace("\n", "\r")),
        ("captions.csv", PLAIN.replace(",", ";")),
        ("captions.csv", PLAIN.replace(",", "\t")),
        ("captions.csv", PLAIN.replace(",", "|")),
        ("captions.csv", "sep=;\r\n" + PLAIN.replace(",", ";")),
        ("captions.csv", ("\ufeff" + PLAIN).encode("utf-16-le")),
        ("captions.csv", ("\ufeff" + PLAIN).encode("utf-16-be")),
        ("captions.csv", PLAIN.replace("\n", "\n\n,\n")),
        ("captions.csv", PLAIN.replace("a red dot", '"a red\ndot"')),
        ("captions.csv", PLAIN.replace("a red dot", '"a red\r\n dot "')),
        ("captions.csv", PLAIN.replace("a red dot", "a red\u2028dot")),
        ("captions.csv", PLAIN.replace("image,caption", " Image , Caption ")),
        ("captions.csv", PLAIN.replace("image,caption", "filepath,title")),
        ("captions.csv", "caption,image,size\na red dot,./a.png,4\na blue field,b.png\n"),
        ("captions.tsv", PLAIN.replace(",", "\t")),
        ("metadata.csv", PLAIN.replace("image,caption", "file_name,text")),
        ("captions.txt", PLAIN.replace(",", "\t").replace("\n", "\r\n")),
        ("captions.txt", 'a.png#0,"a red dot"\nb.png#1,a blue field'),
        ("captions.jsonl", '{"file_name": "a.png", "text": "a red\u2028dot"}\r\n\n'
                           '{"file_name": "b.png", "text": "a blue field"}'),
        ("metadata.jsonl", '\ufeff{"file_name": "a.png", "text": "a red dot", "n": NaN}\n'
                           '{"file_name": "b.png", "text": ["a blue field", null]}\n'),
        ("captions.json", json.dumps({"a.png": "a red dot", "b.png": {"caption": "a blue field"}})),
        ("captions.json", json.dumps([{"path": "a.png", "prompt": "a red dot"},
                                      {"path": "b.png", "prompt": "a blue field"}])),
    ],
)  # fmt: skip
def test_forms(folder, name, content):
    assert captions(folder, name, content) == TWO


def test_captions_with_bare_commas(folder):
    text = "image,caption\na.png,a fox, at night, in snow\n"
    assert captions(folder, "captions.csv", text) == {"a.png": ("a fox, at night, in snow",)}


def test_names_as_windows_and_scripts_write_them(folder):
    lines = ["image,caption", "sub\\e.png,one", f"{folder}/sub/../a.png,two", "d#1.png,three"]
    expected = {"sub/e.png": ("one",), "a.png": ("two",), "d#1.png": ("three",)}
    assert captions(folder, "captions.csv", "\n".join(lines)) == expected


def test_names_alike_on_other_systems(folder):
    """Case, and accents as characters of their own."""
    Image.new("RGB", (4, 4)).save(folder / "cafe\u0301.PNG")
    text = "image,caption\nCAF\u00c9.png,one\nA.png,two\nSub/E.png,three\n"
    assert set(captions(folder, "captions.csv", text)) == {"cafe\u0301.PNG", "a.png", "sub/e.png"}


def test_our_own_tables_are_read(folder):
    write_csv(folder / "captions.csv", [["image", "caption"], ["-c.png", "=a"], ["a.png", "-1"]])
    assert captions(folder) == {"-c.png": ("=a",), "a.png": ("-1",)}


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "sub/../../x.png", "..\\x.png"])
def test_pictures_outside_the_folder_are_refused(folder, name):
    inside = folder / "sub"
    Image.new("RGB", (4, 4)).save(folder / "x.png")
    with pytest.raises(InputError, match=r"line 2: .* lies outside"):
        captions(inside, "captions.csv", f"image,caption\n{name},a\n")


ENTRIES = {"images": [{"id": 1, "file_name": "b.png"}, 3, {"id": []}],
           "annotations": [{"image_id": 2, "caption": "a"}, {"image_id": 1}, None,
                           {"image_id": 1, "caption": "b"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("captions.csv", "image,caption\na.png,\nb.png,b\n",
         ["line 2 is skipped: it has no caption"]),
        ("captions.csv", "image,caption\na.png\nb.png,b\n",
         ["line 2 is skipped: it has no caption"]),
        ("captions.csv", "image,caption\n,a\nb.png,b\n",
         ["line 2 is skipped: it names no picture"]),
        ("captions.csv", "caption,image\nb,b.png\na,a.png,x\n",
         ["line 3 is skipped: it has 3 cells but the heading 2"]),
        ("captions.jsonl", '{"file": "a.png", "text": 5}\n{"file": "b.png", "text": "b"}\n{"file',
         ["line 3 is skipped: it is not readable JSON: ",
          "line 1 is skipped: it has a caption that is not text"]),
        ("captions.jsonl", "[" * 99999 + '\n{"file": "b.png", "text": "b"}',
         ["line 1 is skipped: it is not readable JSON: it is nested too deeply"]),
        ("captions.json", json.dumps({"a.png": None, "b.png": "b"}),
         ["'a.png' is skipped: it has no caption"]),
        ("captions.json", json.dumps([3, {"file": "b.png", "text": "b"}, {"file": [], "text": ""}]),
         ["entry 1 is skipped: it is no object", "entry 3 is skipped: it names no picture"]),
        ("captions.json", json.dumps(ENTRIES),
         ["annotation 1 is skipped: it is of an image that is not listed",
          "annotation 2 is skipped: it has no image_id or no caption",
          "annotation 3 is skipped: it has no image_id or no caption"]),
        ("captions.txt", "a.png a\nb.png\tb", ["line 1 is skipped: it has no tab or comma"]),
    ],
)  # fmt: skip
def test_lines_that_cannot_be_used_are_named(folder, name, content, said):
    with pytest.warns(UserWarning, match="is skipped") as told:
        assert captions(folder, name, content) == {"b.png": ("b",)}
    found = [str(w.message) for w in told]
    assert sorted(t.partition(f"{name}: ")[2][: len(s)] for t, s in
                  zip(sorted(found), sorted(said), strict=True)) == sorted(said)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("captions.csv", b"image,caption\na.png,a\nb.png,caf\xe9\n", FileError,
         r"is not UTF-8 text \(line 3\); save it as UTF-8"),
        ("captions.csv", PLAIN.encode("utf-16-le"), FileError, "it holds NUL characters"),
        ("captions.csv", PLAIN + "\0", FileError, "it holds NUL characters"),
        ("captions.csv", "image,caption\na.png,\"a\nb.png,b\n", FileError,
         "line 3: unexpected end"),
        ("captions.csv", "image,caption\na.png,\"a\" b\n", FileError, "line 2: ',' expected after"),
        ("captions.csv", "image,caption\na.png," + "x" * 200_000, FileError, "field limit"),
        ("captions.csv", "", InputError, "names no picture"),
        ("captions.csv", "image,caption\n", InputError, "names no picture"),
        ("captions.csv", "a.png,a\nb.png,b\n", FileError, "has a.png, a but needs one of image"),
        ("captions.csv", "image\na.png\n", FileError, "has image but needs one of"),
        ("captions.csv", "image,caption\na.png,\n", InputError, "line 2 has no caption"),
        ("captions.csv", "image,caption\n\U0001f98a" * 2 + ",a\n", InputError, "cannot be found"),
        ("captions.csv", "image,caption\n" + "x" * 5000 + ",a\n", InputError, "cannot be found"),
        ("captions.json", "3", FileError, "expected an object or a list"),
        ("captions.json", '{"a.png": "' + "[" * 9, FileError, "is not readable JSON"),
        ("captions.json", "{" * 99999, FileError, "is not readable JSON"),
        ("captions.json", '{"a": ' * 99999, FileError, "nested too deeply"),
        ("captions.json", '{"images": {}, "annotations": 3}', FileError, "must be lists"),
        ("captions.json", '{"images": [], "annotations": []}', InputError, "names no picture"),
        ("captions.json", '{"a\\u0000.png": "a"}', InputError, "cannot be found"),
        ("captions.jsonl", '{"file": "a.png", "text": "\\udc00"}', FileError, "not valid Unicode"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_end_in_one_line(folder, name, content, error, said):
    with pytest.raises(error, match=said) as told:
        captions(folder, name, content)
    assert "\n" not in str(told.value)
