"""The style of every element of an SVG: CSS cascade, inheritance and variables.

Presentation attributes come first, then rules by specificity, then ``style``, then what is
``!important``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from guidance.vector.svg.sheets import (
    MAX_STYLES,
    Declared,
    declarations,
    is_plain,
    matched_rules,
)
from guidance.vector.svg.source import Source
from guidance.vector.svg.values import colour, length, measure

MAX_VALUE = 2_000  # letters of one value after its variables are put in
MAX_VARIABLES = 50  # in one value and in those variables
SLOWER = 16  # styles that are not plain, per letter
MAX_DECLARED = 2**19  # declarations of all elements, and variables that those add theirs to

PAINTS = {"fill": "black", "stroke": "none", "color": "black", "stop-color": "black"}
_LENGTHS = {"stroke-width", "stroke-dashoffset", "stroke-miterlimit", "fill-opacity",
            "stroke-opacity", "opacity", "stop-opacity", "x", "y", "width", "height", "r", "rx",
            "ry", "cx", "cy"}  # fmt: skip
INHERITED = {"fill", "stroke", "color", "fill-rule", "clip-rule", "fill-opacity", "stroke-opacity",
             "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit",
             "stroke-dasharray", "stroke-dashoffset", "visibility", "font-size", "paint-order",
             "marker-start", "marker-mid", "marker-end"}  # fmt: skip
_OTHERS = {"clip-path", "mask", "filter", "display", "overflow", "vector-effect", "transform",
           "transform-origin", "mix-blend-mode", "mask-type"}  # fmt: skip
KNOWN = INHERITED | _OTHERS | _LENGTHS | set(PAINTS)
_FONT_SIZES = {"xx-small": 9.6, "x-small": 12.0, "small": 14.2, "medium": 16.0, "large": 19.2,
               "x-large": 24.0, "xx-large": 32.0}  # fmt: skip


class Style(dict[str, str]):
    """Computed values; names that are missing have their initial value.

    Its `variables`, with names as ``--x``, are shared with the parent where none are declared.
    """

    variables: Mapping[str, str] = MappingProxyType({})


class Styles:
    """The style sheets of one drawing, applied.

    Args:
        source: the drawing.
        left_out: counts what is not shown, by name.
    """

    def __init__(self, source: Source, left_out: Counter[str]) -> None:
        self._source = source
        self._inline: dict[str, list[Declared]] = {}
        self._valid: dict[tuple[str, str], bool] = {}
        self._letters = 0  # of those, as long as they take
        self._own: dict[ET.Element, Style] = {}
        self._declared: dict[ET.Element, dict[str, str]] = {}
        self._rules = matched_rules(source, left_out)
        self._counted = 0

    def at(self, element: ET.Element) -> Style:
        """Return the style of an element where it stands in the file."""
        if element not in self._own:
            parent = self._source.parents.get(element)
            self._own[element] = self.under(Style() if parent is None else self.at(parent), element)
        return self._own[element]

    def under(self, parent: Style, element: ET.Element) -> Style:
        """Return the style of an element whose parent, perhaps a ``<use>``, has style `parent`."""
        declared = self._declared.get(element)
        if declared is None:
            declared = self._declared[element] = self._cascade(element)
        style = Style({k: v for k, v in parent.items() if k in INHERITED})
        style.variables = parent.variables
        own = {k: v for k, v in declared.items() if k.startswith("--")}
        if own:
            self._count(len(parent.variables))
            style.variables = {**parent.variables, **own}
        for name, raw in declared.items():
            if not name.startswith("--"):
                self._compute(style, parent, name, raw, element)
        return style

    def font_size(self, style: Style) -> float:
        """Return the font size in user units."""
        return float(style.get("font-size", 16.0))

    def _compute(self, style: Style, parent: Style, name: str, raw: str, element) -> None:
        """Put the value of one declaration into `style`."""
        value = raw
        if "var(" in raw:
            value = _substitute(raw, style.variables)
            if value is None or not self._is_valid(name, value, element):
                value = "unset"
        word = value.strip().lower()
        if word in ("inherit", "unset", "revert", "revert-layer", "initial"):
            keeps = word == "inherit" or (word != "initial" and name in INHERITED)
            style.pop(name, None)
            if keeps and name in parent:
                style[name] = parent[name]
        elif name == "font-size":
            style[name] = str(self._font_size(word, parent))
        elif name == "color" and colour(word) == "currentcolor":
            pass  # is inherited
        elif name in ("stroke-width", "stroke-dashoffset") and word.endswith(("em", "ex")):
            size = length(word, self.font_size(style), 0.0)  # inherited as what it is here
            style[name] = repr(size)
        else:
            style[name] = value.strip()

    def _font_size(self, word: str, parent: Style) -> float:
        before = self.font_size(parent)
        size = {"smaller": before / 1.2, "larger": before * 1.2, **_FONT_SIZES}.get(word)
        if size is None:
            try:
                size = length(word, before, before)
            except ValueError:
                size = None
        return before if size is None or not 0 <= size < 1e6 else size

    def _cascade(self, element: ET.Element) -> dict[str, str]:
        """Return what is declared for one element, the strongest declaration of each name."""
        style: dict[str, str] = {}
        for name, value in element.attrib.items():
            if name in KNOWN and self._is_valid(name, value, element):
                style[name] = value
        groups = [*self._rules.get(element, ()), self._inline_style(element.get("style", ""))]
        self._count(sum(map(len, groups)))
        for important in (False, True):
            for name, text in (
                d[:2] for group in groups for d in group if d.important == important
            ):
                names = [f"marker-{x}" for x in ("start", "mid", "end")]
                for each in names if name == "marker" else [name]:
                    if each.startswith("--") or (
                        each in KNOWN and ("var(" in text or self._is_valid(each, text, element))
                    ):
                        style.pop(each, None)
                        style[each] = text
        if "font-size" in style:  # before the lengths that are measured by it
            style = {"font-size": style.pop("font-size"), **style}
        return style

    def _count(self, n: int) -> None:
        self._counted += n
        if self._counted > MAX_DECLARED:
            raise self._source.refuse(
                f"have at most {MAX_DECLARED} declarations for its elements but has more"
            )

    def _is_valid(self, name: str, value: str, element: ET.Element) -> bool:
        """Return whether a value can be used; words that cannot are left as if not written."""
        if (name, value) not in self._valid:
            self._valid[name, value] = self._check(name, value, element)
        return self._valid[name, value]

    def _check(self, name: str, value: str, element: ET.Element) -> bool:
        word = value.strip().lower()
        if word in ("inherit", "unset", "initial", "revert", "revert-layer"):
            return True
        if name in PAINTS:
            is_paint = name in ("fill", "stroke") and (
                word == "none" or word.startswith(("url(", "context-"))
            )
            return is_paint or colour(value.strip()) is not None
        if name not in _LENGTHS:
            return True
        try:
            return measure(value) is not None
        except ValueError as error:
            shown = value.strip()[:40]
            raise self._source.refuse(
                f"have a number as {name} of <{element.tag[:40]}> but has {shown!r}"
            ) from error

    def _inline_style(self, text: str) -> list[Declared]:
        if text not in self._inline:
            self._letters += len(text) if is_plain(text) else SLOWER * len(text)
            if self._letters > SLOWER * MAX_STYLES:
                raise self._source.refuse(f"have at most {MAX_STYLES} characters of styles")
            self._inline[text] = declarations(text)
        return self._inline[text]


def _substitute(text: str, variables: Mapping[str, str]) -> str | None:
    """Return `text` with the values of its variables, or None where one is missing."""
    for _ in range(MAX_VARIABLES):
        start = text.rfind("var(")  # the innermost first
        if start < 0:
            return text
        level, end = 1, start + 4
        while level and end < len(text):
            level += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        name, comma, fallback = text[start + 4 : end - 1].partition(",")
        value = variables.get(name.strip(), fallback if comma else None)
        if value is None or level or len(text) + len(value) > MAX_VALUE:
            return None
        text = f"{text[:start]}{value.strip()}{text[end:]}"
    return None
