"""Hostile manifests: one line each, soon, and never a traceback."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from systems import PATIENCE, posix

from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.runner import command

MANIFESTS = 120
SECONDS = 2.0 * PATIENCE  # of CPU time to refuse one
# whatever else a manifest says, a run it starts is small
SMALL = ["--steps", "1", "--strokes", "2", "--size", "16", "--render-size", "16",
         "--cuts", "1", "--video", "none", "--segments", "1", "1",
         "--change-every", "9", "--fade", "0"]  # fmt: skip
DEEP = 100_000

VALUES = [
    "-1", "0", "1", "2", "9223372036854775807", "-9223372036854775809", "1" + "0" * 400,
    "0x" + "f" * 5000, "1e308", "-1e308", "nan", "inf", "-inf", "-0.0", "true", "false", '""',
    '" "', '"a\\u0000b"', '"\\u2028"', '"../../../etc/passwd"', '"/dev/zero"', '"."',
    '"' + "x" * 9999 + '"',
    '"-"', '"--"', '"0"', '"nan"', '"1e999"', "[]", "[1]", "[1, 2]", "[2, 1, 3]",
    "[true, false]", "['a']",
    "[[]]", "[[1], ['a']]", "{}", "{a = 1}", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z",
    "[nan, nan]", "[-1, 1e400]", "[" * DEEP, "{a=" * DEEP, "[" * 90 + "]" * 90, '"a:b:c:1"',
    '"[noise -1]"', '"0: | 1:"', "'''\n\n'''", '["a", 1]',
]  # fmt: skip


@pytest.fixture(scope="module")
def base(tiny_clip_path, tmp_path_factory) -> Path:
    """Return the folder of a small run."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    arguments = ["a fox", "--clip", str(tiny_clip_path), "-q", "-o", str(folder), *SMALL]
    assert command(CLIPDRAW, arguments) == 0
    return folder


def in_options(text: str, rng: random.Random) -> str:
    """Change the value of an option, or of two."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.choice([k for k, line in enumerate(lines) if " = " in line])
        lines[place] = lines[place].partition(" = ")[0] + " = " + rng.choice(VALUES)
    return "\n".join(lines)


def at_the_top(text: str, rng: random.Random) -> str:
    """Change the sections and what stands before them."""
    line = rng.choice([
        "options = " + rng.choice(VALUES), "result = " + rng.choice(VALUES), "[options]\nx = 3",
        "started_in = " + rng.choice(VALUES), "a." * rng.choice((3, 500, 400_000)) + "b = 1",
        '"a".' * 100_000 + "b = 1", "[" + "a." * 300_000 + "b]", "[[options]]", "[result.options]",
        "technique = " + rng.choice(VALUES), "created = " + rng.choice(VALUES),
        "x = " + "9" * 100_000,
    ])  # fmt: skip
    return rng.choice((line + "\n" + text, text + "\n" + line, line))


def in_letters(text: str, rng: random.Random) -> bytes:
    """Change, cut out and repeat bytes."""
    data = bytearray(text.encode())
    for _ in range(rng.choice((1, 3, 30))):
        a = rng.randrange(len(data))
        b = min(len(data), a + rng.choice((1, 1, 20, 400)))
        kind = rng.randrange(4)
        if kind == 0:
            data[a] = rng.randrange(256)
        elif kind == 1 and b - a < len(data) - 1:
            del data[a:b]
        elif kind == 2:
            data[a:a] = data[a:b] * rng.choice((1, 50))
        else:
            data[a:a] = rng.choice((b"[", b'"""', b"\xff", b"\0", b"\r", b"=", b"\\", b"'''"))
    return bytes(data)


def as_files(text: str, rng: random.Random) -> bytes:
    """Write something else or otherwise."""
    return rng.choice((
        b"", b"\0" * 9999, text.encode("utf-16"),
        b"\xef\xbb\xbf" + text.encode(),
        bytes(range(256)), text.replace("\n", "\r\n").encode(),
        text.encode()[: rng.randrange(len(text))],
        b"#" * 2_000_000, b"\n" * 1_000_000, b"x = [" + b"1," * 400_000 + b"]",
    ))  # fmt: skip


def refused(arguments: list[str], capsys: pytest.CaptureFixture, told: str) -> int:
    """Run a command; return its exit code after checking how it ended."""
    capsys.readouterr()
    began = time.process_time()
    code = command(CLIPDRAW, arguments)
    spent = time.process_time() - began
    err = capsys.readouterr().err
    assert code in (0, 2), (told, err[:500])
    if code == 2:
        lines = [line for line in err.splitlines() if ": warning: " not in line]
        assert len(lines) == 1, (told, err[:500])
        assert len(lines[0]) < 20_000, told
        assert spent < SECONDS, (told, spent, err[:200])
    return code


def test_manifests(base, tiny_clip_path, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(20)
    text = (base / "manifest.toml").read_text()
    taken = 0
    for number in range(MANIFESTS):
        change = rng.choice((in_options, in_options, in_options, at_the_top, in_letters, as_files))
        content = change(text, rng)
        content = content.encode() if isinstance(content, str) else content
        path = tmp_path / f"m{number}.toml"
        path.write_bytes(content)
        told = f"{number} {change.__name__} {content[:300]!r}"
        arguments = ["--from", str(path), "-o", f"out{number}", "-q", *SMALL]
        code = refused(arguments, capsys, told)
        taken += code == 0
        assert code == 0 or not (tmp_path / f"out{number}").exists(), told
    assert MANIFESTS * 0.05 < taken < MANIFESTS * 0.7


def test_manifests_of_runs_to_continue(base, tmp_path, capsys):
    rng = random.Random(22)
    text = (base / "manifest.toml").read_text()
    for number in range(16):
        folder = shutil.copytree(base, tmp_path / str(number))
        content = at_the_top(text, rng)
        (folder / "manifest.toml").write_text(content)
        code = refused(["--resume", str(folder), "-q"], capsys, content[:300])
        assert code == 0 or (folder / "manifest.toml").read_text() == content
        assert {p.name for p in folder.iterdir()} == {p.name for p in base.iterdir()}


@posix
@pytest.mark.parametrize("kind", ["folder", "pipe", "zeros", "loop", "nothing", "secret"])
def test_manifests_that_are_no_files(kind, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "manifest.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "secret":
        path.write_text("x = 1")
        path.chmod(0)
    elif kind != "nothing":
        path.symlink_to("/dev/zero" if kind == "zeros" else path)
    for option in ("--from", "--resume"):
        assert refused([option, str(folder)], capsys, kind) == 2
        assert refused([option, str(path)], capsys, kind) == 2
    assert [p.name for p in folder.iterdir()] == ([] if kind == "nothing" else ["manifest.toml"])
