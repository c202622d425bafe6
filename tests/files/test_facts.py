"""Facts in a JSON file."""

import json
import os

import pytest

from guidance.errors import FileError
from guidance.files.facts import rounded, write_json


def test_floats_are_rounded_and_the_file_ends_with_a_line(tmp_path):
    write_json(tmp_path / "f.json", rounded({"a": {"x": [1 / 3, 2]}}))
    expected = '{\n  "a": {\n    "x": [\n      0.3333,\n      2\n    ]\n  }\n}\n'
    assert (tmp_path / "f.json").read_text() == expected


def test_names_that_are_not_utf8_are_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    write_json(tmp_path / "f.json", {"file": name})
    assert json.loads((tmp_path / "f.json").read_text()) == {"file": name}
    with pytest.raises(FileError, match="is not UTF-8 text"):
        write_json(tmp_path / "g.json", {"file": name}, ascii=False)
    write_json(tmp_path / "g.json", {"word": "Füchse"}, ascii=False)
    assert "Füchse" in (tmp_path / "g.json").read_text(encoding="utf-8")
