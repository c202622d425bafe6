"""One process at a time works in a folder; one that was killed locks nobody out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from systems import posix

from guidance.artefacts.lock import FolderLock
from guidance.errors import FileError

HOLD = """
import sys
from pathlib import Path
from guidance.artefacts.lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Return a process that holds the lock of `tmp_path`."""
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def test_the_second_is_told_who_is_there(holder, tmp_path):
    with pytest.raises(FileError, match=rf"another run \(process {holder.pid}\) is at work in"):
        FolderLock(tmp_path).acquire()


@posix
def test_a_killed_process_locks_nobody_out(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    lock = FolderLock(tmp_path)
    assert lock.acquire(), "the file that was left tells of it"
    assert (tmp_path / ".lock").read_text() == str(os.getpid())
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_given_back_it_can_be_had_again(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    assert not first.acquire()
    with pytest.raises(FileError, match="another run"):
        second.acquire()
    second.release()  # which holds none
    assert (tmp_path / ".lock").exists()
    first.release()
    assert not second.acquire()
    second.release()
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_something_else_in_its_place(kind, tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    path = tmp_path / ".lock"
    if kind == "link":
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(FileError, match="cannot lock"):
        FolderLock(tmp_path).acquire()
    assert other.read_text() == "mine"
    assert path.exists()
