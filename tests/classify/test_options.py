"""Labels, forms and paths as they are typed."""

import pytest

from guidance.classify.options import ClassifyOptions
from guidance.errors import FileError, InputError


def test_labels_of_both_kinds_each_once(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("# animals\na cat\n a dog \n\n", encoding="utf-8")
    options = ClassifyOptions(labels=("an owl", "a cat "), labels_file=str(file))
    assert options.all_labels == ["an owl", "a cat", "a dog"]


def test_labels_that_mean_nothing():
    for labels in ((), ("a cat",), ("a cat", " a cat")):
        with pytest.raises(InputError, match="labels must be two or more"):
            _ = ClassifyOptions(labels=labels).all_labels
    with pytest.raises(InputError, match="a label must not be empty but has only invisible"):
        _ = ClassifyOptions(labels=("a", "\u200b")).all_labels
    with pytest.raises(InputError, match="must not be empty"):
        _ = ClassifyOptions(labels=("a cat", " ")).all_labels
    with pytest.raises(FileError, match="does not exist"):
        _ = ClassifyOptions(labels_file="nowhere.txt").all_labels


def test_default_forms():
    assert ClassifyOptions().forms() == ("name",)
    assert len(ClassifyOptions(benchmark="flowers").forms()) == 3
    assert ClassifyOptions(benchmark="flowers", templates=("photo",)).forms() == ("photo",)
