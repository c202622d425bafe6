"""The elements of an SVG in painting order: groups, viewports, ``<use>`` and what they hand on.

Everything that is visited counts, however often ``<use>`` brings it up, so that a small file
cannot grow without bounds.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field, replace

from guidance.vector.svg.geometry import Box, Chain
from guidance.vector.svg.regions import Knife, Region
from guidance.vector.svg.shapes import SHAPES, chains_of
from guidance.vector.svg.source import MAX_DEPTH, MAX_ELEMENTS, Source
from guidance.vector.svg.style import Style, Styles
from guidance.vector.svg.values import (
    IDENTITY,
    Matrix,
    ViewBox,
    fraction,
    length,
    multiply,
    transform,
)

GROUPS = {"g", "a", "svg", "switch", "use", "symbol"}
NOT_SHOWN = {"text", "image", "foreignObject", "video", "canvas"}
DRAWN = (GROUPS - {"symbol"}) | SHAPES | NOT_SHOWN  # where they stand
LANGUAGE = "en"  # of <switch>, whatever the computer's is, so that a file always reads the same

Size = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """Where and how elements are drawn.

    Args:
        matrix: from user space to pixels of the canvas.
        style: of the parent.
        view: width and height of the nearest viewport in user units, for percentages.
        opacity: of all groups around.
        clip: the area that is shown, None for all.
        depth: how many elements are around.
        trail: the targets of ``<use>`` around, which must not use themselves.
        boxed: where bounds are collected instead of drawing; in user space of who asked.
    """

    matrix: Matrix = IDENTITY
    style: Style = field(default_factory=Style)
    view: tuple[float, float] = (0.0, 0.0)
    opacity: float = 1.0
    clip: Region | None = None
    depth: int = 0
    trail: tuple[ET.Element, ...] = ()
    boxed: list[Box] | None = None


class Walk:
    """Visits the elements of one drawing; subclasses draw them.

    Args:
        source: the drawing.
        styles: of its elements.
        left_out: counts what is not shown, by name.
        size: width and height of the canvas, pixels.
    """

    def __init__(self, source: Source, styles: Styles, left_out: Counter[str], size: Size) -> None:
        self.source = source
        self.left_out = left_out
        self.size = size
        self.styles = styles
        self.knife = Knife(max(size))
        self._visited = 0
        self._chains: dict[ET.Element, list[Chain]] = {}

    def shape(self, element: ET.Element, place: Place) -> None:
        """Draw a basic shape or path whose style and matrix are `place`'s."""
        raise NotImplementedError

    def hidden_parts(self, element: ET.Element, place: Place) -> Place | None:
        """Return `place` with the element's clip path, mask and the like, None if nothing shows."""
        raise NotImplementedError

    def grouped(self, first: int, opacity: float) -> None:
        """Make the shapes from `first` on one see-through group."""
        raise NotImplementedError

    def drawn(self) -> int:
        """Return the number of shapes so far."""
        raise NotImplementedError

    def visit(self, element: ET.Element, around: Place, size: tuple | None = None) -> None:
        """Draw an element and what is in it; `size` is what ``<use>`` wants of a viewport."""
        self.count(around)
        tag = element.tag
        if tag not in GROUPS and tag not in SHAPES and tag not in NOT_SHOWN:
            return
        style = self.styles.under(around.style, element)
        if style.get("display", "").lower() == "none" or not _meets_conditions(element):
            return
        if tag in NOT_SHOWN:
            if around.boxed is None and style.get("visibility", "visible").lower() == "visible":
                self.left_out[tag] += 1
            return
        matrix = multiply(around.matrix, self.transform_of(element, style, around))
        if not all(map(math.isfinite, matrix)) or matrix[0] * matrix[3] == matrix[1] * matrix[2]:
            return
        place = replace(around, matrix=matrix, style=style, depth=around.depth + 1)
        if around.boxed is None:
            opacity = fraction(style.get("opacity"))
            if opacity == 0:
                return
            if opacity < 1:
                place = replace(place, opacity=place.opacity * opacity)
            place = self.hidden_parts(element, place)
            if place is None:
                return
        first = self.drawn()
        self.enter(element, place, size)
        if place.opacity < around.opacity and self.drawn() > first + 1:
            self.grouped(first, place.opacity)

    def count(self, around: Place, n: int = 1) -> None:
        """Count one more visit, or what takes as long as `n`.

        Raises:
            GuidanceError: there were too many, or they are too deep in each other.
        """
        self._visited += n
        if self._visited > MAX_ELEMENTS or around.depth > MAX_DEPTH:
            most = f"{MAX_ELEMENTS} elements, {MAX_DEPTH} deep,"
            raise self.source.refuse(f"have at most {most} with those of <use> but has more")

    def enter(self, element: ET.Element, place: Place, size: tuple | None = None) -> None:
        """Draw what an element consists of; `place` has its own style and matrix already."""
        tag = element.tag
        if tag in SHAPES:
            self._shape(element, place)
        elif tag == "use":
            self._use(element, place)
        elif tag in ("svg", "symbol"):
            self._viewport(element, place, size)
        elif tag == "switch":
            for child in element:
                shown = child.tag in DRAWN and child.tag != "foreignObject"  # which has a stand-in
                if shown and _meets_conditions(child):
                    self.visit(child, place)
                    break
        else:
            for child in element:
                if child.tag != "symbol":
                    self.visit(child, place)

    def _shape(self, element: ET.Element, place: Place) -> None:
        if place.boxed is None:
            if place.style.get("visibility", "visible").lower() == "visible":
                self.shape(element, place)
            return
        self.count(place, 4)  # takes longer than to draw
        moved = [chain.moved(place.matrix) for chain in self.chains(element, place)]
        if moved and (box := self.knife.bounds(moved)):
            place.boxed.append(box)

    def _use(self, element: ET.Element, place: Place) -> None:
        reference = element.get("href", "").strip()
        target = self.source.target(reference)
        if target is None or target in place.trail or self._is_inside(element, target):
            if place.boxed is None:
                what = "that uses itself" if target is not None else "of what is not in this file"
                self.left_out[f"use {what}"] += 1
            return
        moved = (1.0, 0.0, 0.0, 1.0, self.length(element, place, "x", "x") or 0.0,
                 self.length(element, place, "y", "y") or 0.0)  # fmt: skip
        size = tuple(
            self.length(element, place, s, a) for s, a in (("width", "x"), ("height", "y"))
        )
        self.visit(
            target,
            replace(
                place,
                matrix=multiply(place.matrix, moved),
                trail=(*place.trail, target),
            ),
            size,
        )

    def _is_inside(self, element: ET.Element, target: ET.Element) -> bool:
        here: ET.Element | None = element
        while here is not None:
            if here is target:
                return True
            here = self.source.parents.get(here)
        return False

    def _viewport(self, element: ET.Element, place: Place, size: tuple | None) -> None:
        """Draw a ``<svg>`` or, from ``<use>``, a ``<symbol>``."""
        if element is self.source.root:
            x, y, (width, height) = 0.0, 0.0, self.size
        else:
            given = size or (None, None)
            x, y = (self.length(element, place, s, s) or 0.0 for s in "xy")
            width, height = (
                next(
                    (v for v in (given[i], self.length(element, place, side, "xy"[i]))
                     if v is not None), place.view[i])
                for i, side in enumerate(("width", "height"))
            )  # fmt: skip
        box = ViewBox.parse(element.get("viewBox"), element.get("preserveAspectRatio"))
        if width <= 0 or height <= 0 or (box and 0 in (box.width, box.height)):
            return
        place = replace(place, matrix=multiply(place.matrix, (1.0, 0.0, 0.0, 1.0, x, y)))
        overflow = place.style.get("overflow", "hidden").lower()
        if element is not self.source.root and overflow not in ("visible", "auto"):
            place = self.framed(place, (0.0, 0.0, width, height))
        if box:
            place = replace(
                place,
                matrix=multiply(place.matrix, box.matrix(width, height)),
                view=(box.width, box.height),
            )
        else:
            place = replace(place, view=(width, height))
        for child in element:
            if child.tag != "symbol":
                self.visit(child, place)

    def framed(self, place: Place, box: Box) -> Place:
        """Return `place` with only a rectangle of its user space shown."""
        raise NotImplementedError

    def chains(self, element: ET.Element, place: Place) -> list[Chain]:
        """Return the sub-paths of a shape in its user space."""
        if element in self._chains:
            return self._chains[element]

        def measure(name: str, axis: str) -> float | None:
            return self.length(element, place, name, axis)

        chains, in_order = chains_of(element, measure)
        if not in_order and place.boxed is None:
            self.left_out["path data after an error"] += 1
        if element.tag in ("path", "polygon", "polyline"):  # the same wherever it is used
            self._chains[element] = chains
        return chains

    def length(self, element: ET.Element, place: Place, name: str, axis: str) -> float | None:
        """Return an attribute or property in user units; `axis` says what percentages are of."""
        text = place.style.get(name, element.get(name))
        width, height = place.view
        whole = {"x": width, "y": height}.get(axis, math.hypot(width, height) / math.sqrt(2))
        try:
            return length(text, self.styles.font_size(place.style), whole)
        except ValueError as error:
            shown = str(text).strip()[:40]
            raise self.source.refuse(
                f"have a number as {name} of <{element.tag}> but has {shown!r}"
            ) from error

    def transform_of(self, element: ET.Element, style: Style, around: Place) -> Matrix:
        """Return the transform of an element alone; `around` is outside of it."""
        text = style.get("transform")
        if not text:
            return IDENTITY
        size = self.styles.font_size(style)
        matrix = transform(text, size, around.view)
        if matrix is None:
            self.left_out["transform that is not valid"] += 1
            return IDENTITY
        origin = style.get("transform-origin", "").lower().split()
        if not origin:
            return matrix
        shares = {"left": 0.0, "top": 0.0, "center": 0.5, "right": 1.0, "bottom": 1.0}
        at = [0.5 * side for side in around.view]
        for i, word in enumerate(origin[:2]):
            axis = 1 if word in ("top", "bottom") else 0 if word in ("left", "right") else i
            value = shares[word] * around.view[axis] if word in shares else None
            try:
                value = length(word, size, around.view[axis]) if value is None else value
            except ValueError:
                value = None
            at[axis] = value or 0.0
        there = multiply((1.0, 0.0, 0.0, 1.0, at[0], at[1]), matrix)
        return multiply(there, (1.0, 0.0, 0.0, 1.0, -at[0], -at[1]))


def _meets_conditions(element: ET.Element) -> bool:
    """Return whether the languages and extensions that an element asks for are there."""
    languages = element.get("systemLanguage")
    if languages is not None:
        spoken = [x.strip().lower() for x in languages.split(",")]
        if not any(x == LANGUAGE or x.startswith(f"{LANGUAGE}-") for x in spoken):
            return False
    wanted = element.get("requiredFeatures", "")  # of old; all others are there
    return element.get("requiredExtensions") is None and not wanted.endswith("#Extensibility")
