"""What fills and strokes of an SVG are painted with: colours, and gradients as their mean."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

from guidance.vector.svg.source import Source
from guidance.vector.svg.style import PAINTS, Style, Styles
from guidance.vector.svg.values import colour, fraction

RGBA = list[float]
MAX_HOPS = 32  # from a gradient to the one that has its stops
GRADIENTS = ("linearGradient", "radialGradient")


class Paints:
    """The colours of one drawing."""

    def __init__(self, source: Source, styles: Styles, left_out: Counter[str]) -> None:
        self._source = source
        self._styles = styles
        self._left_out = left_out
        self._means: dict[ET.Element, RGBA | None] = {}

    def rgba(self, style: Style, kind: str, opacity: float) -> RGBA | None:
        """Return the colour of ``"fill"`` or ``"stroke"``, None where nothing is painted."""
        raw = style.get(kind, PAINTS[kind])
        if raw.lower().startswith("url("):
            fallback = raw.partition(")")[2].strip()
            rgba = self._gradient(self._source.target(raw)) or (
                self._colour(fallback, style) if fallback else None
            )
            if rgba is None and not fallback:
                self._left_out[f"{kind} by pattern or missing gradient"] += 1
        else:
            rgba = self._colour(raw, style)
        if rgba is None:
            return None
        alpha = rgba[3] * fraction(style.get(f"{kind}-opacity")) * opacity
        return [*rgba[:3], alpha] if alpha > 0 else None

    def _colour(self, raw: str, style: Style) -> RGBA | None:
        found = colour(raw)
        if found == "currentcolor":
            found = colour(style.get("color", PAINTS["color"]))
        return None if found is None or isinstance(found, str) else list(found)

    def _gradient(self, node: ET.Element | None) -> RGBA | None:
        """Return the mean of a gradient's stops, its own or those of one it refers to."""
        if node is None or node.tag not in GRADIENTS:
            return None
        if node not in self._means:
            self._means[node] = self._mean(node)
        return self._means[node]

    def _mean(self, node: ET.Element | None) -> RGBA | None:
        for _ in range(MAX_HOPS):  # which ends circles, too
            if node is None or node.tag not in GRADIENTS:
                break
            stops = [self._stop(stop) for stop in node if stop.tag == "stop"]
            if stops:
                return [sum(x) / len(stops) for x in zip(*stops, strict=True)]
            node = self._source.target(node.get("href", ""))
        return None

    def _stop(self, stop: ET.Element) -> RGBA:
        style = self._styles.at(stop)
        rgba = self._colour(style.get("stop-color", PAINTS["stop-color"]), style) or [0.0] * 4
        return [*rgba[:3], rgba[3] * fraction(style.get("stop-opacity"))]
