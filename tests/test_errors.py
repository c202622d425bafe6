"""The exception tree and its messages."""

import inspect

import pytest

from guidance import errors
from guidance.errors import GuidanceError, InputError, nearest, unknown


def test_the_tree_is_as_drawn():
    drawn = [line.split() for line in errors.__doc__.splitlines() if "Error" in line]
    drawn = {word for line in drawn for word in line[:3] if word.isidentifier()}
    own = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }
    assert own == {name for name in drawn if name.endswith("Error")} - {"ValueError", "OSError"}
    assert all(issubclass(getattr(errors, name), GuidanceError) for name in own)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.PromptError, InputError),
        (errors.FileError, OSError),
    ],
)
def test_builtin_bases(kind, builtin):
    with pytest.raises(builtin, match="what was given"):
        raise kind("what was given")
    assert str(kind("one line")) == "one line"


def test_nearest():
    names = ["perspective", "affine", "colour", "ViT-B-32"]
    assert nearest("perspectiv", names) == "; did you mean perspective?"
    assert nearest("AFFINE", names) == "; did you mean affine?"
    assert nearest("ViT", names) == "; did you mean ViT-B-32?"
    assert nearest("xyzzy", names) == ""
    assert nearest("", names) == ""


def test_unknown_lists_few_and_counts_many():
    assert unknown("pen", "blu", ["red", "blue"]) == (
        "unknown pen 'blu'; did you mean blue? (known: blue, red)"
    )
    assert unknown("pen", "?", map(str, range(30))).endswith("(known: 30 names)")


def test_counts_have_the_right_noun():
    assert errors.counted(1, "group") == "1 group"
    assert errors.counted(0, "group") == "0 groups"
    assert errors.counted(1200, "class", "classes") == "1,200 classes"
