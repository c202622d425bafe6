"""Exact resume, and checkpoints that are damaged, foreign or cannot be written."""

import contextlib
import json
import os
import struct

import pytest
import torch
from pixel_generator import Pixels
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from systems import posix

from guidance.clip.scorer import ClipScorer
from guidance.errors import CheckpointError, FileError
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.prompted import PromptObjective
from guidance.objective.regularisers import Smoothness
from guidance.prompts.grammar import Prompt
from guidance.step import checkpoint
from guidance.step.loop import run


@pytest.fixture
def saved(tmp_path):
    """Return the path of a checkpoint after two steps."""
    generator = Pixels(8)
    list(run(generator, Smoothness(), steps=2))
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, generator, 2, "options-1")
    return path


@pytest.mark.parametrize("stop", [1, 4])
def test_resume_is_exact(tiny_clip, tmp_path, stop):
    path = tmp_path / "checkpoint.safetensors"

    def objective():
        cutouts = CutoutOptions(cuts=3, augment=("affine", "perspective", "noise", "erase"))
        return PromptObjective(ClipScorer([tiny_clip]), [Prompt("a fox")], cutouts, seed=3)

    whole = Pixels()
    want = list(run(whole, objective(), steps=6))
    first = Pixels()
    for step in run(first, objective(), steps=6):
        if step.index == stop - 1:
            checkpoint.save(path, first, stop, "options-1")
            break
    second = Pixels(seed=99)
    start = checkpoint.load(path, second, "options-1")
    assert start == stop
    rest = list(run(second, objective(), steps=6, start=start))
    assert [s.loss for s in rest] == [s.loss for s in want[stop:]]
    assert torch.equal(second.image(), whole.image())
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value)


def test_optimiser_state_and_groups_come_back(saved):
    generator = Pixels(8, seed=5, rate=0.5)
    assert checkpoint.load(saved, generator, "options-1") == 2
    groups = generator.optimizer.param_groups
    assert [g["name"] for g in groups] == ["pixels", "gain"]
    assert groups[1]["lr"] == 0.003
    assert generator.optimizer.state[generator.pixels]["step"] == 2
    assert generator.optimizer.state[generator.gain]["exp_avg"].shape == (3, 1, 1)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adagrad, torch.optim.AdamW])
def test_other_optimisers(tmp_path, kind):
    def make():
        generator = Pixels(8)
        options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
        generator.optimizer = kind([generator.pixels], lr=0.1, **options)
        return generator

    path = tmp_path / "c.safetensors"
    first = make()
    objective = Smoothness()
    first.step(objective)
    checkpoint.save(path, first, 1, "")
    first.step(objective)
    second = make()
    checkpoint.load(path, second, "")
    second.step(objective)
    assert torch.equal(first.pixels, second.pixels)


def test_other_options_are_refused(saved):
    with pytest.raises(CheckpointError, match="belongs to a run with other options"):
        checkpoint.load(saved, Pixels(8), "options-2")


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "none.safetensors", Pixels(8), "")


def test_a_truncated_or_overwritten_file(saved):
    whole = saved.read_bytes()
    for damaged in (b"", whole[:7], whole[:200], whole[:-1], b"\x00" * 500, b"\xff" * 500):
        saved.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            checkpoint.load(saved, Pixels(8), "options-1")


def test_a_foreign_file(tmp_path):
    path = tmp_path / "other.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"w": torch.zeros(2)}, path, metadata)
        with pytest.raises(CheckpointError, match="is not a checkpoint of a run"):
            checkpoint.load(path, Pixels(8), "")


def test_another_generator(saved):
    with pytest.raises(CheckpointError, match="does not fit its run"):
        checkpoint.load(saved, Pixels(9), "options-1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", "two"),
        ("step", None),
        ("groups", "["),
        ("plain", "{"),
        ("groups", "[]"),
        ("step", "-1"),
        ("step", "nan"),
        ("step", "1e3"),
        ("step", "\u0663"),
        ("step", "9" * 5000),
        ("groups", "[" * 100_000),
        ("plain", '{"0": 3}'),
        ("plain", '{"0": {"step": "a"}}'),
    ],
)
def test_damaged_metadata(saved, key, value):
    data = saved.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"].pop(key)
    if value is not None:
        header["__metadata__"][key] = value
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    saved.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(CheckpointError, match="does not fit its run"):
        checkpoint.load(saved, Pixels(8), "options-1")


def changed(path, name, change):
    """Change a tensor of a checkpoint."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = {k: v.clone() for k, v in load_file(path).items()}
    tensors[name] = change(tensors[name])
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.pixels", lambda x: x * torch.nan, "pixels has values that are not finite"),
        ("model.pixels", lambda x: x.double(), "pixels is torch.float64 instead of"),
        ("model.pixels", lambda x: x[..., 1:].contiguous(), r"shape \[1, 3, 8, 7\] instead of"),
        ("model.pixels", lambda x: torch.zeros(10**6), "numbers, the state"),
        ("optimizer.0.exp_avg", lambda x: x[..., 1:].contiguous(), "must match"),
        ("optimizer.0.exp_avg", lambda x: x * torch.nan, "not finite"),
        ("optimizer.0.step", lambda x: x * torch.nan, "not finite"),
    ],
)
def test_a_wrong_tensor(saved, name, change, message):
    changed(saved, name, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load(saved, Pixels(8), "options-1")
    assert "\n" not in str(caught.value)


def test_more_steps_than_the_run_has(saved):
    assert checkpoint.load(saved, Pixels(8), "options-1", 2) == 2
    with pytest.raises(CheckpointError, match="2 of 1 steps are done"):
        checkpoint.load(saved, Pixels(8), "options-1", 1)


@posix
@pytest.mark.parametrize("kind", ["folder", "pipe", "nowhere"])
def test_a_checkpoint_that_is_no_file(kind, tmp_path):
    path = tmp_path / "c"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    with pytest.raises(CheckpointError, match="is not a file"):
        checkpoint.load(path, Pixels(8), "")


def test_save_replaces_and_leaves_nothing_else(saved):
    before = saved.read_bytes()
    checkpoint.save(saved, Pixels(8, seed=1), 7, "options-1")
    assert saved.read_bytes() != before
    assert checkpoint.load(saved, Pixels(8), "options-1") == 7
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileError, match="cannot write"):
        checkpoint.save(tmp_path / "none" / "c.safetensors", Pixels(8), 0, "")


@contextlib.contextmanager
def files_of_at_most(size: int):
    """Let this process write no file beyond `size` bytes, as a full disk would."""
    resource = pytest.importorskip("resource", reason="file size limits are a Unix matter")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@posix
def test_a_full_disk_keeps_the_old_checkpoint(saved):
    before = saved.read_bytes()
    with files_of_at_most(600), pytest.raises(FileError, match="cannot write") as caught:
        checkpoint.save(saved, Pixels(8), 3, "options-1")
    assert "\n" not in str(caught.value)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_generators_without_an_optimiser(tmp_path):
    def make(seed: int) -> Pixels:
        generator = Pixels(8, seed=seed)
        del generator.optimizer
        return generator

    first, second = make(0), make(1)
    checkpoint.save(tmp_path / "c", first, 3, "same")
    assert checkpoint.load(tmp_path / "c", second, "same") == 3
    assert torch.equal(first.pixels, second.pixels)
