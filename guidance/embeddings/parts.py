"""One Parquet file of embeddings: written whole, checked when it is read.

Columns are ``key`` (16 bytes), ``source`` (text) and ``vector`` (a list of D float32), in groups
of `GROUP` rows. The name is the digest of the footer, which holds the digest of the content, and
pages carry checksums: a flipped bit anywhere is found by who reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from guidance.embeddings.keys import KEY, KEYS
from guidance.errors import FileError

GROUP = 1024  # rows that are decoded together
CACHE = 64 << 20  # bytes of decoded vectors that are kept
TAIL = 8  # bytes after the footer: its length and "PAR1"


class DamagedError(Exception):
    """A file does not hold what was written."""


@dataclass(frozen=True)
class Rows:
    """Rows of one or several files.

    Attributes:
        keys: ``[n]`` of `KEYS`.
        sources: n texts.
        vectors: ``[n, D]`` float32.
    """

    keys: np.ndarray
    sources: list[str]
    vectors: np.ndarray

    def take(self, chosen: np.ndarray) -> Rows:
        """Return the rows that are true in `chosen` ``[n]``."""
        if chosen.all():
            return self
        sources = [self.sources[i] for i in np.flatnonzero(chosen)]
        return Rows(self.keys[chosen], sources, self.vectors[chosen])

    def part(self, start: int, stop: int) -> Rows:
        """Return the rows from `start` up to `stop`."""
        places = slice(start, stop)
        return Rows(self.keys[places], self.sources[places], self.vectors[places])


def join(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all `parts`, which must not be empty."""
    return Rows(
        np.concatenate([p.keys for p in parts]),
        [source for p in parts for source in p.sources],
        np.concatenate([p.vectors for p in parts]),
    )


def regroup(stream: Iterable[Rows], size: int) -> Iterator[Rows]:
    """Give the rows of a stream `size` at a time; the last may be fewer."""
    waiting: list[Rows] = []
    count = 0
    for rows in stream:
        waiting.append(rows)
        count += len(rows.keys)
        while count >= size:
            joined = join(waiting)
            yield joined.part(0, size)
            waiting, count = [joined.part(size, count)], count - size
    if count:
        yield join(waiting)


def encode(rows: Rows) -> tuple[str, memoryview]:
    """Return the name and the bytes of a file; equal rows give equal names and bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [s.encode("utf-8", "backslashreplace").decode() for s in rows.sources]
    vectors = np.ascontiguousarray(rows.vectors, np.float32)
    digest = hashlib.blake2b(rows.keys.tobytes(), digest_size=16)
    digest.update("\0".join(texts).encode())
    digest.update(vectors.reshape(-1).data)
    schema = _schema(vectors.shape[1]).with_metadata({"digest": digest.hexdigest()})
    item = schema.field("vector").type
    columns = [
        pa.Array.from_buffers(pa.binary(KEY), len(texts), [None, pa.py_buffer(rows.keys)]),
        pa.array(texts, pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=item),
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        sink,
        row_group_size=GROUP,
        compression={"key": "none", "source": "zstd", "vector": "none"},
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    data = memoryview(sink.getvalue())
    length = int.from_bytes(data[-TAIL : -TAIL + 4], "little")
    return _name(bytes(data[-TAIL - length :])), data


def listing(folder: Path, skip: Container[str] = ()) -> list[str]:
    """Return the names of the files in `folder`, oldest first; none if there is no folder.

    Raises:
        FileError: the folder cannot be read.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                right = name.startswith("part-") and name.endswith(".parquet")
                if right and name not in skip and entry.is_file():
                    found.append((entry.stat().st_mtime_ns, name))
    except FileNotFoundError:
        return []  # the folder, or a file that was removed meanwhile: the next call sees the rest
    except OSError as error:
        raise FileError(f"cannot read {folder}: {error.strerror or error}") from error
    return [name for _, name in sorted(found)]


def settled(folder: Path, skip: Container[str] = ()) -> list[str]:
    """Return `listing` when it has stopped changing.

    A folder is not listed in one moment: where others compact, one listing may miss the new files
    and the old ones.
    """
    names = listing(folder, skip)
    while (again := listing(folder, skip)) != names:
        names = again
    return names


def keys(path: Path, dim: int) -> np.ndarray:
    """Return the keys of a file's rows, ``[n]``.

    Raises:
        FileNotFoundError: it is gone.
        DamagedError: it is not what was written.
        FileError: it cannot be read.
    """
    with _Reader(path, dim) as reader:
        found = [reader.rows(group, ["key"]).keys for group in range(reader.groups)]
        return np.concatenate(found) if found else np.empty(0, KEYS)


def read(path: Path, dim: int) -> Iterator[Rows]:
    """Give the rows of a file, a group at a time; raises as `keys`."""
    with _Reader(path, dim) as reader:
        for group in range(reader.groups):
            yield reader.rows(group, ["key", "source", "vector"])


class Cache:
    """The vectors of the row groups that were read last."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[Path, int], np.ndarray] = OrderedDict()
        self._bytes = 0

    def vectors(self, path: Path, rows: np.ndarray, dim: int) -> np.ndarray:
        """Return the vectors of some rows of a file, ``[len(rows), D]``; raises as `keys`."""
        result = np.empty((len(rows), dim), np.float32)
        groups = rows // GROUP
        wanted = np.unique(groups).tolist()
        if all((path, group) in self._groups for group in wanted):
            for group in wanted:
                self._groups.move_to_end((path, group))
                here = groups == group
                result[here] = self._groups[path, group][rows[here] % GROUP]
            return result
        with _Reader(path, dim) as reader:
            for group in wanted:
                here = groups == group
                vectors = self._groups.get((path, group))
                if vectors is None:
                    vectors = reader.rows(group, ["vector"]).vectors
                    self._keep((path, group), vectors)
                result[here] = vectors[rows[here] % GROUP]
        return result

    def _keep(self, place: tuple[Path, int], vectors: np.ndarray) -> None:
        self._groups[place] = vectors
        self._bytes += vectors.nbytes
        while self._bytes > CACHE and len(self._groups) > 1:
            self._bytes -= self._groups.popitem(last=False)[1].nbytes


class _Reader:
    """An open file whose footer is right."""

    def __init__(self, path: Path, dim: int):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        self.dim = dim
        with contextlib.ExitStack() as stack, self._damage():
            self._file = stack.enter_context(pa.OSFile(str(path)))
            self._check_footer()
            self._parquet = pq.ParquetFile(self._file, page_checksum_verification=True)
            if not self._parquet.schema_arrow.equals(_schema(dim)):
                raise DamagedError(f"it does not hold vectors of length {dim}")
            stack.pop_all()  # leave it open
        self.groups = self._parquet.num_row_groups

    @contextlib.contextmanager
    def _damage(self) -> Generator[None]:
        """Tell a file that cannot be read from one that holds something else."""
        import pyarrow as pa

        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            if getattr(error, "errno", None):  # the system's: no permission, too many open, ...
                raise FileError(f"cannot read {self.path}: {error}") from error
            raise DamagedError(" ".join(str(error).split())) from error

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()
        self._file.close()

    def rows(self, group: int, columns: list[str]) -> Rows:
        """Decode some columns of a row group; the others come empty."""
        with self._damage():
            table = self._parquet.read_row_group(group, columns, use_threads=False)
            self._check_lengths(table, self._parquet.metadata.row_group(group).num_rows)
            found, sources, vectors = (_column(table, n) for n in ("key", "source", "vector"))
            return Rows(
                np.empty(0, KEYS)
                if found is None
                else np.frombuffer(found.buffers()[1], KEYS, len(found), found.offset * KEY),
                [] if sources is None else sources.to_pylist(),
                np.empty(0, np.float32)
                if vectors is None
                else vectors.flatten().to_numpy().reshape(-1, self.dim),
            )

    def _check_lengths(self, table, count: int) -> None:
        """Refuse a table that is shorter than the footer says: page headers have no checksum."""
        if any(len(column) != count or column.null_count for column in table.columns):
            raise DamagedError(f"a group does not have its {count} rows")

    def _check_footer(self) -> None:
        size = self._file.size()
        if size < TAIL:
            raise DamagedError("it ends too early")
        self._file.seek(size - TAIL)
        length = int.from_bytes(self._file.read(4), "little")
        if length > size - TAIL:
            raise DamagedError("it ends too early")
        self._file.seek(size - TAIL - length)
        if _name(self._file.read()) != self.path.name:
            raise DamagedError("its footer was changed or cut off")
        self._file.seek(0)


def _column(table: Any, name: str) -> Any:
    return table.column(name).combine_chunks() if name in table.column_names else None


def _name(footer: bytes) -> str:
    return f"part-{hashlib.blake2b(footer, digest_size=16).hexdigest()}.parquet"


def _schema(dim: int):
    import pyarrow as pa

    number = pa.field("item", pa.float32(), nullable=False)
    return pa.schema(
        [
            pa.field("key", pa.binary(KEY), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("vector", pa.list_(number, dim), nullable=False),
        ]
    )
