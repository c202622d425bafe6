"""The embedding store when its files are damaged or cannot be read: reported, left out, rebuilt."""

import os
import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from store_processes import add_many, assert_holds, content, files, parts_by_age, store
from systems import posix

from guidance.errors import FileError


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


def test_a_flipped_bit_anywhere_is_found_or_harmless(tmp_path):
    first = store(tmp_path)
    keys, vectors, sources = content(0, 6)
    first.add(keys, vectors, sources)
    path = files(first)[0]
    good = path.read_bytes()
    found_damaged = 0
    for place in range(0, len(good), 11):
        flip(path, place)
        shared = store(tmp_path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            places, found = shared.find(keys)
            given = [(k, s) for b in shared.batches() for k, s in zip(b.keys, b.sources)]  # noqa: B905
        assert torch.equal(found, vectors[places])
        assert set(given) <= set(zip(keys, sources, strict=True))
        assert len(caught) == len(shared.damaged) <= 1
        if not shared.damaged:
            assert len(given) == len(places) == 6
        found_damaged += bool(shared.damaged)
        path.write_bytes(good)
    assert found_damaged > 0.9 * len(range(0, len(good), 11))


@pytest.mark.parametrize("damage", ["vectors", "footer", "cut", "empty", "other"])
def test_a_damaged_file_is_reported_once_and_rebuilt(tmp_path, damage):
    add_many(tmp_path, 0, 60, 20)
    shared = store(tmp_path)
    assert len(shared) == 60  # the index is read, the vectors are not
    path = parts_by_age(shared)[1]
    if damage == "vectors":
        flip(path, path.stat().st_size // 2)
    elif damage == "footer":
        flip(path, path.stat().st_size - 100)
        shared = store(tmp_path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
        shared = store(tmp_path)
    elif damage == "empty":
        path.write_bytes(b"")
        shared = store(tmp_path)
    else:
        path.write_bytes(parts_by_age(shared)[0].read_bytes())
        shared = store(tmp_path)
    keys, vectors, sources = content(0, 60)
    with pytest.warns(UserWarning, match=rf"{path.name} are damaged .*computed again") as caught:
        places, found = shared.find(keys)
    assert len(caught) == 1
    assert places == [*range(20), *range(40, 60)]
    assert torch.equal(found, vectors[places])
    assert shared.damaged == (path.with_suffix(".damaged"),)
    assert shared.damaged[0].exists()
    assert not path.exists()
    shared.add(keys, vectors, sources)
    assert path.exists()  # of the same name, as the content is the same
    assert_holds(shared, 60)
    assert len(shared.damaged) == 1
    assert_holds(store(tmp_path), 60)


def test_a_damaged_file_is_found_while_streaming_and_compacting(tmp_path):
    add_many(tmp_path, 0, 60, 20)
    path = parts_by_age(store(tmp_path))[1]
    flip(path, path.stat().st_size // 2)
    copy = path.read_bytes()
    with pytest.warns(UserWarning, match="damaged"):
        streamed = [k for b in store(tmp_path).batches(7) for k in b.keys]
    rest = content(0, 20)[0] + content(40, 60)[0]
    assert sorted(streamed) == sorted(rest)
    path.write_bytes(copy)
    with pytest.warns(UserWarning, match="damaged"):
        store(tmp_path).compact()
    assert len(files(store(tmp_path))) == 1
    places, _ = store(tmp_path).find(content(0, 60)[0])
    assert places == [*range(20), *range(40, 60)]


@pytest.fixture
def as_nobody():
    """Return a folder, and let the test run as a user whom permissions bind."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        store(folder / "loaded").add(*content(0, 1))  # what is imported late is imported now
        len(store(folder / "loaded"))
        if user == 0:
            os.seteuid(65534)
        yield folder / "store"
        os.seteuid(user)


@posix
def test_a_damaged_file_of_a_folder_that_cannot_be_written_is_left_out(as_nobody):
    add_many(as_nobody, 0, 40, 20)
    shared = store(as_nobody)
    path = files(shared)[0]
    flip(path, path.stat().st_size // 2)
    shared.folder.chmod(0o555)
    with pytest.warns(UserWarning, match="damaged") as caught:
        found = [len(shared.find(content(0, 40)[0])[0]) for _ in range(2)]
    assert found == [20, 20]
    assert len(caught) == 1
    assert shared.damaged == (path,)
    with pytest.raises(FileError, match="cannot write"):
        shared.add(*content(0, 40))
    shared.folder.chmod(0o755)
    shared.add(*content(0, 40))
    assert_holds(shared, 40)


@posix
def test_a_file_that_may_not_be_read_is_not_taken_for_damaged(as_nobody):
    store(as_nobody).add(*content(0, 5))
    path = files(store(as_nobody))[0]
    path.chmod(0)
    with pytest.raises(FileError, match=f"cannot read .*{path.name}.*ermission"):
        store(as_nobody).find(content(0, 5)[0])
    path.chmod(0o600)
    assert_holds(store(as_nobody), 5)
