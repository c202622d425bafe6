"""Shipped weights are checked before they are used."""

import shutil

import pytest

from guidance.clip import shipped
from guidance.errors import ModelError


@pytest.mark.parametrize("name", sorted({f for s in shipped.SHIPPED.values() for f in s[1:] if f}))
def test_hashes_are_those_of_the_files(name):
    with shipped.pretrained(name) as path:
        assert path.stat().st_size > 1_000_000


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "pretrained").mkdir()
    with shipped._file(f"pretrained/{shipped.HASHES}") as sums:
        shutil.copy(sums, tmp_path / "pretrained")
    monkeypatch.setattr(shipped.resources, "files", lambda package: tmp_path)
    name = shipped.SHIPPED["mini"].weights
    with pytest.raises(ModelError, match="are missing"), shipped.pretrained(name):
        pass
    (tmp_path / "pretrained" / name).write_bytes(b"other")
    with (
        pytest.raises(ModelError, match="not the ones that were shipped"),
        shipped.pretrained(name),
    ):
        pass
