"""500 odd shards and folders, made from a grammar with a seed: read, or refused in one line."""

from __future__ import annotations

import contextlib
import json
import random
import tarfile
import time
import warnings
from collections import Counter
from collections.abc import Callable

import pytest
from tars import block, header, member, picture, tar_bytes

from guidance.data import Samples, read
from guidance.data.classes import labelled
from guidance.errors import FileError, InputError

SHARDS, FOLDERS = 500, 200
LIMIT = 2.0  # seconds of CPU time
PNG, CLEAR = picture((9, 99, 0)), picture((9, 9, 9, 9))
JPEG = picture((1, 2, 3), kind="JPEG")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
PICTURES = (PNG, CLEAR, JPEG, PNG[:40], JPEG[:-9], b"", EPS, b"\0\5\x16\7", b"GIF89a", b"II*\0")
WORDS = (
    "a fox", "", " ", "\ufeffa", "a\u2028b", "a\r\nb", "\0", "é", "=1+1", '"', "狐狸 🦊",
    "\x1b[31m", "a, b", "'", "x" * 9999, "\u202e", "-1", "1e9", "null",
)  # fmt: skip
NAMES = (
    "0", "1", "0", "1", "d/0", "./0", "../0", "/0", "a b", "é", "0.5", ".h", "._0", "__MACOSX/0",
    "", "\u202e", "x" * 200, "狐" * 60, "a\nb", "=1", "0.", ".",
)  # fmt: skip
ENDINGS = (
    ".png", ".jpg", ".PNG", ".jpeg", ".txt", ".json", ".TXT", ".JSON", ".seg.png", ".cls", "", ".",
    ".tif", ".webp", ".heic", ".svg", ".json.gz",
)  # fmt: skip
KEYS = ("caption", "captions", "text", "label", "weight", "tags", "source", "group", "license", "")
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32")


class Grammar:
    """What people, programs and attackers put into shards."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def often(self, share: float) -> bool:
        return self.rng.random() < share

    def value(self, depth: int = 0):
        kinds = [
            None, True, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "\ud800",
            self.rng.choice(WORDS), self.rng.choice(WORDS),
        ]  # fmt: skip
        if depth < 3 and self.often(0.4):
            inner = [self.value(depth + 1) for _ in range(self.rng.randint(0, 3))]
            return inner if self.often(0.6) else {str(i): v for i, v in enumerate(inner)}
        return self.rng.choice(kinds)

    def meta(self) -> str:
        if self.often(0.4):
            return json.dumps({"caption": self.rng.choice(WORDS)})
        if self.often(0.1):
            return self.rng.choice(["[" * 99_999, '{"a":' * 50_000, "{", "NaN", "9" * 9999, "\0"])
        found = {k: self.value() for k in self.rng.sample(KEYS, self.rng.randint(0, 5))}
        text = json.dumps(found if self.often(0.9) else self.value())
        return text if self.often(0.9) else text[: self.rng.randint(0, len(text))]

    def text(self) -> str:
        breaks = self.rng.choice(["\n", "\r\n", "\r", "\u2028"])
        return breaks.join(self.rng.choices(WORDS, k=self.rng.randint(0, 4)))

    def encoded(self, text: str) -> bytes:
        return text.encode(self.rng.choice(ENCODINGS), "replace")

    def entry(self):
        name = self.rng.choice(NAMES) + self.rng.choice(ENDINGS)
        if self.often(0.12):
            kinds = (
                tarfile.SYMTYPE,
                tarfile.LNKTYPE,
                tarfile.DIRTYPE,
                tarfile.FIFOTYPE,
                b"7",
                b"z",
            )
            return member(name, self.rng.choice(kinds), self.rng.choice(NAMES)), b""
        if "json" in name.lower():
            return name, self.encoded(self.meta())
        if name.lower().endswith("txt"):
            return name, self.encoded(self.text())
        return name, self.rng.choice(PICTURES)

    def oddity(self) -> bytes:
        """Return a header that no program means, perhaps with content."""
        kind = self.rng.choice([b"0", b"x", b"g", b"L", b"K", b"S", b"X", b"5", b"1"])
        size = self.rng.choice([0, 1, 512, 5000, -1, -512, 2**33, 8**11, 2**62, 2**87, -(2**80)])
        lengths = (
            b"1" * 400, b"2 " * 300 + b"=", b"18 size=-99999999\n", b"9 a=b\n", b"11 path=\0a\n",
            b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", b"25 GNU.sparse.size=99999\n",
            b"27 GNU.sparse.map=0,1,a,99\n", b"20 hdrcharset=BINARY\n", b"30 mtime=inf\n",
            b"\xff" * 500, b"99999999999 a=b\n", b"0 a=b\n", b"x" * 600,
        )  # fmt: skip
        content = self.rng.choice(lengths) * self.rng.choice([1, 1, 40])
        return header("0.png", size if self.often(0.5) else len(content), kind) + block(content)

    def shard(self) -> bytes:
        entries = [self.entry() for _ in range(self.rng.randint(0, 9))]
        entries += [("9.png", PNG), ("9.txt", "a fox")] if self.often(0.5) else []
        mode = "w:gz" if self.often(0.03) else "w"
        data = tar_bytes(entries, mode)
        if self.often(0.3):
            data = self.oddity() + data
        if self.often(0.2):
            place = self.rng.randrange(0, len(data), 512)
            data = data[:place] + self.oddity() * self.rng.choice([1, 1, 30]) + data[place:]
        if self.often(0.15):
            data = data[: self.rng.randrange(len(data))]
        if self.often(0.15):
            place = self.rng.randrange(len(data)) if data else 0
            data = data[:place] + self.rng.randbytes(self.rng.randint(1, 600)) + data[place + 1 :]
        return data

    def table(self) -> tuple[str, bytes]:
        """Return the name and content of a captions file."""
        name = self.rng.choice(["captions", "metadata", "Captions"])
        files = ["a.png", "b.png", "./a.png", "../x.png", "", "/etc/passwd", "c\\d.png", "none.png"]
        rows = [
            (self.rng.choice(files[: 2 if self.often(0.6) else None]), self.rng.choice(WORDS))
            for _ in range(self.rng.randint(0, 5))
        ]
        head = (
            self.rng.choice(["image", "file_name", "x"]),
            self.rng.choice(["caption", "text", ""]),
        )
        ending = self.rng.choice(["csv", "tsv", "txt", "json", "jsonl"])
        if ending == "json":
            text = json.dumps(self.rng.choice([dict(rows), rows, self.value()]))
        elif ending == "jsonl":
            text = "\n".join(json.dumps(dict(zip(head, r, strict=True))) for r in rows)
            text += "\n" + self.meta() if self.often(0.3) else ""
        else:
            mark = self.rng.choice([",", "\t", ";", "|"])
            text = "\n".join(mark.join(row) for row in [head, *rows])
        return f"{name}.{ending}", self.encoded(text)


def outcome(source: str, opened: Callable[[str], Samples]) -> str:
    """Read all of a source, its pictures too, and say how it ended; check the time it took."""
    start, errors = time.process_time(), []
    try:
        samples = opened(source)
        for i, sample in enumerate(samples):
            assert all(c and c == " ".join(c.split()) for c in sample.captions)
            with contextlib.suppress(FileError):
                assert samples.image(i).mode in ("RGB", "RGBA")
    except (FileError, InputError) as error:
        errors.append(str(error))
    assert time.process_time() - start < LIMIT
    assert not any("\n" in text for text in errors)
    return "refused" if errors else "read"


def ways(source: str) -> list[str]:
    """Open a source with captions, without, and by labels."""
    return [
        outcome(source, lambda s: read([s])),
        outcome(source, lambda s: read([s], captioned=False)),
        outcome(source, labelled),
    ]


@pytest.fixture(autouse=True)
def _skipped_is_expected():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*skipped", category=UserWarning)
        yield


def test_shards(tmp_path):
    ended: Counter[str] = Counter()
    for seed in range(SHARDS):
        path = tmp_path / "a.tar"
        path.write_bytes(Grammar(seed).shard())
        ended.update(ways(str(path))[:1])
    assert ended["read"] > SHARDS / 4  # the grammar is not all nonsense
    assert ended["refused"] > SHARDS / 4


def test_folders(tmp_path):
    ended: Counter[str] = Counter()
    (tmp_path / "x.png").write_bytes(PNG)
    for seed in range(FOLDERS):
        grammar = Grammar(10_000 + seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        for name in ("a.png", "b.png", "._a.png"):
            (folder / name).write_bytes(grammar.rng.choice(PICTURES))
        (folder / "b.TXT").write_bytes(grammar.encoded(grammar.text()))
        if grammar.often(0.8):
            name, content = grammar.table()
            (folder / name).write_bytes(content)
        ended.update(ways(str(folder))[:1])
    assert min(ended["read"], ended["refused"]) > FOLDERS / 10
