"""``python -m guidance.evaluate clip``: the pages' commands on small data, and bad input."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from emoji import COLOURS, SHAPES, emoji
from pages import commands
from PIL import Image
from tars import write_tar
from tiny_clip import build_tiny

from guidance.command.cli import main
from guidance.evaluate import judges, probe
from guidance.evaluate.clip import run
from guidance.evaluate.clip_options import ClipEvaluation
from guidance.evaluate.embed import on_white
from guidance.evaluate.probe_prompts import PROMPTS

COMMANDS = commands("guidance.evaluate clip")


def evaluate(*arguments) -> int:
    return main(ClipEvaluation, run, prog="evaluate", argv=[str(a) for a in arguments])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with ``flowers/`` (by colour) and ``photos/`` (with captions)."""
    pytest.importorskip("resvg_py")
    monkeypatch.chdir(tmp_path)
    lines = []
    for colour in list(COLOURS)[:3]:
        for i, shape in enumerate(list(SHAPES)[:4]):
            picture = on_white(emoji(f"{colour} {shape}", i, outlined=False))
            for path in (f"flowers/{colour}/{i}.png", f"photos/{colour}-{i}.png"):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
            lines.append(f"{colour}-{i}.png,a {colour} {shape}\n")
    Path("photos/captions.csv").write_text("image,caption\n" + "".join(lines))
    return tmp_path


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--probe" not in c])
def test_commands_of_the_pages(place, command, tiny_clip_path, capsys):
    assert evaluate(*shlex.split(command), "--clip", tiny_clip_path) == 0
    said = capsys.readouterr().out
    if "--classes" in command:
        for template in ("{}", "{} flower", "picture of a {} flower", "ensemble of 3"):
            assert re.search(rf"^{re.escape(template)} +\d+\.\d\d", said, re.M)
    else:
        figures = json.loads((place / "figures.json").read_text())
        assert figures["retrieval"]["photos"]["pictures"] == 12
        assert 0 <= figures["retrieval"]["photos"]["text to image R@1"] <= 100


def test_mini_tells_colours(place):
    assert evaluate("--classes", "flowers", "-t", "a {} drawing", "--json", "f.json") == 0
    figures = json.loads(Path("f.json").read_text())["zero-shot"]["flowers"]["a {} drawing"]
    assert figures["top-1"] > 45  # chance 33
    assert 0 <= figures["ECE"] <= 100


def test_probe_draws_and_judges(place, tiny_clip_path, capsys):
    (command,) = [c for c in COMMANDS if "--probe" in c]
    judge = build_tiny(place / "judge", seed=1)
    small = ["--clip", tiny_clip_path, "--judge", judge, "--prompts", 2, "--steps", 1, "--cuts", 2]
    assert evaluate(*shlex.split(command), *small, "--json", "f.json", "-q") == 0
    found = json.loads(Path("f.json").read_text())["probe"]
    assert set(found["drawings"]) == {"a goldfish", "a flamingo"}
    assert set(found["figures"]) == {"first of 2", "top-5 of 2", "mean margin"}
    assert Path("drawings.png").stat().st_size > 1000
    assert "a goldfish" in capsys.readouterr().out


def test_probe_of_several_tries_has_as_many_steps_in_all(place, tiny_clip_path):
    judge = build_tiny(place / "judge", seed=1)
    small = ["--clip", tiny_clip_path, "--judge", judge, "--prompts", 1, "--cuts", 2, "-q"]
    tried = ["--steps", 6, "--tries", 2, "--try-steps", 2]
    assert evaluate("--probe", *small, *tried, "--json", "f.json") == 0
    found = json.loads(Path("f.json").read_text())["probe"]
    assert (found["all steps"], found["steps"], found["tries"], found["try_steps"]) == (6, 4, 2, 2)
    assert found["seconds"] > 0
    assert set(found["drawings"]) == {"a goldfish"}


def test_places_and_margins_by_hand():
    """A judge that sees brightness: class k is the brighter the more."""

    class Judge(judges.Classifier):
        def __init__(self):
            pass

        def __call__(self, images):
            level = images.mean() * torch.linspace(-1, 1, 1000)
            return level.log_softmax(-1)[None]

    bright = lambda prompt: (torch.full((1, 3, 8, 8), 0.5), 0.25)  # noqa: E731
    first, second = probe.probe(Judge(), {"dim": 0, "light": 998}, bright)
    assert (first.place, first.place_of_all, first.said) == (2, 1000, "light")
    assert (second.place, second.place_of_all, second.score) == (1, 2, 0.25)
    assert first.margin == pytest.approx(-second.margin)
    assert probe.summary([first, second]) == {
        "first of 2": 50, "top-5 of 2": 100, "top-1 of 1000": 0, "top-5 of 1000": 50,
        "mean margin": pytest.approx(0, abs=1e-6),
    }  # fmt: skip


def test_probe_names_distinct_classes():
    assert len(PROMPTS) == len(set(PROMPTS.values())) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure"),
        (["--classes", "nowhere"], "nothing matches"),
        (["--pairs", "nowhere"], "nothing matches"),
        (["--classes", "flowers", "-t", "flower"], "must hold {} once"),
        (["--probe", "--judge", "efficientnet-lite9"], "unknown judge 'efficientnet-lite9'"),
        (["--probe", "--judge", "mini"], "judge"),
        (["--probe", "--tries", "0"], "tries must be at least 1 and at most 1024 but is 0"),
        (["--probe", "--tries", "3", "--steps", "120"], "steps must be more than 120, those of 3"),
        (["--pairs", "photos", "--json", "none/f.json"], "does not exist"),
        (["--pairs", "photos", "--clip", "mini,RN50/openai"], "one model at a time"),
        (["--pairs", "photos", "--clip", "minni"], "minni"),
        (["--classes", "flowers", "--names", "none.txt"], "none.txt does not exist"),
    ],
)
def test_bad_input(place, capsys, arguments, message):
    assert evaluate(*arguments) == 2
    assert message in capsys.readouterr().err


def test_one_reader_of_pictures(place, tiny_clip_path, capsys):
    """Photos of 16 bits give the figures of the same photos in 8, and hidden files none."""
    rng = np.random.default_rng(0)
    for number in range(6):
        grey = rng.integers(0, 256, (24, 32)).astype(np.uint8)
        grey[:, : 4 * number] //= 4
        for folder, pixels in (("g8", grey), ("g16", grey.astype(np.uint16) * 257)):
            path = Path(folder, "boat" if number % 2 else "tree", f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    Path("g16/tree/._0.png").write_bytes(b"\0\5\x16\7")
    Path("g16/boat/.ipynb_checkpoints").mkdir()
    shutil.copy("g16/tree/0.png", "g16/boat/.ipynb_checkpoints/0.png")
    given = ("-t", "a photo of a {}.", "--clip", tiny_clip_path, "--json", "f.json")
    assert evaluate("--classes", "g8", "--classes", "g16", *given) == 0
    figures = json.loads(Path("f.json").read_text())["zero-shot"]
    assert figures["g16"] == figures["g8"]


def test_odd_shards_end_in_one_line(place, capsys):
    write_tar(Path("a.tar"), {"0.png": b"x", "0.json": '{"caption": null}'})
    assert evaluate("--pairs", "a.tar") == 2
    err = capsys.readouterr().err
    assert err == (
        "evaluate: error: data: a.tar holds no captioned pictures; 0.json has no caption\n"
    )


def test_labels_are_no_captions(place, capsys):
    write_tar(Path("a.tar"), {"0.png": b"x", "0.json": '{"label": "fox"}'})
    assert evaluate("--pairs", "a.tar") == 2
    assert capsys.readouterr().err == "evaluate: error: data: no picture of a.tar has a caption\n"
