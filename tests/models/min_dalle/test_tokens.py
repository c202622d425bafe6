"""The byte-pair vocabulary of DALL·E mini against one that is plain and slow."""

import json

import pytest
from min_dalle_files import MERGES, vocabulary, write
from reference.slow_min_dalle import subwords

from guidance.errors import ModelError
from guidance.models.min_dalle.tokens import Subwords, read_subwords


@pytest.fixture
def reader(tmp_path):
    write(tmp_path)
    return read_subwords(tmp_path / "vocab.json", tmp_path / "merges.txt", len(vocabulary()))


@pytest.mark.parametrize(
    "text",
    [
        "a fox at sunrise",
        "",
        "  foxfox   ab ",
        "Ein süßer Fuchs",
        "quick",
        "sun's",
        "日本",
        "fofoxab",
    ],
)
def test_as_the_slow_one(reader, text):
    assert reader(text, 100) == subwords(text, vocabulary(), list(MERGES))


def test_known_numbers(reader):
    numbers = vocabulary()
    got = reader("A fox q", 64)
    assert got == [0, numbers["Ġa"], numbers["Ġfox"], numbers["Ġ"], numbers["<unk>"], 2]
    assert reader("a fox a fox", 3) == [0, numbers["Ġa"], numbers["Ġfox"]]
    assert reader("日本", 64) == reader("", 64) == [0, 2]


def test_the_first_of_equal_pairs_is_merged_first():
    reader = Subwords({"<s>": 0, "</s>": 2, "<unk>": 3, "Ġ": 4, "aa": 5, "a": 6}, [("a", "a")])
    assert reader.split("aaa") == ["Ġ", "aa", "a"]


def broken(tmp_path, vocab=None, merges=None, rows=100):
    write(tmp_path)
    if vocab is not None:
        (tmp_path / "vocab.json").write_text(json.dumps(vocabulary() | vocab))
    if merges is not None:
        (tmp_path / "merges.txt").write_text(merges)
    read_subwords(tmp_path / "vocab.json", tmp_path / "merges.txt", rows)


def test_what_is_no_vocabulary(tmp_path):
    with pytest.raises(
        ModelError, match=r"vocab.json does not fit the encoder: .* below 30 but is 30"
    ):
        broken(tmp_path, rows=30)
    with pytest.raises(ModelError, match=r"'a' must be a whole number below 100 but is 'b'"):
        broken(tmp_path, vocab={"a": "b"})
    with pytest.raises(ModelError, match=r"merges.txt is no list of merges: 'a b c' is no pair"):
        broken(tmp_path, merges="#version\na b\na b c\n")
    (tmp_path / "vocab.json").write_text('{"<S>": 0}')
    with pytest.raises(ModelError, match=r"vocab.json lacks the entry '<s>'; did you mean <S>"):
        read_subwords(tmp_path / "vocab.json", tmp_path / "merges.txt", 100)
    (tmp_path / "vocab.json").write_text("[]")
    with pytest.raises(ModelError, match="cannot be read"):
        read_subwords(tmp_path / "vocab.json", tmp_path / "merges.txt", 100)
