"""Run folders that come back otherwise than they were left, from elsewhere, or twice at a time."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from systems import posix

from guidance.artefacts.manifest import read_manifest
from guidance.artefacts.run_folder import RunFolder
from guidance.clipdraw import ClipDrawOptions
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.record import anchored
from guidance.command.runner import command

SMALL = ["a fox", "--strokes", 4, "--size", 32, "--render-size", 48, "--cuts", 2, "--steps", 6,
         "--video", "gif", "--video-size", 32, "-q"]  # fmt: skip


def draw(*arguments: object) -> int:
    return command(CLIPDRAW, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def runs(tiny_clip_path, tmp_path_factory) -> Path:
    """Return a folder with a ``whole`` run and a ``part`` of the same that was interrupted.

    Both were started in it and begin with a picture that lies in it.
    """
    from PIL import Image

    from guidance.command import run as runner

    root = tmp_path_factory.mktemp("runs")
    Image.linear_gradient("L").resize((32, 32)).save(root / "p.png")
    with pytest.MonkeyPatch.context() as place:
        place.chdir(root)
        arguments = [*SMALL, "--init", "p.png", "--clip", tiny_clip_path]
        assert draw(*arguments, "-o", "whole") == 0
        keep = runner._Run._keep

        def stop(run: runner._Run, step: object) -> None:
            keep(run, step)
            if step.index == 3:
                signal.raise_signal(signal.SIGINT)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner._Run, "_keep", stop)
            assert draw(*arguments, "-o", "part") == 130
    return root


@pytest.fixture
def part(runs, tmp_path) -> Path:
    """Return a copy of the interrupted run, elsewhere."""
    return shutil.copytree(runs / "part", tmp_path / "part", symlinks=True)


def assert_whole(folder: Path, runs: Path, but: tuple[str, ...] = ()) -> None:
    assert {p.name for p in folder.iterdir()} == {p.name for p in (runs / "whole").iterdir()}
    for name in ("image.png", "drawing.svg", "progress.gif", "steps.csv"):
        if name not in but:
            assert (folder / name).read_bytes() == (runs / "whole" / name).read_bytes(), name


def test_from_any_folder(part, runs, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert draw("--resume", "../part") == 0
    assert_whole(part, runs)
    assert Path.cwd() == tmp_path / "elsewhere"
    assert list(Path.cwd().iterdir()) == []
    kept, first = read_manifest(part), read_manifest(runs / "part")
    assert kept["options"] == first["options"]
    assert kept["created"] == first["created"]
    assert kept["started_in"] == first["started_in"] == str(runs)


def test_its_manifest_names_a_run_too(part, runs):
    assert draw("--resume", part / "manifest.toml") == 0
    assert_whole(part, runs)


def test_a_manifest_of_an_older_version_starts_here(part, runs, monkeypatch, tmp_path, capsys):
    text = (part / "manifest.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("started_in")]
    (part / "manifest.toml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert draw("--resume", part) == 2
    assert "--init: the file 'p.png' does not exist" in capsys.readouterr().err
    monkeypatch.chdir(runs)
    assert draw("--from", part, "-o", tmp_path / "again", "-q") == 0
    assert draw("--resume", part) == 0
    assert_whole(part, runs)
    assert (tmp_path / "again/image.png").read_bytes() == (part / "image.png").read_bytes()


def test_from_elsewhere_finds_the_files_of_the_first_run(part, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert draw("--from", part, "-o", "again", "-q") == 0
    assert Path("again/drawing.svg").read_bytes() == (runs / "whole/drawing.svg").read_bytes()


def test_names_of_files_in_options(tmp_path, monkeypatch):
    (tmp_path / "there/sub").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    for name in ("a b.png", "w.pt", "sub/m.yaml", "both.png", "fox"):
        (tmp_path / "there" / name).write_text("")
    (tmp_path / "here/both.png").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    there = tmp_path / "there"
    options = ClipDrawOptions(
        prompt="fox | [a b.png]:0.5 | both.png | none.png ^ 0: a b.png",
        image_prompt=("a b.png:2", "both.png"),
        clip="RN50=w.pt:0.5,mini",
        init=str(there / "w.pt"),
        background="sub/m.yaml",
    )
    got = anchored(options, {"started_in": str(there)})
    assert got.prompt == f"fox | [{there}/a b.png]:0.5 | both.png | none.png ^ 0: {there}/a b.png"
    assert got.image_prompt == (f"{there}/a b.png:2", "both.png")
    assert got.clip == f"RN50={there}/w.pt:0.5,mini"
    assert got.background == f"{there}/sub/m.yaml"
    assert got.init == options.init
    assert anchored(options, {"started_in": 3}) == anchored(options, {}) == options


def test_seconds_are_of_all_parts(part):
    path = part / "manifest.toml"
    text = path.read_text()
    seconds = next(line for line in text.splitlines() if line.startswith("seconds"))
    path.write_text(text.replace(seconds, "seconds = 1000.5"))
    assert draw("--resume", part) == 0
    assert 1000.5 < read_manifest(part)["result"]["seconds"] < 1100
    assert draw("--resume", part) == 0  # once more, with nothing left to do
    result = read_manifest(part)["result"]
    assert 1000.5 < result["seconds"] < 1100
    assert (result["status"], result["steps"]) == ("finished", 6)


def test_two_runs_into_one_folder(part, runs, tiny_clip_path, tmp_path, capsys):
    """The second is refused before it loads anything, and touches nothing."""
    running = RunFolder(part)
    running.claim(resume=True)
    before = {p.name: p.read_bytes() for p in part.iterdir() if p.is_file()}
    for arguments in (["--resume", part], ["a boat", "--clip", tiny_clip_path, "-o", part]):
        assert draw(*arguments) == 2
        err = capsys.readouterr().err
        assert f"another run (process {os.getpid()}) is at work in {part}" in err
        assert err.count("\n") == 1
    assert {p.name: p.read_bytes() for p in part.iterdir() if p.is_file()} == before
    running.release()
    assert draw("--resume", part) == 0
    assert_whole(part, runs)


def test_what_a_killed_run_left_half_written_goes(part, runs):
    (part / ".tmp-0123456789ab.png").write_text("half")
    (part / ".frames/.tmp-0123456789ab.jpg").write_text("half")
    (part / ".tmp-ba9876543210").mkdir()
    (part / ".tmp-ba9876543210/000000.jpg").write_text("a frame of a video that is made")
    (part / ".lock").write_text("1")
    assert draw("--resume", part) == 0
    assert_whole(part, runs)


SAVED_AGAIN = {
    "with a mark": lambda b: b"\xef\xbb\xbf" + b,
    "line ends of Windows": lambda b: b.replace(b"\n", b"\r\n"),
    "line ends of old Macs": lambda b: b.replace(b"\n", b"\r"),
    "semicolons": lambda b: b.replace(b",", b";"),
    "semicolons and commas": lambda b: b.replace(b",", b";").replace(b".", b","),
    "tabs": lambda b: b.replace(b",", b"\t"),
    "quotes": lambda b: (
        b"\n".join(
            b",".join(b'"' + cell + b'"' for cell in row.split(b",")) for row in b.splitlines()
        )
        + b"\n"
    ),
    "whole numbers with a point": lambda b: b.replace(b"\n1,", b"\n1.0,"),
    "an empty column": lambda b: b.replace(b"\n", b",\n"),
    "rows in another order": lambda b: b"\n".join([b.splitlines()[0], *b.splitlines()[:0:-1], b""]),
}


@pytest.mark.parametrize("how", SAVED_AGAIN)
def test_steps_saved_by_a_spreadsheet(how, part, runs):
    path = part / "steps.csv"
    path.write_bytes(SAVED_AGAIN[how](path.read_bytes()))
    folder = RunFolder(part)
    folder.rows.load(4)
    folder.rows.save()
    whole = (runs / "whole/steps.csv").read_text().splitlines()
    assert path.read_text().splitlines() == whole[:5]


DAMAGED = {
    "cut in a row": lambda b: b[:-9],
    "no header": lambda b: b.partition(b"\n")[2],
    "empty": lambda b: b"",
    "binary": lambda b: bytes(range(256)) * 9,
    "zeros": lambda b: b"\0" * 5000,
    "UTF-16": lambda b: b.decode().encode("utf-16"),
    "a quote without end": lambda b: b'"' + b,
    "text": lambda b: b.replace(b".", b"x"),
    "infinite steps": lambda b: b.replace(b"\n1,", b"\ninf,"),
    "one line": lambda b: b"step," * 100_000,
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_steps_are_told_and_no_more(how, part):
    path = part / "steps.csv"
    path.write_bytes(DAMAGED[how](path.read_bytes()))
    folder = RunFolder(part)
    with pytest.warns(UserWarning, match=r"steps\.csv is damaged: of 4 steps [1-4] are lost"):
        folder.rows.load(4)
    folder.rows.save()


@posix
def test_steps_that_are_no_file(part, runs, capsys):
    (part / "steps.csv").unlink()
    os.mkfifo(part / "steps.csv")
    assert draw("--resume", part) == 0
    assert "steps.csv is damaged" in capsys.readouterr().err
    assert_whole(part, runs, but=("steps.csv",))
    rows = (part / "steps.csv").read_text().splitlines()
    assert rows[1:] == (runs / "whole/steps.csv").read_text().splitlines()[5:]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_frames_elsewhere_are_left_alone(kind, part, tmp_path, capsys):
    """A link as ``.frames`` leads a run neither to delete nor to write in another folder."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("000000.jpg", "000005.jpg", ".tmp-0123456789ab.jpg"):
        (mine / name).write_text(name)
    shutil.rmtree(part / ".frames")
    if kind == "link":
        (part / ".frames").symlink_to(mine)
    else:
        (part / ".frames").write_text("mine")
    assert draw("--resume", part) == 2
    err = capsys.readouterr().err
    assert ".frames is not a folder of this run" in err
    assert err.count("\n") == 1
    assert {p.name: p.read_text() for p in mine.iterdir()} == {
        p.name: p.name for p in mine.iterdir()
    }
    assert len(list(mine.iterdir())) == 3


def test_links_inside_a_run(part, runs, tmp_path):
    """Files that are links are read, and replaced rather than written through."""
    mine = tmp_path / "mine"
    mine.mkdir()
    before = {}
    for name in ("checkpoint.safetensors", "steps.csv", "manifest.toml", "image.png"):
        before[name] = (part / name).read_bytes()
        shutil.move(part / name, mine / name)
        (part / name).symlink_to(mine / name)
    (mine / "picture.jpg").write_text("mine")
    (part / ".frames/000005.jpg").symlink_to(mine / "picture.jpg")
    (part / ".tmp-0123456789ab").symlink_to(mine)
    (tmp_path / "link").symlink_to(part)
    assert draw("--resume", tmp_path / "link") == 0
    assert_whole(part, runs)
    assert {name: (mine / name).read_bytes() for name in before} == before
    assert (mine / "picture.jpg").read_text() == "mine"


def test_a_frame_that_cannot_be_read_is_left_out(part, runs, capsys):
    (part / ".frames/000001.jpg").write_text("no picture")
    assert draw("--resume", part) == 0
    assert "left out of the video" in capsys.readouterr().err
    assert_whole(part, runs, but=("progress.gif",))


@pytest.mark.parametrize("name", ["steps.csv", "image.png", "checkpoint.safetensors"])
def test_a_folder_in_the_place_of_a_file(name, part, capsys):
    (part / name).unlink()
    (part / name).mkdir()
    assert draw("--resume", part) == 2
    assert f"{name} is a folder" in capsys.readouterr().err


def test_a_name_that_is_not_text(tiny_clip_path, tmp_path, capsys):
    name = os.fsdecode(b"a\xffb")
    assert draw(*SMALL, "--clip", tiny_clip_path, "-o", tmp_path / name) == 2
    err = capsys.readouterr().err
    assert "is not UTF-8 text" in err
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())
