"""Folders of classes, with names as they are or with Roboflow's file of captions."""

import numpy as np
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


def test_hidden_files_are_passed_over(flowers):
    """macOS' halves of files, Jupyter's copies, Synology's previews."""
    (flowers / "daisy" / "._a.jpg").write_bytes(b"\0\5\x16\7")
    for name in ("daisy/.ipynb_checkpoints", "daisy/@eaDir/a.jpg", "__MACOSX/daisy"):
        (flowers / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(flowers / name / "b.jpg")
    assert [s.key for s in class_folder(flowers)] == [
        "daisy/a.jpg", "dandelion/a.jpg", "water_lily/a.jpg",
    ]  # fmt: skip


def test_pictures_are_read_as_everywhere(flowers):
    """16 bits become 8, and a photo stands as its EXIF says."""
    ramp = np.linspace(0, 65535, 16).astype(np.uint16).reshape(4, 4)
    Image.fromarray(ramp).save(flowers / "daisy" / "b.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(flowers / "daisy" / "c.jpg", exif=exif)
    samples = class_folder(flowers)
    assert [s.key for s in samples][1:3] == ["daisy/b.png", "daisy/c.jpg"]
    assert np.array_equal(np.asarray(samples.image(1))[..., 0], (ramp / 257).round())
    assert samples.image(2).size == (4, 8)


def test_pictures_of_other_formats_are_counted(flowers):
    for name in ("b.HEIC", "c.heic", "notes.txt"):
        (flowers / "daisy" / name).write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"daisy: passed over 2 files .*: 2 \.heic"):
        assert len(class_folder(flowers)) == 3
