"""File or text → element tree of an SVG, bounded before anything of it is expanded.

Nothing is fetched: entities and references to other files stay unread. Encodings are those that
browsers know, told by a byte-order mark or the XML declaration.
"""

from __future__ import annotations

import gzip
import re
import stat
import xml.etree.ElementTree as ET
import zlib
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import webencodings

from guidance.errors import FileError, GuidanceError, InputError, line

MAX_BYTES = 32 * 2**20
MAX_ELEMENTS = 30_000
MAX_DEPTH = 128  # of elements in each other, those that <use> puts there included
MAX_NUMBERS = 2**19  # and letters of all path data, polygons and transforms

SVG_SPACE = "{http://www.w3.org/2000/svg}"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBERS = re.compile(r"\d+\.?\d*|\.\d+|[A-Za-z]")


class Source:
    """An SVG as it was written.

    Args:
        root: the outermost element. Tags of SVG's name space come without it, ``xlink:href`` is
            ``href``.
        name: what to call the drawing in messages.
        error: what to raise when the drawing is at fault.
    """

    def __init__(self, root: ET.Element, name: str, error: type[GuidanceError]) -> None:
        self.root = root
        self.name = name
        self.error = error
        self.ids: dict[str, ET.Element] = {}
        self.parents: dict[ET.Element, ET.Element] = {}
        for element in root.iter():
            if "id" in element.attrib:
                self.ids.setdefault(element.attrib["id"], element)
            for child in element:
                self.parents[child] = element

    def target(self, reference: str) -> ET.Element | None:
        """Return the element that ``#name`` or ``url(#name)`` refers to within this file."""
        inner = reference.strip()
        if inner.lower().startswith("url("):
            inner = inner[4:].partition(")")[0].strip("\"' \t\n\r\f")
        if not inner.startswith("#"):
            return None
        return self.ids.get(inner[1:], self.ids.get(unquote(inner[1:])))

    def refuse(self, problem: str) -> GuidanceError:
        """Return the error that says ``NAME must …``."""
        return self.error(f"{self.name} must {problem}")


def load(source: str | Path) -> Source:
    """Read a drawing's elements from a file or, where `source` contains ``<``, from text.

    Raises:
        FileError: the file cannot be read, or is not an SVG drawing within the limits above.
        InputError: the same of a text.
    """
    if isinstance(source, str) and "<" in source:
        if len(source) > MAX_BYTES:
            raise InputError(
                f"SVG text must have at most {MAX_BYTES} characters but has {len(source)}"
            )
        return _parse(source, "SVG text", InputError)
    name = str(source)
    try:
        return _parse(_decode(_bytes(Path(source)), name), name, FileError)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        if isinstance(error, FileError):
            raise
        reason = getattr(error, "strerror", None) or line(error)
        raise FileError(f"{name} cannot be read: {reason}") from error


def _bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked where it is gzipped (``.svgz``)."""
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise FileError(f"{path} must be an ordinary file but is a pipe or device")
    if stat.S_ISREG(status.st_mode) and status.st_size > MAX_BYTES:
        raise FileError(f"{path} must have at most {MAX_BYTES} bytes but is larger")
    with path.open("rb") as file:  # a folder says here that it is one
        data = file.read(MAX_BYTES + 1)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.GzipFile(fileobj=BytesIO(data)).read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise FileError(
                f"{path} must be an SVG drawing but its compression is damaged"
            ) from error
    if len(data) > MAX_BYTES:
        raise FileError(f"{path} must have at most {MAX_BYTES} bytes but is larger")
    return data


def _decode(data: bytes, name: str) -> str:
    """Return the text of an SVG file in the encoding that it declares."""
    label = "utf-8"
    declared = re.match(rb"""<\?xml[^>]{0,200}?\sencoding\s{0,9}=\s{0,9}["']([\w.:-]+)""", data)
    if declared:
        label = declared[1].decode("ascii", "replace")
    elif data[:4] in (b"<\0?\0", b"<\0s\0"):
        label = "utf-16le"
    elif data[:4] in (b"\0<\0?", b"\0<\0s"):
        label = "utf-16be"
    encoding = webencodings.lookup(label)
    if encoding is None or encoding.name == "replacement":
        raise FileError(f"{name} must be in an encoding that browsers know but is in {label[:40]}")
    if declared and encoding.name.startswith("utf-16"):
        encoding = webencodings.UTF8  # it cannot be, as the declaration was read byte by byte
    try:
        return webencodings.decode(data, encoding, errors="strict")[0]
    except UnicodeDecodeError as error:
        raise FileError(
            f"{name} must be an SVG file but is not text in {encoding.name.upper()}"
        ) from error


class _Builder(ET.TreeBuilder):
    """Builds the tree and refuses what is too large or too deep as soon as it is met."""

    def __init__(self, name: str, error: type[GuidanceError]) -> None:
        super().__init__()
        self._name, self._error = name, error
        self._space = SVG_SPACE
        self._depth = self._elements = self._size = self._numbers = 0

    def start(self, tag: str, attributes: dict[str, str]) -> ET.Element:
        if not self._depth and tag.endswith("}svg"):
            self._space = tag[:-3]  # SVG's, or what a writer mistook for it
        self._depth += 1
        self._elements += 1
        for key in ("d", "points", "transform"):
            if key in attributes:
                self._numbers += sum(1 for _ in _NUMBERS.finditer(attributes[key]))
        self._size += sum(map(len, attributes.values()))
        for count, most, what in (
            (self._depth, MAX_DEPTH, "levels of elements"),
            (self._elements, MAX_ELEMENTS, "elements"),
            (self._numbers, MAX_NUMBERS, "numbers and letters of paths and transforms"),
            (self._size, MAX_BYTES, "characters with its entities"),
        ):
            if count > most:
                raise self._error(f"{self._name} must have at most {most} {what} but has more")
        reference = attributes.pop(XLINK_HREF, None)
        if reference is not None:
            attributes.setdefault("href", reference)
        return super().start(tag.removeprefix(self._space), attributes)

    def end(self, tag: str) -> ET.Element:
        self._depth -= 1
        return super().end(tag.removeprefix(self._space))

    def data(self, data: str) -> None:
        self._size += len(data)
        super().data(data)


def _parse(text: str, name: str, error: type[GuidanceError]) -> Source:
    parser = ET.XMLParser(target=_Builder(name, error), encoding="utf-8")
    try:
        data = text.lstrip("\ufeff \t\r\n").encode("utf-8", "replace")
        for start in range(0, len(data), 2**21):
            parser.feed(data[start : start + 2**21])
        root = parser.close()
    except ET.ParseError as problem:
        raise error(
            f"{name} must be an SVG drawing but is not well-formed: {line(problem)}"
        ) from problem
    if root.tag != "svg":
        shown = root.tag.rpartition("}")[2][:80]
        raise error(f"{name} must be an SVG drawing but its root is <{shown}>")
    return Source(root, name, error)
