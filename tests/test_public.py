"""The public surface: names, README, recipes, lint, packaging."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_vqgan
import torch
from commands_told import check_out_of_reach
from PIL import Image

import guidance

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TINY = ["--steps", "2", "--strokes", "8", "--cuts", "2", "--size", "48", "--render-size", "64",
        "--video-size", "32", "--quiet"]  # fmt: skip


def test_exports_are_sorted_and_real():
    assert guidance.__all__ == sorted(guidance.__all__)
    for name in guidance.__all__:
        assert getattr(guidance, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing"):
        _ = guidance.nothing


def test_techniques_are_listed(capsys):
    from guidance.__main__ import main, techniques

    assert set(techniques()) >= {"clipdraw", "diffusion", "pixels", "vqgan", *SCORING}
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name in techniques():
        assert f"python -m guidance.{name}" in printed
        assert f"python -m guidance.{name}" in README


def test_what_is_no_technique_is_told(capsys):
    from guidance.__main__ import main

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("guidance ")
    for name, told in (
        ("train", "guidance.train.NAME: aesthetic, clip,"),
        ("clipdrw", "clipdraw?"),
    ):
        assert main([name]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert said.count("\n") == 1


def readme_commands(technique: str) -> list[str]:
    found = re.findall(rf"^    python -m guidance\.{technique} (.*)$", README, re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize("command", readme_commands("clipdraw"))
def test_readme_drawings(command, tmp_path, monkeypatch, tiny_clip_path, capsys):
    from guidance.clipdraw.technique import CLIPDRAW
    from guidance.command.runner import command as run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    arguments = shlex.split(command)
    if "--clip" in arguments:
        assert run(CLIPDRAW, [*arguments, *TINY]) == 2  # real weights: no hub here, but a clear end
        check_out_of_reach(capsys.readouterr().err, "clipdraw", command)
        return
    earlier = re.findall(r"outputs/\S+", command)
    if earlier:
        first = [
            "a fox",
            *TINY,
            "-o",
            Path(earlier[0]).parent if ".svg" in earlier[0] else earlier[0],
        ]
        assert run(CLIPDRAW, [*map(str, first), "--clip", str(tiny_clip_path)]) == 0
    if "--resume" not in arguments:
        arguments += [*TINY, "-o", "out"]
        if "recipes/change_of_mind.toml" in arguments:
            arguments += ["--steps", "201"]  # long enough for the second prompt
        if "--clip" not in arguments:
            arguments += ["--clip", str(tiny_clip_path)]
    assert run(CLIPDRAW, arguments) == 0


SMALL = ["--size", "32", "--cuts", "2", "--video-size", "32", "--quiet", "-o", "out"]


@pytest.mark.parametrize("command", readme_commands("vqgan"))
def test_readme_paintings(command, tmp_path, monkeypatch, tiny_clip_path, capsys):
    from guidance.command.runner import command as run
    from guidance.vqgan.technique import VQGAN

    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    pictures_to_read()
    tiny_vqgan.save(tmp_path / "runs/vq/vqgan")
    arguments = [*shlex.split(command), *SMALL]
    if "--clip" in arguments:  # real weights: no hub and no such file here, but a clear end
        assert run(VQGAN, arguments) == 2
        check_out_of_reach(capsys.readouterr().err, "vqgan", command)
        return
    # a story has to be longer than its fades; a film has a length of its own
    steps = {"--fade": "120", "--from": "160"}
    arguments += ["--steps", next((n for k, n in steps.items() if k in arguments), "2")]
    if "--video-in" in arguments:
        arguments += ["--frame-steps", "2"]
    assert run(VQGAN, [*arguments, "--clip", str(tiny_clip_path)]) == 0
    with Image.open("out/image.png") as image:
        assert image.size == (32, 32)
    assert Path("out/progress.mp4").stat().st_size > 0


@pytest.mark.parametrize("command", readme_commands("pixels"))
def test_readme_pixels(command, tmp_path, monkeypatch, tiny_clip_path):
    from guidance.command.runner import command as run
    from guidance.pixels.technique import PIXELS

    monkeypatch.chdir(tmp_path)
    pictures_to_read()
    small = [*SMALL, "--steps", "2", "--clip", str(tiny_clip_path)]
    assert run(PIXELS, [*shlex.split(command), *small]) == 0
    assert Path("out/image.png").exists()


@pytest.mark.parametrize("command", readme_commands("diffusion"))
def test_readme_diffusions(command, tmp_path, monkeypatch, tiny_clip_path, capsys):
    from guidance.command.runner import command as run
    from guidance.diffusion.technique import DIFFUSION

    monkeypatch.chdir(tmp_path)
    pictures_to_read()
    few = ["--steps", "2", "-n", "2", "--cuts", "2", "--video-size", "32", "--quiet", "-o", "out"]
    arguments = [*shlex.split(command), *few]
    if "--model" in arguments:  # no hub and no such file here, but a clear end
        assert run(DIFFUSION, arguments) == 2
        check_out_of_reach(capsys.readouterr().err, "diffusion", command)
        assert not Path("out").exists()
        return
    assert run(DIFFUSION, [*arguments, "--clip", str(tiny_clip_path)]) == 0
    with Image.open("out/image.png") as first, Image.open("out/image-2.png") as second:
        wide = 64 if "--outpaint" in arguments else 0
        assert first.size == second.size == (256 + 2 * wide, 256)


SCORING = ("rerank", "classify", "probe", "look", "interrogate")


def to_score(tiny_clip_path: Path) -> None:
    """Save what the README's scoring commands look at."""
    from guidance.clip.scorer import ClipScorer
    from guidance.score.aesthetic import AestheticHead, save_head

    names = [f"photos/{n}.png" for n in range(6)] + ["a.png", "b.png", "c.png"]
    names += [f"flowers/{c}/{n}.png" for c in ("daisy", "tulip") for n in range(12)]
    for number, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        noise = Image.effect_noise((48, 40), 20 + 3 * number)
        Image.merge("RGB", [noise, noise.rotate(90), noise.rotate(180)]).save(name)
    weight = torch.ones(1, ClipScorer(str(tiny_clip_path)).encode_text(["a"]).shape[1])
    save_head("taste.safetensors", AestheticHead(((weight, torch.zeros(1)),)))


@pytest.mark.parametrize("technique", SCORING)
def test_readme_scoring(technique, tmp_path, monkeypatch, tiny_clip_path, capsys):
    run = importlib.import_module(f"guidance.{technique}.__main__").main
    monkeypatch.chdir(tmp_path)
    pictures_to_read()
    to_score(tiny_clip_path)
    for command in readme_commands(technique):
        arguments = [*shlex.split(command), "--clip", str(tiny_clip_path), "--quiet"]
        if technique == "probe" and "--apply" not in arguments:
            arguments += ["--draws", "1", "--steps", "2"]
        assert run(arguments) == 0, command
        written = re.findall(r"\S+\.(?:png|csv|html|safetensors)$", command)
        assert capsys.readouterr().out or written, command
        for name in written:
            assert Path(name).stat().st_size > 0


def pictures_to_read() -> None:
    """Save a photo, a mask and a film of two frames under the README's names."""
    frames = [Image.effect_noise((40, 40), 60).convert("RGB") for _ in range(2)]
    frames[0].save("photo.jpg")
    frames[0].convert("L").save("mask.png")
    frames[0].save("film.gif", save_all=True, append_images=frames[1:], duration=100)


RECIPES = {
    "best_of_ten": ["--seeds", "3", "--keep", "2", "--steps", "1", "--strokes", "6"],
    "draw_then_paint": ["--draw-steps", "1", "--paint-steps", "1", "--strokes", "6",
                        "--size", "32"],
    "restyle": ["--steps", "1", "--size", "32"],
    "clip_or_classifier_free": ["--steps", "1", "--number", "2"],
    "build_a_scene": ["--steps", "1", "--number", "1"],
}  # fmt: skip


@pytest.mark.parametrize("command", re.findall(r"^    python recipes/(.*)$", README, re.MULTILINE))
def test_readme_recipes(command, tmp_path, monkeypatch, tiny_clip_path):
    monkeypatch.chdir(tmp_path)
    pictures_to_read()
    script, *arguments = shlex.split(command)
    options = [*RECIPES[Path(script).stem], "--clip", str(tiny_clip_path), "--output", "out"]
    done = subprocess.run(
        [sys.executable, ROOT / "recipes" / script, *arguments, *options],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sheet = Path(done.stdout.splitlines()[-1])
    with Image.open(sheet) as image:
        assert image.width >= 2 * 256
    if script.startswith("best_of_ten"):
        assert "1. seed-" in done.stdout


def test_run_folders_of_the_readme_are_made_by_its_commands():
    from guidance.prompts.grammar import parse_prompts
    from guidance.prompts.slug import run_name

    made = set()
    for technique, command in re.findall(r"^    .*python -m guidance\.(\w+) (.*)$", README, re.M):
        for folder in re.findall(r"outputs/([^/\s]+)", command):
            assert folder in made, command
        prompt = shlex.split(command)[0]
        if technique in ("clipdraw", "vqgan", "diffusion", "pixels") and prompt[0] != "-":
            texts = [p.text for p in parse_prompts(prompt, every=1)]
            made.add(run_name(technique, texts, 0))


def test_lint():
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "."],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_types():
    done = subprocess.run(
        [sys.executable, "-m", "pyrefly", "check", "--output-format", "min-text",
         "--summary=none", "--python-interpreter-path", sys.executable],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_wheel_contents_are_declared():
    tomllib = pytest.importorskip("tomllib")
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = config["tool"]["setuptools"]["package-data"]
    for package, patterns in data.items():
        folder = ROOT / package.replace(".", "/")
        assert any(any(folder.glob(pattern)) for pattern in patterns), package
    size = sum(p.stat().st_size for p in (ROOT / "guidance").rglob("*.safetensors"))
    assert 0 < size < 95e6
