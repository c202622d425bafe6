"""``python -m guidance.evaluate diffusion``: kinds, places by hand, and bad input."""

import json
import shlex
from pathlib import Path

import pytest
import tiny_diffusion
import torch
from pages import commands
from PIL import Image
from tiny_clip import build_tiny

from guidance.command.cli import main
from guidance.evaluate import judges
from guidance.evaluate.diffusion import judged, run, sample, summary
from guidance.evaluate.diffusion_options import KINDS, DiffusionEvaluation
from guidance.evaluate.probe_prompts import PROMPTS


def evaluate(*arguments) -> int:
    prog = "evaluate"
    return main(DiffusionEvaluation, run, prog=prog, argv=[str(a) for a in arguments])


def test_command_of_the_pages(tmp_path, monkeypatch, tiny_clip_path, capsys):
    (command,) = commands("guidance.evaluate diffusion")
    monkeypatch.chdir(tmp_path)
    model, judge = tiny_diffusion.save(tmp_path / "sd"), build_tiny(tmp_path / "judge", seed=1)
    small = ["--model", model, "--clip", tiny_clip_path, "--judge", judge, "--prompts", 2,
             "-n", 2, "--steps", 2, "--json", "f.json", "-q"]  # fmt: skip
    assert evaluate(*shlex.split(command), *small) == 0
    figures = json.loads(Path("f.json").read_text())["guidance"]
    assert list(figures) == list(KINDS)
    assert all(set(f) == {"CLIP score", "judge, nats", "first of 2", "top-5 of 2"}
               for f in figures.values())  # fmt: skip
    with Image.open("best.png") as sheet:
        assert 2 * 192 < sheet.width < 3 * 192  # a row for each kind
        assert sheet.height > 4 * 192
    assert "a flamingo" in capsys.readouterr().out


def test_kinds_differ_in_guidance_alone(tmp_path, tiny_clip_path):
    model = tiny_diffusion.save(tmp_path / "sd")
    options = DiffusionEvaluation(
        model=str(model), clip=str(tiny_clip_path), number=1, steps=2, device="cpu"
    )
    made = {kind: sample("a fox", kind, options) for kind in KINDS}
    again = sample("a fox", "none", options)
    assert torch.equal(made["none"], again)
    pictures = list(made.values())
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert (one - other).abs().max() > 1e-4


class Brightness(judges.Classifier):
    """A judge for which class k is the likelier, the brighter the picture and the larger k."""

    def __init__(self):
        pass

    def __call__(self, images):
        level = images.mean((1, 2, 3))[:, None] * torch.linspace(-10, 10, 1000)
        return level.log_softmax(-1)


def test_places_by_hand():
    prompts = list(PROMPTS)[:20]
    classes = sorted(PROMPTS[p] for p in prompts)
    own = prompts.index("a volcano")  # class 980, of which only 985 is larger
    images = torch.tensor([0.1, 0.9]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    found = judged(images, [0.3, 0.2], Brightness(), prompts, own)
    assert found.scores == (0.3, 0.2)
    assert found.place == 1 + sum(c > 980 for c in classes)
    assert found.place_of_all == 1000 - 980
    assert found.said[1] > found.said[0]
    assert found.best.getpixel((0, 0)) == (26, 26, 26), "the one of the highest score"
    row = summary([found])
    assert row["CLIP score"] == pytest.approx(0.25)
    assert row["judge, nats"] == pytest.approx(sum(found.said) / 2)
    assert (row["first of 1"], row["top-5 of 1"], row["top-5 of 1000"]) == (0, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kinds", "classifier"], "did you mean classifier-free"),
        (["--judge", "efficientnet-lite9"], "efficientnet-lite"),
        (["--judge", "mini"], "judge"),
        (["--prompts", "41"], "prompts must be"),
        (["--number", "0"], "number must be"),
        (["--steps", "0"], "steps must be"),
        (["--model", "missing.pt"], "missing.pt"),
        (["--json", "no/f.json"], "the folder no does not exist"),
    ],
)
def test_bad_input(arguments, said, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)  # the judge is installed
    assert evaluate(*arguments) == 2
    assert said in capsys.readouterr().err
