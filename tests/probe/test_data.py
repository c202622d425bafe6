"""Class folders → parts that share no picture, the same every time; draws of a few."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from guidance.errors import FileError, InputError
from guidance.probe.data import draw, read

SHARES = {"val_share": 0.2, "test_share": 0.3, "seed": 0}


def touch(folder: Path, counts: dict[str, int], suffix: str = ".png") -> Path:
    """Make class folders with that many files; they are not decoded here."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i:03}{suffix}").touch()
    return folder


def test_every_class_is_divided_by_the_shares(tmp_path):
    found = read(str(touch(tmp_path, {"red_fox": 20, "cat": 10, "owl": 3})), **SHARES)
    assert found.names == ("cat", "owl", "red fox")
    assert len(found.files) == len(set(found.files)) == 33
    counts = Counter(zip(found.labels, found.parts, strict=True))
    assert counts == {
        (0, "train"): 5, (0, "val"): 2, (0, "test"): 3,
        (1, "train"): 1, (1, "val"): 1, (1, "test"): 1,
        (2, "train"): 10, (2, "val"): 4, (2, "test"): 6,
    }  # fmt: skip
    for path, label in zip(found.files, found.labels, strict=True):
        assert path.parent.name.replace("_", " ") == found.names[label]


def test_the_parts_depend_on_the_seed_alone(tmp_path):
    folder = str(touch(tmp_path, {"a": 12, "b": 12}))
    assert read(folder, **SHARES) == read(folder, **SHARES)
    assert read(folder, **SHARES) != read(folder, **{**SHARES, "seed": 1})


def test_a_class_more_does_not_move_the_pictures_of_others(tmp_path):
    one = read(str(touch(tmp_path / "x", {"a": 9, "b": 9})), **SHARES)
    more = read(str(touch(tmp_path / "y", {"a": 9, "b": 9, "c": 9})), **SHARES)

    def parts(found) -> set[tuple[str, str, str]]:
        rows = zip(found.files, found.parts, strict=True)
        return {(f.parent.name, f.name, p) for f, p in rows}

    assert parts(one) < parts(more)


def test_parts_on_disk_are_kept(tmp_path):
    touch(tmp_path / "train", {"a": 4, "b": 4})
    touch(tmp_path / "valid", {"a": 2, "b": 1})
    touch(tmp_path / "test", {"b": 3})
    found = read(str(tmp_path), **SHARES)
    for path, part in zip(found.files, found.parts, strict=True):
        assert path.parts[-3] == {"val": "valid"}.get(part, part)
    assert Counter(found.parts) == {"train": 8, "val": 3, "test": 3}


@pytest.mark.parametrize("given", ["test", "val"])
def test_a_missing_part_is_drawn_from_those_to_learn_from(tmp_path, given):
    touch(tmp_path / "train", {"a": 10, "b": 10})
    touch(tmp_path / given, {"a": 2, "b": 2})
    found = read(str(tmp_path), **SHARES)
    drawn = {"test": "val", "val": "test"}[given]
    for path, part in zip(found.files, found.parts, strict=True):
        assert (path.parts[-3] == given) == (part == given)
    assert Counter(found.parts)[drawn] == {"val": 4, "test": 6}[drawn]


def test_captions_of_roboflow_are_kept_in_the_order_of_the_names(tmp_path):
    touch(tmp_path / "train", {"daisy": 4, "dandelion": 4})
    (tmp_path / "_tokenization.txt").write_text("a picture of a daisy\na yellow weed\n")
    assert read(str(tmp_path), **SHARES).captions == ("a picture of a daisy", "a yellow weed")
    touch(tmp_path / "none", {"x": 3, "y": 3})
    assert read(str(tmp_path / "none" / ".." / "train"), **SHARES).names == ("daisy", "dandelion")


def test_what_cannot_be_divided_is_refused(tmp_path):
    with pytest.raises(InputError, match="is none"):
        read(str(tmp_path / "missing"), **SHARES)
    with pytest.raises(InputError, match="two classes"):
        read(str(touch(tmp_path / "one", {"a": 9})), **SHARES)
    with pytest.raises(InputError, match=r"'b' has 2 pictures.*needs 3"):
        read(str(touch(tmp_path / "few", {"a": 9, "b": 2})), **SHARES)
    touch(tmp_path / "t" / "test", {"a": 1})
    with pytest.raises(InputError, match="no folder train"):
        read(str(tmp_path / "t"), **SHARES)
    touch(tmp_path / "t" / "train", {"a": 4, "dog": 4})
    touch(tmp_path / "t" / "val", {"dgo": 1})
    with pytest.raises(InputError, match=r"dgo.*did you mean dog"):
        read(str(tmp_path / "t"), **SHARES)


def test_unreadable_pictures_are_left_out_until_a_class_is_empty(tmp_path):
    found = read(str(touch(tmp_path, {"a": 3, "b": 8})), **SHARES)
    rows = [i for i, f in enumerate(found.files) if f.name != "007.png"]
    assert len(found.keep(rows).files) == 10
    learn = [i for i, p in enumerate(found.parts) if not (p == "train" and found.labels[i] == 0)]
    with pytest.raises(FileError, match="'a'"):
        found.keep(learn)
    with pytest.raises(FileError, match="part test"):
        found.keep([i for i, p in enumerate(found.parts) if p != "test"])


def test_fewer_shots_are_among_more_and_every_class_has_its_share():
    labels = torch.tensor([0] * 10 + [1] * 10 + [2] * 3)
    rows = torch.arange(23)[torch.arange(23) != 4]
    before: set[int] = set()
    for shots in (1, 2, 4, 8):
        found = draw(labels, rows, shots, torch.Generator().manual_seed(5)).tolist()
        assert len(found) == len(set(found))
        assert before < set(found) <= set(rows.tolist())
        counts = Counter(labels[found].tolist())
        assert counts == {0: shots, 1: shots, 2: min(shots, 3)}
        before = set(found)
    assert set(draw(labels, rows, 1, torch.Generator().manual_seed(6)).tolist()) != {
        *draw(labels, rows, 1, torch.Generator().manual_seed(5)).tolist()
    }
