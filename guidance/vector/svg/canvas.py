"""Fills and strokes of an SVG as the shapes of a scene."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import numpy as np

from guidance.errors import InputError
from guidance.vector.svg.cover import Cover
from guidance.vector.svg.geometry import Chain, Shape, join
from guidance.vector.svg.groups import flatten
from guidance.vector.svg.paint import RGBA, Paints
from guidance.vector.svg.regions import Pen, Region, TooComplex
from guidance.vector.svg.source import Source
from guidance.vector.svg.style import Styles
from guidance.vector.svg.values import BACKGROUND_ID, IDENTITY, is_even, length, measure, scale_of
from guidance.vector.svg.walk import Place, Size

MAX_POINTS = 2**22  # of the padded scene: shapes × points of the longest shape


class Canvas(Cover):
    """Collects the shapes of one drawing.

    Args:
        source: the drawing.
        styles: of its elements.
        left_out: counts what is not shown, by name.
        size: width and height of the canvas, pixels.
        max_shapes: how many shapes there may be at most.
    """

    def __init__(
        self,
        source: Source,
        styles: Styles,
        left_out: Counter[str],
        size: Size,
        max_shapes: int,
    ) -> None:
        super().__init__(source, styles, left_out, size)
        self.shapes: list[Shape] = []
        self._paints = Paints(source, styles, left_out)
        self._max_shapes = max_shapes
        self._longest = 0

    def drawn(self) -> int:
        """Return the number of shapes so far."""
        return len(self.shapes)

    def taken_from(self, first: int) -> list[Shape]:
        """Return the shapes from `first` on, which are then drawn no more."""
        taken = self.shapes[first:]
        del self.shapes[first:]
        return taken

    def grouped(self, first: int, opacity: float) -> None:
        """Make the shapes from `first` on one see-through group, as far as that can be shown."""
        flat, exact = flatten(self.shapes[first:], opacity, self.knife)
        self.shapes[first:] = flat
        self._longest = max([self._longest, *(len(points) for points, *_ in flat)])
        if not exact:
            self.left_out["blending of a see-through group as a whole"] += 1

    def shape(self, element: ET.Element, place: Place) -> None:
        """Add the fill and the stroke of one element, as far as it has them."""
        if element.tag == "rect" and element.get("id") == BACKGROUND_ID:
            return
        style = place.style
        fill = self._paints.rgba(style, "fill", place.opacity)
        stroke = self._paints.rgba(style, "stroke", place.opacity)
        if fill is None and stroke is None:
            return
        chains = self.chains(element, place)
        if not chains:
            return
        if not all(np.isfinite(chain.points).all() for chain in chains):
            raise InputError(
                f"{self.source.name} must have finite coordinates but has NaN or infinity"
            )
        steps = [lambda: self._fill(element, chains, fill, place)]
        steps.append(lambda: self._stroke(element, chains, stroke, place))
        order = style.get("paint-order", "normal").lower()
        if "stroke" in order and not order.startswith("fill"):
            steps.reverse()
        for step in steps:
            step()
        if element.tag in ("path", "line", "polyline", "polygon") and any(
            style.get(f"marker-{x}", "none").lower() != "none" for x in ("start", "mid", "end")
        ):
            self.left_out["marker"] += 1

    def _fill(self, element, chains: list[Chain], rgba: RGBA | None, place: Place) -> None:
        if rgba is None or element.tag == "line":
            return
        moved = [chain.moved(place.matrix) for chain in chains if len(chain.points) > 4]
        moved += [c.moved(place.matrix) for c in chains if len(c.points) == 4 and not _is_line(c)]
        if not moved:
            return
        even_odd = place.style.get("fill-rule", "").lower() == "evenodd"
        even_odd = even_odd and element.tag in ("path", "polygon", "polyline")
        if not even_odd and (place.clip is None or self._is_within(moved, 0.0, place.clip)):
            self._add(join(moved), 0.0, rgba, True)
            return
        try:
            area = self.knife.region(moved, even_odd)
        except TooComplex:
            self.left_out["even-odd rule or cut of a complex path"] += 1
            self._add(join(moved), 0.0, rgba, True)
            return
        try:
            if even_odd:
                area = self.knife.simplified(area)
        except TooComplex:
            self.left_out["even-odd rule on a complex path"] += 1
        self._cover(area, rgba, place)

    def _stroke(self, element, chains: list[Chain], rgba: RGBA | None, place: Place) -> None:
        pen = None if rgba is None else self._pen(element, place)
        if rgba is None or pen is None:
            return
        chains = [c for c in chains if pen.cap != "butt" or not c.is_dot()]
        matrix = place.matrix
        if place.style.get("vector-effect", "").lower() == "non-scaling-stroke":
            chains, matrix = [chain.moved(matrix) for chain in chains], IDENTITY
        if not chains:
            return
        width = pen.width * scale_of(matrix)
        plain = not pen.dashes and is_even(matrix)
        if plain and place.clip is None:
            self._check(len(self.shapes) + len(chains))
        moved = [chain.moved(matrix) for chain in chains]
        if plain and (place.clip is None or self._is_within(moved, width / 2, place.clip)):
            self._lines(moved, width, rgba)
            return
        for one in (pen, replace(pen, dashes=())) if pen.dashes else (pen,):
            try:
                area = self.knife.outline(chains, one, matrix)
            except TooComplex:
                what = "dashes too many to draw" if one.dashes else "shape of a complex stroke"
                self.left_out[what] += 1
                continue
            for part in self.knife.parts(area) if one.dashes else [area]:
                self._cover(part, rgba, place)
            return
        self._lines(moved, width, rgba)

    def _lines(self, moved: list[Chain], width: float, rgba: RGBA) -> None:
        """Add a stroke as it is, with round caps and joins."""
        for chain in moved:
            dot = len(chain.points) == 1
            self._add(np.repeat(chain.points, 4, 0) if dot else chain.points, width, rgba, False)

    def _cover(self, area: Region, rgba: RGBA, place: Place) -> None:
        """Add an area as one shape, cut by the clip paths around."""
        if place.clip is not None:
            try:
                area = self.knife.combine(area, place.clip, "intersect")
            except TooComplex:
                self.left_out["cut of a complex path"] += 1
        rings = self.knife.chains(area)
        if rings:
            self._add(join(rings), 0.0, rgba, True)

    def _is_within(self, moved: list[Chain], margin: float, clip: Region) -> bool:
        if clip.rectangle is None:
            return False
        points = np.concatenate([chain.points for chain in moved])
        low, high = points.min(0) - margin, points.max(0) + margin
        left, top, right, bottom = clip.rectangle
        slack = 1e-9 * max(self.size)
        return bool(
            left <= low[0] + slack
            and top <= low[1] + slack
            and high[0] <= right + slack
            and high[1] <= bottom + slack
        )

    def _add(self, points: np.ndarray, width: float, rgba: RGBA, closed: bool) -> None:
        self.shapes.append((points, width, rgba, closed))
        self._longest = max(self._longest, len(points))
        name, n = self.source.name, len(self.shapes)
        self._check(n)
        if self._longest * n > MAX_POINTS:
            raise InputError(
                f"{name} must have at most {MAX_POINTS} points (shapes × points of the longest) "
                f"but has {n} × {self._longest}"
            )

    def _check(self, shapes: int) -> None:
        if shapes > self._max_shapes:
            raise InputError(
                f"{self.source.name} must have at most {self._max_shapes} shapes but has more"
            )

    def _pen(self, element: ET.Element, place: Place) -> Pen | None:
        """Return how an element is stroked, None for not at all."""
        style = place.style
        width = self.length(element, place, "stroke-width", "both")
        width = 1.0 if width is None else width
        if not 0 < width < float("inf"):
            return None
        cap = style.get("stroke-linecap", "butt").lower()
        join_ = style.get("stroke-linejoin", "miter").lower()
        miter = style.get("stroke-miterlimit", "4")
        found = measure(miter)
        dashes, offset = self._dashes(element, place), 0.0
        if dashes:
            offset = self.length(element, place, "stroke-dashoffset", "both") or 0.0
            share = self._path_share(element, place)
            dashes, offset = tuple(x * share for x in dashes), offset * share
        return Pen(
            width,
            cap if cap in ("round", "square") else "butt",
            join_ if join_ in ("round", "bevel") else "miter",
            max(found[0], 1.0) if found else 4.0,
            dashes,
            offset if abs(offset) < float("inf") else 0.0,
        )

    def _path_share(self, element: ET.Element, place: Place) -> float:
        """Return how long a unit of dashes is where ``pathLength`` says how long the path is."""
        stated = self.length(element, place, "pathLength", "both")
        if stated is None or not 0 < stated < float("inf"):
            return 1.0
        share = sum(chain.length() for chain in self.chains(element, place)) / stated
        return share if 0 < share < float("inf") else 1.0

    def _dashes(self, element: ET.Element, place: Place) -> tuple[float, ...]:
        raw = place.style.get("stroke-dasharray", "none").strip()
        if raw.lower() in ("none", ""):
            return ()
        whole = (place.view[0] ** 2 / 2 + place.view[1] ** 2 / 2) ** 0.5
        size = self.styles.font_size(place.style)
        found = []
        for word in re.split(r"[\s,]+", raw[:10_000])[:1000]:
            try:
                value = length(word, size, whole)
            except ValueError as error:
                raise self.source.refuse(
                    f"have numbers as stroke-dasharray of <{element.tag}> but has {word[:40]!r}"
                ) from error
            if value is None or value < 0:
                return ()
            found.append(value)
        return tuple(found) if 0 < sum(found) < float("inf") else ()


def _is_line(chain: Chain) -> bool:
    """Return whether a single cubic is straight and so encloses nothing."""
    a, b, c, d = chain.points
    u = d - a
    return all(abs(u[0] * (p - a)[1] - u[1] * (p - a)[0]) == 0 for p in (b, c)) and bool(u.any())
