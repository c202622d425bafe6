from __future__ import annotations

import os
from collections import Counter

import pytest

from guidance.errors import FileError, InputError
from guidance.images.collect import collect, is_hidden, passed_over


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(folder, files):
    return [os.path.relpath(f, folder) for f in files]


def test_images_of_a_folder_in_order(tmp_path):
    fill(tmp_path, "b.PNG", "a.jpg", "notes.txt", ".hidden.png", "._a.jpg", "sub/c.png")
    (tmp_path / "folder.png").mkdir()
    assert names(tmp_path, collect([tmp_path])) == ["a.jpg", "b.PNG"]
    assert names(tmp_path, collect([tmp_path], recursive=True)) == ["a.jpg", "b.PNG", "sub/c.png"]


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._a.jpg", "dogs/._a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "Thumbs.db",
     "__MACOSX/dogs/a.jpg", "./.git/a.png", "DESKTOP.INI", "@eaDir/a.jpg", "Icon\r", "..a/b.jpg"],
)  # fmt: skip
def test_what_a_system_leaves_behind_is_hidden(name):
    assert is_hidden(name)


@pytest.mark.parametrize("name", ["a.jpg", "./a.jpg", "../a.jpg", "dogs/a..jpg", "_a.jpg", ""])
def test_what_a_user_named_is_not_hidden(name):
    assert not is_hidden(name)


def test_leftovers_are_passed_over_in_folders(tmp_path):
    fill(tmp_path, "a.png", "__MACOSX/a.png", "s/._b.png", "s/@eaDir/b.png", "s/b.png", ".c/c.png")
    assert names(tmp_path, collect([tmp_path], recursive=True)) == ["a.png", "s/b.png"]


def test_a_folder_that_is_named_may_be_hidden(tmp_path):
    fill(tmp_path / ".hidden", "a.png")
    assert names(tmp_path, collect([tmp_path / ".hidden"])) == [".hidden/a.png"]


def test_files_that_are_passed_over_are_counted(tmp_path):
    fill(tmp_path, "a.png", "b.HEIC", "c.heic", "s/d.txt", "s/e", ".DS_Store", "s/._a.heic")
    passed = Counter()
    collect([tmp_path], passed=passed)
    assert passed == {".heic": 2}
    passed.clear()
    collect([tmp_path], recursive=True, passed=passed)
    assert passed_over(passed) == (
        "passed over 4 files that are no images: 2 .heic, 1 .txt, 1 without a suffix"
    )
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"no images in .*; passed over 2 files .*; --rec"):
        collect([tmp_path])
    assert passed_over(Counter("abcdefg")).endswith("1 e, 2 others")


def test_a_named_file_needs_no_suffix(tmp_path):
    fill(tmp_path, "a", "b.txt")
    assert names(tmp_path, collect([tmp_path / "b.txt", tmp_path / "a"])) == ["b.txt", "a"]


def test_each_file_is_taken_once(tmp_path):
    fill(tmp_path, "a.png", "b.png", "sub/c.png")
    (tmp_path / "link.png").symlink_to("b.png")
    found = collect(
        [tmp_path / "b.png", tmp_path, tmp_path / "sub" / ".." / "a.png", tmp_path], recursive=True
    )
    assert names(tmp_path, found) == ["b.png", "a.png", "sub/c.png"]


def test_loops_of_links_end(tmp_path):
    fill(tmp_path, "a.png", "sub/b.png")
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "sub" / "self").symlink_to("self")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert names(tmp_path, collect([tmp_path], recursive=True)) == [
        "a.png",
        "loop.png",
        "sub/b.png",
    ]


def test_a_linked_folder_is_looked_into(tmp_path):
    fill(tmp_path / "far", "a.png")
    fill(tmp_path / "near", "b.png")
    (tmp_path / "near" / "link").symlink_to("../far")
    assert names(tmp_path, collect([tmp_path / "near"], recursive=True)) == [
        "near/b.png",
        "near/link/a.png",
    ]


def test_one_folder_can_be_left_out(tmp_path):
    fill(tmp_path, "a.png", "best/b.png")
    found = collect([tmp_path], recursive=True, leave_out=tmp_path / "best")
    assert names(tmp_path, found) == ["a.png"]


def test_missing_paths_are_named_with_the_nearest(tmp_path):
    fill(tmp_path, "photos/a.png")
    with pytest.raises(FileError) as caught:
        collect([tmp_path / "photos", tmp_path / "fotos"])
    assert str(caught.value) == f"{tmp_path / 'fotos'} does not exist; did you mean photos?"
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    with pytest.raises(FileError, match="does not exist"):
        collect([tmp_path / "broken.png"])


def test_folders_without_images(tmp_path):
    with pytest.raises(InputError) as caught:
        collect([tmp_path])
    assert str(caught.value) == f"no images in {tmp_path}"
    fill(tmp_path, "sub/a.png")
    with pytest.raises(InputError, match="; --recursive looks into its folders"):
        collect([tmp_path])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_that_cannot_be_listed(tmp_path):
    (tmp_path / "secret").mkdir(mode=0)
    with pytest.raises(FileError, match=r"cannot list the folder .*: Permission denied"):
        collect([tmp_path / "secret"])
