"""Writing files so that none is ever seen half-written under its final name."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from guidance.errors import FileError


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is synced and renamed to `path`.

    On failure the temporary file is removed and `path` is as it was before.

    Raises:
        FileError: the file cannot be written (no such folder, no permission, disk full, ...).
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
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
    """Write text (UTF-8) or bytes to `path` atomically."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic(path) as temporary:
        temporary.write_bytes(data)


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
        raise FileError(f"{path} exists already") from None
    except OSError as error:
        raise FileError(f"cannot write to the folder {path}: {error.strerror or error}") from error
    return path


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
