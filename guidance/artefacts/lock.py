"""A lock on a folder: one process at a time works in it.

The operating system holds the lock for the open file and gives it back when the process ends, in
whatever way; so a process that was killed locks nobody out, though its file may still lie there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from guidance.errors import FileError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    import msvcrt

NAME = ".lock"
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_FAR = 2**30  # the byte that Windows locks: what is written before it stays readable


class FolderLock:
    """The lock of one folder, which must exist; taken by `acquire`.

    The file ``.lock`` in it holds the number of the process.
    """

    def __init__(self, folder: Path):
        self._path = folder / NAME
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take the lock; return whether a process that was killed had left its file.

        A file system without locks gives none: then nothing is held.

        Raises:
            FileError: another process holds it, or the file cannot be made.
        """
        while True:
            left = os.path.lexists(self._path)
            try:
                file = self._open()
                if self._is_there(file):  # else its holder has just removed it: once more
                    self._file = file
                    os.ftruncate(file, 0)
                    os.write(file, str(os.getpid()).encode())
                    return left
            except OSError as error:
                if isinstance(error, FileError):
                    raise
                raise FileError(f"cannot lock {self._path}: {error.strerror or error}") from error
            os.close(file)

    def release(self) -> None:
        """Give the lock back and remove its file; without a lock do nothing."""
        if self._file is None:
            return
        file, self._file = self._file, None
        # first, while it is ours: nobody can have locked the file that vanishes
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(file)
        if os.name == "nt":  # which removes no open file, this one or another process' new one
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _open(self) -> int:
        """Open and lock the file."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        file = os.open(self._path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileError(f"cannot lock {self._path}: it is not a file")
            _lock(file)
        except OSError as error:
            holder = _holder(file)
            os.close(file)
            if error.errno in _TAKEN:
                raise FileError(
                    f"another run{holder} is at work in {self._path.parent}; wait for it or name "
                    "another folder"
                ) from None
            raise
        return file

    def _is_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.lstat())
        except FileNotFoundError:
            return False


def _lock(file: int) -> None:
    """Lock an open file at once or raise `OSError`; do nothing where there are no locks."""
    try:
        if os.name == "nt":
            os.lseek(file, _FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _holder(file: int) -> str:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        number = os.read(file, 20)
    except OSError:
        return ""
    return f" (process {int(number)})" if number.isdigit() else ""
