"""Folders of classes, with names as they are or with Roboflow's file of captions."""

import pytest
from PIL import Image

from guidance.data.classes import class_folder, labelled
from guidance.errors import FileError, InputError

CAPTIONS = "a picture of a daisy\na picture of a dandelion\na picture of a water lily\n"


@pytest.fixture
def flowers(tmp_path):
    """Return ``flowers/test`` with three classes of a picture each."""
    folder = tmp_path / "flowers" / "test"
    for name in ("water_lily", "daisy", "dandelion", ".hidden"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / name / "a.jpg")
    return folder


def found(folder):
    return {s.label: s.captions for s in class_folder(folder)}


def test_without_captions(flowers):
    assert found(flowers) == {"daisy": (), "dandelion": (), "water lily": ()}


@pytest.mark.parametrize("above", [False, True])
def test_captions_in_the_order_of_the_sorted_names(flowers, above, monkeypatch):
    place = flowers.parent if above else flowers
    (place / "_tokenization.txt").write_bytes(("\ufeff" + CAPTIONS + "\n").encode())
    expected = {
        "daisy": ("a picture of a daisy",),
        "dandelion": ("a picture of a dandelion",),
        "water lily": ("a picture of a water lily",),
    }
    assert found(flowers) == expected
    monkeypatch.chdir(flowers)
    assert {s.label: s.captions for s in labelled(".")} == expected


def test_those_beside_come_before_those_above(flowers):
    (flowers / "_tokenization.txt").write_text("1\n2\n3\n")
    (flowers.parent / "_tokenization.txt").write_text(CAPTIONS)
    assert found(flowers)["daisy"] == ("1",)


def test_bad_captions(flowers):
    file = flowers / "_tokenization.txt"
    file.write_text("a daisy\na dandelion\n")
    with pytest.raises(InputError, match=r"for each of the 3 class folders .* but holds 2"):
        class_folder(flowers)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FileError, match="it is not UTF-8 text"):
        class_folder(flowers)


def test_a_data_set_of_several_parts_is_not_taken_for_classes(flowers):
    (flowers.parent / "train").mkdir()
    with pytest.raises(InputError, match=r"parts of a data set \(test, train\); name one of them"):
        labelled(str(flowers.parent))
