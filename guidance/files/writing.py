"""Writing files so that none is ever seen half-written under its final name; printing names."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Generator, Sequence
from pathlib import Path

from guidance.errors import FileError, InputError, unknown

_TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{12}(\..*)?")  # `_temporary_name`


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Generator[Path]:
    """Give a temporary path beside `path`; on success it is synced and renamed to `path`.

    On failure the temporary file is removed and `path` is as it was before.

    Raises:
        FileError: the file cannot be written (no such folder, no permission, disk full, ...).
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        temporary = _create(path)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        temporary = None
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write(path: str | os.PathLike, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to `path` atomically.

    Raises:
        FileError: the file cannot be written, or the text has bytes that are not UTF-8.
    """
    try:
        data = content.encode("utf-8") if isinstance(content, str) else content
    except UnicodeEncodeError as error:  # of the name of a file or folder
        found = printable(content[max(0, error.start - 20) : error.end + 20])
        raise FileError(f"cannot write {path}: {found!r} is not UTF-8 text") from None
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def is_regular(path: Path) -> bool:
    """Return whether `path`, where links may lead, is a file that can be read to its end."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return False


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders that a killed process left in `folder`.

    Only for whoever alone writes there.
    """
    for path in folder.iterdir():
        if not _TEMPORARY.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def remove_whole(folder: Path) -> None:
    """Remove a folder with all that is in it; what is not there is never a part of it.

    If the process is killed meanwhile, `remove_leftovers` of the parent does the rest.
    """
    aside = folder.parent / _temporary_name("")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileError(f"cannot remove {folder}: {error.strerror or error}") from error
    shutil.rmtree(aside, ignore_errors=True)


def make_folder(path: str | os.PathLike, *, exist_ok: bool = True) -> Path:
    """Create a folder and its parents; check that files can be made in it.

    Raises:
        FileError: it cannot be created or written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=exist_ok)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError:
        reason = "exists already" if path.is_dir() else "is a file, not a folder"
        raise FileError(f"{path} {reason}") from None
    except OSError as error:
        raise FileError(f"cannot write to the folder {path}: {error.strerror or error}") from error
    return path


def printable(text: object) -> str:
    """Return `text`, often a path, on one line: control characters and stray bytes as escapes.

    Example:
        >>> printable("a\\nb")
        'a\\\\nb'
    """
    return "".join(
        _escape(c) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c
        for c in str(text)
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _temporary_name(suffix: str) -> str:
    return f".tmp-{secrets.token_hex(6)}{suffix}"


def _create(path: Path) -> Path:
    """Create an empty hidden file beside `path`, with the permissions of any new file."""
    while True:
        temporary = path.parent / _temporary_name(path.suffix)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
            return temporary


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def check_place(path: Path, option: str, suffixes: Sequence[str]) -> None:
    """Check that a file may be written at `path`, which an `option` gave.

    Raises:
        InputError: the suffix is none of `suffixes`.
        FileError: it is a folder, or its folder is missing or cannot be written.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path}: " + unknown("suffix", path.suffix, suffixes))
    if path.is_dir():
        raise FileError(f"{option} must be a file but {path} is a folder")
    if not path.parent.is_dir():
        raise FileError(f"{option}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise FileError(f"{option}: the folder {path.parent} cannot be written")
