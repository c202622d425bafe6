"""A technique of another package: announced, listed, run with all shared options, resumed."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from PIL import Image
from plugins import DOTS, install
from runs import ROOT

import guidance
from guidance.__main__ import main
from guidance.artefacts.manifest import read_manifest
from guidance.command import plugins
from guidance.command.options import GuidedOptions
from guidance.command.technique import Technique
from guidance.errors import InputError, PluginError
from guidance.images import to_pil

SMALL = ["--cuts", 2, "--steps", 6, "--video", "gif", "--video-size", 32, "-q"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return the folder of an installed package that announces `dots`."""
    folder = install(tmp_path / "site", "guidance-dots", {"dots": "dots:DOTS"}, dots=DOTS)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("dots", "other", "broken"):
        sys.modules.pop(name, None)


def run(*arguments):
    return main(["dots", *map(str, arguments)])


def test_it_is_listed_without_being_imported(site, capsys):
    (site / "dots.py").write_text("raise SystemExit('imported')")
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^  python -m guidance dots +Coloured squares \(guidance-dots 0.5\)$",
                     listed, re.MULTILINE)  # fmt: skip
    assert listed.index("guidance.vqgan") < listed.index("guidance dots")


def test_a_package_that_says_nothing_of_itself(site, capsys):
    metadata_file = next(site.glob("*/METADATA"))
    text = metadata_file.read_text().replace("Summary: Coloured squares\n", "")
    metadata_file.write_text(text)
    assert main([]) == 0
    assert "guidance dots         a technique (guidance-dots 0.5)" in capsys.readouterr().out


def test_help_has_its_own_and_all_shared_options(site, capsys):
    assert run("--help") == 0
    told = capsys.readouterr().out
    shared = "negative steps cuts clip output video story text-off save-every cuts-per-batch"
    for name in ("grid", "lr", *shared.split()):
        assert f"--{name}" in told
    assert "Colour a grid of squares." in told


def test_from_help_to_resume(site, tmp_path, tiny_clip_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["a fox at sunrise", *SMALL, "--grid", 5, "--size-of", 3]
    assert run(*asked) == 2
    assert "unknown option '--size-of'" in capsys.readouterr().err
    asked = [*asked[:-2], "--clip", tiny_clip_path]
    assert run(*asked) == 0
    whole = Path("outputs/dots-a-fox-at-sunrise-0")
    names = ("dots.txt", "image.png", "progress.gif", "steps.csv")
    assert {p.name for p in whole.iterdir()} >= {*names, "checkpoint.safetensors", "manifest.toml"}
    table = read_manifest(whole)
    assert table["technique"] == "dots"
    assert table["options"]["grid"] == 5
    assert table["versions"]["guidance-dots"] == "0.5"
    with Image.open(whole / "image.png") as picture:
        assert picture.size == (40, 40)
        assert '"technique": "dots"' in picture.text["guidance"]

    monkeypatch.setenv("DOTS_STOP", "3")
    assert run(*asked, "-o", "part") == 130
    assert read_manifest("part")["result"]["status"] == "interrupted"
    monkeypatch.delenv("DOTS_STOP")
    assert run("--resume", "part") == 0
    for name in names:
        assert (whole / name).read_bytes() == Path("part", name).read_bytes(), name

    assert run("--from", "part", "--grid", 3, "-o", "again", "-q") == 0
    assert read_manifest("again")["options"]["grid"] == 3
    assert Path("again/dots.txt").read_text() == "3"
    assert run("--from", "part", "--resume", "part") == 2
    assert main(["pixels", "--from", "part"]) == 2
    assert "is not the manifest of a pixels run" in capsys.readouterr().err


def test_its_options_are_checked(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments, told in (
        (["a fox", "--grid", 100], "grid must be at least 1 and at most 64 but is 100"),
        (["a fox", "--gird", 4], "--grid"),
        (["a fox", "--cuts", 0], "cuts"),
        ([], "PROMPT is missing"),
    ):
        assert run(*arguments) == 2
        said = capsys.readouterr().err
        assert told in said
        assert said.count("\n") == 1
    assert not Path("outputs").exists()


def test_a_notebook_makes_the_picture_of_the_command(site, tmp_path, tiny_clip_path):
    arguments = ["a fox at sunrise", *SMALL, "--clip", tiny_clip_path, "--device", "cpu"]
    assert run(*arguments, "-o", tmp_path / "run") == 0
    import dots

    objective = guidance.guide(
        "a fox at sunrise", 6, clip=str(tiny_clip_path), device="cpu",
        cutouts=guidance.CutoutOptions(cuts=2),
    )  # fmt: skip
    *_, last = guidance.run(dots.Dots(4, 0.05), objective, 6)
    with Image.open(tmp_path / "run/image.png") as saved:
        made = last.generator.render(32, 32)
        assert to_pil(made).tobytes() == saved.convert("RGB").tobytes()
    assert not torch.equal(made, torch.full_like(made, 0.5))


def test_both_ways_to_call_it(site, tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    for call, shown in (
        (["-m", "guidance"], "python -m guidance dots"),
        (["-c", "import sys; sys.argv[0] = 'clip-guidance'; from guidance.__main__ import main;"
                "sys.exit(main())"], "clip-guidance dots"),
    ):  # fmt: skip
        command = [sys.executable, *call, "dots", "--help"]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert f"usage: {shown} " in done.stdout


@pytest.mark.parametrize(("name", "near"), [("dotss", "dots"), ("pixel", "pixels"), ("zzzz", "")])
def test_unknown_names(site, capsys, name, near):
    assert main([name, "a fox"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"guidance: error: unknown technique '{name}'")
    assert (f"did you mean {near}" in said) == bool(near)
    assert ", dots," in said
    assert said.count("\n") == 1
    with pytest.raises(PluginError, match="unknown technique"):
        plugins.load(name)


FAILURES = {
    "import nothing_of_this_name": "ModuleNotFoundError: No module named 'nothing_of_this_name'",
    "class": "SyntaxError: invalid syntax",
    "raise SystemExit(3)": "SystemExit: 3",
    "raise ValueError('two\\nlines')": "ValueError: two",
    "": "AttributeError: module 'broken' has no attribute 'IT'",
}


@pytest.mark.parametrize("text", FAILURES)
def test_a_package_that_cannot_be_imported_is_named(site, capsys, text):
    install(site, "broken-squares", {"squares": "broken:IT"}, broken=text)
    assert main(["squares", "a fox"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "guidance: error: the technique squares of broken-squares 0.5 cannot be imported: "
        + FAILURES[text]
    )
    assert said.count("\n") == 1
    assert run("--help") == 0  # the others can still be used


@pytest.mark.parametrize(("entries", "name", "message"), [
    ({"squares": "dots:Dots"}, "squares", "dots:Dots as the technique squares, but it is no"),
    ({"squares": "dots:DOTS"}, "squares", "announces the technique dots under another name, squ"),
    ({"dots": "dots:DOTS"}, "dots", "announced by guidance-dots 0.5 and other-dots 0.5: uninstall"),
])  # fmt: skip
def test_what_is_announced_wrongly(site, capsys, entries, name, message):
    install(site, "other-dots", entries)
    assert main([name, "a fox"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_records_that_are_none():
    class NoDataclass(GuidedOptions):
        grid: int = 4

    for name, options, message in (
        ("Dots", GuidedOptions, "all small, but is 'Dots'"),
        ("my dots", GuidedOptions, "but is 'my dots'"),
        ("../dots", GuidedOptions, "but is '../dots'"),
        ("dots", NoDataclass, "must be a frozen dataclass based on GuidedOptions but are <class"),
        ("dots", dict, "based on GuidedOptions but are <class 'dict'>"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            Technique(name, options, lambda options, device: None)


def test_ours_go_through_the_same_door(monkeypatch):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition(f'[project.entry-points."{plugins.GROUP}"]\n')[2].partition("\n\n")[0]
    own = dict(re.findall(r'^(\w+) = "(.+)"$', section, re.MULTILINE))
    assert set(own) == {"clipdraw", "dalle", "diffusion", "pixels", "vqgan"}
    for name, value in own.items():
        entry = metadata.EntryPoint(name, value, plugins.GROUP)
        monkeypatch.setattr(metadata, "entry_points", lambda entry=entry, **_: [entry])
        technique = plugins.load(name)
        assert isinstance(technique, Technique)
        assert technique.name == name
        assert technique.package == ""
