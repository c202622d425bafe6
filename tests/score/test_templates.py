"""Sentences for class names: sets, files and templates as typed."""

import pytest

from guidance.errors import FileError, InputError
from guidance.score.templates import templates


def test_templates():
    assert len(templates(["openai80"])) == 80
    assert len(templates(["simple7", "photo"])) == 8
    assert templates(["{} flower", "name"]) == ["{} flower", "{}"]
    for wrong in ("flower", "{} and {}", "{0}", "a {name}", "{} }"):
        with pytest.raises(InputError, match=r"must hold \{\} once"):
            templates([wrong])


def test_other_names_of_the_sets():
    assert templates(["imagenet"]) == templates(["openai80"])
    assert templates(["simple", "simple7"]) == templates(["simple7"])
    assert all(t.count("{}") == 1 for t in templates(["imagenet", "simple", "photo", "name"]))


def test_a_mistyped_set_names_the_right_one():
    with pytest.raises(InputError, match="did you mean imagenet"):
        templates(["imagnet"])
    with pytest.raises(InputError, match="must be a list"):
        templates("photo")


def test_a_file_of_templates(tmp_path):
    file = tmp_path / "forms.txt"
    file.write_text("# two\na {} flower\n\na picture of a {}\n", encoding="utf-8")
    assert templates([str(file), "name"]) == ["a {} flower", "a picture of a {}", "{}"]
    file.write_text("a {} flower\na flower\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"forms.txt: template 'a flower' must hold"):
        templates([str(file)])
    with pytest.raises(FileError, match=r"form.txt does not exist; did you mean forms.txt"):
        templates([str(tmp_path / "form.txt")])
