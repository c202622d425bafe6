"""The commands of all pages that judge pictures, on small ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from pages import call, commands, pictures_to_read
from PIL import Image

from guidance.clip.scorer import ClipScorer
from guidance.score.aesthetic import AestheticHead, save_head


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, tiny_clip_path):
    """A working directory with what the commands look at."""
    monkeypatch.chdir(tmp_path)
    pictures_to_read()
    names = [f"photos/{n}.png" for n in range(6)] + ["a.png", "b.png", "c.png"]
    names += [f"flowers/{c}/{n}.png" for c in ("daisy", "tulip") for n in range(12)]
    for number, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        noise = Image.effect_noise((48, 40), 20 + 3 * number)
        Image.merge("RGB", [noise, noise.rotate(90), noise.rotate(180)]).save(name)
    weight = torch.ones(1, ClipScorer(str(tiny_clip_path)).encode_text(["a"]).shape[1])
    save_head("taste.safetensors", AestheticHead(((weight, torch.zeros(1)),)))


@pytest.mark.parametrize("technique", ["rerank", "classify", "probe", "look", "interrogate"])
def test_commands(technique, tiny_clip_path, capsys):
    program = f"guidance.{technique}"
    for command in commands(program):
        arguments = [*shlex.split(command), "--clip", tiny_clip_path, "--quiet"]
        if technique == "probe" and "--apply" not in arguments:
            arguments += ["--draws", "1", "--steps", "2"]
        assert call(program, arguments) == 0, command
        written = re.findall(r"\S+\.(?:png|csv|json|html|safetensors)$", command)
        assert capsys.readouterr().out or written, command
        for name in written:
            assert Path(name).stat().st_size > 0
