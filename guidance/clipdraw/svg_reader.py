"""SVG → Scene: what other programs drew, as strokes and filled shapes made of cubics.

Read are paths, lines, rectangles, circles, ellipses, polygons and polylines, with transforms,
style sheets, ``<use>`` and the view box. A fill and a stroke on one element become two shapes.
Holes are kept: the rings of a path are joined into one by seams of no area. Approximated: a
gradient becomes the mean of its stops, every cap and join becomes round, even-odd fills become
non-zero. Left out, with one warning: text, images, patterns, and gradients that are not there.
"""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from collections import Counter
from io import StringIO
from pathlib import Path

import svgelements
import torch

from guidance.clipdraw.scene import Scene
from guidance.errors import FileError, InputError

BACKGROUND_ID = "background"  # of the rectangle that stands for the background, not for a shape
MAX_BYTES = 32 * 2**20
MAX_POINTS = 2**22  # of the padded scene: shapes × points of the longest shape

Point = tuple[float, float]
Chain = list[Point]  # control points of joined cubics, 3 n + 1
Shape = tuple[Chain, float, list[float], bool]  # points, stroke width, RGBA, closed


def from_svg(source: str | Path, max_shapes: int = 10_000) -> Scene:
    """Read a drawing.

    Args:
        source: path of an SVG file, or its text (a string that contains ``<``).
        max_shapes: how many shapes the drawing may have at most.

    Returns:
        A float32 scene on the CPU with one shape per stroke or fill, in painting order.

    Raises:
        FileError: the file cannot be read or is not an SVG drawing.
        InputError: the text is not an SVG drawing, states no size, has nothing that can be drawn,
            or is too large.
    """
    text, name, error = _read(source)
    drawing, root = _parse(text, name, error)
    gradients = _gradients(root)
    shapes: list[Shape] = []
    left_out: Counter[str] = Counter()
    for element in drawing.elements():
        shapes += _shapes(element, gradients, left_out)
        if len(shapes) > max_shapes:
            raise InputError(f"{name} must have at most {max_shapes} shapes but has more")
    if left_out:
        listed = ", ".join(f"{n} × {what}" for what, n in sorted(left_out.items()))
        warnings.warn(f"{name}: left out {listed}", stacklevel=2)
    if not shapes:
        raise InputError(f"{name} must have something to draw but has no visible stroke or fill")
    return _scene(shapes, float(drawing.width), float(drawing.height), name)


def _read(source: str | Path) -> tuple[str, str, type[Exception]]:
    """Return text, name for messages, and the error to raise when the text is at fault."""
    if isinstance(source, str) and "<" in source:
        if len(source) > MAX_BYTES:
            raise InputError(
                f"SVG text must have at most {MAX_BYTES} characters but has {len(source)}"
            )
        return source, "SVG text", InputError
    path = Path(source)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"{path} must have at most {MAX_BYTES} bytes but is larger")
        return path.read_text(encoding="utf-8-sig"), str(path), FileError
    except UnicodeDecodeError as error:
        raise FileError(f"{path} must be an SVG file but is not text in UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        if isinstance(error, FileError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be read: {reason}") from error


def _parse(text: str, name: str, error: type[Exception]) -> tuple[svgelements.SVG, ET.Element]:
    try:
        root = ET.fromstring(text.encode())
    except ET.ParseError as problem:
        raise error(f"{name} must be an SVG drawing but is not well-formed: {problem}") from problem
    if root.tag.rpartition("}")[2] != "svg":
        raise error(f"{name} must be an SVG drawing but its root is <{root.tag[:80]}>")
    sized = all("%" not in root.get(side, "%") for side in ("width", "height"))
    if not sized and "viewBox" not in root.attrib:
        raise error(f"{name} must state a viewBox or a width and height but has neither")
    try:
        drawing = svgelements.SVG.parse(StringIO(text), reify=True)
        usable = 0 < float(drawing.width) < float("inf") and 0 < float(drawing.height) < float(
            "inf"
        )
    except Exception as problem:  # whatever the parser stumbles over, the drawing is at fault
        raise error(f"{name} must be a valid SVG drawing but is not: {problem}") from problem
    if not usable:
        raise error(f"{name} must have a size above zero but is {drawing.width} × {drawing.height}")
    return drawing, root


def _shapes(element, gradients: dict[str, list[float]], left_out: Counter[str]) -> list[Shape]:
    """Return the fill and the stroke of one element as shapes, as far as it has them."""
    values = getattr(element, "values", None) or {}
    if isinstance(element, (svgelements.Text, svgelements.Image)):
        left_out[type(element).__name__.lower()] += 1
    if not isinstance(element, svgelements.Shape) or values.get("id") == BACKGROUND_ID:
        return []
    if values.get("visibility") in ("hidden", "collapse"):
        return []
    chains = _chains(svgelements.Path(element))
    fill = _paint(values, "fill", gradients, left_out)
    stroke = _paint(values, "stroke", gradients, left_out)
    width = element.stroke_width
    width = 1.0 if width is None else float(width)
    shapes: list[Shape] = []
    rings = [
        chain
        for chain in chains
        if len(chain) > 4 or not isinstance(element, svgelements.SimpleLine)
    ]
    if fill is not None and rings:
        shapes.append((_join(rings), 0.0, fill, True))
    if stroke is not None and width > 0:
        shapes += [(chain, width, stroke, False) for chain in chains]
    return shapes


def _chains(path: svgelements.Path) -> list[Chain]:
    """Return the sub-paths of `path` as chains of cubics; single points are dropped."""
    chains: list[Chain] = []
    ended = True
    for segment in path:
        if segment.end is None:
            continue
        if isinstance(segment, svgelements.Move) or ended:  # drawing may go on after a closing Z
            chains.append([_point(segment.start or segment.end)])
        ended = isinstance(segment, svgelements.Close)
        if isinstance(segment, svgelements.Move):
            chains[-1] = [_point(segment.end)]
        elif not ended or _point(segment.end) != chains[-1][-1]:
            chains[-1] += _cubic(segment)
    return [chain for chain in chains if len(chain) > 1]


def _cubic(segment) -> Chain:
    """Return the control points of `segment` as cubics, without its start."""
    if isinstance(segment, svgelements.Arc):
        points = [p for c in segment.as_cubic_curves() for p in (c.control1, c.control2, c.end)]
        # The arithmetic of arcs must not open a gap to the next segment.
        return [*map(_point, points[:-1]), _point(segment.end)]
    a, b = _point(segment.start), _point(segment.end)
    if isinstance(segment, svgelements.CubicBezier):
        return [_point(segment.control1), _point(segment.control2), b]
    control = _point(segment.control) if isinstance(segment, svgelements.QuadraticBezier) else None
    one = _mix(a, control or b, 2 / 3 if control else 1 / 3)
    two = _mix(b, control or a, 2 / 3 if control else 1 / 3)
    return [one, two, b]


def _join(chains: list[Chain]) -> Chain:
    """Return one closed chain around all rings; the seams between them are passed both ways."""
    start = chains[0][0]
    whole = [start]
    for chain in chains:
        ring = [*chain, *_line(chain[-1], chain[0])] if chain[-1] != chain[0] else chain
        if ring[0] != start:
            whole += _line(start, ring[0])
        whole += ring[1:]
        if ring[0] != start:
            whole += _line(ring[0], start)
    return whole


def _line(a: Point, b: Point) -> Chain:
    return [_mix(a, b, 1 / 3), _mix(b, a, 1 / 3), b]


def _mix(a: Point, b: Point, t: float) -> Point:
    return (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]))


def _point(point) -> Point:
    return (float(point.x), float(point.y))


def _paint(
    values: dict, kind: str, gradients: dict[str, list[float]], left_out: Counter[str]
) -> list[float] | None:
    """Return the RGBA of a fill or stroke, or None where nothing is painted."""
    raw = (values.get(kind) or "none").strip()
    if raw.startswith("url("):
        inner, _, fallback = raw[4:].partition(")")
        rgba = gradients.get(inner.strip("\"' #")) or _color(fallback.strip() or "none")
        if rgba is None and not fallback.strip():
            left_out[f"{kind} by pattern or missing gradient"] += 1
    else:
        rgba = _color(values.get("color", "black") if raw.lower() == "currentcolor" else raw)
    if rgba is None:
        return None
    opacity = _fraction(values.get(f"{kind}-opacity")) * _fraction(values.get("opacity"))
    return [*rgba[:3], rgba[3] * opacity] if rgba[3] * opacity > 0 else None


def _color(raw: str) -> list[float] | None:
    """Return a CSS colour as RGBA in [0, 1], or None for no paint."""
    percent = re.fullmatch(r"rgb\(\s*([\d.]+)%[\s,]+([\d.]+)%[\s,]+([\d.]+)%\s*\)", raw)
    if percent:  # svgelements would round these to 1/255
        return [min(float(x) / 100, 1.0) for x in percent.groups()] + [1.0]
    try:
        color = svgelements.Color(raw)
    except ValueError:
        return None
    if color.value is None:
        return None
    return [x / 255 for x in (color.red, color.green, color.blue, color.alpha)]


def _fraction(raw: str | None) -> float:
    """Return an opacity such as ``0.5`` or ``50%``; 1 where there is none or it makes no sense."""
    match = re.fullmatch(r"\s*([\d.]+(?:e-?\d+)?)(%?)\s*", raw or "")
    if not match:
        return 1.0
    return min(float(match[1]) / (100 if match[2] else 1), 1.0)


def _gradients(root: ET.Element) -> dict[str, list[float]]:
    """Return the mean RGBA of every gradient that has stops, its own or those it refers to."""
    nodes = {node.get("id", ""): node for node in root.iter() if node.tag.endswith("Gradient")}
    means = {}
    for name, node in nodes.items():
        seen = set()
        while node is not None and not len(node) and id(node) not in seen:
            seen.add(id(node))
            href = node.get("href") or node.get("{http://www.w3.org/1999/xlink}href") or ""
            node = nodes.get(href.lstrip("#"))
        stops = [
            _stop(stop) for stop in (node if node is not None else ()) if stop.tag.endswith("stop")
        ]
        if stops:
            means[name] = [sum(x) / len(stops) for x in zip(*stops, strict=True)]
    return means


def _stop(stop: ET.Element) -> list[float]:
    style = dict(re.findall(r"([\w-]+)\s*:\s*([^;]+)", stop.get("style", "")))
    rgba = _color(style.get("stop-color", stop.get("stop-color", "black")).strip()) or [0, 0, 0, 0]
    return [*rgba[:3], rgba[3] * _fraction(style.get("stop-opacity", stop.get("stop-opacity")))]


def _scene(shapes: list[Shape], width: float, height: float, name: str) -> Scene:
    """Return the shapes as one padded scene in fractions of the canvas."""
    longest = max(len(chain) for chain, *_ in shapes)
    if longest * len(shapes) > MAX_POINTS:
        raise InputError(
            f"{name} must have at most {MAX_POINTS} points (shapes × points of the longest) "
            f"but has {len(shapes)} × {longest}"
        )
    points = torch.zeros(len(shapes), longest, 2, dtype=torch.float64)
    for row, (chain, *_) in zip(points, shapes, strict=True):
        row[: len(chain)] = torch.tensor(chain, dtype=torch.float64)
    points /= torch.tensor([width, height], dtype=torch.float64)
    _, widths, colors, closed = zip(*shapes, strict=True)
    scene = Scene(
        points=points.float(),
        widths=torch.tensor(widths, dtype=torch.float64).div(min(width, height)).float(),
        colors=torch.tensor(colors, dtype=torch.float64).float(),
        counts=torch.tensor([(len(chain) - 1) // 3 for chain, *_ in shapes]),
        closed=torch.tensor(closed),
    )
    if not bool(torch.isfinite(scene.points).all() & torch.isfinite(scene.widths).all()):
        raise InputError(f"{name} must have finite coordinates but has NaN or infinity")
    return scene
