"""Public repositories that hold pictures: a snapshot in git → its files, one at a time."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from guidance.errors import FileError


class Snapshot:
    """The newest commit of a git repository, read without a work tree.

    Use it as a context manager: one process of git serves all files.

    Args:
        folder: Git directory, or a checkout with ``.git`` in it.

    Raises:
        FileError: git is missing, or this is no repository with a commit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = self._git("ls-tree", "-r", "-z", "HEAD")
        rows = (row.split(b"\t", 1) for row in listed.split(b"\0") if row)
        self._blobs = {name.decode("utf-8", "replace"): head.split()[2] for head, name in rows}
        self._server: subprocess.Popen[bytes] | None = None

    def _git(self, *arguments: str) -> bytes:
        command = ["git", "-C", str(self.folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, check=True)
        except FileNotFoundError:
            raise FileError("reading snapshots needs the program git") from None
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode("utf-8", "replace").strip()
            raise FileError(f"{self.folder} is no snapshot: {reason}") from None
        return done.stdout

    def __enter__(self) -> Snapshot:
        command = ["git", "-C", str(self.folder), "cat-file", "--batch"]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *error) -> None:
        if self._server is not None:
            self._server.communicate()
            self._server = None

    def names(self) -> Iterator[str]:
        """Yield the paths of all files, in git's order."""
        yield from self._blobs

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if the snapshot lacks it (a large one, say)."""
        if self._server is None or self._server.stdin is None or self._server.stdout is None:
            raise RuntimeError("open the snapshot with `with` first")
        self._server.stdin.write(self._blobs[name] + b"\n")
        self._server.stdin.flush()
        head = self._server.stdout.readline().split()
        if head[-1] == b"missing":
            return None
        content = self._server.stdout.read(int(head[2]))
        self._server.stdout.read(1)
        return content


def find(folder: Path, repository: str) -> Path | None:
    """Return where `folder` has the snapshot of "owner/name", or None.

    It lies under ``owner/name`` or ``owner+name``, as a checkout or as a bare git directory, or in
    a folder ``repo`` there.
    """
    for name in (repository, repository.replace("/", "+")):
        for place in (folder / name, folder / name / "repo"):
            for candidate in (place / ".git", place):
                if (candidate / "HEAD").is_file():
                    return candidate
    return None
