"""Text files of editors and spreadsheets: what they hold, or one line that says what to do."""

import pytest

from guidance.errors import FileError, InputError
from guidance.files.text import decode, lines, read_lines, read_object, read_prompts

TEXT = "a fox\r\n\r\n  狐狸 🦊\u2028at night \ncafé"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        ("\ufeff" + TEXT).encode("utf-16-le"),
        ("\ufeff" + TEXT).encode("utf-16-be"),
        ("\ufeff" + TEXT).encode("utf-32-le"),
        ("\ufeff" + TEXT).encode("utf-32-be"),
    ],
)
def test_every_form_of_unicode(tmp_path, data):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert decode(data) == TEXT
    assert read_lines(path, "names") == ["a fox", "狐狸 🦊\u2028at night", "café"]
    assert read_prompts(str(path)) == read_lines(path, "prompts")


def test_line_breaks():
    assert lines("a\nb\rc\r\nd\x0be\x85f") == ["a", "b", "c", "d\x0be\x85f"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a\ncaf\xe9", r"is not UTF-8 text \(line 2\); save it as UTF-8"),
        ("a fox".encode("utf-16-le"), "is not UTF-8 text: it holds NUL characters"),
        (b"\xff\xfea", r"is not UTF-8 text \(line 1\)"),
    ],
)
def test_other_encodings_are_not_guessed(tmp_path, data, said):
    with pytest.raises(InputError, match=said):
        decode(data)
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(FileError, match=rf"cannot read the names in .*a\.txt: it {said}"):
        read_lines(tmp_path / "a.txt", "names")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileError, match="cannot read the names in"):
        read_lines(tmp_path, "names")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "no JSON object"),
        (b"{", "Expecting"),
        (b"\xff{}", "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "' + b"x" * 99 + b'"}', "too large"),
    ],
)
def test_json_that_holds_no_object(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_object(tmp_path / "a.json", 99 if message == "too large" else None)


def test_json_object(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, "狐"]}', encoding="utf-8")
    assert read_object(tmp_path / "a.json", 99) == {"a": [1, "狐"]}
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "none.json")
