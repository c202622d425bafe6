"""Tables for the terminal, and CSV that a spreadsheet shows rather than computes."""

import csv
import random
import re
from pathlib import Path

import pytest

import guidance
from guidance.errors import FileError, InputError
from guidance.files.tables import plain, read_csv, write_csv


def cells(path):
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [cell for row in csv.reader(file) for cell in row]


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x","y")', "+1+2", "-1+2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1",
        "＝1", "－1＋2", "-a fox.png", "=1",
    ],
)  # fmt: skip
def test_formulas_are_written_as_text(tmp_path, text):
    write_csv(tmp_path / "a.csv", [["file", text]])
    assert cells(tmp_path / "a.csv") == ["file", "'" + text]
    assert plain("'" + text) == text


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (-0.25, "-0.25"), ("-0.250000", "-0.250000"), ("+3", "+3"), ("-1e-5", "-1e-5"),
        ("-inf", "-inf"), ("nan", "nan"), (-3, "-3"), (None, ""), ("a = b", "a = b"),
        ("'tis", "'tis"), ("", ""), ("\udcff.png", "\udcff.png"),
    ],
)  # fmt: skip
def test_numbers_and_other_texts_stay_as_they_are(tmp_path, cell, written):
    write_csv(tmp_path / "a.csv", [["file", cell]])
    assert cells(tmp_path / "a.csv") == ["file", written]
    assert plain(written) == written


def test_what_is_written_is_read_back(tmp_path):
    rng = random.Random(0)
    texts = [
        "".join(rng.choices("'=+-@\t\r\n a1.,;\"＝é", k=rng.randint(0, 6))) for _ in range(800)
    ]
    write_csv(tmp_path / "a.csv", [["x", text] for text in texts])
    assert [plain(c) for c in cells(tmp_path / "a.csv")[1::2]] == texts


@pytest.mark.parametrize(
    "content",
    [
        b'a,b,c\n1,\'=x,\n\n2,"y\nz",w\n',
        b'\xef\xbb\xbfA;B;C\r\n1;=x;\r\n;;\r\n2;"y\nz";w\r\n',
        'sep=\t\r\n a\tb \tc\r\n1\t=x\r\n2\t"y\nz"\tw\textra\r\n'.encode("utf-16"),
    ],
)
def test_tables_as_spreadsheets_save_them(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    rows = [row for _, row in read_csv(tmp_path / "a.csv", ("b", "a"))]
    assert rows == [{"a": "1", "b": "=x", "c": ""}, {"a": "2", "b": "y\nz", "c": "w"}]


def test_a_row_has_its_line(tmp_path):
    (tmp_path / "a.csv").write_text('a\n\n1\n"2\n"\n3\n')
    assert [line for line, _ in read_csv(tmp_path / "a.csv", ["a"])] == [3, 5, 6]


def test_what_is_no_table_is_told(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(FileError, match=r"cannot read the table .*: No such file"):
        read_csv(path, ["a"])
    path.write_bytes(b"a,\xff\n")
    with pytest.raises(FileError, match=r"it is not UTF-8 text \(line 1\); save it as UTF-8"):
        read_csv(path, ["a"])
    path.write_text("a;b\n")
    with pytest.raises(InputError, match=r"a.csv lacks the column c, d; it has a, b$"):
        read_csv(path, ["c", "a", "d"])


def test_every_csv_of_texts_is_written_here():
    """``steps.csv`` holds numbers alone."""
    writers = {
        path.name
        for path in Path(guidance.__file__).parent.rglob("*.py")
        if re.search(r"csv\.(Dict)?[wW]riter", path.read_text(encoding="utf-8"))
    }
    assert writers == {"tables.py", "rows.py"}
