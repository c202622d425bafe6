"""Labels, forms and paths as they are typed."""

import pytest

from guidance.classify.options import ClassifyOptions, spread_labels
from guidance.errors import FileError, InputError


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("x --labels a b c", "x --labels a --labels b --labels c"),
        ("x -l a b -q y", "x -l a --labels b -q y"),
        ("--labels a b -- x y", "--labels a --labels b -- x y"),
        ("--labels a b --top 3 x", "--labels a --labels b --top 3 x"),
        ("--labels=a x --labels -b c", "--labels=a x --labels -b --labels c"),
        ("x -- --labels a b", "x -- --labels a b"),
        ("x --labels", "x --labels"),
    ],
)
def test_labels_go_on_to_the_next_option(typed, expected):
    assert spread_labels(typed.split()) == expected.split()


def test_labels_of_both_kinds_each_once(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("# animals\na cat\n a dog \n\n", encoding="utf-8")
    options = ClassifyOptions(labels=("an owl", "a cat "), labels_file=str(file))
    assert options.all_labels() == ["an owl", "a cat", "a dog"]


def test_labels_that_mean_nothing():
    for labels in ((), ("a cat",), ("a cat", " a cat")):
        with pytest.raises(InputError, match="labels must be two or more"):
            ClassifyOptions(labels=labels).all_labels()
    with pytest.raises(InputError, match="must not be empty"):
        ClassifyOptions(labels=("a cat", " ")).all_labels()
    with pytest.raises(FileError, match="does not exist"):
        ClassifyOptions(labels_file="nowhere.txt").all_labels()


def test_default_forms():
    assert ClassifyOptions().forms() == ("name",)
    assert len(ClassifyOptions(benchmark="flowers").forms()) == 3
    assert ClassifyOptions(benchmark="flowers", templates=("photo",)).forms() == ("photo",)
