"""Clip paths and masks of an SVG as areas that cut what is drawn."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np

from guidance.vector.svg.geometry import Box, Chain, Shape, line
from guidance.vector.svg.groups import region_of
from guidance.vector.svg.regions import Region, TooComplex
from guidance.vector.svg.shapes import SHAPES
from guidance.vector.svg.values import IDENTITY, Matrix, length, multiply
from guidance.vector.svg.walk import Place, Walk

LUMINANCE = (0.2125, 0.7154, 0.0721)  # of sRGB values, as masks weigh them
Part = tuple[Region, float, float]  # of a mask: area, luminance, alpha
MAX_CUTS = 32  # that are on each other
COST_OF_CUT = 10  # in visits of an element
NEAR = 0.02  # of luminance: taken for white, for black, or for the same grey


class Cover(Walk):
    """A walk that knows what clip paths and masks leave to be seen."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._cutting: list[ET.Element] = []  # clip paths and masks in the making
        self._areas: dict[tuple, Region] = {}  # of clip paths, by element and matrix
        self._lights: dict[tuple, tuple[Region, float] | None] = {}  # of masks

    def count(self, around: Place, n: int = 1) -> None:
        """Count visits, and refuse chains of cuts that are too long."""
        super().count(around, n)
        if len(self._cutting) > MAX_CUTS:
            raise self.source.refuse(f"have at most {MAX_CUTS} clip paths and masks on each other")

    def taken_from(self, first: int) -> list[Shape]:
        """Return the shapes from `first` on, which are then drawn no more."""
        raise NotImplementedError

    def hidden_parts(self, element: ET.Element, place: Place) -> Place | None:
        """Return `place` with the element's clip path and mask; name what cannot be shown."""
        style = place.style
        if style.get("filter", "none").lower() not in ("none", ""):
            self.left_out["filter"] += 1
        if style.get("mix-blend-mode", "normal").lower() != "normal":
            self.left_out["mix-blend-mode"] += 1
        for name, cut in (("clip-path", self._clip), ("mask", self._mask)):
            raw = style.get(name, "none")
            if raw.lower() in ("none", ""):
                continue
            target = self.source.target(raw)
            if target is None or target.tag != {"clip-path": "clipPath", "mask": "mask"}[name]:
                self.left_out[f"{name} that is no <{'clipPath' if 'c' in name else 'mask'}>"] += 1
                continue
            if target in self._cutting:
                self.left_out[f"{name} that uses itself"] += 1
                continue
            self._cutting.append(target)
            try:
                place = cut(element, target, place)
            except TooComplex:
                self.left_out[f"{name} too complex to cut"] += 1
            finally:
                self._cutting.pop()
            if place.opacity == 0 or (place.clip and self.knife.box(place.clip) is None):
                return None
        return place

    def framed(self, place: Place, box: Box) -> Place:
        """Return `place` with only a rectangle of its user space shown."""
        if place.boxed is not None:
            return place
        try:
            return self._cut(place, self.knife.region([_rectangle(box).moved(place.matrix)]))
        except TooComplex:
            self.left_out["frame too complex to cut"] += 1
            return place

    def _cut(self, place: Place, area: Region) -> Place:
        if place.clip is not None:
            area = self.knife.combine(place.clip, area, "intersect")
        return replace(place, clip=area)

    # clip paths

    def _clip(self, element: ET.Element, target: ET.Element, place: Place) -> Place:
        return self._cut(place, self._clip_area(element, target, place))

    def _clip_area(self, element: ET.Element, target: ET.Element, place: Place) -> Region:
        """Return what a ``<clipPath>`` shows of `element`."""
        matrix = self._units(element, place, target.get("clipPathUnits", "userSpaceOnUse"))
        if matrix is None:
            return self.knife.empty()
        key = (target, matrix, place.view)
        if key not in self._areas:
            self._areas[key] = self._new_clip_area(element, target, place, matrix)
        return self._areas[key]

    def _new_clip_area(self, element, target: ET.Element, place: Place, matrix: Matrix) -> Region:
        self.count(place, COST_OF_CUT)
        style = self.styles.at(target)
        inner = Place(matrix, style, (1.0, 1.0) if matrix != place.matrix else place.view)
        inner = replace(
            inner,
            matrix=multiply(inner.matrix, self.transform_of(target, style, inner)),
            depth=place.depth + 1,
        )
        area: Region | None = None
        for child in target:
            part = self._clip_part(child, inner)
            if part is not None:
                area = part if area is None else self.knife.combine(area, part, "unite")
        area = area or self.knife.empty()
        return self._clipped_again(area, element, target, place, style)

    def _clipped_again(self, area: Region, element, holder, place: Place, style) -> Region:
        """Return `area` within the clip path that a part of a clip path has itself."""
        other = self.source.target(style.get("clip-path", "none"))
        if other is None or other.tag != "clipPath" or holder is None:
            return area
        if other in self._cutting:
            self.left_out["clip-path that uses itself"] += 1
            return area
        self._cutting.append(other)
        try:
            return self.knife.combine(area, self._clip_area(element, other, place), "intersect")
        finally:
            self._cutting.pop()

    def _clip_part(self, child: ET.Element, around: Place) -> Region | None:
        """Return the area of one child of a ``<clipPath>``."""
        self.count(around, COST_OF_CUT)
        if child.tag == "text":
            self.left_out["text in a clip path"] += 1
        if child.tag not in SHAPES and child.tag != "use":
            return None
        style = self.styles.under(around.style, child)
        if style.get("display") == "none":
            return None
        matrix = multiply(around.matrix, self.transform_of(child, style, around))
        place = replace(around, style=style, matrix=matrix, depth=around.depth + 1)
        if child.tag == "use":
            target = self.source.target(child.get("href", ""))
            if target is None or target.tag not in SHAPES | {"text"}:
                return None
            x, y = (self.length(child, place, s, s) or 0.0 for s in "xy")
            moved = multiply(matrix, (1.0, 0.0, 0.0, 1.0, x, y))
            part = self._clip_part(target, replace(place, matrix=moved))
        else:
            chains = [c.moved(matrix) for c in self.chains(child, place) if len(c.points) > 1]
            if style.get("visibility", "visible") != "visible" or not chains:
                return None
            part = self.knife.region(chains, style.get("clip-rule") == "evenodd")
        if part is None or "clip-path" not in style:
            return part
        return self._clipped_again(part, child, child, place, style)

    # masks

    def _mask(self, element: ET.Element, target: ET.Element, place: Place) -> Place:
        """Return `place` within the light parts of a mask; one of several shades is left out."""
        self.count(place)
        frame = self._mask_frame(element, target, place)
        matrix = self._units(element, place, target.get("maskContentUnits", "userSpaceOnUse"))
        if frame is None or matrix is None:
            return replace(place, opacity=0.0)
        key = (target, matrix, place.view)
        if key not in self._lights:
            self._lights[key] = self._light(self._mask_parts(target, place, matrix))
        found = self._lights[key]
        if found is None:
            self.left_out["mask of several shades"] += 1
            return place
        area = self.knife.combine(found[0], frame, "intersect")
        cut = self._cut(replace(place, opacity=place.opacity * found[1]), area)
        other = self.source.target(self.styles.at(target).get("mask", "none"))
        if other is None or other.tag != "mask":
            return cut
        if other in self._cutting:
            self.left_out["mask that uses itself"] += 1
            return cut
        self._cutting.append(other)
        try:
            return self._mask(element, other, cut)
        finally:
            self._cutting.pop()

    def _mask_parts(self, target: ET.Element, place: Place, matrix: Matrix) -> list[Part]:
        """Return what a ``<mask>`` draws."""
        style = self.styles.at(target)
        inner = Place(matrix, style, place.view, depth=place.depth + 1)
        uses_alpha = style.get("mask-type", "").lower() == "alpha"
        first = self.drawn()
        for child in target:
            self.visit(child, inner)
        parts = []
        for shape in self.taken_from(first):
            self.count(place, COST_OF_CUT)
            rgba = shape[2]
            light = sum(x * y for x, y in zip(LUMINANCE, rgba, strict=False))
            area = region_of(shape, self.knife)
            parts.append((area, 1.0 if uses_alpha else light, rgba[3]))
        return parts

    def _light(self, parts: list[Part]) -> tuple[Region, float] | None:
        """Return the area that a mask of one shade shows, and that shade."""
        shades = {round(light * alpha, 6) for _, light, alpha in parts}
        shades = {s for s in shades if s > NEAR}
        if not shades:
            return self.knife.empty(), 1.0
        share = max(shades)
        if share - min(shades) > NEAR:
            return None
        share = 1.0 if share > 1 - NEAR else share
        area = self.knife.empty()
        for part, light, alpha in parts:
            if light * alpha > NEAR:
                if share < 1 and alpha < 1 - NEAR and len(parts) > 1:
                    return None  # where two overlap it is lighter
                area = self.knife.combine(area, part, "unite")
            elif alpha > 1 - NEAR:
                area = self.knife.combine(area, part, "subtract")
            elif alpha > NEAR:
                return None
        return area, share

    def _mask_frame(self, element: ET.Element, target: ET.Element, place: Place) -> Region | None:
        """Return the rectangle beyond which a mask shows nothing."""
        units = target.get("maskUnits", "objectBoundingBox")
        matrix = self._units(element, place, units)
        if matrix is None:
            return None
        whole = (1.0, 1.0) if units == "objectBoundingBox" else place.view
        box = []
        for name, axis, default in (
            ("x", 0, "-10%"), ("y", 1, "-10%"), ("width", 0, "120%"), ("height", 1, "120%")
        ):  # fmt: skip
            try:
                box.append(length(target.get(name, default), 16.0, whole[axis]) or 0.0)
            except ValueError as error:
                raise self.source.refuse(f"have a number as {name} of <mask>") from error
        x, y, width, height = box
        return self.knife.region([_rectangle((x, y, x + width, y + height)).moved(matrix)])

    def _units(self, element: ET.Element, place: Place, units: str) -> Matrix | None:
        """Return the matrix of a clip path's or mask's content; None if the box is empty."""
        if units != "objectBoundingBox":
            return place.matrix
        boxes: list[Box] = []
        self.enter(element, replace(place, matrix=IDENTITY, clip=None, boxed=boxes))
        if not boxes:
            return None
        left, top = (min(b[i] for b in boxes) for i in (0, 1))
        right, bottom = (max(b[i] for b in boxes) for i in (2, 3))
        if right <= left or bottom <= top:
            return None
        return multiply(place.matrix, (right - left, 0.0, 0.0, bottom - top, left, top))


def _rectangle(box: Box) -> Chain:
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    points = corners[:1]
    for a, b in itertools.pairwise(corners):
        points += line(a, b)
    return Chain(np.array(points, dtype=np.float64), True)
