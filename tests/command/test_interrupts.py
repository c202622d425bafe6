"""Ctrl-C at any moment ends a command quietly, and a run tells what became of it."""

from __future__ import annotations

import signal

import pytest
from runs import start

from guidance.artefacts.manifest import read_manifest
from guidance.artefacts.run_folder import RunFolder
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.interrupts import Interrupts, raised
from guidance.command.runner import command

HOOK = """
import os, signal, sys
wanted = [os.environ["INTERRUPT_AT"]]

def hook(event, arguments):
    if event not in ("import", "open", "os.rename") or not wanted:
        return
    what = arguments[1] if event == "os.rename" else arguments[0]
    if f"{event} {what}".endswith(wanted[0]):
        wanted.clear()
        signal.raise_signal(signal.SIGINT)

sys.addaudithook(hook)
"""
SMALL = ["a fox", "--strokes", 4, "--size", 32, "--render-size", 48, "--cuts", 2, "--steps", 2,
         "--video", "gif", "--video-size", 32, "-q"]  # fmt: skip


@pytest.fixture
def interrupted(tmp_path):
    """Return a function that starts a command which gets Ctrl-C at an event of the interpreter."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(HOOK)

    def call(technique: str, arguments: list, at: str, **more: object) -> tuple[int, str]:
        environment = {"PYTHONPATH": str(tmp_path / "hook"), "INTERRUPT_AT": at}
        process = start(technique, arguments, more=environment, **more)
        _, err = process.communicate(timeout=120)
        return process.returncode, err

    return call


@pytest.mark.parametrize(
    ("technique", "at"),
    [
        ("clipdraw", "import torch"),
        ("clipdraw", "import torch.nn.functional"),
        ("rerank", "import guidance.rerank.options"),
        ("clipdraw", "open_clip_config.json"),  # the run's folder is made, its models are loaded
    ],
)
def test_start_up(technique, at, interrupted, tiny_clip_path, tmp_path):
    out = tmp_path / "new" / "run"
    code, err = interrupted(technique, [*SMALL, "--clip", tiny_clip_path, "-o", out], at)
    assert (code, err) == (130, f"\nguidance.{technique}: interrupted\n")
    assert not out.parent.exists(), "nothing may be left behind"


def test_start_up_of_the_console_command(interrupted, tmp_path):
    code, err = interrupted("pixels", ["a fox", "-q"], "import torch", console=tmp_path)
    assert (code, err) == (130, "\nclip-guidance: interrupted\n")


def test_finishing(tiny_clip_path, tmp_path, monkeypatch, capsys):
    """The manifest says so, and the run is finished when it is resumed."""
    arguments = [str(a) for a in (*SMALL, "--clip", tiny_clip_path, "-o")]
    out, whole = tmp_path / "run", tmp_path / "whole"
    with monkeypatch.context() as patch:
        save = RunFolder.save_image

        def interrupt(*given: object) -> object:
            signal.raise_signal(signal.SIGINT)
            return save(*given)

        patch.setattr(RunFolder, "save_image", interrupt)
        assert command(CLIPDRAW, [*arguments, str(out)]) == 130
    assert capsys.readouterr().err == "\nguidance.clipdraw: interrupted\n"
    result = read_manifest(out)["result"]
    assert (result["status"], result["steps"]) == ("interrupted", 2)
    assert not (out / "image.png").exists()
    assert command(CLIPDRAW, ["--resume", str(out), "-q"]) == 0
    assert command(CLIPDRAW, [*arguments, str(whole)]) == 0
    assert {p.name for p in out.iterdir()} == {p.name for p in whole.iterdir()}
    for name in ("image.png", "drawing.svg", "steps.csv", "progress.gif"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    finished = read_manifest(out)["result"] | {"seconds": 0}
    assert finished == read_manifest(whole)["result"] | {"seconds": 0}


def test_handlers_come_back():
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts() as interrupts:
        interrupts.leave_at_once(lambda: None)  # only for programs
        assert signal.getsignal(signal.SIGINT) is before[0]
        interrupts.stop_after_step()
        signal.raise_signal(signal.SIGINT)
        assert interrupts.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        interrupts.stop_after_step()
        interrupts.stop_now()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert interrupts.raised
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    with raised():
        assert signal.getsignal(signal.SIGINT) is before[0]


def test_an_ignored_ctrl_c_stays_ignored():
    """As of a command that a shell put into the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            interrupts.stop_after_step()
            signal.raise_signal(signal.SIGINT)
            assert not interrupts.asked
    finally:
        signal.signal(signal.SIGINT, before)
