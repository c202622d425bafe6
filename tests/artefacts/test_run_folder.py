"""Run folders, videos, manifests and contact sheets."""

from __future__ import annotations

import csv

import imageio
import numpy as np
import pytest
import torch
from PIL import Image

from guidance.artefacts.frames import Frames, save_video
from guidance.artefacts.manifest import read_manifest
from guidance.artefacts.run_folder import RunFolder
from guidance.artefacts.sheet import contact_sheet
from guidance.errors import FileError, InputError
from guidance.step.loop import Step


def step(index: int, **terms: float) -> Step:
    return Step(index, 10, torch.zeros(1, 3, 8, 8), 0.5, 0.25, terms, False, None)


def test_png_is_what_was_given_and_says_how_it_was_made(tmp_path):
    image = torch.rand(1, 3, 12, 16)
    path = RunFolder(tmp_path / "r").save_image(image, "image.png", {"prompt": "狐 🦊"})
    with Image.open(path) as saved:
        assert saved.size == (16, 12)
        assert saved.text["prompt"] == "狐 🦊"
        array = torch.from_numpy(np.array(saved)).permute(2, 0, 1) / 255
    assert (array - image[0]).abs().max() <= 0.5 / 255 + 1e-6


def test_new_never_reuses_a_folder(tmp_path):
    names = [RunFolder.new(tmp_path, "fox").path.name for _ in range(3)]
    assert names == ["fox", "fox-2", "fox-3"]


def test_discard_removes_what_it_made_and_nothing_else(tmp_path):
    (tmp_path / "mine").mkdir()
    RunFolder.new(tmp_path / "mine" / "a" / "b", "fox").discard()
    assert (tmp_path / "mine").exists()
    assert not (tmp_path / "mine" / "a").exists()
    kept = RunFolder(tmp_path / "kept")
    kept.save_extras({"note.txt": "hello"})
    kept.discard()
    assert (tmp_path / "kept" / "note.txt").read_text() == "hello"


def test_steps_continue_where_the_checkpoint_was(tmp_path):
    first = RunFolder(tmp_path)
    for index in range(6):
        first.rows.add(step(index, prompts=0.5))
        first.frames.add(torch.zeros(1, 3, 8, 8), index)
    first.rows.save()
    second = RunFolder(tmp_path)
    second.rows.load(4)
    second.frames.cut(4)
    second.rows.add(step(4, prompts=0.5))
    second.rows.save()
    with (tmp_path / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[0]["loss_prompts"] == "0.5"
    assert len(list((tmp_path / ".frames").iterdir())) == 4


# imageio's reader leaves a pipe of its ffmpeg process to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_video_plays_all_frames(kind, tmp_path):
    made = Frames(tmp_path / ".frames")
    for index in range(7):
        made.add(torch.full((1, 3, 33, 48), index / 7), index)
    path = tmp_path / f"progress.{kind}"
    made.save(path, fps=10)
    made.remove()
    with imageio.get_reader(path) as reader:
        frames = [np.asarray(frame)[..., :3] for frame in reader]
    assert len(frames) == 7
    assert frames[0].shape == (32, 48, 3)
    assert frames[0].mean() < 10
    assert abs(frames[6].mean() - 6 / 7 * 255) < 12
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_video_failure_leaves_no_file(tmp_path):
    broken = tmp_path / "000000.jpg"
    broken.write_bytes(b"not a picture")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(OSError, match="cannot"):
        save_video(tmp_path / "progress.mp4", [broken], 10)
    assert {p.name for p in tmp_path.iterdir()} == {"000000.jpg"}


def test_manifest_round_trip(tmp_path):
    folder = RunFolder(tmp_path)
    folder.save_manifest({"options": {"a": (1, 2), "b": None, "c": "x"}})
    assert read_manifest(tmp_path) == {"options": {"a": [1, 2], "c": "x"}}
    with pytest.raises(FileError, match="cannot read the manifest"):
        read_manifest(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(FileError, match="is not a manifest"):
        read_manifest(tmp_path / "bad.toml")


def test_contact_sheet_places_every_image():
    colours = ["red", "lime", "blue", "yellow", "cyan"]
    images = [Image.new("RGB", (60, 30), c) for c in colours]
    sheet = contact_sheet(images, [f"a rather long label {c}" for c in colours], tile=50, columns=2)
    found = {sheet.getpixel((x, y)) for x in range(sheet.width) for y in range(sheet.height)}
    wanted = {Image.new("RGB", (1, 1), c).getpixel((0, 0)) for c in colours}
    assert wanted <= found
    with pytest.raises(InputError, match="a label for each"):
        contact_sheet(images, ["one"])


def test_a_sheet_shows_all_pictures(tmp_path):
    path = RunFolder(tmp_path).save_sheet(torch.rand(3, 3, 40, 20), ["a", "b", "c"])
    with Image.open(path) as sheet:
        assert sheet.width > 2 * 96
        assert sheet.height > 2 * 96
