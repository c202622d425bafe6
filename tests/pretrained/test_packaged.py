"""Shipped files are checked before they are used."""

import shutil

import pytest

from guidance.errors import ModelError
from guidance.pretrained import packaged


def test_every_listed_file_is_the_one_that_was_hashed():
    with packaged.packaged(f"pretrained/{packaged.HASHES}") as sums:
        names = [line.split()[1] for line in sums.read_text().splitlines()]
    assert "mini-clip.safetensors" in names
    for name in names:
        with packaged.pretrained(name) as path:
            assert path.name == name
            assert path.is_file()


def test_all_weights_take_95_megabytes_at_most():
    with packaged.packaged("pretrained") as folder:
        sizes = {path.name: path.stat().st_size for path in folder.glob("*.safetensors")}
    with packaged.packaged(f"pretrained/{packaged.HASHES}") as sums:
        assert sizes.keys() == {line.split()[1] for line in sums.read_text().splitlines()}
    assert sum(sizes.values()) <= 95_000_000, sizes


def test_a_changed_or_missing_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "pretrained").mkdir()
    with packaged.packaged(f"pretrained/{packaged.HASHES}") as sums:
        shutil.copy(sums, tmp_path / "pretrained")
    monkeypatch.setattr(packaged.resources, "files", lambda package: tmp_path)
    name = "mini-clip.safetensors"
    with pytest.raises(ModelError, match=f"{name} are missing"), packaged.pretrained(name):
        pass
    (tmp_path / "pretrained" / name).write_bytes(b"other")
    with (
        pytest.raises(ModelError, match="not the ones that were shipped"),
        packaged.pretrained(name),
    ):
        pass


def test_a_file_without_a_hash_is_refused(tmp_path, monkeypatch):
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / packaged.HASHES).write_text("")
    (tmp_path / "pretrained" / "mine.safetensors").write_bytes(b"other")
    monkeypatch.setattr(packaged.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelError, match="not the ones"), packaged.pretrained("mine.safetensors"):
        pass
