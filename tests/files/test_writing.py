from __future__ import annotations

import os
import stat

import pytest

from guidance.errors import FileError
from guidance.files.writing import atomic, make_folder, printable, write


def test_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "höher\n")
    write(path, b"\xff\x00")
    assert path.read_bytes() == b"\xff\x00"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")

    def fail():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.png"
    write(path, "old")
    with atomic(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_new_files_have_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match=r"cannot write .*none/a\.txt: No such file or directory"):
        write(tmp_path / "none" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="cannot write"):
        write(tmp_path / "folder", "x")
    assert os.listdir(tmp_path) == ["folder"]
    for path in (".", "/"):
        with pytest.raises(FileError, match="cannot write"):
            write(path, "x")


def test_make_folder(tmp_path):
    folder = make_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert make_folder(folder) == folder
    assert os.listdir(folder) == []
    with pytest.raises(FileError, match="exists already"):
        make_folder(folder, exist_ok=False)
    write(folder / "file", "x")
    with pytest.raises(FileError, match="is a file, not a folder"):
        make_folder(folder / "file")
    with pytest.raises(FileError, match="cannot write to the folder"):
        make_folder(folder / "file" / "below")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 狐 🦊.png", "plain ü 狐 🦊.png"),
        ("two\nlines\t\x1b[31m", "two\\nlines\\t\\x1b[31m"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\xe9.png"),
        ("right\u202eto-left\u2028", "right\\u202eto-left\\u2028"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
